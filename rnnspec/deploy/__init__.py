"""Models as libraries for C: object files for machines that may be others than this one, with all that belongs to them."""
