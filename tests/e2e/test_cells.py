"""The cells of examples/cells against their papers' equations, their kernels, and what a cell can't be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest

import rnnspec
from rnnspec.driver import commands
from rnnspec.driver.compilation import Compilation
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.kernel.nodes import Contract, FusedLoop, Map, Node, RowReduce, ScanLoop, Store
from rnnspec.kernel.printer import print_kernels
from rnnspec.kernel.target import AVX2
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile
from rnnspec.training.model import Model

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "cells"
GOLDEN = ROOT / "tests" / "golden" / "cells"
NAMES = sorted(path.stem for path in FOLDER.glob("*.rnn"))

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Arrays: TypeAlias = Mapping[str, Array]
Step: TypeAlias = Callable[[Array, Arrays, Arrays], dict[str, Array]]
"""The states after a step, from its input, the states before it and the weights; `h` is the output too."""

FEATURES = 3
UNITS = 9
"""One more than a vector of 64 bytes holds in float64."""
PROJECTED = 4


# The papers' equations


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normalized(a: Array, gain: Array, bias: Array) -> Array:
    """Ba et al.: mean and standard deviation of each row."""
    deviation = a - a.mean(axis=-1, keepdims=True)
    return gain * deviation / np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + 1e-5) + bias


def peephole_lstm(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    i, f, g, o = np.split(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"], 4, axis=-1)
    to_i, to_f, to_o = w["peephole"]
    c = sigmoid(f + to_f * s["c"]) * s["c"] + sigmoid(i + to_i * s["c"]) * np.tanh(g)
    return {"h": sigmoid(o + to_o * c) * np.tanh(c), "c": c}


def coupled_lstm(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    f, g, o = np.split(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"], 3, axis=-1)
    c = sigmoid(f) * s["c"] + (1 - sigmoid(f)) * np.tanh(g)
    return {"h": sigmoid(o) * np.tanh(c), "c": c}


def projected_lstm(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    i, f, g, o = np.split(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"], 4, axis=-1)
    to_i, to_f, to_o = w.get("peephole", np.zeros((3, UNITS)))
    c = sigmoid(f + to_f * s["c"]) * s["c"] + sigmoid(i + to_i * s["c"]) * np.tanh(g)
    return {"h": (sigmoid(o + to_o * c) * np.tanh(c)) @ w["projection"], "c": c}


def minimal_gated_unit(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    xf, xh = np.split(x @ w["kernel"] + w["bias"], 2, axis=-1)
    f = sigmoid(xf + s["h"] @ w["gate_kernel"])
    return {"h": (1 - f) * s["h"] + f * np.tanh(xh + (f * s["h"]) @ w["candidate_kernel"])}


def layer_norm_lstm(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    of_input = normalized(x @ w["kernel"], w["input_gain"], w["input_bias"])
    of_state = normalized(s["h"] @ w["recurrent_kernel"], w["recurrent_gain"], w["recurrent_bias"])
    i, f, g, o = np.split(of_input + of_state, 4, axis=-1)
    c = sigmoid(f) * s["c"] + sigmoid(i) * np.tanh(g)
    return {"h": sigmoid(o) * np.tanh(normalized(c, w["cell_gain"], w["cell_bias"])), "c": c}


def ind_rnn(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    return {"h": np.maximum(x @ w["kernel"] + w["recurrent"] * s["h"] + w["bias"], 0)}


def min_gru(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    z, candidate = np.split(x @ w["kernel"] + w["bias"], 2, axis=-1)
    return {"h": (1 - sigmoid(z)) * s["h"] + sigmoid(z) * candidate}


def slstm(x: Array, s: Arrays, w: Arrays, forget: Callable[[Array], Array] = sigmoid) -> dict[str, Array]:
    i, f, z, o = np.split(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"], 4, axis=-1)
    m = np.maximum(np.log(forget(f)) + s["m"], i)
    write, keep = np.exp(i - m), np.exp(np.log(forget(f)) + s["m"] - m)
    c, n = keep * s["c"] + write * np.tanh(z), keep * s["n"] + write
    return {"h": sigmoid(o) * (c / n), "c": c, "n": n, "m": m}


def slstm_of_exponentials(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    return slstm(x, s, w, np.exp)


def euler_ode(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    return {"h": s["h"] + 0.1 * np.tanh(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"])}


def echo_state(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    return {"h": 0.7 * s["h"] + 0.3 * np.tanh(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"])}


def phased_lstm(x: Array, s: Arrays, w: Arrays) -> dict[str, Array]:
    """With the file's share of a period in which a gate is open, 0.4, and its leak, 0.01."""
    phase = ((s["clock"] - w["shift"]) / w["period"]) % 1.0
    k = np.where(phase < 0.2, phase / 0.2, np.where(phase < 0.4, 2 - phase / 0.2, 0.01 * phase))
    i, f, g, o = np.split(x @ w["kernel"] + s["h"] @ w["recurrent_kernel"] + w["bias"], 4, axis=-1)
    new = sigmoid(f) * s["c"] + sigmoid(i) * np.tanh(g)
    c, h = k * new + (1 - k) * s["c"], k * sigmoid(o) * np.tanh(new) + (1 - k) * s["h"]
    return {"h": h, "c": c, "clock": s["clock"] + 1}


