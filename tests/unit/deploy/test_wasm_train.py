"""Training in a module of WebAssembly, called as it is; the JavaScript around it is for steps."""

from __future__ import annotations

import json
from pathlib import Path

import rnnspec
from tests.unit.deploy.node import run

MODEL = """model M { input x: float[time, 3]
    Masking()
    GRU(4)
    Dense(1)
    train { loss = mse  optimizer = Adam(0.01, clipnorm = 0.1) } }"""

RUN = """
import { readFile } from "node:fs/promises";
const check = await readFile("built/wasm32/check_train.bin");
const { instance } = await WebAssembly.instantiate(await readFile("built/wasm32/m.wasm"));
const { memory, m_train_step, m_train_bytes, m_initial_weights, m_begin, __heap_base: base } = instance.exports;
memory.grow(16);
const bytes = new Uint8Array(memory.buffer);
const [batch, time, weights] = [check.readUInt32LE(0), check.readUInt32LE(4), WEIGHTS];
let from = 8;
let to = Math.ceil(base.value / 16) * 16;
const room = (count) => {
    const place = to;
    to = Math.ceil((place + count) / 16) * 16;
    return place;
};
// The input, its lengths, its mask and the targets.
const places = [4 * batch * time * 3, 4 * batch, batch * time, 4 * batch].map((count) => {
    const place = room(count);
    bytes.set(check.subarray(from, (from += count)), place);
    return place;
});
const number = (place) => check.readDoubleLE(from + 8 * place);
const [trained, optimizer, loss] = [room(4 * weights), room(8 + 8 * weights), room(8)];
const size = m_train_bytes(batch, time);
const workspace = room(size);
m_initial_weights(trained);
m_begin(optimizer);
let same = 0;
for (let update = 0; update < 20; update++) {
    const code = m_train_step(trained, optimizer, number(update), update, batch, time, ...places, loss, workspace, size);
    same += code === 0 && new Float64Array(memory.buffer, loss, 1)[0] === number(20 + update);
}
const end = Buffer.compare(Buffer.from(bytes.slice(trained, trained + 4 * weights)), check.subarray(from + 320)) === 0;
console.log(JSON.stringify([same, end, workspace + size < memory.buffer.byteLength]));
"""


def test_training_has_the_bits_of_pythons(tmp_path: Path) -> None:
    made = rnnspec.compile(MODEL, seed=1)
    (report,) = rnnspec.build(made, tmp_path / "built", targets=["wasm32"], functions=["train"])
    assert report.imports == ()
    assert report.stack is not None
    assert report.stack < 4096
    weights = sum(weight.size for weight in made.weights.values())
    assert json.loads(run(RUN.replace("WEIGHTS", str(weights)), tmp_path)) == [20, True, True]
