"""Models from elsewhere: a file is read as a graph, written as a spec, compiled, and given its weights."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import DTypeLike

from rnnspec import api
from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import ArgumentValue
from rnnspec.contract.signature import Signature
from rnnspec.datafiles.arrays import read_npz
from rnnspec.diagnostics import DroppedWarning, InternalError, SpecError, SpecWarning
from rnnspec.driver.source_files import parse_spec
from rnnspec.files import large_limit, open_file, write_atomically
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import SourceCall
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import HEAD, Reader, ReaderOptions
from rnnspec.interop.graph.refusals import Finding, ImportRefused
from rnnspec.interop.keras_files.reader import KERAS
from rnnspec.interop.onnx_export.returned import Returned, returned
from rnnspec.interop.onnx_files.reader import OnnxReader
from rnnspec.interop.originals.compared import compared, drawn_calls
from rnnspec.interop.originals.files import original
from rnnspec.interop.originals.original import CantRun, Original
from rnnspec.interop.originals.torch_modules import of_program, of_script
from rnnspec.interop.own_cells import own_cells
from rnnspec.interop.safetensors import write_weights
from rnnspec.interop.spec_text.writer import WrittenSpec, write_spec
from rnnspec.interop.torch_files import readers as torch_files
from rnnspec.interop.torch_programs.reader import ProgramReader
from rnnspec.interop.torch_programs.scripts import ScriptReader
from rnnspec.runtime.storage import model_file
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from rnnspec.training.proof import Proof, proof_of, prove

READERS: tuple[Reader, ...] = (KERAS, ProgramReader(), ScriptReader(), *torch_files.READERS, OnnxReader())
"""The formats that are read, in the order in which a file is offered to them."""

MOST_LAYERS = 2000
"""The language's limit, before the time that a longer text would take."""

Path_ = str | os.PathLike[str]


@frozen
class Imported:
    """A model that was imported: the compiled one, its spec's text, and what was changed on the way.

    `inputs`, `outputs`: by the file's names those of the model. `notes`, `dropped`: as of an `ImportedGraph`. `reader`: the format.
    `call`: how the file's model is called.
    """

    model: Model
    text: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    notes: tuple[str, ...]
    dropped: tuple[str, ...]
    reader: str
    call: SourceCall = SourceCall()


def import_model(
    path: Path_,
    *,
    dtype: DTypeLike | None = None,
    weights: Path_ | None = None,
    cells: Mapping[str, str] | None = None,
    inputs: Mapping[str, float | int | str] | None = None,
    into: Path_ | None = None,
    map: Mapping[str, str] | None = None,
    states: Mapping[str, str] | None = None,
    trusted: bool = False,
) -> Model:
    """The compiled model of another framework's file, with its weights; its inputs and outputs have the file's names and order.

    argument  type                  meaning                                                                     default
    --------  --------------------  --------------------------------------------------------------------------  ---------------
    path      path                  Keras's `.keras`, `.h5`, `.json` or `.weights.h5`, ONNX, PyTorch's `.pt`,   required
                                    safetensors or numpy's `.npz`; the last three are weights alone, but for
                                    TorchScript's archives
    dtype     "float32", "float64"  element type of every float input, weight and output                        the file's
    weights   path                  the weights beside an architecture alone                                    none
    cells     dict                  by a class of the file, the `.rnn` file of a cell that takes its place       none
    inputs    dict                  values of inputs that are fixed, by name                                    none
    into      path                  a spec that the weights are for; its model is given, and none is made       none
    map       dict                  with `into`: by a layer's name in the file, the one in the spec              names as they are
    states    dict                  of an ONNX graph of one step: by an input, the output that it is after it   found by names
    trusted   bool                  whether code of the file may run, by torch: of TorchScript, with torch installed     False

    `rnnspec.ImportRefused`, a ValueError, says what has no place in a spec, all at once; a warning,
    `rnnspec.diagnostics.DroppedWarning`, what was left out and would be missed, such as a loss of one's own, or what a file of weights
    alone doesn't tell. OSError for a file that can't be read. No code in a file is executed, and no framework is needed, but for
    TorchScript: it is refused unless `trusted`, and `inputs` tells the type of each input, as `{"x": "float[batch, time, 3]"}`.
    `model.source.text` is the spec that was written.

    >>> import tempfile
    >>> import rnnspec
    >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rnnspec.export_model(model, f"{folder}/tiny.keras")
    ...     rnnspec.import_model(f"{folder}/tiny.keras")
    ()
    <Model Tiny, float32, 393 weights>
    """
    options = reader_options(path, weights=weights, cells=cells, inputs=inputs, map=map, states=states, trusted=trusted)
    imported = import_into(path, into, dtype, options) if into is not None else import_file(path, dtype, options)
    for text in imported.dropped:
        warnings.warn(DroppedWarning(f"{os.fspath(path)}: {text}"), stacklevel=2)
    return imported.model


