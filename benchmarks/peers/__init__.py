"""A file a peer: how it does a workload. Only the peer's own environment imports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias, cast

from benchmarks.workloads import Array, Workload

Call: TypeAlias = Callable[..., Any]
"""What is timed: x to the outputs, numpy to numpy; of a training step (x, y) to the loss; of a stream one step's x to its output.

A workload with several inputs has them in the place of x, one after the other."""

Settings: TypeAlias = Mapping[str, Callable[[], Call]]
"""The ways in which a peer can do a workload, exactly all of them; the fastest one counts. Each call begins from the given weights."""


@dataclass(frozen=True, slots=True)
class Task:
    """A workload, with the weights in Keras's order and layout."""

    work: Workload
    weights: Sequence[Array]


def settings(peer: str, task: Task) -> Settings:
    """Empty if the peer can't do the workload."""
    return cast(Settings, import_module(f"benchmarks.peers.{peer}").settings(task))
