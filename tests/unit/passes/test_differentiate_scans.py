"""Gradients through scans: every mask, both directions, and all that a region may carry, stack, sum and use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.contract.dimensions import BATCH, ROWS, Name
from rnnspec.ir.builder import Builder, ScanBuilder
from rnnspec.ir.ops import Binary as BinaryOperation
from rnnspec.ir.ops import BinaryKind, CompareKind, Matmul, Module, Reduce, Result, Role, Scan, Value
from rnnspec.ir.traverse import definitions
from rnnspec.ir.types import DType, TensorType
from tests.unit.passes.gradient_check import Array, check_gradients, differentiate, run_backward

F64 = DType.F64
WIDTH = 2
OF_BATCH = TensorType(F64, (BATCH, WIDTH))


@dataclass
class Model:
    """A model over one packed sequence `x`, [tokens, 2], in the making."""

    body: Builder
    index: Value
    x: Value

    @classmethod
    def start(cls) -> Model:
        body = Builder()
        sequence = body.parameter(Role.INPUT, "x", TensorType(F64, (BATCH, Name("time"), WIDTH)))
        index = body.index(body.parameter(Role.MASK, "x.mask", TensorType(DType.I1, (BATCH, Name("time")))))
        return cls(body, index, body.pack(sequence, index))

    def weight(self, name: str, *shape: int) -> Value:
        return self.body.parameter(Role.WEIGHT, name, TensorType(F64, shape))

    def row_input(self, name: str) -> Value:
        """A row input in sorted order."""
        return self.body.sort_rows(self.body.parameter(Role.INPUT, name, OF_BATCH), self.index)

    def zeros(self) -> Value:
        return self.body.constant(0.0, OF_BATCH)

    def module(self, *, rows: Sequence[Value] = (), sequences: Sequence[Value] = (), hold: bool = False, flip: bool = False) -> Module:
        """Finals and stacks as outputs."""
        results = [Result(Role.OUTPUT, f"row_{place}", self.body.restore_rows(value, self.index)) for place, value in enumerate(rows)]
        for place, value in enumerate(sequences):
            fill = self.body.constant(0.0, TensorType(F64, (1, WIDTH)))
            shown = self.body.unpack(value, fill, self.index, hold=hold, flip=flip)
            results.append(Result(Role.OUTPUT, f"sequence_{place}", shown))
        return Module("M", (self.body.function("forward", results),))


def recurrent(*, reverse: bool, hold: bool = False, flip: bool = False) -> Module:
    """h' = tanh(x + h U) from an initial state, finals and all steps shown."""
    model = Model.start()
    recurrent_kernel = model.weight("recurrent_kernel", WIDTH, WIDTH)
    step = model.body.scan(model.index, [model.row_input("initial")], [model.x], reverse=reverse)
    after = step.tanh(step.add(step.slices[0], step.matmul(step.carried[0], recurrent_kernel)))
    scan = step.finish([after], [after])
    return model.module(rows=scan.finals, sequences=scan.stacks, hold=hold, flip=flip)


MASKS = st.integers(1, 4).flatmap(
    lambda batch: st.integers(1, 4).flatmap(
        lambda time: st.lists(st.lists(st.booleans(), min_size=time, max_size=time), min_size=batch, max_size=batch).map(np.array)
    )
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(MASKS, st.booleans(), st.booleans(), st.booleans())
def test_any_mask(mask: Array, reverse: bool, hold: bool, flip: bool) -> None:
    gradient = check_gradients(recurrent(reverse=reverse, hold=hold, flip=flip), mask=mask)["x"]
    assert np.all(gradient[~mask] == 0.0)


def test_no_real_step_at_all() -> None:
    gradients = check_gradients(recurrent(reverse=False), mask=np.zeros((3, 4), np.bool_))
    assert np.all(gradients["recurrent_kernel"] == 0.0)
    assert np.all(gradients["initial"] != 0.0)


def test_masked_content_never_reaches_a_gradient() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    module = recurrent(reverse=False, hold=True)
    content = np.random.default_rng(3).normal(size=(2, 3, WIDTH))
    content[~mask] = np.nan
    arguments = {"x": content, "x.mask": mask, "initial": np.full((2, WIDTH), 0.1), "recurrent_kernel": np.eye(WIDTH)}
    cotangents = {"row_0": np.ones((2, WIDTH)), "sequence_0": np.ones((2, 3, WIDTH))}
    gradients = run_backward(differentiate(module), arguments, cotangents)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients.values())
    assert np.all(gradients["x"][~mask] == 0.0)