@dataclass(frozen=True)
class Case:
    """A cell as a layer: its file, what it is called with (`{units}` for its units), its equations and its states' widths."""

    file: str
    call: str
    step: Step
    states: Mapping[str, int]

    def layer(self, options: str = "", units: int = UNITS) -> str:
        """Called with more arguments, each after a comma."""
        return f"{self.call.format(units=units)[:-1]}{options})"


H, HC, HCNM = {"h": UNITS}, {"h": UNITS, "c": UNITS}, dict.fromkeys("hcnm", UNITS)
NARROW = {"h": PROJECTED, "c": UNITS}

CASES = {
    "peephole_lstm": Case("peephole_lstm", "PeepholeLSTM({units})", peephole_lstm, HC),
    "coupled_lstm": Case("coupled_lstm", "CoupledLSTM({units})", coupled_lstm, HC),
    "projected_lstm": Case("projected_lstm", f"ProjectedLSTM({{units}}, {PROJECTED})", projected_lstm, NARROW),
    "projected_lstm_peepholes": Case("projected_lstm", f"ProjectedLSTM({{units}}, {PROJECTED}, peepholes = true)", projected_lstm, NARROW),
    "minimal_gated_unit": Case("minimal_gated_unit", "MinimalGatedUnit({units})", minimal_gated_unit, H),
    "layer_norm_lstm": Case("layer_norm_lstm", "LayerNormLSTM({units})", layer_norm_lstm, HC),
    "ind_rnn": Case("ind_rnn", "IndRNN({units})", ind_rnn, H),
    "min_gru": Case("min_gru", "MinGRU({units})", min_gru, H),
    "slstm": Case("slstm", "SLSTM({units})", slstm, HCNM),
    "slstm_of_exponentials": Case("slstm", "SLSTM({units}, exponential_forget = true)", slstm_of_exponentials, HCNM),
    "euler_ode": Case("euler_ode", "EulerODE({units})", euler_ode, H),
    "echo_state": Case("echo_state", "EchoState({units})", echo_state, H),
    "phased_lstm": Case("phased_lstm", "PhasedLSTM({units})", phased_lstm, {**HC, "clock": 1}),
}
OF_A_FILE = {name: CASES[name] for name in NAMES}
"""One for each file: the cell as it is by default."""

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_file = pytest.mark.parametrize("name", NAMES)


def test_every_file_is_a_case_and_in_the_list_of_examples() -> None:
    assert {case.file for case in CASES.values()} == set(NAMES)
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert all(f"`cells/{name}.rnn`" in page for name in NAMES)


@every_file
def test_canonical_form_without_a_warning(name: str) -> None:
    source, formatted = commands.format(FOLDER / f"{name}.rnn")
    assert formatted == source.text
    assert commands.check(FOLDER / f"{name}.rnn").warnings == ()


# Models of one layer


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.rnn").read_text(encoding="utf-8")


