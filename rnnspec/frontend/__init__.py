"""The frontend: a spec's text to the tensor IR."""
