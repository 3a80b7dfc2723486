"""Models as WebAssembly: linked modules, run in Node, and the npm package around them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.deploy.step_layout import StepLayout, step_layout
from rnnspec.deploy.step_library import reference, step_library
from rnnspec.deploy.wasm_format import MAGIC, Reader, Section, SectionKind, listed, module, number, padded, sections, signed
from rnnspec.deploy.wasm_link import link_module
from rnnspec.diagnostics import InternalError
from rnnspec.driver.compilation import compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS
from tests.docs.markdown import blocks
from tests.unit.deploy.node import completed, node, run

STEPS = 1000
SMALL = "model Lstm20 { input x: float[time, 1]\n LSTM(20, return_sequences = true)\n Dense(1) }"
MODELS = {
    "lstm20": (SMALL, "float32", "wasm32-simd"),
    "scalar": (SMALL, "float32", "wasm32"),
    "double": ("model M { input x: float[time, 2]\n GRU(5, return_sequences = true)\n Dense(2) }", "float64", "wasm32-simd"),
    "windows": (
        """model M { input x: float[time, 3]
        Conv1D(4, 3, padding = causal)
        GRU(5, reset_after = false)
        Dense(3, activation = softmax) }""",
        "float32",
        "wasm32-simd",
    ),
    "masked": (
        """model M { input x: float[time, 2]
        s = x -> Masking() -> LSTM(4, return_sequences = true)
        y = s -> Dense(2)
        z = x -> AveragePooling1D(3) -> GRU(3)
        output y, z }""",
        "float32",
        "wasm32-simd",
    ),
    "own": (
        """cell Attending(units) {
        weight kernel [features, units] = glorot_uniform
        weight query [units, units] = glorot_uniform
        state h [units]
        state age [units]
        part = softmax(h @ query)
        age' = age * 0.9 + part
        h' = (1 - part) * h + part * tanh(x @ kernel) - 0.01 * exp(-age)
        return h' }
        model M { input x: float[time, 2]
        Attending(5, return_sequences = true)
        Attending(3, return_sequences = true)
        Dense(2, activation = gelu) }""",
        "float32",
        "wasm32-simd",
    ),
    "two": (
        """model M { input word: int[time], b: float[time, 2]
        s = word -> Embedding(30, 6) -> SimpleRNN(4, return_sequences = true)
        both = [s, b] -> Concatenate() -> LayerNormalization() -> Dense(5)
        y = both -> LSTM(3)
        output both, y }""",
        "float32",
        "wasm32",
    ),
}


def inputs(layout: StepLayout) -> dict[str, Array]:
    """Noise with silence, denormal numbers, and at last infinities and NaN."""
    random = np.random.default_rng(1)
    given: dict[str, Array] = {}
    for each in layout.inputs:
        if each.vocabulary is not None:
            given[each.source] = random.integers(0, each.vocabulary, STEPS).astype(np.int32)
            continue
        values = random.normal(size=(STEPS, each.width))
        values[100:300] = 0
        values[400:420] = 1e-40
        values[700:750] *= 1e30
        values[980, 0], values[990, -1] = np.inf, np.nan
        given[each.source] = values.astype(np.float64 if layout.bytes == 8 else np.float32)
    return given


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each model, with the bytes of all inputs."""
    folder = tmp_path_factory.mktemp("wasm")
    for name, (spec, dtype, target) in MODELS.items():
        rnnspec.build(rnnspec.compile(spec, dtype=dtype, seed=3), folder / name, targets=[target], name="m")
        for source, values in inputs(step_layout(compilation_of(spec, dtype=dtype).signature, "m")).items():
            (folder / name / f"{source}.bin").write_bytes(values.tobytes())
    return folder


RUN = """
import { readFile, writeFile } from "node:fs/promises";
for (const folder of process.argv.slice(2)) {
    const { inputs, load, outputs, states } = await import(`./${folder}/m.js`);
    const model = await load();
    const Numbers = folder === "double" ? Float64Array : Float32Array;
    const given = {};
    for (const { name, vocabulary } of inputs) {
        const Kind = vocabulary === undefined ? Numbers : Int32Array;
        given[name] = new Kind(new Uint8Array(await readFile(`${folder}/${name}.bin`)).buffer);
    }
    const part = (values, width, step) => values.subarray(step * width, (step + 1) * width);
    const row = (step) => Object.fromEntries(inputs.map(({ name, width }) => [name, part(given[name], width, step)]));
    const shown = model.stream().steps(given);
    for (const { name } of outputs) await writeFile(`${folder}/${name}.out`, shown[name]);
    // One by one, and from another stream's state on, is the same. Two streams don't disturb each other.
    let stream = model.stream();
    const other = model.stream();
    for (let step = 0; step < 40; step++) {
        if (step === 20) stream = model.stream(structuredClone(stream.state));
        const one = stream.step(row(step));
        other.step(row(step + 7));
        for (const { name, width } of outputs) {
            const equal = part(shown[name], width, step).every((value, place) => Object.is(value, one[name][place]));
            if (!equal) throw new Error(`${folder}: step ${step}`);
        }
    }
    stream.reset();
    if (states.some(({ name }) => stream.state[name].some((value) => value !== 0))) throw new Error("reset");
}
"""


def test_modules_have_the_bits_of_a_stream(built: Path) -> None:
    """What a NaN is made of is left to the machine that runs WebAssembly; all else is the same to the last bit."""
    run(RUN, built, *MODELS)
    for name, (spec, dtype, target) in MODELS.items():
        compilation = compilation_of(spec, dtype=dtype)
        layout = step_layout(compilation.signature, "m")
        weights = dict(rnnspec.compile(spec, dtype=dtype, seed=3).weights)
        expected = reference(compilation, weights, layout, BUILD_TARGETS[target], inputs(layout))
        for each, right in zip(layout.outputs, expected, strict=True):
            found = np.fromfile(built / name / f"{each.name}.out", right.dtype).reshape(right.shape)
            without_value = (name, each.source) == ("masked", "z")
            finite = np.isfinite(right[:980])
            assert finite[2::3].all() and not finite[:2].any() if without_value else finite.all()
            assert np.isnan(right[990:]).any()
            assert (np.isnan(found) == np.isnan(right)).all()
            assert np.where(np.isnan(found), 0, found).tobytes() == np.where(np.isnan(right), 0, right).tobytes(), name


def test_the_example_compares_itself(built: Path) -> None:
    folder = built / "two"
    assert node(folder, "node-example.js") == "wasm32: 64 steps, 0 different\n"
    check = bytearray((folder / "wasm32" / "check.bin").read_bytes())
    check[-1] ^= 1
    wrong = built / "wrong"
    shutil.copytree(folder, wrong)
    (wrong / "wasm32" / "check.bin").write_bytes(check)
    done = completed(wrong, "node-example.js")
    assert (done.returncode, done.stdout) == (1, "wasm32: 64 steps, 1 different\n")


BAD = """
import { load } from "./two/m.js";
import { load as other } from "./lstm20/m.js";
import { load as wide } from "./double/m.js";
const stream = (await load()).stream();
stream.step({ word: 3, b: [1, 2] });
const before = JSON.stringify(stream.state);
const told = [];
const tried = [
    () => stream.step(),
    () => stream.step({ word: 3 }),
    () => stream.step({ word: 3, b: [1, 2], c: [1] }),
    () => stream.step({ word: 3, b: [1, 2, 3] }),
    () => stream.steps({ word: [3, 4], b: [1, 2, 3, 4, 5, 6] }),
    () => stream.step({ word: 3, b: "12" }),
    () => stream.step({ word: 3, b: [1, "2"] }),
    () => stream.step({ word: 3, b: new BigInt64Array(2) }),
    () => stream.steps({ word: [3, 30], b: [1, 2, 3, 4] }),
    () => stream.step({ word: -1, b: [1, 2] }),
    () => stream.step({ word: 2 ** 32 + 3, b: [1, 2] }),
    () => stream.step({ word: 1.5, b: [1, 2] }),
    () => stream.step({ word: NaN, b: [1, 2] }),
    async () => (await load()).stream({ lstm_h: [0, 0, 0] }),
    () => load("missing:nowhere"),
    () => load(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
    async () => (await other()).stream().steps({ x: [] }).dense.length,
    async () => (await load()).stream({ h: [0] }),
    async () => (await wide()).stream().steps({ x: [1, 2, 3] }),
];
for (const attempt of tried) {
    try {
        told.push(await attempt());
    } catch (error) {
        told.push(`${error.name}: ${error.message}`);
    }
}
if (JSON.stringify(stream.state) !== before) throw new Error("the state was changed");
console.log(JSON.stringify(told));
"""


def test_what_is_not_the_models_is_refused(built: Path) -> None:
    """Each message names the input, and the state stays what it was."""
    ids = "RangeError: input word: expected ids from 0 to 29, got"
    assert json.loads(run(BAD, built)) == [
        "TypeError: expected an object with an array for each input",
        "TypeError: input b: expected an array of numbers",
        "TypeError: no input is named c; expected word, b",
        "RangeError: input b: expected 2 numbers, got 3",
        "RangeError: input b: expected 4 numbers for 2 steps, got 6",
        "TypeError: input b: expected an array of numbers",
        "TypeError: input b: expected numbers, got a string at place 1",
        "TypeError: input b: expected numbers, got a bigint at place 0",
        f"{ids} 30 at place 1",
        f"{ids} -1 at place 0",
        f"{ids} 4294967299 at place 0",
        f"{ids} 1.5 at place 0",
        f"{ids} NaN at place 0",
        "TypeError: state simple_rnn_h: expected an array of numbers",
        "TypeError: fetch failed",
        "TypeError: expected the module of m",
        0,
        "TypeError: no state is named h; expected simple_rnn_h, lstm_h, lstm_c, lstm_return",
        "RangeError: input x: expected 2 numbers for each step, got 3",
    ]


def test_a_small_module(built: Path) -> None:
    """Twelve kilobytes, nothing imported, and the stack as deep as was counted: steps write its last byte, and nothing below it."""
    content = (built / "lstm20" / "wasm32-simd" / "m.wasm").read_bytes()
    assert len(content) <= 12_000
    script = """
        import { readFile } from "node:fs/promises";
        const { module, instance } = await WebAssembly.instantiate(await readFile("lstm20/wasm32-simd/m.wasm"));
        const { memory, m_step: step, __heap_base: base } = instance.exports;
        const bytes = new Uint8Array(memory.buffer);
        const constants = bytes.findIndex((byte) => byte !== 0);
        bytes.fill(170, 0, constants);
        step(base.value, base.value + 160, base.value + 176);
        const names = WebAssembly.Module.exports(module).map((each) => each.name);
        console.log(JSON.stringify([WebAssembly.Module.imports(module).length, names, bytes[0] !== 170, constants]));
    """
    imports, names, written, stack = json.loads(run(script, built))
    assert (imports, names) == (0, ["m_step", "m_steps", "memory", "__heap_base"])
    assert written
    compilation = compilation_of(SMALL)
    weights = dict(rnnspec.compile(SMALL, seed=3).weights)
    library = step_library(compilation, weights, step_layout(compilation.signature, "m"), BUILD_TARGETS["wasm32-simd"])
    linked = link_module(library.object_code, library.symbols)
    assert linked.content == content
    assert linked.stack == 160 <= stack


def test_the_package_is_imported_by_its_name(tmp_path: Path) -> None:
    """With the types of all that it has, and the files of each target."""
    folder = tmp_path / "node_modules" / "tiny"
    made = rnnspec.compile("model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }", seed=1)
    reports = rnnspec.build(made, folder, targets=["wasm32-simd", "cortex-m0plus", "wasm32"], page=True)
    assert [each.module for each in reports] == [
        (folder / "wasm32-simd" / "tiny.wasm").stat().st_size,
        None,
        (folder / "wasm32" / "tiny.wasm").stat().st_size,
    ]
    assert [each.imports for each in reports if each.module] == [(), ()]
    # New states lie on the stack until all old ones were read.
    assert all(each.state <= each.stack < 1000 for each in reports)
    assert [each["stack"] for each in json.loads((folder / "report.json").read_text())] == [each.stack for each in reports]
    package = json.loads((folder / "package.json").read_text())
    assert all((folder / name).is_file() for name in package["files"])
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.wasm")} < set(package["files"])
    script = """
        import { readFileSync } from "node:fs";
        import { stripTypeScriptTypes } from "node:module";
        import * as tiny from "tiny";
        stripTypeScriptTypes(readFileSync("node_modules/tiny/tiny.d.ts", "utf8"));
        // A machine without vectors takes the next target.
        const compile = WebAssembly.instantiate;
        WebAssembly.instantiate = async (bytes) => {
            if (bytes.byteLength === +process.argv[2]) throw new WebAssembly.CompileError("no vectors");
            return compile(bytes);
        };
        const { dense } = (await tiny.load()).stream().step({ x: [1, 2, 3] });
        const loaded = tiny.instantiate(new WebAssembly.Module(readFileSync("node_modules/tiny/wasm32/tiny.wasm")));
        const again = loaded.stream().step({ x: [1, 2, 3] }).dense;
        console.log(JSON.stringify([Object.keys(tiny).sort(), dense.length, dense[0] === again[0]]));
    """
    names, width, same = json.loads(run(script, tmp_path, str(reports[0].module)))
    types = (folder / "tiny.d.ts").read_text()
    assert all(
        f"export declare {kind} {name}" in types for name, kind in ((name, "class" if name[0].isupper() else "") for name in names) if kind
    )
    assert names == ["Model", "Stream", "digest", "inputs", "instantiate", "load", "outputs", "states", "targets"]
    assert (width, same) == (1, True)
    rnnspec.build(made, tmp_path / "again", targets=["wasm32-simd", "cortex-m0plus", "wasm32"], page=True)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in (folder, tmp_path / "again")
    )
    assert first == second