def reader_options(
    path: Path_,
    *,
    weights: Path_ | None = None,
    cells: Mapping[str, str] | None = None,
    inputs: Mapping[str, float | int | str] | None = None,
    map: Mapping[str, str] | None = None,
    states: Mapping[str, str] | None = None,
    trusted: bool = False,
) -> ReaderOptions:
    """What is said beside the file, as readers take it; SpecError for a file of cells that can't be read."""
    names, declarations = own_cells(cells or {})
    beside = None if weights is None else Path(weights)
    return ReaderOptions(beside, names, declarations, inputs or {}, map or {}, states or {}, os.fspath(path), trusted)


def reader_of(path: Path_) -> Reader:
    """The format of a file, by its content; ImportRefused for an unknown one, OSError for a file that can't be read."""
    with open_file(path, large_limit()) as file:
        head = file.read(HEAD)
    for reader in READERS:
        if reader.takes(Path(path), head):
            return reader
    known = ", ".join(reader.name for reader in READERS)
    raise ImportRefused(os.fspath(path), [Finding("", "", f"it is in no format that is read here; there are {known}")])


def import_file(path: Path_, dtype: DTypeLike | None, options: ReaderOptions) -> Imported:
    """The model in a file, compiled."""
    reader = reader_of(path)
    if isinstance(reader, OnnxReader) and not (options.inputs or options.states):
        own = returned(Path(path), _graph_of)
        if own is not None:
            return _returned(own, dtype, reader.name)
    graph = reader.read(Path(path), options)
    return imported_from(graph, options.source or os.fspath(path), dtype, reader.name)


def _graph_of(text: str, parameters: Mapping[str, ArgumentValue]) -> Graph:
    return resolve(parse_spec(SourceFile("", text)), cast(Mapping[str, ParameterValue], parameters))


def _returned(own: Returned, dtype: DTypeLike | None, reader: str) -> Imported:
    """A model that was exported here, as it was."""
    model = api.compile(own.text, parameters=own.parameters, dtype=own.dtype if dtype is None else dtype, seed=0)
    missing = [name for name in model.weights if name not in own.weights]
    model.set_weights({**model.weights, **own.weights})
    inputs, outputs = ({each.name: each.name for each in ends} for ends in (model.signature.inputs, model.signature.outputs))
    notes = ["the spec is the one that the file was exported from, which stands in it"]
    notes += [f"weight {name} isn't in the file, since only training reads it: it is as at the beginning" for name in missing]
    return Imported(model, model.source.text, inputs, outputs, tuple(notes), (), reader)