def with_layer(name: str, layer: str) -> str:
    """The file's cell, used as this layer, without the file's own model."""
    text = text_of(name)
    cell = text[text.index("\ncell ") : text.index("\n}\n") + 3]
    return f"{cell}\nmodel Case {{\n    input x: float[time, {FEATURES}]\n\n    {layer}\n}}\n"


@cache
def compiled(name: str, layer: str, dtype: Literal["float32", "float64"]) -> tuple[Model, Arrays]:
    """Once for all tests; with the weights that it starts with."""
    model = rnnspec.compile(with_layer(name, layer), dtype=dtype, seed=0)
    return model, dict(model.weights)


def built(name: str, layer: str, dtype: Literal["float32", "float64"]) -> Model:
    """With the weights that it starts with, whatever test had it before."""
    model, weights = compiled(name, layer, dtype)
    model.set_weights(weights)
    return model


def sequences_of(case: Case) -> Model:
    return built(case.file, case.layer(", return_sequences = true"), "float64")


def drawn_weights(model: Model, random: np.random.Generator) -> dict[str, Array]:
    """Around the initial ones, so that no bias and no peephole is zero and every gain differs."""
    return {name: weight + random.normal(scale=0.3, size=weight.shape) for name, weight in model.weights.items()}


def own(weights: Arrays) -> Arrays:
    """By the names that they have in the cell."""
    return {name.rsplit("/", 1)[1]: weight for name, weight in weights.items()}


def masked_loop(case: Case, weights: Arrays, x: Array, mask: Array) -> Array:
    """The output of every step: where a step is masked, output and states are those of the step before."""
    states: dict[str, Array] = {name: np.zeros((len(x), width)) for name, width in case.states.items()}
    output, outputs = np.zeros((len(x), case.states["h"])), []
    for t in range(x.shape[1]):
        real = mask[:, t, None]
        after = case.step(x[:, t], states, own(weights))
        assert after.keys() == states.keys()
        states = {name: np.where(real, after[name], before) for name, before in states.items()}
        output = np.where(real, after["h"], output)
        outputs.append(output)
    return np.stack(outputs, axis=1)


MASKS: Mapping[str, Sequence[str]] = {
    "full": ["111111", "111111", "111111", "111111", "111111"],
    "right": ["111111", "111110", "111000", "100000", "110000"],
    "left": ["111111", "011111", "000111", "000001", "001111"],
    "holed": ["101101", "110011", "010010", "100001", "011010"],
    "mixed": ["111111", "111000", "000111", "010110", "000000"],
}
"""A row for each sample; the last kind has one of every other, and one without a real step."""


def mask_of(kind: str) -> Array:
    return np.array([[step == "1" for step in row] for row in MASKS[kind]])


@dataclass(frozen=True)
class Batch:
    """`x` holds zeros where a step is masked, `given` NaN: what stands there must not matter."""

    x: Array
    given: Array
    mask: Array


def batch_of(kind: str, random: np.random.Generator) -> Batch:
    mask = mask_of(kind)
    x = random.normal(size=(*mask.shape, FEATURES)) * mask[..., None]
    return Batch(x, np.where(mask[..., None], x, np.nan), mask)


