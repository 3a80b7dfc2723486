"""Layers, one module a family: their shapes, masks, lowering and printed form."""