def imported_from(graph: ImportedGraph, source: str, dtype: DTypeLike | None, reader: str) -> Imported:
    """A graph written as a spec, compiled, with its weights. ImportRefused, in words about `source`, if that can't be."""
    if len(graph.layers) > MOST_LAYERS:
        raise ImportRefused(source, [Finding("", "", f"it has {len(graph.layers)} layers, more than the {MOST_LAYERS} of a spec")])
    spec, model, caught, dropped = _compiled(graph, source, dtype)
    if [each.name for each in model.signature.outputs] != list(spec.outputs):
        raise InternalError(f"outputs {[each.name for each in model.signature.outputs]} are not {spec.outputs}")
    notes = [*graph.notes, *spec.notes, *caught]
    if any(layer.weights for layer in spec.layers):
        model.set_weights(weights_of(model.signature, spec, source))
    inputs = dict(zip((each.name for each in graph.inputs), spec.inputs, strict=True))
    outputs = dict(zip((each.name for each in graph.outputs), spec.outputs, strict=True))
    return Imported(model, spec.text, inputs, outputs, tuple(notes), (*graph.dropped, *dropped), reader, graph.call)


def _compiled(graph: ImportedGraph, source: str, dtype: DTypeLike | None) -> tuple[WrittenSpec, Model, list[str], list[str]]:
    """The spec and its model, with warnings, and the settings of training that the model can't have, which are left out."""
    dropped: list[str] = []
    while True:
        spec = write_spec(graph)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SpecWarning)
            try:
                model = api.compile(spec.text, dtype=graph.dtype if dtype is None else dtype, seed=0)
            except SpecError as error:
                findings = _findings(error)
                faults = {each.place.strip("`").partition("=")[0].strip(): each.reason for each in findings}
                wrong = {name: faults[name] for name in graph.train if name in faults}
                if not wrong:
                    raise ImportRefused(source, findings) from None
                dropped += [f"`{name}` was left out: {reason}" for name, reason in wrong.items()]
                kept = {} if "loss" in wrong else {name: value for name, value in graph.train.items() if name not in wrong}
                graph = replace(graph, train=kept)
                continue
        return spec, model, [_first_line(each.message) for each in caught], dropped


def _first_line(message: object) -> str:
    return str(message).strip().partition("\n")[0]


def _findings(error: SpecError) -> list[Finding]:
    """What a written spec can't say, at the line where it was tried."""
    found: list[Finding] = []
    for each in error.diagnostics:
        source = each.span.source
        line = source.line(source.position(each.span.start)[0]).strip()
        text = "; ".join(part for part in (each.message, each.label_text, *each.helps) if part)
        found.append(Finding(f"`{line}`", "", text))
    return found


def weights_of(signature: Signature, spec: WrittenSpec, source: str) -> dict[str, Array]:
    """The weights by the compiled model's names: its layers are the written ones in their order.

    A layer's are found by their last names, of a layer with inner ones within each of these, in their order.
    """
    groups: dict[str, list[str]] = {}
    for weight in signature.weights:
        groups.setdefault(weight.name.partition("/")[0], []).append(weight.name)
    given = [layer for layer in spec.layers if layer.weights]
    if len(given) != len(groups):
        raise ImportRefused(source, [Finding("", "", f"{len(groups)} layers have weights in the spec, {len(given)} in the file")])
    shapes = {weight.name: weight.shape for weight in signature.weights}
    found: dict[str, Array] = {}
    faults: list[Finding] = []
    for (layer, names), one in zip(groups.items(), given, strict=True):
        place = f"layer {one.source or one.name or layer} ({one.layer})"
        ours, theirs = _by_inner(name.removeprefix(f"{layer}/") for name in names), _by_inner(one.weights)
        if [sorted(group) for group in ours] != [sorted(group) for group in theirs]:
            told = ", ".join(one.weights)
            faults.append(
                Finding(place, "weights", f"expected {', '.join(name.removeprefix(f'{layer}/') for name in names)}, found {told}")
            )
            continue
        for own, other in zip(ours, theirs, strict=True):
            for leaf, name in own.items():
                value = np.asarray(one.weights[other[leaf]])
                full = f"{layer}/{name}"
                if value.shape != shapes[full]:
                    faults.append(Finding(place, leaf, f"expected shape {shapes[full]}, found {value.shape}"))
                found[full] = value
    if faults:
        raise ImportRefused(source, faults)
    return found


