"""The results of an evaluation on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnspec.cli.console import print_text
from rnnspec.training.progress import value_text


def print_results(name: str, means: Mapping[str, Any]) -> None:
    """Prints a line for each mean, metrics first and the loss last: "test accuracy 0.9730"."""
    print_text("\n".join(f"{name} {key} {value_text(means[key])}" for key in sorted(means, key=lambda key: key == "loss")))
