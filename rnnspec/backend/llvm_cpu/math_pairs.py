"""Sums and products to twice the precision: a number as what is rounded, and the rounding's error (Dekker 1971, Knuth 1969)."""

from __future__ import annotations

from typing import NamedTuple

from rnnspec.backend.llvm_cpu.math_writer import Float, MathWriter


class Pair(NamedTuple):
    """high + low, `low` at most half a unit in the last place of `high`."""

    high: Float
    low: Float


def sum_of(writer: MathWriter, left: Float, right: Float) -> Pair:
    """left + right, exactly."""
    high = writer.add(left, right)
    right_part = writer.subtract(high, left)
    left_part = writer.subtract(high, right_part)
    return Pair(high, writer.add(writer.subtract(left, left_part), writer.subtract(right, right_part)))


def sum_of_ordered(writer: MathWriter, larger: Float, smaller: Float) -> Pair:
    """larger + smaller, exactly, if that is what they are, or the larger one is 0 and so is the smaller, or both are."""
    high = writer.add(larger, smaller)
    return Pair(high, writer.subtract(smaller, writer.subtract(high, larger)))


def product_of(writer: MathWriter, left: Float, right: Float) -> Pair:
    """left * right, exactly but where a part of it overflows or underflows."""
    high = writer.multiply(left, right)
    if writer.has_fma:
        return Pair(high, writer.multiply_add(left, right, writer.negate(high)))
    (left_high, left_low), (right_high, right_low) = _halves(writer, left), _halves(writer, right)
    low = writer.subtract(writer.multiply(left_high, right_high), high)
    low = writer.add(writer.add(low, writer.multiply(left_high, right_low)), writer.multiply(left_low, right_high))
    return Pair(high, writer.add(low, writer.multiply(left_low, right_low)))


def _halves(writer: MathWriter, value: Float) -> Pair:
    """Two numbers of half as many bits, with the value as their sum."""
    scaled = writer.multiply(value, writer.constant(2.0 ** ((writer.form.fraction_bits + 2) // 2) + 1.0))
    high = writer.subtract(scaled, writer.subtract(scaled, value))
    return Pair(high, writer.subtract(value, high))
