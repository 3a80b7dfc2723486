"""Weights of a file for a given model: matched by what the user says, by names, by the only place that fits, or by order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.frozen import frozen
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import Layer, Part, fits
from rnnspec.interop.torch_files.tree import natural


@frozen
class Place:
    """A layer of the model: its path, and its weights' shapes by the names below it; `forward/kernel` of a layer of both directions."""

    path: str
    shapes: Mapping[str, tuple[int, ...]]
    names: Mapping[str, str]
    """The weights' whole names by those."""
    trainable: bool


def places_of(signature: Signature) -> list[Place]:
    """The layers with weights, in the model's order."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    names: dict[str, dict[str, str]] = {}
    trainable: set[str] = set()
    for weight in signature.weights:
        path, _, own = weight.name.rpartition("/")
        outer, _, inner = path.rpartition("/")
        for direction in ("forward", "backward"):
            if inner.startswith(f"{direction}_"):
                path, own = outer, f"{direction}/{own}"
        shapes.setdefault(path, {})[own] = weight.shape
        names.setdefault(path, {})[own] = weight.name
        if weight.trainable:
            trainable.add(path)
    return [Place(path, its, names[path], path in trainable) for path, its in shapes.items()]


def by_own_names(weights: Mapping[str, Array], signature: Signature) -> dict[str, str]:
    """By the model's weights the file's, of layers whose weights are all there under their own names, dots or underscores for slashes."""
    theirs = {_normal(name): name for name in weights}
    found: dict[str, str] = {}
    for place in places_of(signature):
        own = {place.names[name]: theirs.get(_normal(place.names[name]), "") for name in place.shapes}
        if all(name and weights[name].shape == place.shapes[short] for short, name in zip(place.shapes, own.values(), strict=True)):
            found |= own
    return found


def matched(
    parts: Sequence[Part],
    signature: Signature,
    chosen: Mapping[str, str],
    findings: Findings,
    *,
    ordered: bool,
    filled: Collection[str] = (),
) -> dict[str, Array]:
    """The model's weights by their names; what fits nowhere or in several places is a finding, what isn't taken a note.

    `chosen`: by paths of modules in the file the paths of layers in the model. A module with several layers takes those below a path, or
    of a path and on, in order. `ordered`: whether the file has the order in which the module was made. `filled`: weights of the model
    that have their values already.
    """
    places = [place for place in places_of(signature) if not set(filled).issuperset(place.names.values())]
    pairs = _said(parts, places, chosen, findings)
    left = [part for part in parts if part.source not in pairs]
    free = _without(places, pairs.values())
    for part in left:
        same = [place for place in free if _normal(place.path) == _normal(part.source) and _fitting(part, place)]
        if len(same) == 1:
            pairs[part.source] = same[0]
            free = _without(free, same)
    left = [part for part in left if part.source not in pairs]
    _by_shapes(left, free, pairs, findings, ordered=ordered)
    taken: dict[str, Array] = {}
    for part in parts:
        place = pairs.get(part.source)
        layer = None if place is None else _fitting(part, place)
        if place is not None and layer is not None:
            taken |= {place.names[own]: value for own, value in layer.weights.items()}
            if _normal(place.path) != _normal(part.source):
                findings.note(f"{part.source} went into {place.path}")
    taken_places = {place.path for place in pairs.values()}
    told = {finding.place for finding in findings.found}
    for part in parts:
        if part.source not in pairs and part.source not in told:
            findings.note(f"{part.source} ({_shown(part.layer)}) isn't in the model, and wasn't taken")
    for place in places:
        if place.path in taken_places or findings.found:
            continue
        if place.trainable:
            needed = ", ".join(f"{name} {shape}" for name, shape in place.shapes.items())
            findings.add(f"layer {place.path}", "", f"nothing in the file fits it: it has {needed}; the file has {_listed(parts)}")
        else:
            findings.note(f"layer {place.path} stays as it is: nothing in the file belongs to it")
    return taken


def _said(parts: Sequence[Part], places: Sequence[Place], chosen: Mapping[str, str], findings: Findings) -> dict[str, Place]:
    """What the user says."""
    pairs: dict[str, Place] = {}
    for source, target in chosen.items():
        its = [part for part in parts if part.source == source or part.source.startswith(f"{source}.")]
        exact = [number for number, place in enumerate(places) if place.path == target]
        below = [place for place in places if place.path.startswith(f"{target}/")]
        if not its:
            findings.add(f"map {source}={target}", "", f"the file has no module {source}; it has {_listed(parts)}")
            continue
        if not exact and not below:
            findings.add(f"map {source}={target}", "", f"the model has no layer {target}; it has {_paths(places)}")
            continue
        targets = list(places[exact[0] :]) if exact else below
        if exact and _fitting(its[0], targets[0]) is None:
            needed = ", ".join(f"{name} {shape}" for name, shape in targets[0].shapes.items())
            findings.add(f"map {source}={target}", "", f"{its[0].source} is {_shown(its[0].layer)}, and {target} has {needed}")
            continue
        if len(targets) < len(its):
            findings.add(f"map {source}={target}", "", f"the module has {len(its)} layers, the model {len(targets)} from there")
            continue
        for part in its:
            place = next((place for place in targets if _fitting(part, place) is not None), None)
            if place is None:
                findings.add(f"map {source}={target}", "", f"{part.source} is {_shown(part.layer)}, which doesn't fit {_paths(targets)}")
                break
            pairs[part.source] = place
            targets = targets[targets.index(place) + 1 :]
    return pairs


def _by_shapes(left: Sequence[Part], free: Sequence[Place], pairs: dict[str, Place], findings: Findings, *, ordered: bool) -> None:
    """Parts of which each class of equal ones fits as many places as it has members: in order."""
    classes: dict[tuple[str, ...], list[Part]] = {}
    for part in left:
        fitting = tuple(place.path for place in free if _fitting(part, place) is not None)
        if fitting:
            classes.setdefault(fitting, []).append(part)
    by_path = {place.path: place for place in free}
    for fitting, its in sorted(classes.items(), key=lambda each: len(each[0])):
        open_places = [path for path in fitting if path not in {place.path for place in pairs.values()}]
        if len(its) == len(open_places) and (len(its) == 1 or ordered or _numbered(its)):
            along = its if ordered else sorted(its, key=lambda part: natural(part.source))
            pairs |= {part.source: by_path[path] for part, path in zip(along, open_places, strict=True)}
            continue
        if not open_places:
            continue
        candidates = ", ".join(open_places)
        advice = f"say which: --map {its[0].source}={open_places[0]}"
        for part in its:
            findings.add(part.source, "", f"it is {_shown(part.layer)}, and fits {candidates}; {advice}")


def _numbered(parts: Sequence[Part]) -> bool:
    """Whether the names differ by numbers alone, which then are their order."""
    texts = {tuple(text for number, text in natural(part.source) if number < 0) for part in parts}
    return len(texts) == 1


def _fitting(part: Part, place: Place) -> Layer | None:
    """The alternative with the names and shapes of a layer's weights."""
    return next((layer for layer in part.alternatives if fits(layer.weights, place.shapes)), None)


def _without(places: Iterable[Place], taken: Iterable[Place]) -> list[Place]:
    gone = {place.path for place in taken}
    return [place for place in places if place.path not in gone]


def _normal(path: str) -> str:
    return path.lower().replace(".", "_").replace("/", "_")


def _shown(layer: Layer) -> str:
    return f"{layer.layer} with {', '.join(f'{name} {value.shape}' for name, value in layer.weights.items())}"


def _listed(parts: Sequence[Part]) -> str:
    shown = [f"{part.source} ({part.layer.layer})" for part in parts[:12]]
    return ", ".join(shown) + (f" and {len(parts) - 12} more" if len(parts) > 12 else "")


def _paths(places: Sequence[Place]) -> str:
    return ", ".join(place.path for place in places[:12]) + (" ..." if len(places) > 12 else "")
