"""An imported graph as the text of a spec, as a person would write it.

A chain of layers is statements without names; a value has a name where the graph branches. Equal layers in a row are a `repeat`. Arguments
with their defaults are left out. Names are the file's, made valid; where a layer's differs, a comment has the file's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rnnspec.frontend.catalogue.choices import SETTINGS
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frontend.syntax.standard_library import CellLibrary
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import ImportedGraph, ImportedInput, ImportedLayer, Value, Word
from rnnspec.interop.spec_text.arguments import ArgumentText, simplified
from rnnspec.interop.spec_text.chains import chains, rounds, taken_by, values_in
from rnnspec.interop.spec_text.names import AutomaticNames, Names, is_automatic, model_name, snake_case, valid_name
from rnnspec.source import SourceFile

LINE = 76
"""Columns of a chain that stands in one line, with arrows."""


@frozen
class WrittenSpec:
    """A spec's text, in canonical form.

    `layers`: each layer once, in the order of the text, which is that of the compiled model's weights. `inputs`, `outputs`: the names in
    the spec, in the graph's order. `notes`: what had to be renamed.
    """

    text: str
    layers: tuple[ImportedLayer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]


def write_spec(graph: ImportedGraph) -> WrittenSpec:
    """The spec of a graph. ValueError for one whose layers form a cycle."""
    declared = "\n\n".join(text.strip() for text in graph.declarations)
    tree = parse(SourceFile("<declarations>", declared))
    cells = CellLibrary({each.name.text: each for each in tree.declarations if isinstance(each, ast.Cell)})
    writer = _Writer(graph, cells)
    body = list(writer.body())
    head = [*(f"# {_one_line(line)}" for line in graph.comment), *(["", declared, ""] if declared else [])]
    lines = [*head, f"model {model_name(graph.name, (*LAYERS, *cells))} {{", *body, "}"]
    text = format_spec(SourceFile("<imported>", "\n".join(lines) + "\n"))
    return WrittenSpec(text, tuple(writer.written), writer.inputs, writer.outputs, tuple(writer.notes))


@dataclass
class _Writer:
    graph: ImportedGraph
    cells: CellLibrary
    notes: list[str] = field(default_factory=list[str])
    written: list[ImportedLayer] = field(default_factory=list[ImportedLayer])

    def __post_init__(self) -> None:
        self._names = Names()
        self._keys: dict[str, str] = {}
        for given in self.graph.inputs:
            self._keys[given.name] = self._taken(valid_name(given.name, "input"), given.name, "input")
        self.inputs = tuple(self._keys.values())
        self._chains = chains(self.graph)
        self._uses = taken_by(self._chains, self.graph)
        layers = [layer for chain in self._chains for layer in chain]
        self._shared = self._shared_names(layers)
        self._layer_names = self._given_names(layers)
        self._automatic = AutomaticNames({*self._shared.values(), *self._layer_names.values()})
        self._text = ArgumentText(self.cells, lambda key: self._keys[key])
        self._started: set[str] = set()
        self._wanted: dict[str, str] = {}
        self._finals: dict[str, str] = {}
        self.outputs: tuple[str, ...] = ()

    def _taken(self, valid: str, source: str, kind: str) -> str:
        name = self._names.take(valid)
        if name != source:
            self.notes.append(f"{kind} `{source}` is `{name}` in the spec")
        return name

    def _shared_names(self, layers: Sequence[ImportedLayer]) -> dict[str, str]:
        """The name of each layer that has several uses."""
        found: dict[str, str] = {}
        for layer in layers:
            if layer.shared and layer.shared not in found:
                found[layer.shared] = self._names.take(valid_name(layer.name or layer.source or snake_case(layer.layer), "layer"))
        return found

    def _given_names(self, layers: Sequence[ImportedLayer]) -> dict[int, str]:
        """The names that layers are given, by their places; a layer of an automatic one has none."""
        taken = Names(self._shared.values())
        found: dict[int, str] = {}
        for place, layer in enumerate(layers):
            if layer.name and not layer.shared and not is_automatic(layer.name, layer.layer):
                found[place] = taken.take(valid_name(layer.name, "layer"))
        return found

    def body(self) -> Iterator[str]:
        """The lines between the model's braces."""
        yield "input " + ", ".join(map(_input, self.graph.inputs, self.inputs))
        yield ""
        yield from self._shared_lines()
        place = 0
        flow: tuple[str, ...] = (self.graph.inputs[0].name,) if len(self.graph.inputs) == 1 else ()
        last: ImportedLayer | None = None
        self._choose_outputs()
        for number, chain in enumerate(self._chains):
            following = self._chains[number + 1] if number + 1 < len(self._chains) else None
            yield from self._chain(chain, place, flow, following)
            place += len(chain)
            flow, last = chain[-1].outputs, chain[-1]
        yield from self._output_lines(last)
        yield from self._train_lines()

    def _shared_lines(self) -> Iterator[str]:
        first: dict[str, ImportedLayer] = {}
        for chain in self._chains:
            for layer in chain:
                if layer.shared:
                    first.setdefault(layer.shared, layer)
        for key, layer in first.items():
            name = self._shared[key]
            yield f"shared {name} = {self._text.call(layer.layer, layer.arguments)}{_remark(layer.source, name)}"
        if first:
            yield ""

    def _choose_outputs(self) -> None:
        """Outputs that are values by themselves are named as the file names them."""
        for output in self.graph.outputs:
            if output.name and output.key not in self._keys:
                self._wanted.setdefault(output.key, valid_name(output.name, "output"))

    # Chains.

    def _chain(
        self, chain: Sequence[ImportedLayer], place: int, flow: tuple[str, ...], following: Sequence[ImportedLayer] | None
    ) -> Iterator[str]:
        head = self._arrow(chain[0], flow)
        name = self._targets(chain[-1], place + len(chain) - 1, following)
        stages = [self._stage(layer, place + offset) for offset, layer in enumerate(chain)]
        texts = [text for text, _ in stages]
        whole = " -> ".join([*([head] if head else []), *texts])
        if head and len(whole) + len(name) <= LINE and not any(remark for _, remark in stages[:-1]) and len(stages) <= 3:
            yield f"{name}{whole}{stages[-1][1]}"
            return
        plain: list[str | None] = [self._equal(layer, place + offset) for offset, layer in enumerate(chain)]
        if head:
            plain[0] = None
        if name:
            plain[-1] = None
        repeated = {start: (width, times) for start, width, times in rounds(plain)}
        offset = 0
        while offset < len(chain):
            if offset in repeated:
                width, times = repeated[offset]
                yield f"repeat {times} {{"
                for inner in range(width):
                    names = [self._source(chain[offset + inner + width * turn]) for turn in range(times)]
                    differ = any(stages[offset + inner + width * turn][1] for turn in range(times))
                    yield f"{plain[offset + inner]}{_remarks(names) if differ else ''}"
                yield "}"
                offset += width * times
                continue
            text, remark = stages[offset]
            start = f"{head} -> " if head and offset == 0 else ""
            yield f"{name if offset == len(chain) - 1 else ''}{start}{text}{remark}"
            offset += 1

    def _stage(self, layer: ImportedLayer, place: int) -> tuple[str, str]:
        """A layer's text and the remark behind it."""
        if layer.shared:
            if layer.shared not in self._started:
                self._started.add(layer.shared)
                self.written.append(layer)
                self._count_inner(layer)
            return self._shared[layer.shared], ""
        self.written.append(layer)
        self._count_inner(layer)
        key, given = layer.outputs[0], self._layer_names.get(place, "")
        if given and self._keys.get(key) == given:
            given = ""  # the value has the name
        automatic = "" if given else self._automatic.next(layer.layer)
        if self._finals.get(key) is not None:
            given = self._finals[key] if self._finals[key] not in ("", automatic) else given
            self._finals[key] = given or automatic
        name = given or self._keys.get(key, automatic)
        return self._text.call(layer.layer, layer.arguments, given), _remark(layer.source, name)

    def _count_inner(self, layer: ImportedLayer) -> None:
        """Counts the automatic names of layers inside a layer, as the language does; inside of TimeDistributed they count apart."""
        if layer.layer == "TimeDistributed":
            return

        def walk(value: Value) -> None:
            match value:
                case tuple():
                    for each in value:
                        walk(each)
                case Word(name=name, arguments=arguments, called=True):
                    if (name in LAYERS or name in self.cells) and "name" not in dict(arguments):
                        self._automatic.inner(name)
                    for _, each in arguments:
                        walk(each)
                case _:
                    pass

        for value in layer.arguments.values():
            walk(value)
        inner = layer.arguments.get("layer")
        if layer.layer == "Bidirectional" and "backward_layer" not in layer.arguments and isinstance(inner, Word):
            for _, value in inner.arguments:  # the cells of the backward layer
                walk(value)

    def _equal(self, layer: ImportedLayer, place: int) -> str | None:
        """The text by which layers of a `repeat` are equal; None for a layer that can't be in one."""
        named = place in self._layer_names or layer.shared or layer.outputs[0] in self._finals
        names_values = any(True for value in layer.arguments.values() for _ in values_in(value))
        if named or names_values or len(layer.outputs) > 1 or len(layer.inputs) > 1:
            return None
        return self._text.call(layer.layer, layer.arguments)

    def _arrow(self, first: ImportedLayer, flow: tuple[str, ...]) -> str:
        """What an arrow brings to a chain's first layer; empty where it is what has just been."""
        if len(first.inputs) == 1:
            return "" if first.inputs == flow else self._keys[first.inputs[0]]
        return f"[{', '.join(self._keys[key] for key in first.inputs)}]"

    def _targets(self, layer: ImportedLayer, place: int, following: Sequence[ImportedLayer] | None) -> str:
        """`a, b = ` for the values of a chain's last layer that are read elsewhere than right behind it."""
        names: list[str] = []
        for key in layer.outputs:
            flows_on = following is not None and following[0].inputs == layer.outputs and len(layer.outputs) == 1
            is_final = following is None and self._names_output(layer, place)
            if is_final:
                self._finals[key] = self._wanted.get(key, "")
            if self._uses[key] - (flows_on or is_final) <= 0:
                names.append("")
                continue
            self._keys[key] = self._names.take(self._wanted.get(key) or self._value_name(layer, place, key))
            names.append(self._keys[key])
        if not any(names) and len(names) <= 1:
            return ""
        return ", ".join(name or self._names.take("_") for name in names) + " = "

    def _names_output(self, layer: ImportedLayer, place: int) -> bool:
        """Whether a layer is the only output's, which then has the layer's name."""
        if len(self.graph.outputs) != 1 or layer.shared:
            return False
        key = self.graph.outputs[0].key
        if layer.outputs != (key,) or self._uses[key] > 1:
            return False
        given, wanted = self._layer_names.get(place, ""), self._wanted.get(key, "")
        return not given or not wanted or given == wanted

    def _value_name(self, layer: ImportedLayer, place: int, key: str) -> str:
        """A name for a value within the model: the layer's own, of a state with the state's number."""
        base = self._layer_names.get(place) or valid_name(layer.hint or layer.source or snake_case(layer.layer))
        number = layer.outputs.index(key)
        return base if number == 0 else f"{base}_state" if len(layer.outputs) == 2 else f"{base}_state_{number}"

    # Outputs and training.

    def _output_lines(self, last: ImportedLayer | None) -> Iterator[str]:
        names: list[str] = []
        lines: list[str] = []
        for output in self.graph.outputs:
            name = self._keys.get(output.key) or self._finals[output.key]
            wanted = valid_name(output.name, "output") if output.name else name
            if wanted != name or name in names:
                alias = self._names.take(wanted)
                lines.append(f"{alias} = {name}")
                name = alias
            if output.name and name != output.name:
                self.notes.append(f"output `{output.name}` is `{name}` in the spec")
            names.append(name)
        self.outputs = tuple(names)
        yield from lines
        only = self.graph.outputs[0].key if len(self.graph.outputs) == 1 else ""
        if not (last is not None and only in self._finals and last.outputs == (only,)):
            yield "output " + ", ".join(names)

    def _train_lines(self) -> Iterator[str]:
        if self.graph.train:
            yield ""
            yield "train {"
            for name, value in self.graph.train.items():
                yield f"{name} = {self._text.value(simplified(value, SETTINGS.get(name)))}"
            yield "}"

    def _source(self, layer: ImportedLayer) -> str:
        return layer.source or layer.name


def _input(given: ImportedInput, name: str) -> str:
    dimensions = ", ".join(valid_name(each, "time") if isinstance(each, str) else str(each) for each in given.dimensions)
    return f"{name}: {given.element}{f'[{dimensions}]' if given.dimensions else ''}"


def _remark(source: str, name: str) -> str:
    return f"  # {_one_line(source)}" if source and source != name else ""


def _remarks(sources: Sequence[str]) -> str:
    known = [_one_line(source) for source in sources if source]
    return f"  # {', '.join(known)}" if known else ""


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