def _by_inner(names: Iterable[str]) -> list[dict[str, str]]:
    """Paths by their last parts, those of each inner layer apart, in the order of these."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        inner, _, leaf = name.rpartition("/")
        groups.setdefault(inner, {})[leaf] = name
    return list(groups.values())


def check(imported: Imported, inputs: Path_, outputs: Path_, tolerance: float | None = None) -> tuple[Proof, float]:
    """The proof that a model gives the outputs in a file for the inputs in another, and the largest difference; `ProofFailed` otherwise.

    Both are `.npz` files with arrays by the source's names, or the model's; of a single input, or output, under any name.
    """
    given = (_arrays(inputs), _arrays(outputs))
    proof = proof_of(imported.model, *given, (imported.inputs, imported.outputs), tolerance)
    return proof, prove(imported.model, proof)


def run(imported: Imported, path: Path_, options: ReaderOptions, tolerance: float | None = None) -> tuple[Proof, float]:
    """As `check`, with drawn inputs and what the source's own framework makes of them; `CantRun` if it isn't installed."""
    try:
        source = _original(imported.reader, Path(path), options)
        drawn = drawn_calls(source, imported.call, imported.inputs, list(imported.outputs), imported.model.signature.inputs)
    except CantRun as error:
        raise CantRun(f"{error}: compute outputs with the original, and give them with --check") from error
    return compared(imported.model, drawn, (imported.inputs, imported.outputs), tolerance)


def _original(reader: str, path: Path, options: ReaderOptions) -> Original:
    if reader not in (ProgramReader.name, ScriptReader.name):
        return original(path, options.inputs)
    if not options.trusted:
        raise CantRun("torch may run code of the file when it loads it: --trusted, if you trust it as a program that you run")
    return of_program(path, options.inputs) if reader == ProgramReader.name else of_script(path, options.inputs)


def _arrays(path: Path_) -> dict[str, Array]:
    with open_file(path, large_limit()) as file:
        return {name: np.asarray(column.values) for name, column in read_npz(os.fspath(path), file, lambda _: True).columns.items()}


def write(imported: Imported, output: Path_, proof: Proof | None = None) -> tuple[Path, ...]:
    """Writes a `.rnnc`, with the proof, or a folder with the spec and the weights; gives the paths. OSError if it can't be written."""
    path = Path(output)
    if path.suffix.lower() == ".rnnc":
        artifact, _ = imported.model.state_artifact()
        model_file.save(artifact if proof is None else replace(artifact, proof=proof.arrays()), path)
        return (path,)
    path.mkdir(parents=True, exist_ok=True)
    spec, weights = path / "model.rnn", path / "weights.safetensors"
    write_atomically(spec, imported.text.encode())
    write_weights(weights, dict(imported.model.weights))
    return spec, weights


def import_into(path: Path_, spec: Path_, dtype: DTypeLike | None, options: ReaderOptions) -> Imported:
    """The model of a spec with a file's weights; ImportRefused for weights that don't fit it, or leave some of its own out."""
    reader = reader_of(path)
    model = api.compile(spec, dtype="float32" if dtype is None else dtype, seed=0)
    values, notes = reader.read_into(Path(path), model.signature, options)
    missing = [weight.name for weight in model.signature.weights if weight.name not in values]
    if missing:
        raise ImportRefused(os.fspath(path), [Finding(f"weight {name}", "", "the file has none for it") for name in missing])
    model.set_weights(values)
    inputs, outputs = ({each.name: each.name for each in ends} for ends in (model.signature.inputs, model.signature.outputs))
    return Imported(model, model.source.text, inputs, outputs, tuple(notes), (), reader.name)
