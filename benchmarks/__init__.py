"""This project and its peers on the same work, in one run: `python -m benchmarks --help`. Not part of the package or of the tests."""
