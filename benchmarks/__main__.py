"""The command: `python -m benchmarks W3a W4a`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from benchmarks.environments import installed
from benchmarks.measure import measure
from benchmarks.workloads import workload


def main(
    names: Annotated[list[str], typer.Argument(help="Workloads.")],
    peers: Annotated[str, typer.Option(help="Peers, with commas between.")] = "",
    rounds: Annotated[int, typer.Option(help="Turns of each peer.")] = 10,
    seconds: Annotated[float, typer.Option(help="The length of a turn.")] = 0.25,
) -> None:
    console = Console(stderr=True)
    for name in names:
        found = measure(workload(name), peers.split(",") if peers else installed(), rounds, seconds, console.log)
        for measured in found:
            print(measured.peer, measured.error, measured.percentile(10), measured.percentile(50))


if __name__ == "__main__":
    typer.run(main)
