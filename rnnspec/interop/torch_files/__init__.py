"""Models of PyTorch, read and written without it."""
