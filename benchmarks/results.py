"""What a run gives: as data for JSON, as a table for the terminal and for a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.environments import PEERS, program_of
from benchmarks.measure import UNDISTURBED, Measured, Plan, ratio
from benchmarks.workloads import LENGTHS, WORKLOADS

OURS = "rnnspec"


@dataclass(frozen=True, slots=True)
class Row:
    """A workload's times. Peers that can't do it aren't in it; a wrong one has no times."""

    name: str
    work: str
    threads: int
    measured: Sequence[Measured]

    def of(self, peer: str) -> Measured | None:
        return next((found for found in self.measured if found.peer == peer), None)

    @property
    def timed(self) -> list[Measured]:
        return [found for found in self.measured if found.turns]

    @property
    def best_peer(self) -> Measured | None:
        return min((found for found in self.timed if found.peer != OURS), key=lambda found: found.percentile(50), default=None)

    @property
    def gain(self) -> float | None:
        """How many times as long the best peer takes; None without one, or without this project."""
        ours, best = self.of(OURS), self.best_peer
        return ratio(best, ours) if ours and ours.turns and best else None


UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def shown(seconds: float, *spread: float) -> str:
    """Three digits and a unit; a spread in the same unit."""
    unit, size = next((pair for pair in UNITS if seconds >= pair[1]), UNITS[-1])
    middle, *ends = (f"{float(f'{value / size:.3g}'):g}" for value in (seconds, *spread))
    return f"{middle} {unit}" + (f" ({'…'.join(ends)})" if ends else "")


def cell(found: Measured | None) -> str:
    """The median, and the 10th and 90th percentiles in brackets."""
    if found is None:
        return "-"
    if not found.turns:
        return f"wrong: {found.error:.1e}"
    return shown(*(found.percentile(percent) for percent in (50, 10, 90)))


def headings(rows: Sequence[Row]) -> list[str]:
    """The peers that did something, in their order."""
    found = {each.peer for row in rows for each in row.measured}
    return sorted(found, key=lambda peer: (list(PEERS).index(program_of(peer)), peer))


def compared(row: Row) -> str:
    return f"{row.gain:.2f} ({best.peer})" if row.gain is not None and (best := row.best_peer) else "-"


def table(rows: Sequence[Row]) -> Table:
    peers = headings(rows)
    made = Table("workload", *peers, "best peer\n/ rnnspec", title="Median time of a call (10th to 90th percentile)", title_justify="left")
    for row in rows:
        made.add_row(row.name, *(cell(row.of(peer)).replace(" (", "\n(") for peer in peers), compared(row).replace(" (", "\n("))
    return made


def disturbed(rows: Sequence[Row]) -> str:
    """Which times not to trust."""
    named = [
        f"{row.name} {found.peer} ({found.share:.0%})"
        for row in rows
        for found in row.timed
        if row.threads == 1 and found.share < UNDISTURBED
    ]
    return f"Others had the core for a part of the time; these had so much of it: {', '.join(named)}" if named else ""


def scaling(rows: Sequence[Row]) -> list[str]:
    """How time grows with padding and with the length, peer by peer; workloads one after the other, not in turns."""
    by_name = {row.name: row for row in rows}
    lines: list[str] = []
    for row in rows:
        plain = by_name.get(row.name.removesuffix("-padded"))
        if plain is not None and plain is not row:
            costs = [f"{found.peer} {_growth(found, plain):.2f}" for found in row.timed if _growth(found, plain)]
            lines.append(f"{row.name} takes, of {plain.name}'s time: {', '.join(costs)}")
        if row.name in LENGTHS:
            steps = [f"{found.peer} {shown(found.percentile(50) / WORKLOADS[row.name].time)}" for found in row.timed]
            lines.append(f"{row.name}, a step: {', '.join(steps)}")
    return lines


def _growth(found: Measured, plain: Row) -> float:
    """0 if the peer can't be compared."""
    before = plain.of(found.peer)
    return found.percentile(50) / before.percentile(50) if before is not None and before.turns else 0.0


def markdown(rows: Sequence[Row]) -> str:
    peers = headings(rows)
    lines = [["workload", "", *peers, "best peer / rnnspec"], ["---"] * (len(peers) + 3)]
    for row in rows:
        lines.append([row.name, row.work, *(cell(row.of(peer)) for peer in peers), compared(row)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_data(rows: Sequence[Row], plan: Plan, loads: Sequence[float]) -> dict[str, Any]:
    """`loads`: the machine's load average before and after; well above the number of threads, others were at work too."""
    versions: dict[str, Mapping[str, str]] = {found.peer: found.versions for row in rows for found in row.measured}
    return {
        "machine": machine(),
        "plan": asdict(plan),
        "loads": list(loads),
        "versions": versions,
        "workloads": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    best = row.best_peer
    return {
        "name": row.name,
        "work": row.work,
        "threads": row.threads,
        "best_peer": best.peer if best else None,
        "gain": row.gain,
        "peers": [_measured(found) for found in row.measured],
    }


def _measured(found: Measured) -> dict[str, Any]:
    times = {f"p{percent}": found.percentile(percent) for percent in (10, 50, 90)} if found.turns else {}
    return {
        "peer": found.peer,
        "setting": found.setting,
        "error": found.error,
        "first": found.first,
        **times,
        "medians": found.medians.tolist(),
        "shares": [round(turn.share, 3) for turn in found.turns],
    }


def machine() -> dict[str, Any]:
    target = os.environ.get("RNNSPEC_TARGET", "")
    return {
        **({"target": target} if target else {}),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """The name that Linux gives, with its widest vectors; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    vectors = next((name for name in ("avx512f", "avx2", "sse4_2") if name in flags), "")
    return f"{fields.get('model name', platform.processor())} {vectors}".strip()
