"""Weights that a file has in parts: weight_norm, spectral_norm, and the parametrizations of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings

_INFIX = "parametrizations."


def whole_weights(weights: Mapping[str, Array], findings: Findings) -> dict[str, Array]:
    """All weights under their own names: g * v / |v| for `weight_norm`, W / (u W v) for `spectral_norm` (Miyato et al. 2018)."""
    found: dict[str, Array] = {}
    used: set[str] = set()
    for name, value in weights.items():
        if name in used:
            continue
        base, parts = _base(name, weights)
        if base is None:
            found[name] = value
            continue
        used |= set(parts)
        if missing := [part for part in parts if part not in weights]:
            findings.add(base, "parametrization", f"only weight_norm and spectral_norm are known here; it lacks {missing[0]}")
            continue
        whole = _whole(base, [weights[part] for part in parts], findings)
        if whole is not None:
            found[base] = whole
    return found


def _base(name: str, weights: Mapping[str, Array]) -> tuple[str | None, list[str]]:
    """The name of the weight that an entry belongs to, and the entries that it is made of; None for an entry that is a weight."""
    path, infix, rest = name.rpartition(_INFIX)
    if infix:
        own, _, part = rest.partition(".")
        stem = f"{path}{_INFIX}{own}."
        if part in ("original0", "original1"):
            return path + own, [f"{stem}original0", f"{stem}original1"]
        return path + own, [f"{stem}original", f"{stem}0._u", f"{stem}0._v"]
    for ending, others in (("_g", ("_g", "_v")), ("_v", ("_g", "_v")), ("_orig", ("_orig", "_u", "_v")), ("_u", ("_orig", "_u", "_v"))):
        stem = name.removesuffix(ending)
        if stem != name and stem not in weights and all(stem + other in weights for other in others):
            return stem, [stem + other for other in others]
    stem = name.removesuffix("_v")
    if stem != name and all(stem + other in weights for other in ("_orig", "_u")):
        return stem, [stem + other for other in ("_orig", "_u", "_v")]
    return None, []


def _whole(base: str, parts: list[Array], findings: Findings) -> Array | None:
    if len(parts) == 2:
        scale, direction = parts
        axes = tuple(axis for axis in range(direction.ndim) if scale.ndim != direction.ndim or scale.shape[axis] == 1)
        if scale.ndim not in (0, direction.ndim) or any(scale.shape[axis] not in (1, direction.shape[axis]) for axis in range(scale.ndim)):
            findings.add(base, "weight_norm", f"its norms have the shape {scale.shape}, and the weight {direction.shape}")
            return None
        exact = direction.astype(np.float64)
        norm = np.sqrt(np.sum(exact * exact, axis=axes, keepdims=True))
        return np.asarray(exact * (scale.astype(np.float64) / norm)).astype(direction.dtype)
    original, left, right = (part.astype(np.float64) for part in parts)
    rows = original.shape[0] if original.ndim else 0
    if not rows or left.shape != (rows,) or right.shape != (math.prod(original.shape[1:]),):
        findings.add(base, "spectral_norm", "its vectors don't fit the weight")
        return None
    return np.asarray(original / (left @ original.reshape(rows, -1) @ right)).astype(parts[0].dtype)
