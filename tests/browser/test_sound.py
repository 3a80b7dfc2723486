"""A model in an AudioWorklet, which can't fetch and has 128 samples at a time."""

from __future__ import annotations

import json
from pathlib import Path

import rnnspec
from tests.browser.chromium import served, told

MODEL = "model Sound { input x: float[time, 1]\n GRU(6, return_sequences = true)\n Dense(1) }"

WORKLET = """
import { instantiate } from "./sound.js";
registerProcessor("sound", class extends AudioWorkletProcessor {
    constructor({ processorOptions: { module } }) {
        super();
        this.stream = instantiate(module).stream();
    }
    process([[given]], [[shown]]) {
        if (given) shown.set(this.stream.steps({ x: given }).dense);
        return true;
    }
});
"""

PAGE = """
<script type="module">
import { load } from "./sound.js";
const samples = Float32Array.from({ length: 1280 }, (none, place) => Math.sin(place / 7));
const context = new OfflineAudioContext(1, samples.length, 44100);
const buffer = context.createBuffer(1, samples.length, 44100);
buffer.copyToChannel(samples, 0);
await context.audioWorklet.addModule("./worklet.js");
const module = await WebAssembly.compileStreaming(fetch("./wasm32-simd/sound.wasm"));
const node = new AudioWorkletNode(context, "sound", { processorOptions: { module }, outputChannelCount: [1] });
const source = new AudioBufferSourceNode(context, { buffer });
source.connect(node).connect(context.destination);
source.start();
const heard = (await context.startRendering()).getChannelData(0);
const { dense } = (await load()).stream().steps({ x: samples });
const different = heard.filter((value, place) => value !== dense[place]).length;
await fetch("/", { method: "POST", body: JSON.stringify([heard.length, different, Math.abs(heard[1279]) > 0]) });
</script>
"""


def test_a_worklet_has_the_bits_of_a_stream(tmp_path: Path) -> None:
    folder = tmp_path / "sound"
    rnnspec.build(rnnspec.compile(MODEL, seed=5), folder, targets=["wasm32-simd"])
    (folder / "worklet.js").write_text(WORKLET, encoding="utf-8")
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    with served(folder) as server:
        assert json.loads(told(server, server.address, tmp_path / "profile")) == [1280, 0, True]
