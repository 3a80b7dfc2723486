"""Normalizations with statistics: from checked arguments to layers of the graph."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.frontend import ast
from rnnspec.frontend.arguments import Bindings
from rnnspec.frontend.graph_layers import BatchNormalization, LayerWeight
from rnnspec.frontend.layers_checks import Checks


def batch_normalization(name: str, width: int, bindings: Bindings, call: ast.Call, checks: Checks) -> BatchNormalization:
    """Its weights are as wide as the layer's input."""

    def trained(own: str) -> LayerWeight:
        return checks.weight(name, own, (width,), bindings, call)

    def statistic(own: str) -> LayerWeight:
        made = checks.plain_weight(name, own, (width,), bindings.configured(f"{own}_initializer"), call)
        return replace(made, trainable=False, updated=True)

    return BatchNormalization(
        name,
        bindings.real("momentum"),
        bindings.real("epsilon"),
        trained("gamma") if bindings.flag("scale") else None,
        trained("beta") if bindings.flag("center") else None,
        statistic("moving_mean"),
        statistic("moving_variance"),
    )
