"""Whole batches in a module of WebAssembly, called as it is and by the JavaScript around it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.deploy.step_layout import CannotBuild
from tests.unit.deploy.node import completed, node, run

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
    assert node(tmp_path / "built", "node-example.js") == "wasm32-simd: 5 sequences, 0 different\n"
    check = tmp_path / "built" / "wasm32-simd" / "check_forward.bin"
    kept = check.read_bytes()
    check.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert completed(tmp_path / "built", "node-example.js").stdout == "wasm32-simd: 5 sequences, 1 different\n"
    check.write_bytes(kept)
    assert json.loads(run(RUN, tmp_path)) == [1, 0, True]


def test_a_page_needs_a_step(tmp_path: Path) -> None:
    made = rnnspec.compile("model M { input x: float[time, 3]\n LSTM(2) }", seed=1)
    with pytest.raises(CannotBuild, match="page: it runs a model step by step"):
        rnnspec.build(made, tmp_path / "built", functions=["forward"], page=True)
    assert not list(tmp_path.iterdir())


SEVERAL = """model M { input word: int[time], b: float[steps, 2], c: float[3], d: float[4, 1]
    s = word -> Embedding(30, 6, mask_zero = true) -> SimpleRNN(4, return_sequences = true)
    w = b -> Conv1D(5, 3, strides = 2, carry_mask = true)
    last = s -> GRU(3)
    fixed = d -> LSTM(2)
    z = [last, c, fixed] -> Concatenate() -> Dense(2)
    output s, w, z }"""

RAGGED = """
import { load, Model } from "./built/m.js";
const model = await load();
const given = JSON.parse(process.argv[2]);
const show = (shown) => Object.fromEntries(Object.entries(shown).map(([name, rows]) => [name, rows.map((row) => Array.from(row))]));
const typed = { ...given, b: given.b.map((row) => new Float32Array(row)), word: given.word.map((row) => Int32Array.from(row)) };
const again = JSON.stringify(show(model.forward(typed)));
const whole = show(model.forward(given));
if (JSON.stringify(whole) !== again) throw new Error("typed arrays");
const one = model.forward({ word: [given.word[0]], b: [given.b[0]], c: [given.c[0]], d: [given.d[0]] });
const none = model.forward({ word: [], b: [], c: [], d: [] });
const masked = show(model.forward(given, { mask: { word: JSON.parse(process.argv[3]) }, lengths: { b: [7, 4, 3] } }));
console.log(JSON.stringify([whole, show(one), none, masked]));
"""


def ragged(random: np.random.Generator) -> dict[str, list[list[float]]]:
    """Three entries of each input: flat numbers."""
    return {
        "word": [random.integers(1, 30, steps).tolist() for steps in (5, 2, 4)],
        "b": [random.normal(size=2 * steps).round(3).tolist() for steps in (9, 4, 7)],
        "c": random.normal(size=(3, 3)).round(3).tolist(),
        "d": [random.normal(size=steps).round(3).tolist() for steps in (4, 4, 2)],
    }


def padded(rows: list[list[float]], width: int, steps: int, kind: type) -> np.ndarray:
    found = np.zeros((len(rows), steps, width), kind)
    for place, row in enumerate(rows):
        found[place].reshape(-1)[: len(row)] = row
    return found


def test_sequences_of_different_lengths(tmp_path: Path) -> None:
    model = rnnspec.compile(SEVERAL, seed=1)
    rnnspec.build(model, tmp_path / "built", targets=["wasm32-simd"], functions=["forward"])
    given = ragged(np.random.default_rng(2))
    mask = [[1, 0, 1, 1, True], [1, 1], [False, 1, 1, 0]]
    whole, one, none, masked = json.loads(run(RAGGED, tmp_path, json.dumps(given), json.dumps(mask)))
    x = {
        "word": padded(given["word"], 1, 5, np.int32)[..., 0],
        "b": padded(given["b"], 2, 9, np.float32),
        "c": np.array(given["c"], np.float32),
        "d": padded(given["d"], 1, 4, np.float32),
    }
    lengths = {"word": [5, 2, 4], "b": [9, 4, 7], "d": [4, 4, 2]}
    expected = dict(zip(("s", "w", "z"), model.predict(x, lengths=lengths), strict=True))
    assert {name: np.shape(rows) for name, rows in whole.items()} == {"s": (3, 20), "w": (3, 20), "z": (3, 2)}
    for name, right in expected.items():
        assert np.allclose(whole[name], right.reshape(3, -1), atol=2e-6)
        assert np.array_equal(one[name][0], whole[name][0])
    assert none == {"s": [], "w": [], "z": []}
    real = padded(mask, 1, 5, np.bool_)[..., 0]  # pyright: ignore[reportArgumentType]
    again = model.predict(x, mask={"word": real}, lengths={"b": [7, 4, 3], "d": [4, 4, 2]})
    for name, right in zip(("s", "w", "z"), again, strict=True):
        assert np.allclose(masked[name], right.reshape(3, -1), atol=2e-6)


REFUSED = """
import { load } from "./built/m.js";
import { load as other } from "./short/m.js";
const model = await load();
const short = await other();
const given = JSON.parse(process.argv[2]);
const tried = [
    () => model.forward(),
    () => model.forward({ ...given, e: [] }),
    () => model.forward({ ...given, b: "text" }),
    () => model.forward({ ...given, b: [[1, 2], [1, 2, 3], [1]] }),
    () => model.forward({ ...given, word: [[1], [2], [30]] }),
    () => model.forward({ ...given, c: [[1, 2, 3]] }),
    () => model.forward({ ...given, c: [[1, 2, 3], [1, 2, 3], [1, 2]] }),
    () => model.forward({ ...given, d: [[1, 2, 3, 4, 5], [1], [1]] }),
    () => short.forward({ x: [[1, 2]] }),
    () => short.forward({ x: [[1, 2, 3], []] }).gru.length,
    () => model.forward(given, { weights: 1 }),
    () => model.forward(given, { lengths: { c: [1, 1, 1] } }),
    () => model.forward(given, { lengths: { b: [1, 5, 1] } }),
    () => model.forward(given, { lengths: { b: [1, 1] } }),
    () => model.forward(given, { mask: { word: [[1], [1, 1], [1]] } }),
    () => model.forward(given, { mask: { word: [[1, 1, 1, 1, 2], [1, 1], [1, 1, 1, 1]] } }),
    () => model.stream(),
];
const told = tried.map((attempt) => {
    try {
        return attempt();
    } catch (error) {
        return `${error.name}: ${error.message}`;
    }
});
console.log(JSON.stringify(told));
"""


def test_what_is_no_batch_is_refused(tmp_path: Path) -> None:
    short = "model M { input x: float[time, 1]\n Conv1D(2, 3)\n GRU(2) }"
    for name, spec in (("built", SEVERAL), ("short", short)):
        rnnspec.build(rnnspec.compile(spec, seed=1), tmp_path / name, targets=["wasm32"], functions=["forward"])
    assert json.loads(run(REFUSED, tmp_path, json.dumps(ragged(np.random.default_rng(2))))) == [
        "TypeError: expected an object with an array for each input",
        "TypeError: no input is named e; expected word, b, c, d",
        "TypeError: input b: expected an array with an entry for each sequence or sample",
        "RangeError: input b, entry 1: expected 2 numbers for each step, got 3",
        "RangeError: input word, entry 2: expected ids from 0 to 29, got 30 at place 0",
        "RangeError: input c: expected 3 entries, as word has, got 1",
        "RangeError: input c, entry 2: expected 3 numbers, got 2",
        "RangeError: input d: expected at most 4 steps, got 5",
        "RangeError: there are fewer steps than a window of the model needs, or more than a memory has room for",
        2,
        "TypeError: no option is named weights; expected lengths, mask",
        "TypeError: no input with lengths is named c; expected word, b, d",
        "RangeError: lengths of b: expected a number from 0 to 4 at place 1, got 5",
        "RangeError: lengths of b: expected 3 numbers for 3 steps, got 2",
        "RangeError: mask of word, entry 0: expected 5 values, one for each step",
        "TypeError: mask of word, entry 0: expected 0 and 1, got 2",
        "TypeError: model.stream is not a function",
    ]


BOTH = """
import { load } from "./built/m.js";
const model = await load();
const x = Float32Array.from({ length: 3 * 20000 }, (none, place) => Math.sin(place));
const stream = model.stream();
const first = stream.steps({ x: x.subarray(0, 30) }).dense;
// The memory grows, and the stream goes on where it was.
const [whole] = model.forward({ x: [x] }).dense;
const then = stream.steps({ x: x.subarray(30, 60) }).dense;
const equal = [...first, ...then].every((value, place) => Object.is(value, whole[place]));
console.log(JSON.stringify([equal, whole.length]));
"""


def test_streams_and_batches_of_one_module(tmp_path: Path) -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]\n LSTM(4, return_sequences = true)\n Dense(2) }", seed=1)
    rnnspec.build(model, tmp_path / "built", targets=["wasm32-simd"], functions=["step", "forward"])
    assert json.loads(run(BOTH, tmp_path)) == [True, 40000]
