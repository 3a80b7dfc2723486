"""The page that runs a model: its script in Node, with a document of a few lines. `make browser` opens it in a browser."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.deploy.step_layout import CannotBuild
from tests.unit.deploy.node import run

MODEL = """model Both { input word: int[time], b: float[time, 2]
    s = word -> Embedding(30, 6) -> SimpleRNN(4, return_sequences = true)
    both = [s, b] -> Concatenate() -> Dense(5)
    many = both -> Dense(12, activation = softmax)
    output both, many }"""
DOCUMENT = Path(__file__).with_name("document.mjs")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page taken apart: its script and its module."""
    folder = tmp_path_factory.mktemp("page")
    rnnspec.build(rnnspec.compile(MODEL, seed=3), folder / "built", page=True)
    text = (folder / "built" / "page.html").read_text(encoding="utf-8")
    (script,) = re.findall(r'<script type="module">\n(.*?)</script>', text, re.DOTALL)
    (module,) = re.findall(r'<script id="module" type="text/plain">(.*?)</script>', text)
    (folder / "page.mjs").write_text(script, encoding="utf-8")
    (folder / "module.txt").write_text(module, encoding="utf-8")
    shutil.copy(DOCUMENT, folder)
    return folder


def test_a_page_is_one_file_that_asks_for_nothing(page: Path) -> None:
    text = (page / "built" / "page.html").read_text(encoding="utf-8")
    without_script = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|\bsrc=|@import|url\(", without_script)
    assert "<title>Both</title>" in text
    assert "2 inputs, 2 outputs, 4 numbers of state" in text
    assert "{{" not in text


SESSION = """
import { readFileSync } from "node:fs";
import { Session, fill, inputs, load, textOf, typed } from "./page.mjs";
const model = await load(Buffer.from(readFileSync("module.txt", "utf8"), "base64"));
const session = new Session(model, 40);
const [word, b] = inputs;
fill(word, session.given.word, "Random");
fill(b, session.given.b, "Noise");
session.runTo(40);
const whole = { given: structuredClone(session.given), shown: structuredClone(session.shown), carried: structuredClone(session.carried) };
const equal = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const told = {};
// Back, and step by step again, is the same; so is a change that is taken back.
session.runTo(10);
told.back = session.done;
while (session.step());
told.again = equal(session.shown, whole.shown) && equal(session.carried, whole.carried);
session.change((given) => (given.b[20] += 1));
told.changed = equal(session.shown, whole.shown);
told.early = equal(session.shown.both.subarray(0, 50), whole.shown.both.subarray(0, 50));
session.change((given) => (given.b[20] -= 1));
session.change((given) => given.b.set(whole.given.b));
told.restored = equal(session.shown, whole.shown);
// What goes on behind the end forgets the oldest step, and isn't run anew.
session.live({ word: (row) => (row[0] = 7) });
told.live = [session.done, session.given.word[39], session.given.word[0] === whole.given.word[1]];
told.moved = equal(session.shown.both.subarray(0, 195), whole.shown.both.subarray(5));
session.resize(50);
told.longer = [session.length, session.done, session.given.word[49]];
session.type("word", "3, 4;5\\n 29");
told.typed = [session.length, session.done, [...session.given.word], textOf(word, session.given.word)];
told.bad = [["word", "3 30"], ["word", "1.5"], ["b", "1 2 3"], ["b", "1 zwei"], ["b", " "], ["c", "1"]].map(([name, text]) => {
    try {
        session.type(name, text);
        return "taken";
    } catch (error) {
        return error.message;
    }
});
told.kept = [session.length, session.done];
told.odd = typed(b, "inf -INF nan 1e3").map(String);
console.log(JSON.stringify({ ...told, whole }));
"""


def test_a_page_runs_its_model(page: Path) -> None:
    told = json.loads(run(SESSION, page))
    whole = told.pop("whole")
    given = {name: np.array(list(values.values()), np.float32) for name, values in whole["given"].items()}
    stream = rnnspec.compile(MODEL, seed=3).stream()
    steps = [
        stream.step({"word": given["word"][step : step + 1].astype(np.int32), "b": given["b"][2 * step : 2 * step + 2][None]})
        for step in range(40)
    ]
    for number, (name, width) in enumerate((("both", 5), ("many", 12))):
        found = np.array(list(whole["shown"][name].values()), np.float32).reshape(40, width)
        np.testing.assert_allclose(found, np.concatenate([step[number] for step in steps]), rtol=1e-5, atol=1e-6)
    assert told == {
        "back": 10,
        "again": True,
        "changed": False,
        "early": True,
        "restored": True,
        "live": [40, 7, True],
        "moved": True,
        "longer": [50, 50, 7],
        "typed": [4, 4, [3, 4, 5, 29], "3 4 5 29"],
        "bad": [
            '"30", word 2, is no id from 0 to 29',
            '"1.5", word 1, is no id from 0 to 29',
            "a step has 2 numbers, and 3 are no whole steps",
            '"zwei", word 2, is no number',
            "there is no number",
            "no input is named c",
        ],
        "kept": [4, 4],
        "odd": ["Infinity", "-Infinity", "NaN", "1000"],
    }


VIEW = """
import { readFileSync } from "node:fs";
import { browser } from "./document.mjs";
const { named, frames } = browser(readFileSync("module.txt", "utf8"), process.argv[2]);
const { Session, load } = await import("./page.mjs");
while (named.position?.textContent === undefined) await new Promise((done) => setTimeout(done, 5));
const told = [];
const tell = () => told.push([named.position.textContent, named.message.textContent, named.outputs.words, named.states.words]);
tell();
named.restart.onclick();
tell();
named.step.onclick();
named.step.onclick();
tell();
// Runs to the end, at a thousand steps a second.
named.run.onclick();
const begun = performance.now();
for (let turn = 1; frames.length > 0 && turn < 1000; turn++) frames.shift()(begun + 20 * turn);
tell();
// Draws a line through the first input, which changes what comes out of it.
const canvas = named.inputs.children[1].children[0].children[1];
canvas.onpointerdown({ pointerId: 1, clientX: 0, clientY: 0, buttons: 1 });
canvas.onpointermove({ clientX: 511, clientY: 100, buttons: 1 });
canvas.onpointerup({});
canvas.onpointerleave({});
tell();
named.steps.value = "3";
named.steps.onchange();
tell();
named.steps.value = "many";
named.steps.onchange();
tell();
// The number under the pointer, of a strip.
const strip = named.states.children[0].children[1];
strip.listeners.pointermove({ clientX: 0, clientY: 99 });
tell();
// A microphone that isn't there.
Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
const tools = named.inputs.children[1].children[1];
await tools.children.at(-1).onclick();
tell();
console.log(JSON.stringify(told));
"""


def test_the_document_shows_what_is_computed(page: Path) -> None:
    """Each button and each way to give an input, by what is to be read then."""
    word, b = [3, 4, 5, 29, 0], [[0.5, -1], [1, 2], [0, 0], [3, 3], [-0.25, 8]]
    typed = f"#word={' '.join(map(str, word))}&b={' '.join(str(value) for row in b for value in row)}"
    told = json.loads(run(VIEW, page, typed))
    stream = rnnspec.compile(MODEL, seed=3).stream()
    steps = [
        stream.step({"word": np.array([one], np.int32), "b": np.array([row], np.float32)})[0][0] for one, row in zip(word, b, strict=True)
    ]

    def shows(line: list[str], expected: Array) -> bool:
        found = [float(each) for each in re.findall(r"-?[\d.]+(?:e-?\d+)?", line[2].split("5 numbers a step")[1].split("many")[0])]
        return np.allclose(found, expected, rtol=1e-3, atol=1e-6)

    positions = ["5 of 5", "0 of 5", "2 of 5", "5 of 5", "5 of 5", "3 of 3", "3 of 3", "3 of 3", "3 of 3"]
    assert [line[0] for line in told] == [f"step {position}" for position in positions]
    assert shows(told[0], steps[4])
    assert told[1][2].split() == ["both", "5", "numbers", "a", "step", "many", "12", "numbers", "a", "step"]
    assert shows(told[2], steps[1])
    assert shows(told[3], steps[4])
    assert not shows(told[4], steps[4])
    refused = "steps: a number from 1 to 4096 is needed"
    assert [line[1] for line in told] == [*[""] * 6, refused, refused, "this browser gives no microphone to this page"]
    assert re.fullmatch(r"simple_rnn_h 4 numbers up to ±[\d.]+", told[0][3].strip())
    assert re.fullmatch(r"simple_rnn_h 4 numbers \[3\] -?[\d.e-]+", told[7][3].strip())


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the last of the texts."""
    write = Path.write_text

    def full(path: Path, *arguments: str, **options: str) -> int:
        if path.name == "page.html":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        rnnspec.build(rnnspec.compile(MODEL, seed=3), tmp_path / "page", page=True)
    assert not list(tmp_path.iterdir())


def test_a_page_needs_a_target_of_browsers(tmp_path: Path) -> None:
    made = rnnspec.compile(MODEL, seed=3)
    with pytest.raises(CannotBuild, match="page: it runs in a browser, so one of the targets has to be wasm32-simd or wasm32"):
        rnnspec.build(made, tmp_path / "page", targets=["cortex-m4"], page=True)
    assert not list(tmp_path.iterdir())
