"""`rnnspec score`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import print_text, say
from rnnspec.cli.options import ArtifactPath, AsJson, Columns, DataFormat, Header, Storage
from rnnspec.scoring.engine_name import EngineName

DATA = "The files to score, a path or a pattern in quotes, such as 'in/*.parquet'; ** is any depth of folders. Repeatable."
OUT = "The folder for the predictions, a file for each data file; it is made if there is none."
ENGINE = "Who scores: this process, or workers of Dask or Ray."
ADDRESS = "The cluster of the engine, host:port; without it one is made on this machine."
WORKERS = "The workers of a cluster that is made.  [default: a worker a processor]"
IDS = "A column to keep beside the predictions, as those that tell rows apart; repeatable."
OUTPUT_FORMAT = "How predictions are written.  [default: as the data, if that is possible]"
OVERWRITE = "Do all again in a folder with predictions of another model or of other options."
SHOWN = 5
"""Faults that the message at the end has in full."""


def score(
    model: ArtifactPath,
    data: Annotated[list[str], typer.Option("--data", "-d", metavar="FILES", help=DATA, show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help=OUT, show_default=False)],
    engine: Annotated[EngineName, typer.Option("--engine", help=ENGINE)] = EngineName.local,
    address: Annotated[str | None, typer.Option(metavar="HOST:PORT", help=ADDRESS, show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help=WORKERS, show_default=False)] = None,
    columns: Columns = None,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="COLUMN", help=IDS, show_default=False)] = None,
    format: DataFormat = None,
    header: Header = True,
    output_format: Annotated[str | None, typer.Option(metavar="NAME", help=OUTPUT_FORMAT, show_default=False)] = None,
    weights: Storage = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
    json_: AsJson = False,
) -> None:
    """Predict many data files, each into a file of its own, here or on the workers of Dask or Ray.

    A run that was broken off goes on where it was: predictions that are there are kept, if model, options and data are the same.
    """
    from rnnspec import api
    from rnnspec.cli.data import given_by
    from rnnspec.cli.outputs import ending_of
    from rnnspec.cli.results import print_json
    from rnnspec.datafiles.predictions import check_format
    from rnnspec.scorer import Scorer
    from rnnspec.scoring.engines import Engine
    from rnnspec.scoring.folder import ending_for, files_of, plan
    from rnnspec.scoring.partition import How, ModelFile

    if engine is EngineName.local and (address is not None or workers is not None):
        option = "--workers" if address is None else "--address"
        raise typer.BadParameter("the engine local is this process alone: choose --engine dask or ray", param_hint=f"'{option}'")
    if address is not None and workers is not None:
        raise typer.BadParameter("the cluster at --address has its workers", param_hint="'--workers'")
    given = given_by(columns, format, header)
    chosen = Engine(engine, address, workers)
    files = files_of(data)
    file = ModelFile.of(model, None if weights is None else weights.value)
    loaded = api.load(model, weights=file.weights)
    Scorer(loaded, columns=given.columns, ids=tuple(ids or ()))
    ending = ending_of(None, output_format) or ending_for([*files], given.reading)
    check_format(ending, loaded.signature.outputs)
    chosen.check()
    how = How(tuple(given.columns.items()), tuple(ids or ()), given.reading, ending, chosen.threads)
    planned = plan(files, out, file, how, overwrite=overwrite)
    samples, problems = 0, list[str]()
    with closing(chosen.run(planned.partitions)) as outcomes:
        for outcome in outcomes:
            if outcome.problem:
                problems.append(outcome.problem)
                continue
            samples += outcome.samples
            say(f"wrote {outcome.partition.target}")
            if outcome.not_finite:
                say(f"warning: {outcome.partition.source}: the predictions of {outcome.not_finite} samples aren't finite")
    if problems:
        more = f"\n{len(problems) - SHOWN} other files have faults as well" if len(problems) > SHOWN else ""
        raise ValueError("\n".join(sorted(problems)[:SHOWN]) + more)
    if json_:
        print_json({"files": len(planned.partitions), "kept": planned.kept, "samples": samples})
    else:
        print_text(f"{len(planned.partitions)} files with {samples} samples scored, {planned.kept} kept")
