"""Normalizations: from checked arguments to layers of the graph."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.graph.layers import BatchNormalization, LayerNormalization, LayerWeight
from rnnspec.frontend.layers.checks import ShapeRules
from rnnspec.frontend.syntax import ast


def layer_normalization(name: str, width: int, bindings: Bindings, call: ast.Call, checks: ShapeRules) -> LayerNormalization:
    """With `rms_scaling` there is gamma and no beta, whatever `scale` and `center` say, as in Keras."""
    rms_scaling, gamma, beta = bindings.flag("rms_scaling"), None, None
    if bindings.flag("scale") or rms_scaling:
        gamma = checks.weight(name, "gamma", (width,), bindings, call)
    if bindings.flag("center") and not rms_scaling:
        beta = checks.weight(name, "beta", (width,), bindings, call)
    return LayerNormalization(name, bindings.real("epsilon"), gamma, beta, rms_scaling)


def batch_normalization(name: str, width: int, bindings: Bindings, call: ast.Call, checks: ShapeRules) -> BatchNormalization:
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
