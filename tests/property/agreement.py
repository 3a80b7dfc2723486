"""One drawn model: what compiled code gives, against the IR's interpreter, the numpy oracle and central differences."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import SpecError, SpecWarning, render_all
from rnnspec.driver import commands, source_files
from rnnspec.frontend.graph.graph import Graph, StepMask
from rnnspec.frontend.model.lower import Precision, lower
from rnnspec.frontend.model.packing import sequences
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.signature import signature
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Module, Role
from rnnspec.ir.verify import verify
from rnnspec.passes.differentiate import Differentiate
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from tests import reference
from tests.property.damage import MOST_WEIGHTS, called_as
from tests.property.drawn_model import MAIN, DrawnModel, exact_padding, long_enough
from tests.property.uses import check_predictions, check_training, listed
from tests.specs import UNTRAINED

Array = NDArray[Any]

STEP = 1e-5
TOLERANCE: Mapping[str, float] = {"float64": 1e-9, "float32": 2e-5}
"""Of the largest value."""


def accepted(drawn: DrawnModel, folder: Path) -> Graph | SpecError:
    """The graph of a drawn spec written into a folder; every diagnostic's spans lie inside their texts."""
    for path, text in drawn.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree, _ = source_files.parse_all(source_files.read_spec(folder / MAIN))
            graph = resolve(tree, drawn.parameters)
    except SpecError as error:
        check_spans(error)
        return error
    assert render_all(graph.warnings).count("warning[W") == len(graph.warnings)
    return graph


def check_spans(error: SpecError) -> None:
    assert error.diagnostics
    assert str(error).count("error[E") >= len(error.diagnostics)
    for diagnostic in error.diagnostics:
        for span in (diagnostic.span, *(label.span for label in diagnostic.secondary)):
            assert 0 <= span.start <= span.stop <= len(span.source.text)


def check_formatted(drawn: DrawnModel, graph: Graph) -> None:
    """The formatted spec means the same, and is its own formatted form."""
    formatted = commands.format(drawn.text + "\n")[1]
    assert commands.format(formatted)[1] == formatted
    if len(drawn.files) == 1:
        assert resolve(source_files.parse_all(SourceFile.of_text(formatted))[0], drawn.parameters) == graph


@dataclass(frozen=True)
class Subject:
    """A compiled model with random weights, and its tensor IR before any pass, differentiated as it stands."""

    drawn: DrawnModel
    graph: Graph
    model: Model
    weights: Mapping[str, Array]
    dtype: Precision
    training: bool

    @cached_property
    def module(self) -> Module:
        return Differentiate().run(lower(self.graph, dtype=self.dtype, training=self.training))

    def near(self, found: Sequence[Array], expected: Sequence[Array], what: str) -> None:
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert one.shape == other.shape, f"{what} {place}: {one.shape}, expected {other.shape}"
            near(one, other, TOLERANCE[self.dtype], f"{what} {place}")

    def arguments(self, inputs: Mapping[str, Array], masks: Mapping[str, Array], key: int = 0) -> dict[str, Any]:
        given: dict[str, Any] = {name: value[..., None] if value.dtype.kind == "i" else value for name, value in inputs.items()}
        given |= {f"{name}.mask": mask for name, mask in masks.items()}
        given |= self.weights
        for parameter in self.module.function("forward").parameters:
            if parameter.role is Role.KEY:
                given[parameter.value.name] = np.int32(np.uint32(key).view(np.int32))
            elif parameter.role is Role.WEIGHT:
                given[parameter.value.name] = flattened(given[parameter.value.name], parameter.value.type.rank)
        return given


def flattened(weight: Array, rank: int) -> Array:
    """A weight as the IR has it: a kernel of windows with its first axes as one."""
    return weight if weight.ndim <= rank else weight.reshape(-1, *weight.shape[1 - rank :])


def near(found: Array, expected: Array, tolerance: float, what: str) -> None:
    """Within a tolerance of the largest value, 1 at least."""
    finite = np.isfinite(expected)
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    if scale > 1e6:
        return
    np.testing.assert_allclose(found[finite], expected[finite], rtol=0, atol=tolerance * scale, err_msg=what)


def subject(drawn: DrawnModel, graph: Graph, folder: Path, dtype: Precision, training: bool) -> Subject:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecWarning)
        model = rnnspec.compile(folder / MAIN, dtype=dtype, seed=1, parameters=drawn.parameters)
    random = np.random.default_rng(drawn.seed)
    weights = {name: random.normal(scale=0.5, size=weight.shape).astype(dtype) for name, weight in model.weights.items()}
    weights = {name: np.abs(weight) + 0.1 if name.endswith("variance") else weight for name, weight in weights.items()}
    model.set_weights(weights)
    return Subject(drawn, graph, model, weights, dtype, training)


