"""Models as parts of other frameworks' programs; `rnnspec.jax` and `rnnspec.keras` are its public modules."""
