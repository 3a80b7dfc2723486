"""Weights and models of other tools."""