def check_agreement(drawn: DrawnModel, graph: Graph, folder: Path, *, dtype: Precision, training: bool, thorough: bool) -> bool:
    """All of it for one model, in two calls if it is stateful; whether the numpy oracle could be asked.

    `thorough`: the code without a tape, central differences and the stream as well.
    """
    tested = subject(drawn, graph, folder, dtype, training)
    states: Mapping[str, Array] = {state.name: np.zeros((drawn.batch, state.width)) for state in tested.model.signature.states}
    carried: Sequence[Sequence[Array]] | None = None
    for number in range(2 if states else 1):
        states, carried = check_call(tested, number, states, carried, thorough)
    if thorough and not states:
        check_uses(tested, folder)
    if thorough and not training and not tested.model.signature.stream.refusal:
        check_stream(tested)
    return carried is not None


def check_call(
    tested: Subject, number: int, states: Mapping[str, Array], carried: Any, thorough: bool
) -> tuple[dict[str, Array], Sequence[Sequence[Array]] | None]:
    """One call, forward and backward; the states after it, by name and as the oracle has them."""
    drawn, model, dtype = tested.drawn, tested.model, tested.dtype
    model.set_weights(tested.weights)
    inputs, masks = drawn.call(number)
    typed = {name: value.astype(dtype) if value.dtype.kind == "f" else value for name, value in inputs.items()}
    inputs = {name: value.astype(np.float64) if value.dtype.kind == "f" else value for name, value in typed.items()}
    nonsense = {name: with_nonsense(value, masks.get(name)) for name, value in typed.items()}
    outputs, tape = model.forward(nonsense, mask=masks or None, training=tested.training, record=True)
    found = listed(outputs)

    arguments = {**tested.arguments(inputs, masks, tape.key), **states}
    results = interpret(tested.module.function("forward"), arguments)
    expected = [np.asarray(value) for (role, _), value in results.items() if role is Role.OUTPUT]
    tested.near(found, expected, "output")
    for (role, name), value in results.items():
        if role is Role.UPDATE:
            near(model.weights[name], np.asarray(value), TOLERANCE[dtype], f"{name} after the call")
    if thorough and not states and not tested.training:
        tested.near(listed(model.forward(nonsense, mask=masks or None)), expected, "output without a tape")

    random = np.random.default_rng(drawn.seed)
    cotangents = [random.normal(size=output.shape).astype(dtype) for output in found]
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    for name, gradient in gradients.inputs.items():
        assert name not in masks or not gradient[~masks[name]].any(), f"gradient of {name} at masked steps"
    given = {**arguments, **{name: value for (role, name), value in results.items() if role is Role.RESIDUAL}}
    names = [name for (role, name) in results if role is Role.OUTPUT]
    backward = tested.module.function("backward")
    by_name = dict(zip(names, cotangents, strict=True))
    derived = {name: np.asarray(value) for (_, name), value in interpret(backward, _read(backward, given, by_name)).items()}
    actual = {**gradients.weights, **gradients.inputs}
    assert set(derived) >= {name for name, value in actual.items() if value.size}
    for name, value in actual.items():
        exact = derived.get(name, np.zeros(value.shape)).reshape(value.shape)
        try:
            near(value, exact, TOLERANCE[dtype], f"gradient of {name}")
        except AssertionError:
            if dtype == "float64" or not cancels(tested, arguments, by_name, name, value, exact):
                raise

    if thorough:
        check_differences(tested, arguments, cotangents, derived, masks)
    after = {name: np.asarray(value) for (role, name), value in results.items() if role is Role.STATE}
    if drawn.known and not any_drops(tested):
        return after, check_oracle(tested, number, inputs, masks, carried, found, cotangents, actual)
    return after, None


def cancels(
    tested: Subject, arguments: Mapping[str, Array], cotangents: Mapping[str, Array], name: str, found: Array, exact: Array
) -> bool:
    """Whether a gradient's error is that of its dtype: the interpreter, computing in it too, is off by as much, a factor of 8 aside.

    So it is where large terms cancel, such as those of a bias before two batch normalizations, whose gradient is 0.
    """

    forward, backward = (tested.module.function(name) for name in ("forward", "backward"))
    results = interpret(forward, arguments, rounded=True)
    given = {**arguments, **{name: value for (role, name), value in results.items() if role is Role.RESIDUAL}}
    rough = {name: np.asarray(value) for (_, name), value in interpret(backward, _read(backward, given, cotangents), rounded=True).items()}
    error = np.abs(rough[name].reshape(exact.shape) - exact).max(initial=0.0)
    return bool(np.abs(found - exact).max(initial=0.0) <= 8 * error)


