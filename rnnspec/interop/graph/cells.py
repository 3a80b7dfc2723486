"""Cells that several formats know, and the language has no layer for: texts that a spec declares."""

from __future__ import annotations

RMS_NORM = "RMSNorm"

RMS_NORM_CELL = """\
# Root mean square normalization (Zhang and Sennrich 2019). Nothing is kept from step to step: the state is what a cell has to have.
cell RMSNorm(epsilon = 1e-06) {
    weight scale [features] = ones
    state last [features]

    last' = x / sqrt(mean(x * x) + epsilon) * scale
    return last'
}
"""
