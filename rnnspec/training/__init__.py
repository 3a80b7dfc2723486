"""Losses, metrics, optimizers and the loop that trains a compiled model; knows the runtime, no compiler stage."""