def _read(function: Function, given: Mapping[str, Array], cotangents: Mapping[str, Array]) -> dict[str, Array]:
    """What a function takes of what there is, by name."""
    return {
        each.value.name: cotangents[each.value.name] if each.role is Role.COTANGENT else given[each.value.name]
        for each in function.parameters
    }


def any_drops(tested: Subject) -> bool:
    return any(parameter.role is Role.KEY for parameter in tested.module.function("forward").parameters)


def with_nonsense(value: Array, mask: Array | None) -> Array:
    """An input with NaN, or an id that there isn't, in its masked steps."""
    if mask is None:
        return value
    nonsense = np.full_like(value, -7 if value.dtype.kind == "i" else np.nan)
    return np.where(mask.reshape(*mask.shape, *([1] * (value.ndim - 2))), value, nonsense)


def directions(tested: Subject, arguments: Mapping[str, Array], masks: Mapping[str, Array]) -> dict[str, Array]:
    """A random direction through weights and inputs; nothing moves that a mask or a layer may see."""
    random = np.random.default_rng(tested.drawn.seed + 1)
    along = {name: random.normal(size=value.shape) for name, value in tested.weights.items()}
    along |= {name: np.zeros_like(value) for name, value in along.items() if name.endswith(UNTRAINED)}
    for name, shape in tested.drawn.shapes.items():
        if not shape.ids:
            value = arguments[name]
            along[name] = random.normal(size=value.shape)
            if shape.sequence:
                still = ~masks[name] | (value == 0).all(axis=-1) | (value == 1).all(axis=-1)
                along[name] *= ~still[..., None]
    return along


def slope_of(along: Mapping[str, Array], gradients: Mapping[str, Array]) -> tuple[float, float]:
    """The slope along a direction, and the sum of its parts' sizes."""
    products = [np.asarray(gradients[name], np.float64).ravel() * along[name].ravel() for name in along if name in gradients]
    return sum(float(product.sum()) for product in products), sum(float(np.abs(product).sum()) for product in products)


def check_differences(
    tested: Subject,
    arguments: Mapping[str, Array],
    cotangents: Sequence[Array],
    derived: Mapping[str, Array],
    masks: Mapping[str, Array],
) -> None:
    """The derivative against differences of the interpreter's results, where no kink is near."""
    along = directions(tested, arguments, masks)
    function = tested.module.function("forward")

    def total(step: float) -> float:
        moved = {
            **arguments,
            **{name: arguments[name] + step * direction.reshape(arguments[name].shape) for name, direction in along.items()},
        }
        outputs = [value for (role, _), value in interpret(function, moved).items() if role is Role.OUTPUT]
        return sum(float(np.sum(np.asarray(output) * cotangent)) for output, cotangent in zip(outputs, cotangents, strict=True))

    slope, size = slope_of(along, derived)
    middle, ahead, behind = total(0.0), total(STEP), total(-STEP)
    smooth = abs(ahead - 2 * middle + behind) / STEP < 1e-3 * max(1.0, size)
    if smooth and np.isfinite(slope) and size < 1e6:
        numeric = (ahead - behind) / (2 * STEP)
        finer = (total(STEP / 8) - total(-STEP / 8)) / (STEP / 4)
        if abs(numeric - finer) < 1e-6 * max(1.0, size):
            np.testing.assert_allclose(slope, numeric, rtol=0, atol=5e-6 * max(1.0, size), err_msg="central differences")


