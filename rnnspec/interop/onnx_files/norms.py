"""Normalizations that are written as arithmetic: a value less its mean, over the root of its variance."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.interop.graph.graph import Word
from rnnspec.interop.onnx_files.layer_values import Use


def normalized(uses: Sequence[Use], left: str, right: str) -> tuple[str, float] | None:
    """The key of what is normalized, and epsilon, if `left` over `right` is a LayerNormalization without weights; None for other values."""
    makers = {key: each for each in uses for key in each.outputs}

    def before(key: str, name: str) -> tuple[str, float]:
        """The value that a function was taken of, and its number; an empty key for another value."""
        use = makers.get(key)
        match use.arguments.get("activation") if use is not None and use.layer == "Activation" else None:
            case Word(found, arguments) if found == name and use is not None:
                number = next((value for _, value in arguments if isinstance(value, float)), 0.0)
                return use.inputs[0], number
            case _:
                return "", 0.0

    def parts(key: str) -> tuple[str, ...]:
        use = makers.get(key)
        return use.inputs if use is not None and use.layer == "Subtract" else ()

    centred = parts(left)
    if len(centred) != 2 or before(centred[1], "mean_of_units")[0] != centred[0]:
        return None
    shifted, epsilon = before(before(right, "root")[0], "plus_number")
    squared = before(before(shifted, "mean_of_units")[0], "product_with_itself")[0]
    return (centred[0], epsilon) if squared and (squared == left or parts(squared) == centred) and epsilon > 0 else None
