"""`rnnspec compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import say
from rnnspec.cli.options import TARGETS_TEXT, Dtype, Literal, ModelOutput, Parameters, Precision, Seed, SpecPath, parse_parameters
from rnnspec.cli.outputs import refuse_overwriting

WEIGHTS = "Weights for the model, a .safetensors file; without it they are drawn anew."
TARGET = f"See that the spec can be compiled for another machine, too: {TARGETS_TEXT}. A model file holds no code and is the same for all."


def compile(
    spec: SpecPath,
    output: ModelOutput,
    weights: Annotated[Path | None, typer.Option("--weights", "-w", metavar="FILE", help=WEIGHTS, show_default=False)] = None,
    seed: Seed = None,
    parameter: Parameters = None,
    dtype: Dtype = Precision.float32,
    target: Annotated[str | None, typer.Option("--target", metavar="NAME", help=TARGET, show_default=False)] = None,
) -> None:
    """Compile a spec, with given or fresh weights, to a model file."""
    from rnnspec import api
    from rnnspec.interop.safetensors import read_weights
    from rnnspec.runtime.model.weights import WeightsError

    refuse_overwriting(output, spec, weights)
    values, parameters = None if weights is None else read_weights(weights), parse_parameters(parameter)
    if target is not None:
        _check_target(spec, target, parameters, dtype)
    try:
        model = api.compile(spec, dtype=dtype.value, seed=seed, weights=values, parameters=parameters)
    except WeightsError as error:
        raise ValueError(f"{weights}: {error}") from None
    model.save(output)
    say(f"wrote {output}")


def _check_target(spec: Path, target: str, parameters: dict[str, Literal], dtype: Precision) -> None:
    """Makes the code for another machine, which nothing is kept of, and tells its size."""
    from rnnspec.driver import commands

    made = commands.compile_for(spec, target, parameters=parameters, dtype=dtype.value)
    sizes = ", ".join(f"{name} {size:,} bytes" for name, size in made.sizes.items())
    say(f"compiled for {made.target} ({made.architecture}, {made.object_format}): {sizes}")
