"""Parts of the lowering that layers share: a cell's step, activations, random draws, packed sequences."""
