"""`rnnspec compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import say
from rnnspec.cli.options import Dtype, ModelOutput, Parameters, Precision, Seed, SpecPath, parse_parameters
from rnnspec.cli.outputs import refuse_overwriting

WEIGHTS = "Weights for the model, a .safetensors file; without it they are drawn anew."


def compile(
    spec: SpecPath,
    output: ModelOutput,
    weights: Annotated[Path | None, typer.Option("--weights", "-w", metavar="FILE", help=WEIGHTS, show_default=False)] = None,
    seed: Seed = None,
    parameter: Parameters = None,
    dtype: Dtype = Precision.float32,
) -> None:
    """Compile a spec, with given or fresh weights, to a model file."""
    from rnnspec import api
    from rnnspec.interop.safetensors import read_weights
    from rnnspec.runtime.model.weights import WeightsError

    refuse_overwriting(output, spec, weights)
    values = None if weights is None else read_weights(weights)
    try:
        model = api.compile(spec, dtype=dtype.value, seed=seed, weights=values, parameters=parse_parameters(parameter))
    except WeightsError as error:
        raise ValueError(f"{weights}: {error}") from None
    model.save(output)
    say(f"wrote {output}")