def check_oracle(
    tested: Subject,
    number: int,
    inputs: Mapping[str, Array],
    masks: Mapping[str, Array],
    carried: Any,
    found: Sequence[Array],
    cotangents: Sequence[Array],
    actual: Mapping[str, Array],
) -> Sequence[Sequence[Array]]:
    """The numpy oracle's outputs, and its slope by a complex step, where no kink is near."""
    drawn, weights = tested.drawn, [np.asarray(value, np.float64) for value in tested.weights.values()]
    # A caller's mask that masks nothing is none here: Keras's batch normalization counts 1e-7 steps more with one.
    # A sequence of no steps has a mask all the same: there are no windows over it.
    given = {name: np.ones(value.shape[:2], bool) for name, value in inputs.items() if value.ndim > 1 and not value.shape[1]}
    given |= {name: mask for name, mask in masks.items() if not mask.all()}
    with np.errstate(all="ignore"):
        ran = reference.run_graph(drawn.graph, weights, inputs, given, tested.training, carried)
    for place, value in ran.call.updates.items():
        name = list(tested.weights)[place]
        near(tested.model.weights[name], np.asarray(value), TOLERANCE[tested.dtype], f"{name} of the oracle")
    counted: list[Array] = []
    for place, (flow, shape) in enumerate(zip(ran.outputs, drawn.outputs, strict=True)):
        same = np.ones(flow.value.shape, bool)
        if flow.mask is not None and not exact_padding(shape):
            same &= flow.mask[..., None]
        near(found[place][same], flow.value[same], TOLERANCE[tested.dtype], f"output {place} of the oracle")
        counted.append(np.where(same, cotangents[place], 0.0))
    if all(np.array_equal(one, other) for one, other in zip(counted, cotangents, strict=True)):
        along = directions(tested, {**inputs, **tested.weights}, masks)

        def total(step: complex) -> Any:
            moved = [weight + step * along[name] for name, weight in zip(tested.weights, weights, strict=True)]
            moved_inputs = {name: value + step * along[name] if name in along else value for name, value in inputs.items()}
            with np.errstate(all="ignore"):
                outputs = reference.run_graph(drawn.graph, moved, moved_inputs, given, tested.training, carried).outputs
            return sum(np.sum(flow.value * cotangent) for flow, cotangent in zip(outputs, cotangents, strict=True))

        slope, size = slope_of(along, actual)
        if np.isfinite(slope) and size < 1e6:
            expected = float(np.imag(total(1j * reference.STEP))) / reference.STEP
            wrong = abs(slope - expected) > TOLERANCE[tested.dtype] * max(1.0, size)
            middle, ahead, behind = (float(np.real(total(step))) for step in (0.0, STEP, -STEP))
            kink = abs(ahead - 2 * middle + behind) / STEP > 1e-3 * max(1.0, size)
            assert not wrong or kink, f"slope {slope}, of the oracle {expected}, size {size}"
    return ran.call.kept


def check_uses(tested: Subject, folder: Path) -> None:
    """What `tests.property.uses` has, from the weights that the model was given."""
    drawn, model = tested.drawn, tested.model
    inputs, masks = drawn.call(0)
    typed = {name: value.astype(tested.dtype) if value.dtype.kind == "f" else value for name, value in inputs.items()}
    model.set_weights(tested.weights)
    if tested.training:
        if not any_drops(tested):
            check_training(drawn, model, typed, masks, lambda one, other, what: near(one, other, TOLERANCE[tested.dtype], what))
    else:
        check_predictions(drawn, model, typed, masks, folder)
    model.set_weights(tested.weights)


def check_stream(tested: Subject) -> None:
    """Step by step the same bits; the caller's masks are of the whole sequence, so there are none here."""
    drawn, signature = tested.drawn, tested.model.signature
    inputs, _ = drawn.call(0)
    typed = {name: value.astype(tested.dtype) if value.dtype.kind == "f" else value for name, value in inputs.items()}
    lengths = {name: typed[name].shape[1] for name, shape in drawn.shapes.items() if shape.sequence}
    if drawn.batch == 0 or len(set(lengths.values())) != 1 or 0 in lengths.values():
        return
    tested.model.reset_states()
    whole = listed(tested.model.forward(typed))
    stream = tested.model.stream(drawn.batch)
    steps = [
        listed(stream.step({name: value[:, step] if name in lengths else value for name, value in typed.items()}))
        for step in range(next(iter(lengths.values())))
    ]
    for place, output in enumerate(signature.outputs):
        shown = [each[place] for each in steps if each[place] is not None]
        assert np.array_equal(np.stack(shown, axis=1) if output.is_sequence else shown[-1], whole[place]), f"stream, {output.name}"


def check_damaged(drawn: DrawnModel, *, compiled: bool) -> str:
    """ "refused", "accepted", or "compiled" where it was accepted, is small and was to be compiled."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = accepted(drawn, folder)
        if isinstance(graph, SpecError):
            return "refused"
        check_formatted(drawn, graph)
        tables = {source.name: source.vocabulary for source in signature(graph, "float64").inputs}
        called = called_as(drawn, graph, tables)
        if called is None or sum(prod(weight.shape) for weight in graph.weights) > MOST_WEIGHTS:
            return "accepted"
        verify(lower(graph, dtype="float64", training=True))
        if compiled:
            check_agreement(called, graph, folder, dtype="float64", training=False, thorough=False)
        return "compiled" if compiled else "accepted"


def check_model(drawn: DrawnModel, *, dtype: Precision, training: bool, thorough: bool) -> str:
    """ "refused", or "compared" with the interpreter alone or with both oracles."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = accepted(drawn, folder)
        if isinstance(graph, SpecError):
            assert not drawn.sound, f"refused:\n{graph}"
            return "refused"
        check_formatted(drawn, graph)
        if not drawn.sound:
            lengths = [steps.length for steps in sequences(graph) if isinstance(steps, StepMask)]
            drawn = replace(drawn, times=long_enough(drawn.times, lengths))
        both = check_agreement(drawn, graph, folder, dtype=dtype, training=training, thorough=thorough)
        return "compared with the interpreter and the numpy oracle" if both else "compared with the interpreter alone"
