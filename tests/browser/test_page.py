"""The page that runs a model, in a headless Chromium: what it shows, what a pointer draws, what a microphone's level does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from tests.browser.chromium import served, told

MODEL = "model Level { input x: float[time, 1]\n GRU(6, return_sequences = true)\n Dense(2) }"
VALUES = [0.5, -1.0, 0.25, 2.0]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    rnnspec.build(rnnspec.compile(MODEL, seed=5), folder / "built", page=True)
    return folder / "built" / "page.html"


def opened(page: Path, address: str, script: str, tmp_path: Path) -> str:
    """What a script that is put behind the page's own tells of it. The page is opened from the disk."""
    with served(tmp_path) as server:
        tell = f"const tell = (body) => fetch('{server.address}', {{ method: 'POST', mode: 'no-cors', body }});"
        used = tmp_path / "used.html"
        text = page.read_text(encoding="utf-8")
        used.write_text(text.replace("</body>", f'<script type="module">{BEGIN}{tell}{script}</script></body>'), encoding="utf-8")
        return told(server, f"{used.as_uri()}{address}", tmp_path / "profile")


BEGIN = """
const at = (selector) => document.querySelector(selector);
const until = async (holds) => {
    for (let turn = 0; !holds() && turn < 3000; turn++) await new Promise((done) => setTimeout(done, 10));
};
await until(() => at("#states canvas"));
"""


def numbers(document: str, name: str) -> list[float]:
    """What is to be read beside a chart."""
    (found,) = re.findall(rf"<h3>{name}</h3><p class=\"note\">[^<]*</p><output class=\"values\">(.*?)</output>", document)
    return [float(each) for each in re.findall(r">(-?[\d.e-]+)<", found)]


def test_typed_inputs_give_what_python_gives(page: Path, tmp_path: Path) -> None:
    document = opened(page, f"#x={' '.join(map(str, VALUES))}", "tell(document.body.innerHTML);", tmp_path)
    stream = rnnspec.compile(MODEL, seed=5).stream()
    (*_, last) = [stream.step(np.array([[value]], np.float32))[0] for value in VALUES]
    np.testing.assert_allclose(numbers(document, "dense"), last, rtol=1e-3)
    assert numbers(document, "x") == [2.0]
    assert "step 4 of 4" in document
    assert re.search(r'<output id="message" role="alert"></output>', document)


USE = """
const told = {};
const dots = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer;
const colours = (canvas) => new Set(new Uint32Array(dots(canvas))).size;
told.colours = [...document.querySelectorAll("canvas")].map(colours);
const values = (part) => at(`${part} .values`).textContent;
const before = values("#outputs");
const canvas = at("#inputs canvas");
canvas.scrollIntoView();
const box = canvas.getBoundingClientRect();
canvas.setPointerCapture = () => {};
const end = box.width - 1;
for (const [kind, x, y] of [["pointerdown", 1, 1], ["pointermove", end, 1], ["pointerup", end, 1], ["pointerleave", 0, 0]])
    canvas.dispatchEvent(new PointerEvent(kind, { clientX: box.left + x, clientY: box.top + y, buttons: 1 }));
told.drawn = values("#inputs");
told.changed = values("#outputs") !== before;
at("#restart").click();
told.restarted = at("#position").textContent;
at("#speed").value = 240;
at("#run").click();
await until(() => at("#position").textContent === "step 128 of 128");
told.run = at("#position").textContent;
[...document.querySelectorAll("#inputs button")].at(-1).click();
told.level = 0;
await until(() => (told.level = Math.max(told.level, Number(values("#inputs")))) > 0.01 && at("#position").textContent !== told.run);
told.heard = at("#message").textContent;
[...document.querySelectorAll("#inputs button")].at(-1).click();
tell(JSON.stringify(told));
"""


def test_a_page_is_drawn_on_and_listens(page: Path, tmp_path: Path) -> None:
    """By events as a browser gives them; the microphone is Chromium's, which beeps."""
    found = json.loads(opened(page, "", USE, tmp_path))
    assert len(found["colours"]) == 3
    assert min(found["colours"]) > 5  # nothing is left blank
    assert float(found["drawn"]) == 1
    assert found["changed"]
    assert (found["restarted"], found["run"], found["heard"]) == ("step 0 of 128", "step 128 of 128", "")
    assert 0.01 < found["level"] <= 1