StepOf = Callable[[Model], Callable[[ScanBuilder], tuple[list[Value], list[Value]]]]


def check_step(carried: int, make: StepOf, *, shown_finals: Sequence[int] | None = None) -> Module:
    """Checks a scan over x whose step `make` gives as carries and stacks, in both directions."""
    modules: list[Module] = []
    for reverse in (False, True):
        model = Model.start()
        inits = [model.row_input(f"initial_{place}") for place in range(carried)]
        define = make(model)
        step = model.body.scan(model.index, inits, [model.x], reverse=reverse)
        scan = step.finish(*define(step))
        finals = scan.finals if shown_finals is None else [scan.finals[place] for place in shown_finals]
        modules.append(model.module(rows=finals, sequences=scan.stacks))
        check_gradients(modules[-1])
    return modules[0]


def test_a_carried_output_that_no_step_reads() -> None:
    def make(model: Model) -> Callable[[ScanBuilder], tuple[list[Value], list[Value]]]:
        def define(step: ScanBuilder) -> tuple[list[Value], list[Value]]:
            after = step.tanh(step.add(step.carried[0], step.slices[0]))
            return [after, after], [after]

        return define

    check_step(2, make)
    check_step(2, make, shown_finals=[1])


def test_a_state_that_is_reset_and_one_that_only_its_init_reaches() -> None:
    def make(model: Model) -> Callable[[ScanBuilder], tuple[list[Value], list[Value]]]:
        def define(step: ScanBuilder) -> tuple[list[Value], list[Value]]:
            first, second = step.carried
            return [step.constant_like(0.3, first), step.mul(second, step.constant_like(0.5, second))], [step.mul(first, second)]

        return define

    check_step(2, make)


def test_states_that_change_places_and_a_slice_that_becomes_one() -> None:
    def make(model: Model) -> Callable[[ScanBuilder], tuple[list[Value], list[Value]]]:
        def define(step: ScanBuilder) -> tuple[list[Value], list[Value]]:
            first, second = step.carried
            return [second, step.slices[0]], [step.mul(first, second), step.slices[0], first]

        return define

    check_step(2, make)


def test_a_state_that_no_output_depends_on_is_not_walked_back() -> None:
    def make(model: Model) -> Callable[[ScanBuilder], tuple[list[Value], list[Value]]]:
        def define(step: ScanBuilder) -> tuple[list[Value], list[Value]]:
            first, second = step.carried
            after = step.tanh(step.add(first, step.slices[0]))
            return [after, step.exp(step.mul(after, second))], []

        return define

    backward = differentiate(check_step(2, make, shown_finals=[0])).function("backward")
    (scan,) = (operation for operation in backward.operations if isinstance(operation, Scan))
    assert len(scan.region.carried) == 1


def test_a_dropout_mask_that_every_step_shares_is_carried_back() -> None:
    model = Model.start()
    key = model.body.parameter(Role.KEY, "key", TensorType(DType.I32, ()))
    drawn = model.body.random(key, 0, OF_BATCH)
    kept = model.body.sort_rows(model.body.compare(CompareKind.GE, drawn, model.body.constant_like(0.5, drawn)), model.index)
    step = model.body.scan(model.index, [model.zeros(), kept, model.row_input("factor")], [model.x])
    state, keep, factor = step.carried
    dropped = step.select(keep, step.mul(state, factor), step.constant_like(0.0, state))
    after = step.tanh(step.add(dropped, step.slices[0]))
    scan = step.finish([after, keep, factor], [after])
    module = model.module(sequences=scan.stacks)
    check_gradients(module, arguments={"key": np.array(5, np.int32)})
    forward, backward = differentiate(module).functions
    (reverse,) = (operation for operation in backward.operations if isinstance(operation, Scan))
    assert {keep, factor} <= set(reverse.region.carried)
    (extended,) = (operation for operation in forward.operations if isinstance(operation, Scan))
    assert extended.region.stacks == (after, state)


def test_sums_over_steps() -> None:
    model = Model.start()
    weight = model.weight("weight", WIDTH, WIDTH)
    step = model.body.scan(model.index, [], [model.x])
    product = step.matmul(step.slices[0], weight)
    scan = step.finish([], [], [step.reduce_sum(step.exp(product), 0), step.matmul(step.slices[0], product, transpose_left=True)])
    total = model.body.broadcast(model.body.tanh(scan.sums[0]), (BATCH, WIDTH))
    check_gradients(model.module(rows=[model.body.matmul(total, scan.sums[1])]))


