"""Whole batches in a module of WebAssembly, called as it is; the JavaScript around it is for steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rnnspec
from rnnspec.deploy.step_layout import CannotBuild
from tests.unit.deploy.node import run

MODEL = """model M { input x: float[time, 3]
    Masking()
    Bidirectional(LSTM(4, return_sequences = true))
    Dense(3, activation = softmax) }"""

RUN = """
import { readFile } from "node:fs/promises";
const check = await readFile("built/wasm32-simd/check_forward.bin");
const { instance } = await WebAssembly.instantiate(await readFile("built/wasm32-simd/m.wasm"));
const { memory, m_forward: run, m_forward_bytes: size, __heap_base: base } = instance.exports;
memory.grow(8);
const bytes = new Uint8Array(memory.buffer);
const [batch, time] = [check.readUInt32LE(0), check.readUInt32LE(4)];
let from = 8;
let to = base.value;
// The input, its lengths and its mask.
const places = [4 * batch * time * 3, 4 * batch, batch * time].map((count) => {
    const place = to;
    bytes.set(check.subarray(from, (from += count)), place);
    to = Math.ceil((place + count) / 16) * 16;
    return place;
});
const shown = 4 * batch * time * 3;
const workspace = to + shown;
const short = run(batch, time, ...places, to, workspace, size(batch, time) - 1);
const code = run(batch, time, ...places, to, workspace, size(batch, time));
const equal = Buffer.compare(Buffer.from(bytes.slice(to, to + shown)), check.subarray(from)) === 0;
console.log(JSON.stringify([short, code, equal]));
"""


def test_a_batch_has_the_bits_of_predict(tmp_path: Path) -> None:
    made = rnnspec.compile(MODEL, seed=1)
    (report,) = rnnspec.build(made, tmp_path / "built", targets=["wasm32-simd"], functions=["forward"])
    assert report.imports == ()
    assert not {"package.json", "m.js"} & {path.name for path in (tmp_path / "built").iterdir()}
    assert json.loads(run(RUN, tmp_path)) == [1, 0, True]


def test_a_page_needs_a_step(tmp_path: Path) -> None:
    made = rnnspec.compile("model M { input x: float[time, 3]\n LSTM(2) }", seed=1)
    with pytest.raises(CannotBuild, match="page: it runs a model step by step"):
        rnnspec.build(made, tmp_path / "built", functions=["forward"], page=True)
    assert not list(tmp_path.iterdir())