def test_the_documented_program_runs(tmp_path: Path) -> None:
    """That of docs/deploy.md, and what its package says of itself."""
    folder = tmp_path / "node_modules" / "lstm20"
    rnnspec.build(rnnspec.compile(SMALL, seed=3), folder, targets=["wasm32-simd"], functions=["step", "forward"])
    readme = (tmp_path / "node_modules" / "lstm20" / "README.md").read_text()
    (own,) = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)
    documented, whole = [block.text for block in blocks("js") if block.page == "docs/deploy.md"]
    tell = "console.log(JSON.stringify([dense.length, block.length, other.state.lstm_h.length, stream.state.lstm_c[0]]));"
    assert json.loads(run(documented + tell, tmp_path)) == [1, 256, 20, 0]
    head = documented.partition("\n\n")[0]
    tell = "console.log(JSON.stringify([dense.map((row) => row.length), masked.dense[0].length, shorter.dense[0].length]));"
    assert json.loads(run(f"{head}\n{whole}{tell}", tmp_path)) == [[40, 40], 3, 3]
    assert json.loads(run(own + "console.log(JSON.stringify([shown.dense.length, whole.dense[0].length]));", tmp_path)) == [1, 10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("declare void @other()\ndefine void @m() {\n call void @other()\n ret void\n}", "imports env.other"),
        ("@there = external global i32\ndefine ptr @m() {\n ret ptr @there\n}", "needs there"),
        ("@table = constant ptr @m\ndefine ptr @m() {\n ret ptr @table\n}", "imports env.__indirect_function_table"),
        ("define void @m(i32 %size) {\n %p = alloca i8, i32 %size\n store volatile i8 1, ptr %p\n ret void\n}", "a stack of no fixed size"),
    ],
)
def test_objects_that_need_others_are_a_bug(text: str, message: str) -> None:
    target = BUILD_TARGETS["wasm32"]
    backend = compilation_of(SMALL).backend
    code = backend.assemble(f'target triple = "{target.triple}"\n{text}\n', target)
    with pytest.raises(InternalError, match=message):
        link_module(code, ["m"])


