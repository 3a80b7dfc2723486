"""Data files as tables of named columns, bound to a model's inputs and outputs, and predictions as files."""
