"""A model in a Python package of its own, that runs with numpy alone."""