@pytest.mark.parametrize("kind", MASKS)
@every_case
def test_output_of_every_step(case: Case, kind: str) -> None:
    random = np.random.default_rng(1)
    model, batch = sequences_of(case), batch_of(kind, random)
    weights = drawn_weights(model, random)
    model.set_weights(weights)
    expected = masked_loop(case, weights, batch.x, batch.mask)
    np.testing.assert_allclose(model.forward(batch.given, mask=batch.mask), expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 0.01


STEP = 1e-5
"""Of central differences in float64, whose errors are then about 1e-10."""


@pytest.mark.every(2)
@every_case
def test_gradients_are_central_differences(case: Case) -> None:
    """Of every trainable weight and of the input, each along directions of its own, over all kinds of masks in one batch."""
    random = np.random.default_rng(2)
    model, batch = sequences_of(case), batch_of("mixed", random)
    weights = drawn_weights(model, random)
    model.set_weights(weights)
    output, tape = model.forward(batch.given, mask=batch.mask, record=True)
    np.testing.assert_array_equal(output, model.forward(batch.given, mask=batch.mask))
    cotangent = random.normal(size=output.shape)
    gradients = model.backward(tape, cotangent)
    assert not gradients.inputs["x"][~batch.mask].any()

    def loss(changed: Arrays, x: Array) -> float:
        model.set_weights({**weights, **changed})
        return float(np.sum(model.forward(x, mask=batch.mask) * cotangent))

    for weight in model.signature.weights:
        if not weight.trainable:
            continue
        for along in random.normal(size=(2, *weight.shape)):
            ahead, behind = (loss({weight.name: weights[weight.name] + sign * STEP * along}, batch.given) for sign in (1, -1))
            slope = float(np.sum(gradients.weights[weight.name] * along))
            np.testing.assert_allclose(slope, (ahead - behind) / (2 * STEP), rtol=1e-6, atol=1e-9, err_msg=weight.name)
    for along in random.normal(size=(2, *batch.x.shape)):
        ahead, behind = (loss({}, batch.given + sign * STEP * along) for sign in (1, -1))
        slope = float(np.sum(gradients.inputs["x"] * along))
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * STEP), rtol=1e-6, atol=1e-9, err_msg="x")


MERGES: Mapping[str, Callable[[Array, Array], Array]] = {
    "concat": lambda forward, backward: np.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / 2,
}


@pytest.mark.every(3)
@every_file
def test_bidirectional_is_both_directions(name: str) -> None:
    """Two models of one direction each, with the weights of the two inside; of sequences, masked steps are zero."""
    case = OF_A_FILE[name]
    random = np.random.default_rng(3)
    batch = batch_of("mixed", random)
    forward = sequences_of(case)
    backward = built(name, case.layer(", return_sequences = true, go_backwards = true"), "float64")
    weights, other = drawn_weights(forward, random), drawn_weights(forward, random)
    forward.set_weights(weights)
    backward.set_weights(other)
    there, back = forward.forward(batch.given, mask=batch.mask), backward.forward(batch.given, mask=batch.mask)
    one_way, other_way = there * batch.mask[..., None], back[:, ::-1] * batch.mask[..., None]

    def merged(mode: str, options: str) -> Array | tuple[Array, ...]:
        both = built(name, f"Bidirectional({case.layer(options)}, merge_mode = {mode})", "float64")
        both.set_weights([*weights.values(), *other.values()])
        return both.forward(batch.given, mask=batch.mask)

    for mode, merge in MERGES.items():
        np.testing.assert_array_equal(merged(mode, ", return_sequences = true"), merge(one_way, other_way), err_msg=mode)
    for found, expected in zip(merged("none", ", return_sequences = true"), (one_way, other_way), strict=True):
        np.testing.assert_array_equal(found, expected, err_msg="none")
    np.testing.assert_array_equal(merged("concat", ""), MERGES["concat"](there[:, -1], back[:, -1]), err_msg="the last step")


@every_file
def test_batch_mates_and_padding_change_no_bit(name: str) -> None:
    """In float32: every sample alone, without padding and with some in other places, against the whole batch."""
    units = 19
    model = built(name, OF_A_FILE[name].layer(", return_sequences = true", units), "float32")
    random = np.random.default_rng(4)
    mask = random.random((13, 8)) < 0.6
    x = random.normal(size=(*mask.shape, FEATURES)).astype(np.float32)
    whole = model.forward(x, mask=mask)
    for row in range(len(x)):
        steps = np.flatnonzero(mask[row])
        for extra in (0, 4):
            time = len(steps) + extra
            places = np.sort(random.permutation(time)[: len(steps)])
            padded = np.full((1, time, FEATURES), np.nan, np.float32)
            padded[0, places] = x[row, steps]
            real = np.zeros((1, time), bool)
            real[0, places] = True
            assert np.array_equal(model.forward(padded, mask=real)[0, places], whole[row, steps]), f"sample {row}, {extra} more steps"


