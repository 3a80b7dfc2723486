"""How often a nest's body is written out: long ones for fewer rows at once, since LLVM takes the square of what it is given."""

from __future__ import annotations

import re

import pytest

import rnnspec


def tiles_of(steps: int, units: int) -> list[tuple[int, ...]]:
    """The rows of each tile of a product behind which a function has so many steps, and the vectors and tiles side by side."""
    body = "\n".join(f"a{step + 1} = tanh(a{step})" for step in range(steps))
    spec = f"function long(x) {{\na0 = x\n{body}\nreturn a{steps}\n}}\nmodel M {{ input x: float[time, 3]  Dense({units}, long) }}"
    text = rnnspec.compile(spec).inspect("kernel")
    found = re.findall(r"tile ([\d/]+) rows by (\d+) vectors.*\n(?:.*\n){1,3}.* = contract ", text)
    return [(int(vectors), *map(int, rows.split("/"))) for rows, vectors in found]


@pytest.mark.parametrize("units", [4, 64])
def test_a_long_body_is_written_out_for_fewer_rows(units: int) -> None:
    short, longer, longest = (tiles_of(steps, units) for steps in (3, 120, 1200))
    assert short and len(short) == len(longer) == len(longest)
    assert all(max(rows) > 1 for _, *rows in short)
    assert all(rows == [1] for _, *rows in longest)
    for (vectors, *rows), (as_many, *most) in zip(longer, short, strict=True):
        assert vectors == as_many  # panels of weights have that many
        assert max(rows) <= max(most)
        assert max(rows) * vectors * 120 <= 1024 or rows == [1]
