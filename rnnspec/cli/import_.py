"""`rnnspec import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import print_text, say
from rnnspec.cli.options import Literal, Precision, parse_literal

SOURCE = (
    "A model of another framework: Keras's .keras, .h5, .hdf5, .json or .weights.h5, an ONNX model; a program of "
    "torch.export, a .pt2; with torch a TorchScript archive; or weights alone: PyTorch's .pt or .pth, safetensors, numpy's .npz."
)
OUTPUT = "A folder for model.rnn and weights.safetensors, or a model's file, a .rnnc."
WEIGHTS = "The weights beside an architecture alone."
CHECK = (
    "Inputs and outputs of the original, .npz files with arrays by name: the import must give these, and they go into a .rnnc as its proof."
)
RUN = (
    "Run the original by its own framework, Keras, ONNX Runtime or PyTorch (with --trusted), which must be installed: a proof as with "
    "--check."
)
TOLERANCE = "The largest difference for --check and --run.  [default: 2e-5, of float64 1e-9]"
CELL = "A cell for a class of the file: a .rnn file, with several cells one by `:NAME`; repeatable."
INPUT = "A value for an input, which is fixed; of ONNX a size for an axis by its name, of TorchScript an input's type; repeatable."
INTO = "A spec that the file's weights are for."
MAP = "With --into: a layer's name in the file, and its name in the spec; repeatable."
STATE = "A state of an ONNX graph of one step: its input, and the output that it is after the step; repeatable.  [default: by names]"
TRUSTED = "Let torch run code of the file, a TorchScript archive or with --run a .pt2: it is as much to be trusted as any program."
DTYPE = "The precision to compile for.  [default: the file's]"


def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=SOURCE, show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help=OUTPUT, show_default=False)],
    weights: Annotated[Path | None, typer.Option("--weights", "-w", metavar="FILE", help=WEIGHTS, show_default=False)] = None,
    check: Annotated[tuple[Path, Path] | None, typer.Option("--check", metavar="INPUTS OUTPUTS", help=CHECK, show_default=False)] = None,
    run: Annotated[bool, typer.Option("--run", help=RUN)] = False,
    tolerance: Annotated[float | None, typer.Option("--tolerance", metavar="NUMBER", help=TOLERANCE, show_default=False)] = None,
    cell: Annotated[list[str] | None, typer.Option("--cell", metavar="CLASS=FILE", help=CELL, show_default=False)] = None,
    input: Annotated[list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help=INPUT, show_default=False)] = None,
    into: Annotated[Path | None, typer.Option("--into", metavar="SPEC", help=INTO, show_default=False)] = None,
    map: Annotated[list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help=MAP, show_default=False)] = None,
    state: Annotated[list[str] | None, typer.Option("--state", metavar="BEFORE=AFTER", help=STATE, show_default=False)] = None,
    trusted: Annotated[bool, typer.Option("--trusted", help=TRUSTED)] = False,
    dtype: Annotated[Precision | None, typer.Option("--dtype", help=DTYPE, show_default=False)] = None,
) -> None:
    """Import a model of another framework: its layers as a spec, its weights, and what was changed on the way."""
    from rnnspec.interop import importing

    if check is not None and run:
        raise typer.BadParameter("the outputs come from files, with --check, or from the original, with --run: give one of them")
    if run and into is not None:
        raise typer.BadParameter("--run is for whole models; weights for a spec are proved by --check")
    given = {name: _value(name, text) for name, text in _pairs(input, "--input").items()}
    options = importing.reader_options(
        source,
        weights=weights,
        cells=_pairs(cell, "--cell"),
        inputs=given,
        map=_pairs(map, "--map"),
        states=_pairs(state, "--state"),
        trusted=trusted,
    )
    precision = None if dtype is None else dtype.value
    if into is None:
        imported = importing.import_file(source, precision, options)
    else:
        imported = importing.import_into(source, into, precision, options)
    for text in imported.notes:
        say(f"note: {text}")
    for text in imported.dropped:
        say(f"left out: {text}")
    proof = None
    if check is not None or run:
        proven = importing.run(imported, source, options, tolerance) if check is None else importing.check(imported, *check, tolerance)
        proof, difference = proven
        say(f"the outputs are the original's: they differ by {difference:.3g} at most")
    for path in importing.write(imported, output, proof):
        print_text(f"wrote {path}")


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given or ():
        name, equals, value = (part.strip() for part in each.partition("="))
        if not equals or not name or not value:
            raise typer.BadParameter(f"`{each}` is not of the form NAME=VALUE", param_hint=option)
        if name in found:
            raise typer.BadParameter(f"`{name}` is given twice", param_hint=option)
        found[name] = value
    return found


def _value(name: str, text: str) -> float | int | str:
    if "[" in text:
        # an input's type, which the reader looks at
        return text
    value: Literal = parse_literal(name, text)
    return text if value is None else value
