"""Programs of `torch.export`, read without torch, as graphs of ONNX's nodes."""
