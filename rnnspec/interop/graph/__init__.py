"""The neutral form of a model from elsewhere, between every reader and the one writer of specs."""
