"""Passes over the tensor IR, one file each."""
