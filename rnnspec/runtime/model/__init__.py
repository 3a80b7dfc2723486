"""A compiled model in use: weights, forward and backward calls, streams."""