# Training the files' own models


@every_file
def test_training(name: str) -> None:
    """The mean of the first feature so far is soon learned; every weight moves but the frozen ones."""
    model = rnnspec.compile(FOLDER / f"{name}.rnn", seed=0)
    (source,), (result,) = model.signature.inputs, model.signature.outputs
    random = np.random.default_rng(5)
    x = random.normal(size=(32, 6, source.shape[-1])).astype(np.float32)
    y = x[..., :1].cumsum(axis=1) / np.arange(1, 7)[:, None]
    y = y if len(result.shape) == 2 else y[:, -1]
    before = dict(model.weights)
    losses = [model.train_on_batch(x, y) for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0], losses
    for weight in model.signature.weights:
        assert np.array_equal(model.weights[weight.name], before[weight.name]) is not weight.trainable, weight.name


def test_the_reservoir_is_frozen_and_its_readout_is_not() -> None:
    trainable = {weight.name: weight.trainable for weight in rnnspec.compile(FOLDER / "echo_state.rnn", seed=0).signature.weights}
    assert trainable == {
        "echo_state/kernel": False,
        "echo_state/recurrent_kernel": False,
        "echo_state/bias": False,
        "dense/kernel": True,
        "dense/bias": True,
    }


def test_the_spectral_radius_of_a_reservoir() -> None:
    model = rnnspec.compile(FOLDER / "echo_state.rnn", dtype="float64", seed=0)
    radii = np.abs(np.linalg.eigvals(model.weights["echo_state/recurrent_kernel"]))
    np.testing.assert_allclose(radii, 0.9, rtol=1e-12)


@pytest.mark.parametrize("forget", ["false", "true"])
def test_the_states_of_an_slstm(forget: str) -> None:
    """Any m gives the same h: only the states themselves show that c, n and m are the paper's."""
    case = CASES["slstm_of_exponentials" if forget == "true" else "slstm"]
    text = with_layer("slstm", case.layer(", return_sequences = true"))
    model = rnnspec.compile(text.replace("return h'", "return concat(h', c', n', m')"), dtype="float64", seed=0)
    random = np.random.default_rng(6)
    batch = batch_of("full", random)
    weights = drawn_weights(model, random)
    model.set_weights(weights)
    states: dict[str, Array] = {name: np.zeros((len(batch.x), UNITS)) for name in "hcnm"}
    for t, found in enumerate(model.forward(batch.x).swapaxes(0, 1)):
        states = case.step(batch.x[:, t], states, own(weights))
        np.testing.assert_allclose(found, np.concatenate([*states.values()], axis=-1), rtol=0, atol=1e-12)


def test_exponential_gates_do_not_overflow() -> None:
    """Input and forget gates of exp(600) and exp(-600) in turn, in float32, which ends at exp(88)."""
    model = built("slstm", "SLSTM(2, exponential_forget = true, return_sequences = true)", "float32")
    kernel = np.zeros((FEATURES, 8), np.float32)
    kernel[0, :4], kernel[1, 4:6] = 600, 1
    model.set_weights({**model.weights, "slstm/kernel": kernel})
    x = np.zeros((1, 8, FEATURES), np.float32)
    x[0, :, 0], x[0, :, 1] = [1, -1, 1, 1, -1, -1, 1, -1], np.linspace(-1, 1, 8)
    output, tape = model.forward(x, record=True)
    gradients = model.backward(tape, np.ones_like(output))
    assert np.isfinite(output).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients.weights.values())
    weights = {name: weight.astype(np.float64) for name, weight in model.weights.items()}
    case = Case("slstm", "", slstm_of_exponentials, dict.fromkeys("hcnm", 2))
    np.testing.assert_allclose(output, masked_loop(case, weights, x.astype(np.float64), np.ones((1, 8), bool)), rtol=0, atol=1e-4)


# Kernels

