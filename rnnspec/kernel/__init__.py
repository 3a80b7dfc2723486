"""The kernel IR: loop nests over buffers, scheduled from the tensor IR for a target."""
