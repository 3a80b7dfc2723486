"""The order in which an imported graph is written: chains of layers, each of which takes what the one before gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rnnspec.interop.graph.graph import ImportedGraph, ImportedLayer, Value, ValueOf, Word

WIDEST = 16
"""Layers of a round that is looked for."""


def values_in(value: Value) -> Iterator[str]:
    """The keys of the graph's values that an argument names."""
    match value:
        case ValueOf(key=key):
            yield key
        case tuple():
            for each in value:
                yield from values_in(each)
        case Word(arguments=arguments):
            for _, each in arguments:
                yield from values_in(each)
        case _:
            pass


def read_by(layer: ImportedLayer) -> tuple[str, ...]:
    """The keys of all values that a layer takes, those in its arguments too."""
    return (*layer.inputs, *(key for value in layer.arguments.values() for key in values_in(value)))


def chains(graph: ImportedGraph) -> list[list[ImportedLayer]]:
    """The layers in chains, in an order in which each comes after what it takes, and if it can be right behind it."""
    uses = Counter(key for layer in graph.layers for key in read_by(layer))
    uses.update(output.key for output in graph.outputs)
    ends: dict[str, list[ImportedLayer]] = {}
    found: list[list[ImportedLayer]] = []
    for layer in graph.layers:
        before = ends.pop(layer.inputs[0], None) if len(layer.inputs) == 1 and uses[layer.inputs[0]] == 1 else None
        if before is not None and set(read_by(layer)) - {layer.inputs[0]}:
            before = None  # what its arguments name may come later
        if before is None:
            before = list[ImportedLayer]()
            found.append(before)
        before.append(layer)
        if len(layer.outputs) == 1:
            ends[layer.outputs[0]] = before
    return _ordered(found, [each.name for each in graph.inputs])


def _ordered(found: Sequence[list[ImportedLayer]], inputs: Sequence[str]) -> list[list[ImportedLayer]]:
    """Depth first: a chain comes right behind the one whose value it takes, where all else that it takes is there."""
    there, left, ordered = set(inputs), list(found), list[list[ImportedLayer]]()
    last: tuple[str, ...] = ()
    while left:
        ready = [
            chain for chain in left if all(there.issuperset(key for key in read_by(layer) if not _inside(key, chain)) for layer in chain)
        ]
        if not ready:
            raise ValueError("the layers form a cycle")
        chain = next((each for each in ready if set(each[0].inputs) & set(last)), ready[0])
        left.remove(chain)
        ordered.append(chain)
        last = chain[-1].outputs
        there.update(key for layer in chain for key in layer.outputs)
    return ordered


def _inside(key: str, chain: Sequence[ImportedLayer]) -> bool:
    return any(key in layer.outputs for layer in chain)


def rounds(texts: Sequence[str | None]) -> Iterator[tuple[int, int, int]]:
    """Runs of equal layers as (start, layers in a round, rounds), where a `repeat` takes no more lines; None never repeats."""
    place = 0
    while place < len(texts):
        best = max(
            ((width, _times(texts, place, width)) for width in range(1, min(WIDEST, (len(texts) - place) // 2) + 1)),
            key=_gain,
            default=(1, 1),
        )
        if _gain(best) >= 0 and best[1] > 1:
            yield place, best[0], best[1]
            place += best[0] * best[1]
        else:
            place += 1


def _gain(found: tuple[int, int]) -> int:
    """The lines that a `repeat` saves, with its own line and its brace."""
    width, times = found
    return width * times - (width + 2)


def _times(texts: Sequence[str | None], place: int, width: int) -> int:
    first = texts[place : place + width]
    if None in first:
        return 1
    times = 1
    while texts[place + times * width : place + (times + 1) * width] == first:
        times += 1
    return times


def taken_by(ordered: Sequence[Sequence[ImportedLayer]], graph: ImportedGraph) -> Mapping[str, int]:
    """How often each value is read, by a layer, an argument or as an output."""
    uses = Counter(key for chain in ordered for layer in chain for key in read_by(layer))
    uses.update(output.key for output in graph.outputs)
    return uses