@pytest.mark.parametrize("shape", [(), (1,), (WIDTH,), (1, 1), (1, WIDTH)])
@pytest.mark.parametrize("through", ["itself", "exp"])
def test_fixed_values_in_a_step(shape: tuple[int, ...], through: str) -> None:
    model = Model.start()
    weight = model.weight("weight", *shape)
    step = model.body.scan(model.index, [model.zeros()], [model.x])
    used = step.exp(weight) if through == "exp" else weight
    rate = step.broadcast(used, (ROWS, WIDTH))
    after = step.tanh(step.add(step.mul(rate, step.carried[0]), step.slices[0]))
    module = model.module(sequences=step.finish([after], [after]).stacks)
    check_gradients(module)
    assert_sums_can_leave(module)


def test_one_weight_used_in_many_ways() -> None:
    model = Model.start()
    weight = model.weight("weight", WIDTH, WIDTH)
    step = model.body.scan(model.index, [model.zeros()], [model.x])
    first, second = step.split(weight, 2, 0)
    both = step.add(step.matmul(step.carried[0], weight), step.matmul(step.slices[0], weight, transpose_right=True))
    shifted = step.add(both, step.broadcast(step.mul(first, second), (ROWS, WIDTH)))
    after = step.tanh(step.add(shifted, step.broadcast(second, (ROWS, WIDTH))))
    module = model.module(sequences=step.finish([after], [after]).stacks)
    check_gradients(module)
    assert_sums_can_leave(module)


def test_layer_normalisation_in_a_step() -> None:
    model = Model.start()
    kernel, scale = model.weight("kernel", WIDTH, 3), model.weight("scale", 3)
    back = model.weight("back", 3, WIDTH)
    step = model.body.scan(model.index, [model.zeros()], [model.x])
    z = step.matmul(step.add(step.carried[0], step.slices[0]), kernel)
    count = step.constant(1 / 3, TensorType(F64, (ROWS, 1)))
    centred = step.sub(z, step.broadcast(step.mul(step.reduce_sum(z, 1), count), (ROWS, 3)))
    variance = step.mul(step.reduce_sum(step.mul(centred, centred), 1), count)
    deviation = step.sqrt(step.add(variance, step.constant_like(0.1, variance)))
    normal = step.mul(step.div(centred, step.broadcast(deviation, (ROWS, 3))), step.broadcast(scale, (ROWS, 3)))
    after = step.tanh(step.matmul(normal, back))
    check_gradients(model.module(sequences=step.finish([after], [after]).stacks))


def test_table_rows_taken_in_a_step() -> None:
    model = Model.start()
    ids = model.body.parameter(Role.INPUT, "ids", TensorType(DType.I32, (BATCH, Name("time"), 1)))
    table = model.weight("table", 4, WIDTH)
    step = model.body.scan(model.index, [model.zeros()], [model.x, model.body.pack(ids, model.index)])
    after = step.tanh(step.add(step.mul(step.carried[0], step.slices[0]), step.take(table, step.slices[1])))
    check_gradients(model.module(sequences=step.finish([after], [after]).stacks))


def test_a_scan_over_what_another_gave() -> None:
    model = Model.start()
    first = model.body.scan(model.index, [model.zeros()], [model.x])
    after = first.tanh(first.add(first.carried[0], first.slices[0]))
    lower = first.finish([after], [after])
    second = model.body.scan(model.index, [lower.finals[0]], [lower.stacks[0], model.x], reverse=True)
    above = second.tanh(second.add(second.mul(second.carried[0], second.slices[0]), second.slices[1]))
    upper = second.finish([above], [above])
    check_gradients(model.module(rows=upper.finals, sequences=[*upper.stacks, *lower.stacks]))


def assert_sums_can_leave(module: Module) -> None:
    """The sums of a backward scan are sums of `matmul(transpose a, b)` and `reduce_sum(a, axis 0)`."""
    for scan in differentiate(module).function("backward").operations:
        if isinstance(scan, Scan):
            defined = definitions(scan.region.operations)
            pending = list(scan.region.sums)
            assert pending
            while pending:
                match defined[pending.pop()]:
                    case BinaryOperation(kind=BinaryKind.ADD, left=left, right=right):
                        pending += [left, right]
                    case Matmul(transpose_left=True, transpose_right=False) | Reduce(axis=0):
                        continue
                    case other:
                        raise AssertionError(f"{other} can't leave the scan")
