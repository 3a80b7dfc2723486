"""A profile on the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from rnnspec.cli.console import micro
from rnnspec.contract.location import shown
from rnnspec.profile.report import FunctionProfile, Kernel, Profile

QUIET = 0.95
"""The share of a processor below which times say more about the machine's load than about the code."""

STANDARD = "stdlib/"
"""How the paths of the cells that ship with the package begin."""

WIDE = 120
"""Terminals narrower than this don't get all columns."""


def profile_title(found: Profile) -> str:
    """The heading: model, dtype and the call's sizes."""
    return ", ".join([found.model, found.dtype, *(f"{name} {value:,}" for name, value in found.sizes.items())])


def profile_table(found: Profile, *, wide: bool) -> Table:
    """A line a kernel, in the order in which they run; what runs in each call is summed up at the foot."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    whole = found.each_call
    table.add_column("kernel", style="bold", no_wrap=True)
    table.add_column("over", no_wrap=True)
    table.add_column("line", no_wrap=True)
    for heading in _numbers(whole, None, wide):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("writes", overflow="fold")
    for function in found.functions:
        seconds = whole.seconds if function.every_call else None
        table.add_row(f"@{function.name}", "" if function.every_call else "once", "", *_numbers(function, seconds, wide).values())
        for kernel in function.kernels:
            name = f"{'  ' if kernel.inner else ' '}{kernel.name} {kernel.kind}"
            written = (", ".join(kernel.writes),) if wide else ()
            table.add_row(name, kernel.shape, _lines(kernel, found.spec), *_numbers(kernel, seconds, wide).values(), *written)
        table.add_section()
    table.add_row("each call", "", "", *_numbers(whole, whole.seconds, wide).values())
    return table


def _lines(kernel: Kernel, spec: str) -> str:
    """The lines of the spec, and of what it imports; those of cells that ship with the package only where there are no others."""
    own = [line for line in kernel.lines if line.path == spec]
    others = [line for line in kernel.lines if line.path != spec and (not own or not line.path.startswith(STANDARD))]
    return " ".join(filter(None, (",".join(str(line.number) for line in own), shown(tuple(others)))))


def _numbers(part: Kernel | FunctionProfile, whole: float | None, wide: bool) -> dict[str, str]:
    """The cells behind a kernel's description by their headings; `whole`: the seconds that it is a part of."""
    seconds, limit, work = part.seconds, part.limit, part.work
    cells = {f"{micro()}s": f"{seconds * 1e6:,.0f}", "%": "" if whole is None else _percent(seconds, whole)}
    if wide:
        cells["fastest"] = f"{part.fastest * 1e6:,.0f}"
    cells["flop"] = short(work.operations)
    if wide:
        cells["func"] = short(sum(work.elementary.values()))
    return cells | {
        "bytes": short(work.bytes),
        "peak": _percent(limit.arithmetic, seconds),
        "memory": _percent(limit.memory, seconds),
        "limit": _percent(limit.seconds, seconds),
    }


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}" if whole > 0 else ""


def short(number: int) -> str:
    """Three digits and the thousands that follow: 13.1M."""
    value, letter = float(number), ""
    for letter in ("", "k", "M", "G", "T"):
        if value < 999.5 or letter == "T":
            break
        value /= 1000
    return f"{value:.3g}{letter}" if number else ""


def profile_summary(found: Profile) -> str:
    """Lines around the table of kernels: seconds outside of kernels, planned memory, the machine's rates."""
    seconds, memory, rates = found.seconds, found.memory, found.rates
    update = "" if seconds.update is None else f", the optimizer's update {_microseconds(seconds.update)}"
    reading = ", ".join(f"{rate / 1e9:.0f} ({_binary(size)})" for size, rate in rates.reading.items())
    called = found.each_call.work.elementary
    lines = [
        f"call from Python {_microseconds(seconds.call)}, checks and packing {_microseconds(seconds.packing)}{update}",
        f"memory: workspace {memory.workspace:,} bytes, tape {memory.tape:,}, prepared weights {memory.prepared:,}",
        f"this machine: {rates.peak / 1e9:.1f} Gflop/s; reads {reading} GB/s",
        *(f"  {name} {rates.elementary[name] * 1e9:.2f} ns an element" for name in called if name in rates.elementary),
        f"times: medians of {found.repeats} calls",
        "peak, memory, limit: what arithmetic alone, bytes alone and all the work take at these rates, in % of the time",
    ]
    if found.share < QUIET:
        lines.append(f"times are too long: other work was running, and the calls had {100 * found.share:.0f} % of a processor")
    return "\n".join(lines)


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} {micro()}s"


def _binary(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
