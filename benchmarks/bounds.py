"""How far each workload is from what this machine could do at best: `python -m benchmarks.bounds W3a W4a-train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from benchmarks.environments import BUILD
from benchmarks.results import shown
from benchmarks.workloads import WORKLOADS, Workload, draw, workload
from rnnspec.driver.compilation import compilation_of
from rnnspec.profile.report import Profile
from rnnspec.profile.session import profile

PROFILED = [name for name, work in WORKLOADS.items() if work.kind not in ("stream", "samples") and work.time <= 2000]

HEADINGS = ["workload", "native code", "at least", "reached", "arithmetic", "memory", "functions", "Gflop", "MB moved"]


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Workloads, of {', '.join(PROFILED)}. All of them if none.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each is timed.")] = 2.0,
    to: Annotated[Path, typer.Option(help="Folder for bounds.md.")] = BUILD,
) -> None:
    """What a call's arithmetic, bytes and elementary functions take at this machine's measured rates, beside what the call takes."""
    if unknown := set(names or ()) - set(PROFILED):
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PROFILED)}")
    os.environ["RNNSPEC_THREADS"] = "1"
    rows = [HEADINGS, ["---"] * len(HEADINGS)]
    console, rates = Console(), ""
    for name in names or PROFILED:
        found = _profiled(workload(name), seconds)
        rows.append([name, *_cells(found)])
        rates = _rates(found)
        console.print(" | ".join(rows[-1]), soft_wrap=True)
    console.print(rates, soft_wrap=True)
    to.mkdir(parents=True, exist_ok=True)
    (to / "bounds.md").write_text("".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n{rates}\n")


def _rates(found: Profile) -> str:
    rates = found.rates
    reading = ", ".join(f"{rate / 1e9:.0f} ({size // 1024:,} KiB)" for size, rate in rates.reading.items())
    functions = ", ".join(f"{function} {each * 1e9:.2f} ns" for function, each in rates.elementary.items())
    return f"This machine: {rates.peak / 1e9:.1f} Gflop/s; reads {reading} GB/s; {functions}."


def _profiled(work: Workload, seconds: float) -> Profile:
    compiled = compilation_of(work.spec, parameters=work.parameters)
    x = draw(work)[work.inputs[0]]
    real = np.count_nonzero(x) / x.size if x.dtype == np.int32 else 1.0
    return profile(compiled, batch=work.batch, time=work.time, real=real, training=work.train, seconds=seconds)


def _cells(found: Profile) -> list[str]:
    call = found.each_call
    limit, work = call.limit, call.work
    parts = (f"{part / call.fastest:.0%}" for part in (limit.seconds, limit.arithmetic, limit.memory, limit.elementary))
    return [shown(call.fastest), shown(limit.seconds), *parts, f"{work.operations / 1e9:.3g}", f"{work.bytes / 1e6:.3g}"]


if __name__ == "__main__":
    typer.run(main)
