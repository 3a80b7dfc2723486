"""Names of Keras 3.15, so that one that isn't here is told from one that nobody knows."""