ONE = "elementwise in the states but for h @ U, which all gates share"
STEPS: Mapping[str, tuple[Sequence[str], str]] = {
    "peephole_lstm": (["contract 4"], f"{ONE}; the output gate's peephole reads c' of its own unit, which is in a register"),
    "coupled_lstm": (["contract 3"], f"{ONE}; one gate serves twice"),
    "projected_lstm": (["contract 4", "contract 1"], "the projection needs all units of o * tanh(c') before its first sum"),
    "minimal_gated_unit": (["contract 1", "contract 1"], "the candidate's product needs all units of f * h"),
    "layer_norm_lstm": (
        ["contract 4", "sum", "sum", "map", "map", "sum", "sum", "map"],
        "a mean needs all units, a variance the mean, the gates both, the last one later, for which what the row is divided by "
        "is kept, and so again for the cell; x @ W is normed before the scan",
    ),
    "ind_rnn": (["map"], "each unit reads its own past only; x @ W is outside of the scan"),
    "min_gru": (["map"], "gate and candidate are outside of the scan, all matmuls with them"),
    "slstm": (["contract 4"], f"{ONE}; m', c', n' and h' follow from each other unit by unit"),
    "euler_ode": (["contract 1"], ONE),
    "echo_state": (["contract 1"], ONE),
    "phased_lstm": (["contract 4", "map"], f"{ONE}; the clock, one for all units, is a nest of its own width"),
}
"""The nests of a step in their order, with the matmuls that a contraction does at once, and what each waits for."""


def compilation_of(name: str) -> Compilation:
    tree = parse(SourceFile(f"{name}.rnn", text_of(name)))
    return Compilation(tree, resolve(tree), "float32", AVX2)


def steps_of(name: str) -> list[ScanLoop]:
    function = compilation_of(name).kernels(Variant("forward", False)).function
    return [node for node in function.nodes if isinstance(node, ScanLoop)]


def described(node: Node) -> str:
    match node:
        case FusedLoop(body=body):
            contractions = [statement for statement in body if isinstance(statement, Contract)]
            assert len(contractions) < 2
            return f"contract {len(contractions[0].names)}" if contractions else "map"
        case RowReduce(kind=kind):
            return kind.value
        case _:
            raise AssertionError(node)


@every_file
def test_kernels(name: str, regenerate: bool) -> None:
    text = print_kernels(compilation_of(name).kernels(Variant("forward", False)).module)
    path = GOLDEN / f"{name}.txt"
    if regenerate:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_kernels_of_other_cells() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == NAMES


@every_file
def test_nests_of_a_step(name: str) -> None:
    """As few as the data flow allows, in every layer of the file's model."""
    expected, why = STEPS[name]
    for scan in steps_of(name):
        assert [described(node) for node in scan.body] == expected, why


@pytest.mark.parametrize("name", [name for name in NAMES if len(STEPS[name][0]) == 1])
def test_nothing_is_stored_between_contraction_and_update(name: str) -> None:
    """In a step of one nest the stores are its end: each new state once, and the output where all steps are wanted."""
    for scan in steps_of(name):
        (step,) = scan.body
        assert isinstance(step, FusedLoop)
        stores = [statement for statement in step.body if isinstance(statement, Store)]
        assert step.body[-len(stores) :] == tuple(stores)
        assert isinstance(step.body[-len(stores) - 1], Map)
        stored = [store.access.buffer for store in stores]
        following = [state.following for state in scan.states]
        assert [buffer for buffer in stored if buffer in following] == following
        assert len(stored) - len(following) <= 1


# What a cell can't be

