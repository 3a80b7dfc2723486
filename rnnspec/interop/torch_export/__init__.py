"""Models as modules of PyTorch, written as text."""
