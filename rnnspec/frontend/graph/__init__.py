"""The layer graph: layers, and the values that flow between them."""
