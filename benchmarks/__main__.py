"""The command: `python -m benchmarks W3a W4a`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.chart import chart
from benchmarks.cold import cold
from benchmarks.environments import BUILD, comparable, install, installed, is_installed
from benchmarks.measure import Plan, Say, measure
from benchmarks.results import Row, as_data, disturbed, markdown, scaling, table
from benchmarks.workloads import GROUPS, WORKLOADS, workload

COLD = "cold"


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Workloads ({', '.join(WORKLOADS)}; W3a@2: on two cores), {COLD}, or groups ({', '.join(GROUPS)}). Everything if none."
        ),
    ] = None,
    peers: Annotated[
        str, typer.Option(help="With commas between them; all that are installed if not given. rnnspec@FOLDER: another checkout.")
    ] = "",
    rounds: Annotated[int, typer.Option(help="Turns of each peer.")] = 10,
    seconds: Annotated[float, typer.Option(help="The length of a turn.")] = 0.25,
    processor: Annotated[
        bool, typer.Option(help="Count the processor's time: others use the machine, and one thread is measured.")
    ] = False,
    to: Annotated[Path, typer.Option(help="Folder for results.json, results.md and chart.svg.")] = BUILD,
    get: Annotated[list[str] | None, typer.Option("--install", help="Make a peer's environment first: torch, or torch==2.13.0.")] = None,
) -> None:
    """This project and the peers that are installed, on the same data, in turns, each on the same core."""
    console = Console(stderr=True, log_path=False)
    for requirement in get or ():
        console.log(f"installing {requirement}")
        try:
            install(requirement)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if get and not names:
        return
    chosen = peers.split(",") if peers else comparable(installed())
    if unknown := [peer for peer in chosen if not is_installed(peer)]:
        raise typer.BadParameter(f"not installed: {', '.join(unknown)}; there are {', '.join(installed())}")
    plan = Plan(rounds, seconds, processor)
    loads = [os.getloadavg()[0]]
    rows: list[Row] = []
    for row in run(expanded(names or [*GROUPS, COLD]), chosen, plan, console.log):
        rows.append(row)
        write(rows, plan, [*loads, os.getloadavg()[0]], to)
    plain = Console(width=max(console.width, 120))
    plain.print(table(rows))
    for line in scaling(rows):
        plain.print(line, soft_wrap=True)
    if said := "" if processor else disturbed(rows):
        plain.print(said, soft_wrap=True)


def expanded(names: Sequence[str]) -> list[str]:
    """Without groups, each name once."""
    single = [name for given in names for name in GROUPS.get(given, (given,))]
    if unknown := [name for name in single if name != COLD and not _known(name)]:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; there are {', '.join([*WORKLOADS, *GROUPS, COLD])}")
    return list(dict.fromkeys(single))


def _known(name: str) -> bool:
    base, at, threads = name.partition("@")
    return base in WORKLOADS and (not at or (threads.isdigit() and 1 <= int(threads) <= (os.cpu_count() or 1)))


def run(names: Sequence[str], peers: Sequence[str], plan: Plan, say: Say) -> Iterator[Row]:
    for name in names:
        if name == COLD:
            yield from cold(workload("W3a"), peers, plan)
        else:
            work = workload(name)
            timed = plan if work.threads == 1 else replace(plan, processor=False)
            yield Row(name, work.work, work.threads, measure(work, peers, timed, say))


def write(rows: Sequence[Row], plan: Plan, loads: Sequence[float], folder: Path) -> None:
    """After every workload: a run that is stopped leaves what it has."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(as_data(rows, plan, loads), indent=1) + "\n")
    (folder / "results.md").write_text(markdown(rows))
    (folder / "chart.svg").write_text(chart(rows))


if __name__ == "__main__":
    typer.run(main)
