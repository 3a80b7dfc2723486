"""The runtime: a compiled model's weights, inputs, calls and file; no compiler stage is known here."""
