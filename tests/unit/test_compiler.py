"""The driver: what it takes for a spec, what it passes on, and the text of every stage of one small model."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu.entry import symbol
from rnnspec.contract.native_function import NativeFunction
from rnnspec.diagnostics import SpecWarning
from rnnspec.driver import commands
from rnnspec.driver.backends import DEFAULT
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.pipelines import stages_of
from rnnspec.driver.source_files import read_spec
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.target import AVX2
from rnnspec.runtime.native.executable import Variant
from rnnspec.runtime.storage import model_file
from rnnspec.source import SourceFile
from tests.unit.backend.loops import functions_of
from tests.unit.kernel.scheduled import NORMED, model

GOLDEN = Path(__file__).parents[1] / "golden" / "stages"
SPEC = """\
cell Leaky(units, leak = 0.25) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    state  h [units]

    h' = (1 - leak) * h + leak * tanh(x @ kernel + h @ recurrent_kernel)
    return h'
}

model Small(units = 3) {
    input x: float[time, 2]

    Masking()
    Leaky(units)
    Dropout(0.5)
    Dense(2, activation = softmax)

    train {
        loss      = sparse_categorical_crossentropy
        optimizer = Adam()
    }
}
"""
PRINTED = [
    *((stage, None) for stage in stages_of(DEFAULT) if stage not in ("llvm", "llvm.opt", "asm")),
    ("tensor", "lower"),
    ("tensor", "hoist-projection"),
    ("tensor.backward", "differentiate"),
]
"""Without what is too long to be read: its nests are asked for one by one below."""
CHANGED = [
    ("kernel", "schedule", "time-blocks"),
    ("kernel.backward", "schedule", "time-blocks"),
    ("kernel.backward", "time-blocks", "alias-tape"),
]


def compilation(spec: str = SPEC) -> Compilation:
    tree = parse(SourceFile("small.rnn", spec))
    return Compilation(tree, resolve(tree), "float32", AVX2)


@pytest.mark.parametrize(("stage", "after"), PRINTED, ids=lambda value: value or "whole")
def test_text_of_a_stage(stage: str, after: str | None, regenerate: bool) -> None:
    text = compilation().print(stage, after)
    path = GOLDEN / f"{stage}{f'.after-{after}' if after else ''}.txt"
    if regenerate:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    if stage.startswith("tensor"):
        assert print_module(parse_module(text)) == text


@pytest.mark.parametrize(("stage", "before", "after"), CHANGED)
def test_what_a_pass_over_kernels_changes(stage: str, before: str, after: str, regenerate: bool) -> None:
    """As lines taken away and added: the whole text is the stage's own golden, or differs from it as the next passes say."""
    one, other = (compilation().print(stage, name).splitlines(keepends=True) for name in (before, after))
    changes = "".join(difflib.unified_diff(one, other, before, after, n=1))
    path = GOLDEN / f"{stage}.{after}.diff"
    if regenerate:
        path.write_text(changes, encoding="utf-8")
    assert changes == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("stage", "last"), [("kernel", "time-blocks"), ("kernel.backward", "alias-tape")])
def test_nothing_changes_behind_the_last_of_them(stage: str, last: str) -> None:
    assert compilation().print(stage, last) == compilation().print(stage)


@pytest.mark.parametrize("spec", [SPEC, model(3, "Normed(4)", "Dense(2)", cell=NORMED)], ids=["a nest a step", "several nests a step"])
def test_llvm_text_is_a_function_for_each_nest_of_the_kernel_text(spec: str) -> None:
    """Entry points call the nests of their function, and the time loop calls those of its step in order."""
    kernels = compilation(spec).kernels(Variant("forward", False))
    defined = functions_of(compilation(spec).print("llvm"))
    for function in kernels.module.functions:
        nests = [f"{function.name}.{nest.name}" for nest in nests_of(function)]
        steps = [f"{function.name}.{nest.name}" for nest in nests_of(function) if nest.scan]
        assert {name for name in defined if name.startswith(f"{function.name}.") and ".prepare." not in name[len(function.name) :]} == set(
            nests
        )
        entry = [each.called for each in defined[symbol(function.name)].instructions if each.called in defined]
        assert sorted(set(entry)) == sorted(set(nests) - set(steps))
        for scan in {name.rpartition(".")[0] for name in steps}:
            (turns,) = defined[scan].loops
            assert [each.called for each in turns.instructions if each.called in nests] == [name for name in steps if name.startswith(scan)]


@pytest.mark.parametrize("stage", ["llvm.opt", "asm"])
def test_text_that_llvm_prints(stage: str) -> None:
    assert "rnnspec_forward" in compilation().print(stage)


def test_every_listed_pass_prints() -> None:
    shown, compiled = commands.list_stages(), compilation()
    stage = ""
    for line in shown.splitlines():
        if line.startswith("  --after "):
            begins = "module Small" if stage.startswith("tensor") else "kernels forward"
            assert compiled.print(stage, line.split()[-1]).startswith(begins)
        else:
            stage = line
    assert "hoist-projection" in shown and "alias-tape" in shown


