"""`rnnspec profile`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rnnspec.cli.console import output, print_table, print_text
from rnnspec.cli.options import DtypeOrModels, Parameters, SpecOrModelPath
from rnnspec.cli.specs import given_spec

REAL = "The fraction of the steps that are real, 0 to 1; sequences get different lengths."


def profile(
    spec: SpecOrModelPath,
    batch: Annotated[int, typer.Option("--batch", min=1, metavar="NUMBER", help="The samples of a call.")] = 32,
    time: Annotated[
        int, typer.Option("--time", min=1, metavar="NUMBER", help="The steps of every sequence whose length isn't fixed.")
    ] = 100,
    real: Annotated[float, typer.Option("--real", min=0.0, max=1.0, metavar="FRACTION", help=REAL)] = 1.0,
    training: Annotated[bool, typer.Option("--training", "--train", help="Profile forward and backward instead of a prediction.")] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, metavar="SECONDS", help="How long calls are timed; ten of them at least.")
    ] = 1.0,
    parameter: Parameters = None,
    dtype: DtypeOrModels = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the profile as JSON, and nothing else.")] = False,
) -> None:
    """Show where a model's time goes: each kernel's time and work, against what this machine can do."""
    from rnnspec.cli.profile_tables import WIDE, profile_summary, profile_table, profile_title
    from rnnspec.driver import compilation
    from rnnspec.profile.report import as_data
    from rnnspec.profile.session import profile as run_profile

    given = given_spec(spec, parameter, dtype)
    compiled = compilation.compilation_of(given.spec, **given.arguments())
    found = run_profile(compiled, batch=batch, time=time, real=real, training=training, seconds=seconds)
    if json_:
        print_text(json.dumps(as_data(found), indent=1))
        return
    print_text(profile_title(found))
    print_table(profile_table(found, wide=output.width >= WIDE or not output.file.isatty()))
    print_text(f"\n{profile_summary(found)}")
