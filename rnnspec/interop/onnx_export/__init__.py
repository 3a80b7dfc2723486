"""Models written as ONNX files: layers as the standard's nodes, cells of one's own as scans over their equations."""
