"""Specs written of imported graphs, as a person would write them."""
