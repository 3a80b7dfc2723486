"""Models as scikit-learn's estimators; `rnnspec.sklearn` has their public names."""
