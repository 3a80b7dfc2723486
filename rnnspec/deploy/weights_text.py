"""What a library with a file of weights has in C more than others."""

from __future__ import annotations

from rnnspec.backend.templates import render
from rnnspec.frozen import frozen

WEIGHTS_PARAMETER = "const void *weights"
"""The first parameter of functions."""


@frozen
class WeightsFile:
    """The texts of a library whose names begin with `prefix`."""

    prefix: str

    @property
    def header(self) -> str:
        """The part of the header."""
        return render("library_weights.h.j2", self._values())

    @property
    def reader(self) -> str:
        """The function of an example that reads a file."""
        return "\n\n" + render("library_example_weights.c.j2", self._values()).rstrip("\n")

    @property
    def read(self) -> str:
        """The lines of an example that call it."""
        return "\n" + render("library_example_weights_read.c.j2", self._values()).rstrip("\n")

    def _values(self) -> dict[str, object]:
        return {"prefix": self.prefix, "upper": self.prefix.upper()}