def test_the_stack_is_that_of_the_deepest_calls() -> None:
    """Functions that call each other add up; those that are called one after the other don't."""
    leaf = "define internal void @{0}() noinline {{\n %p = alloca [{1} x i8], align 16\n store volatile i8 1, ptr %p\n ret void\n}}\n"
    calls = (
        "define void @m() {\n %p = alloca [32 x i8], align 16\n store volatile i8 1, ptr %p\n call void @a()\n call void @b()\n ret void\n}"
    )
    target = BUILD_TARGETS["wasm32"]
    text = f'target triple = "{target.triple}"\n{leaf.format("a", 64)}{leaf.format("b", 160)}{calls}\n'
    linked = link_module(compilation_of(SMALL).backend.assemble(text, target), ["m"])
    assert linked.stack == 32 + 160
    assert linked.content.startswith(MAGIC)


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 8191, 8192, 2**31 - 1])
def test_numbers_of_seven_bits(value: int) -> None:
    assert Reader(number(value)).number() == value
    assert Reader(signed(value)).signed() == value
    assert Reader(signed(-value)).signed() == -value
    assert (len(padded(value)), Reader(padded(value)).number(), Reader(padded(value)).signed()) == (5, value, value)


def test_sections_are_read_as_they_are_written() -> None:
    parts = [(SectionKind.TYPE, listed([b"a", b"bc"])), (SectionKind.CUSTOM, b"\4name" + b"more")]
    assert sections(module(parts)) == [Section(SectionKind.TYPE, "", b"\2abc"), Section(SectionKind.CUSTOM, "name", b"more")]
