"""What runs a compiled model: its weights, its inputs, its file; no compiler stage is known here."""
