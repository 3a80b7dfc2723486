"""The contract between compiler and runtime: plain data and protocols that all rooms may know, and no stage of either."""
