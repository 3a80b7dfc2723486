"""The back end for processors, by LLVM."""
