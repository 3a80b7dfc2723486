"""Data on its way into native calls: validation, columns of samples, batches, packing indices."""
