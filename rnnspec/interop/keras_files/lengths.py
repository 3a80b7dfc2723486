"""Names of the inputs' lengths: sequences that are merged step by step have the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.interop.graph.graph import ImportedInput, ImportedLayer
from rnnspec.interop.keras_files.masks import ends_sequence

_ENDS = frozenset({"Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Reshape", "Permute", "RepeatVector", "Dot", "Last"})
"""Layers behind which no length is left."""

_MERGES = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"})


def named_lengths(inputs: Sequence[ImportedInput], layers: Sequence[ImportedLayer]) -> tuple[ImportedInput, ...]:
    """The inputs with a name for each length: `time` where there is one, `story_time` and `question_time` where there are several."""
    root = {each.name: each.name for each in inputs if "time" in each.dimensions}

    def top(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    of: dict[str, str] = {name: name for name in root}
    for layer in layers:
        known = [of[key] for key in layer.inputs if key in of]
        if not known or layer.layer in _ENDS or ends_sequence(layer):
            continue
        if layer.layer in _MERGES and layer.arguments.get("axis", -1) != 1:
            for other in known[1:]:
                root[top(other)] = top(known[0])
        of[layer.outputs[0]] = known[0]
    tops = list(dict.fromkeys(top(name) for name in root))
    names = {each: "time" if len(tops) == 1 else f"{each}_time" for each in tops}
    return tuple(
        replace(each, dimensions=tuple(names[top(each.name)] if size == "time" else size for size in each.dimensions)) for each in inputs
    )
