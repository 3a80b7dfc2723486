"""A model in its own framework, where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen


class CantRun(ValueError):
    """A file that no installed framework runs."""


@frozen
class Original:
    """A file's model in its own framework. `shapes`: of its inputs by name, with the file's axes, None where any size goes.

    `run`: from arrays by the inputs' names to the outputs in the file's order. `rounding`: the difference that its own rounding may make
    where a model of this precision makes less.
    """

    framework: str
    shapes: Mapping[str, tuple[int | None, ...]]
    run: Callable[[Mapping[str, Array]], Sequence[Array]]
    rounding: float = 0


def needs(module: str, name: str) -> None:
    """`CantRun` if a package isn't installed."""
    if find_spec(module) is None:
        raise CantRun(f"{name} isn't installed (pip install {module})")


def first_line(error: Exception) -> str:
    """What an error of a framework says, shortly."""
    return str(error).strip().partition("\n")[0][:300]
