"""Cells of the language: names resolved, expressions typed, one step of the recurrence as the cell IR."""