REFUSED: Mapping[str, tuple[str, str]] = {
    "a product of two states": (
        """\
cell Attending(units) {
    weight query [features, units] = glorot_uniform
    state h [units], c [units]

    h' = tanh(x @ query)
    c' = h @ c
    return h'
}
""",
        """\
error[E0302]: `@` multiplies a value of the step with a weight matrix
  --> <spec>:6:14
   |
 6 |     c' = h @ c
   |              ^ the right side is a value of the step
   |
   = help: write `value @ weight`, with the weight's first dimension as wide as the value
""",
    ),
    "a state that is a matrix": (
        """\
cell MatrixMemory(units) {
    weight key   [features, units] = glorot_uniform
    weight value [features, units] = glorot_uniform
    state memory [units, units]

    memory' = memory + (x @ value) * (x @ key)
    return memory'
}
""",
        """\
error[E0322]: the state `memory` has 2 dimensions
  --> <spec>:4:11
   |
 4 |     state memory [units, units]
   |           ^^^^^^ a state is a row
""",
    ),
    "a state read after the step before it is computed": (
        """\
cell Peeping(units) {
    weight kernel   [features, 2 * units] = glorot_uniform
    weight peephole [units]               = zeros
    state h [units], c [units]

    g, o = split(x @ kernel, 2)
    h' = sigmoid(o + peephole * c') * tanh(c)
    c' = c + tanh(g)
    return h'
}
""",
        """\
error[E0304]: `c'` is read before its equation
  --> <spec>:7:33
   |
 7 |     h' = sigmoid(o + peephole * c') * tanh(c)
   |                                 ^^ not computed yet
   |
   = help: `c` without the prime is its value before the step
""",
    ),
    "a choice that the data make": (
        """\
cell Skipping(units) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    weight skip             [units, 1]        = zeros
    state h [units]

    h' = h if h @ skip > 0 else tanh(x @ kernel + h @ recurrent_kernel)
    return h'
}
""",
        """\
error[E0318]: a choice that depends on the step
  --> <spec>:7:15
   |
 7 |     h' = h if h @ skip > 0 else tanh(x @ kernel + h @ recurrent_kernel)
   |               ^^^^^^^^^^^^ not known when the spec is compiled
   |
   = help: `if`, `when` and `not` choose between variants of equations; inside a step use `where`, `min`, `max` and `clip`
   = help: `where(condition, a, b)` chooses in every step
""",
    ),
    "a state as wide as another": (
        """\
cell Projected(units, proj_size = 2) {
    weight kernel           [features, 2 * units]  = glorot_uniform
    weight recurrent_kernel [proj_size, 2 * units] = orthogonal
    state h [proj_size], c [units]

    g, o = split(x @ kernel + h @ recurrent_kernel, 2)
    c' = c + tanh(g)
    h' = sigmoid(o) * tanh(c')
    return h'
}
""",
        """\
error[E0312]: the equation of `h'` doesn't fit the state
   --> <spec>:8:10
    |
  4 |     state h [proj_size], c [units]
    |           - declared here: [2]
  8 |     h' = sigmoid(o) * tanh(c')
    |          ^^^^^^^^^^^^^^^^^^^^^ has [4], the state has [2]
 15 |     Projected(4)
    |     --------- used here, with `features` = 3
""",
    ),
    "a recurrent matrix of another width": (
        """\
cell Misfit(units, proj_size = 2) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    state h [proj_size]

    h' = tanh(x @ kernel + h @ recurrent_kernel)
    return h'
}
""",
        """\
error[E0303]: the sides of `@` don't fit
   --> <spec>:6:28
    |
  6 |     h' = tanh(x @ kernel + h @ recurrent_kernel)
    |                            ^^^^^^^^^^^^^^^^^^^^ 2 features on the left, but the weight is [4, 4]
 13 |     Misfit(4)
    |     ------ used here, with `features` = 3
""",
    ),
    "without a state": (
        """\
cell Pointwise(units) {
    weight kernel [features, units] = glorot_uniform

    return tanh(x @ kernel)
}
""",
        """\
error[E0317]: the cell Pointwise has no state
  --> <spec>:1:6
   |
 1 | cell Pointwise(units) {
   |      ^^^^^^^^^ needs a `state`: without one nothing recurs
""",
    ),
}


@pytest.mark.parametrize(("cell", "shown"), REFUSED.values(), ids=REFUSED)
def test_what_a_cell_cannot_be(cell: str, shown: str) -> None:
    name = cell[len("cell ") : cell.index("(")]
    with pytest.raises(rnnspec.SpecError) as caught:
        rnnspec.compile(f"{cell}\nmodel Case {{\n    input x: float[time, {FEATURES}]\n\n    {name}(4)\n}}\n")
    assert str(caught.value) == shown