@pytest.mark.parametrize(
    ("stage", "after", "message"),
    [
        ("tensors", None, "there is no stage named `tensors`; did you mean `tensor`? there are ast, graph"),
        (
            "llvm",
            "hoist-projection",
            "no passes run in stage `llvm`; they do in tensor, tensor.backward, tensor.stream, kernel, kernel.bac",
        ),
        ("kernel", "alias-tape", "there is no pass in stage `kernel` named `alias-tape`; there are schedule, time-blocks, prefetch"),
        ("kernel.backward", "alias-tapes", "did you mean `alias-tape`?"),
        ("tensor", "differentiate", "there is no pass in stage `tensor` named `differentiate`; there are lower"),
        ("tensor.backward", "diferentiate", "did you mean `differentiate`?"),
    ],
)
def test_stages_and_passes_that_do_not_exist(stage: str, after: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=r"there is no|no passes") as caught:
        compilation().print(stage, after)
    assert message in str(caught.value)


def test_a_spec_is_a_path_or_a_text(tmp_path: Path) -> None:
    path = tmp_path / "small.rnn"
    path.write_text(SPEC, encoding="utf-8")
    assert read_spec(path) == SourceFile(str(path), SPEC)
    assert read_spec(str(path)) == SourceFile(str(path), SPEC)
    assert read_spec(SPEC) == SourceFile("<spec>", SPEC)
    assert read_spec(" ") == SourceFile("<spec>", " ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.rnn").write_bytes(b"model \xe9 {}")
    for name, reason in (
        ("absent.rnn", "No such file"),
        ("latin.rnn", "isn't UTF-8 text: byte 6 is 0xE9"),
        (".", "directory"),
        ("a\0b", "null"),
    ):
        with pytest.raises(rnnspec.SpecError) as caught:
            rnnspec.compile(tmp_path / name)
        assert "error[E0010]" in str(caught.value)
        assert reason in str(caught.value)
        assert (tmp_path / name).name.replace("\0", "\ufffd") in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "int32", "float", "double precision", object(), 3])
def test_precision(dtype: object) -> None:
    if dtype == "float":
        assert rnnspec.compile(SPEC, dtype="float").signature.dtype == "float64"  # numpy's meaning of the word
        return
    with pytest.raises(ValueError, match="dtype: expected float32 or float64"):
        rnnspec.compile(SPEC, dtype=dtype)  # type: ignore[call-overload]


def test_parameters_by_name_and_as_a_mapping() -> None:
    assert rnnspec.compile(SPEC, units=5).weights["leaky/kernel"].shape == (2, 5)
    assert rnnspec.compile(SPEC, parameters={"units": 4}).weights["leaky/kernel"].shape == (2, 4)
    reserved = SPEC.replace("units = 3", "seed = 3").replace("Leaky(units)", "Leaky(seed)")
    assert rnnspec.compile(reserved, seed=0, parameters={"seed": 7}).weights["leaky/kernel"].shape == (2, 7)
    with pytest.raises(rnnspec.SpecError, match="unit"):
        rnnspec.compile(SPEC, unit=3)


def test_what_is_doubtful_is_a_warning() -> None:
    doubtful = SPEC.replace("    return h'", "    spare = x @ kernel\n    return h'")
    with pytest.warns(SpecWarning, match="spare"):
        rnnspec.compile(doubtful)
    assert [warning.code for warning in commands.check(doubtful).warnings] == ["W0301"]


def test_weights_and_seed() -> None:
    first, second, other = (rnnspec.compile(SPEC, seed=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert not np.array_equal(first.weights["leaky/kernel"], other.weights["leaky/kernel"])
    given = [weight + 1 for weight in first.get_weights()]
    assert all(np.array_equal(a, b) for a, b in zip(rnnspec.compile(SPEC, weights=given).get_weights(), given, strict=True))
    with pytest.raises(ValueError, match="leaky/kernel"):
        rnnspec.compile(SPEC, weights=given[::-1])


def test_save_and_load(tmp_path: Path) -> None:
    model = rnnspec.compile(SPEC, dtype="float64", units=4, seed=0)
    model.save(tmp_path / "small.rnnc")
    loaded = rnnspec.load(tmp_path / "small.rnnc")
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    assert loaded.source == model.source
    np.testing.assert_array_equal(loaded.forward(x), model.forward(x))


def test_a_saved_model_whose_weights_do_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.rnnc"
    rnnspec.compile(SPEC).save(path)
    saved = model_file.load(path)
    model_file.save(replace(saved, weights={name.replace("dense", "other"): value for name, value in saved.weights.items()}), path)
    with pytest.raises(ValueError) as raised:
        rnnspec.load(path)
    assert str(raised.value).startswith(f"{path}: the weights don't fit the model; missing: dense/kernel")


@pytest.mark.parametrize("option", ["", "activity_regularizer = L2(0.1)"])
def test_prediction_and_evaluation_have_a_function_each(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation's has the loss, and what activity regularizers look at, in it."""
    built: list[Variant] = []
    native = Compilation.native

    def counted(self: Compilation, wanted: Variant) -> NativeFunction:
        built.append(wanted)
        return native(self, wanted)

    monkeypatch.setattr(Compilation, "native", counted)
    model = rnnspec.compile(f"model M {{ input x: float[3] Dense(2, {option}) train {{ loss = mse }} }}")
    model.predict(np.ones((2, 3)))
    model.evaluate(np.ones((2, 3)), np.ones((2, 2)))
    model.evaluate(np.ones((2, 3)), np.ones((2, 2)))
    assert len(built) == 2


def test_a_model_that_cannot_stream_has_no_such_stage() -> None:
    spec = "model Two {\n    input x: float[time, 2]\n    Bidirectional(LSTM(3))\n}\n"
    with pytest.raises(ValueError, match=r"^model Two can't stream: "):
        compilation(spec).print("tensor.stream")
