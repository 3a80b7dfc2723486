"""The driver: puts the stages in order, from a spec's text to native functions."""
