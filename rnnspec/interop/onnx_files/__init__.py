"""ONNX files, read to graphs of layers or to cells of their own equations, and written."""
