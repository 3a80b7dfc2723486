"""Normalizations with statistics: from checked arguments to layers of the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rnnspec.frontend.arguments import Bindings
from rnnspec.frontend.graph import BatchNormalization, LayerWeight
from rnnspec.runtime.signature import Configured


def batch_normalization(name: str, bindings: Bindings, weight: Callable[[str, Configured], LayerWeight]) -> BatchNormalization:
    """`weight` makes one, as wide as the layer's input, from its name and its initializer."""

    def made(own: str) -> LayerWeight:
        return weight(own, bindings.configured(f"{own}_initializer"))

    def statistic(own: str) -> LayerWeight:
        return replace(made(own), trainable=False, updated=True)

    return BatchNormalization(
        name,
        bindings.real("momentum"),
        bindings.real("epsilon"),
        made("gamma") if bindings.flag("scale") else None,
        made("beta") if bindings.flag("center") else None,
        statistic("moving_mean"),
        statistic("moving_variance"),
    )
