"""A model as a whole: statements to the layer graph, the graph's text and summary, its signature, its lowering to tensor IR."""
