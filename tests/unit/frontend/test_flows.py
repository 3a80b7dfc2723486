"""Graphs: names, arrows, shared layers, blocks, repeats, outputs, states between layers, merges and their masks."""

from __future__ import annotations

import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import SpecError
from rnnspec.frontend.graph.graph import Application, Graph, GraphTensor, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers.activation import Activation
from rnnspec.frontend.layers.bidirectional import Bidirectional
from rnnspec.frontend.layers.merge import Merge
from rnnspec.frontend.layers.recurrent import Recurrent
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.packing import sequences
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.verify import verify
from rnnspec.source import SourceFile

INPUTS = "a: float[time, 3], b: float[time, 3], other: float[later, 3], row: float[4]"


def graph_of(text: str) -> Graph:
    graph = resolve(parse(SourceFile.of_text(text)))
    for training in (False, True):
        verify(lower(graph, dtype="float64", training=training))
    return graph


def graph(*body: str, of: str = INPUTS, before: str = "") -> Graph:
    return graph_of(f"{before}\nmodel Case {{ input {of}\n" + "\n".join(body) + "\n}\n")


def shown(made: Graph) -> list[str]:
    """Each application as `layer(what it takes)`: inputs by their names, results by their layers', with a number if there are several."""
    names = {source.value.number: source.name for source in made.inputs}
    lines: list[str] = []
    for application in made.applications:
        lines.append(f"{application.layer.name}({', '.join(names[operand.number] for operand in application.operands)})")
        for place, result in enumerate(application.results):
            names[result.number] = application.layer.name + (f".{place}" if len(application.results) > 1 else "")
    outputs = ", ".join(f"{output.name} = {names[output.value.number]}" for output in made.outputs)
    return [*lines, outputs]


def weights(made: Graph) -> list[str]:
    return [weight.path for weight in made.weights]


def types(made: Graph) -> dict[str, list[GraphTensor]]:
    """What each layer gives, at its last use."""
    return {application.layer.name: [value.type for value in application.results] for application in made.applications}


def last(made: Graph) -> Application:
    return made.applications[-1]


def codes(*body: str, of: str = INPUTS, before: str = "") -> list[str]:
    with pytest.raises(SpecError) as caught:
        graph(*body, of=of, before=before)
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


def warned(made: Graph) -> list[str]:
    return [f"{warning.code} {warning.message}" for warning in made.warnings]


# Names and arrows


def test_a_layer_takes_what_is_before_it_whatever_is_named() -> None:
    made = graph("h = LSTM(2, return_sequences = true)", "GRU(2)", "Dense(2)", of="x: float[time, 3]")
    assert shown(made) == ["lstm(x)", "gru(lstm)", "dense(gru)", "dense = dense"]
    assert warned(made) == []


def test_arrows_lead_from_values_through_layers() -> None:
    made = graph("h = a -> LSTM(2) -> Dense(3)", "g = b -> GRU(2)", "h -> Dense(1)", "output h, g", "Dense(2)")
    assert shown(made) == ["lstm(a)", "dense(lstm)", "gru(b)", "dense_1(dense)", "dense_2(dense_1)", "h = dense, g = gru"]


def test_a_named_value_alone_goes_on_from_there() -> None:
    made = graph("h = a -> LSTM(2)", "g = b -> GRU(2)", "h", "Dense(3)", "output g, d", "d = Dense(4)")
    assert shown(made) == ["lstm(a)", "gru(b)", "dense(lstm)", "dense_1(dense)", "g = gru, d = dense_1"]


def test_a_join_without_an_arrow_flows_on() -> None:
    made = graph("[a, b]", "Concatenate()", "LSTM(2)")
    assert shown(made) == ["concatenate(a, b)", "lstm(concatenate)", "lstm = lstm"]


def test_a_join_in_the_order_that_is_written() -> None:
    assert shown(graph("[b, a, b] -> Concatenate()"))[0] == "concatenate(b, a, b)"


def test_results_by_name() -> None:
    made = graph("y, h, c = a -> LSTM(2, return_state = true)", "[h, c] -> Add()", "[y, h] -> Multiply() -> Dense(1)")
    assert shown(made) == ["lstm(a)", "add(lstm.1, lstm.2)", "multiply(lstm.0, lstm.1)", "dense(multiply)", "dense = dense"]


def test_both_directions_by_name() -> None:
    made = graph("f, g = a -> Bidirectional(GRU(2), merge_mode = none)", "[f, g] -> Subtract()")
    assert shown(made) == ["bidirectional(a)", "subtract(bidirectional.0, bidirectional.1)", "subtract = subtract"]


def test_a_name_can_be_that_of_a_layer_type_or_activation() -> None:
    assert shown(graph("tanh = a -> LSTM(2)", "relu = tanh -> Dense(2, relu)", "relu -> Dense(2, tanh)"))[-2] == "dense_1(dense)"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("LSTM(2)", "E0503"),
        ("Bidirectional(LSTM(2))", "E0503"),
        ("f, g = a -> Bidirectional(GRU(2), merge_mode = none) -> Dense(2)", "E0211"),
        ("a -> Bidirectional(GRU(2), merge_mode = none) Dense(2)", "E0211"),
        ("f = a -> Bidirectional(GRU(2), merge_mode = none)", "E0502"),
        ("f, g = a -> GRU(2)", "E0502"),
        ("[a, b] -> LSTM(2)", "E0507"),
        ("a -> b", "E0505"),
        ("a -> [b, a]", "E0505"),
        ("a -> c", "E0102"),
        ("c -> LSTM(2)", "E0501"),
        ("[a, c] -> Concatenate()", "E0501"),
        ("d -> Dense(2) d = a -> LSTM(2)", "E0501"),
        ("a = b -> LSTM(2)", "E0504"),
        ("a -> LSTM", "E0216"),
        ("a", "E0513"),
        ("a -> Masking() output a", "E0513"),
    ],
)
def test_refused(body: str, code: str) -> None:
    assert codes(body) == [code]


def test_a_fault_is_reported_once_however_often_its_value_is_used() -> None:
    assert codes("h = a -> Dens(3)", "h -> Dense(2)", "[h, a] -> Add()", "LSTM(2, initial_state = h)", "output h") == ["E0102"]
    assert codes("f, g = a -> GRU(2)", "f -> Dense(2)", "[f, g] -> Add()") == ["E0502"]
    assert codes("shared s = Dens(3)", "a -> s", "b -> s", "c = other -> s", "c -> Dense(1)") == ["E0102"]


# Shared layers


def test_a_shared_layer_has_one_set_of_weights() -> None:
    made = graph("shared read = LSTM(2)", "p = a -> read", "q = b -> read", "[p, q] -> Concatenate()")
    assert shown(made) == ["read(a)", "read(b)", "concatenate(read, read)", "concatenate = concatenate"]
    assert weights(made) == ["read/kernel", "read/recurrent_kernel", "read/bias"]
    assert made.applications[0].layer == made.applications[1].layer
    assert made.applications[0].results != made.applications[1].results


def test_a_shared_layer_works_on_what_is_before_it_and_on_itself() -> None:
    made = graph("shared square = Dense(3)", "a -> square -> square", "square", of="a: float[time, 3]")
    assert shown(made) == ["square(a)", "square(square)", "square(square)", "square = square"]
    assert weights(made) == ["square/kernel", "square/bias"]


def test_weights_of_a_shared_layer_are_named_and_ordered_by_its_first_use() -> None:
    made = graph("shared s = Dense(3)", 'shared t = Dense(3, name = "other")', "Dense(3)", "t", "s", "Dense(3)", "t", of="a: float[3]")
    assert weights(made) == [f"{layer}/{weight}" for layer in ("dense", "other", "s", "dense_1") for weight in ("kernel", "bias")]


@pytest.mark.parametrize("layer", ["Bidirectional(LSTM(2, return_sequences = true))", "TimeDistributed(Dense(2))"])
def test_a_shared_layer_with_a_layer_inside(layer: str) -> None:
    """The inner layer takes one automatic name, whatever layers are made between the uses."""
    made = graph("a -> LSTM(3)", f"shared s = {layer}", "p = a -> s", "a -> Dense(1) -> LSTM(2)", "q = b -> s", "[p, q] -> Add()")
    assert len({application.layer for application in made.applications if application.layer.name == "s"}) == 1
    assert len(weights(made)) == len(set(weights(made)))


def test_a_shared_embedding_of_two_inputs() -> None:
    body = ("shared embed = Embedding(7, 3, mask_zero = true)", "p = x -> embed -> LSTM(2)", "q = y -> embed -> GRU(2)")
    made = graph(*body, "[p, q] -> Concatenate()", of="x: int[time], y: int[words]")
    assert weights(made)[0] == "embed/embeddings"
    assert [value.steps for value in types(made)["embed"]] == [StepMask((("y", (0.0,)),))]
    assert list(sequences(made)) == [StepMask((("x", (0.0,)),)), StepMask((("y", (0.0,)),))]


@pytest.mark.parametrize("second", ["row -> s", "d = other -> Dense(4) d -> s"])
def test_a_shared_layer_fits_one_width(second: str) -> None:
    assert codes("shared s = Dense(3)", "a -> s", second) == ["E0509"]


def test_a_shared_layer_without_weights_takes_any_width() -> None:
    made = graph("shared drop = Dropout(0.5)", "p = a -> drop", "q = row -> drop", "output p, q")
    assert [value.type.shape for application in made.applications for value in application.results] == [(Name("time"), 3), (4,)]


def test_a_first_use_that_fails_leaves_no_trace() -> None:
    assert codes("shared s = LSTM(3)", "row -> s", "a -> s", "[a, b] -> s") == ["E0204", "E0507"]


# Blocks

TOWER = """
block Tower(units, depth = 2, rate = 0.5, act = relu) {
    repeat depth {
        Dense(units, act)
    }
    Dropout(rate)
}
"""


def test_a_block_is_used_like_a_layer() -> None:
    made = graph("p = a -> Tower(4)", "q = b -> Tower(units = 2, depth = 1) -> LSTM(2)", "output p, q", before=TOWER)
    assert shown(made) == [
        *("tower/dense(a)", "tower/dense_1(tower/dense)", "tower/dropout(tower/dense_1)"),
        *("tower_1/dense(b)", "tower_1/dropout(tower_1/dense)", "lstm(tower_1/dropout)"),
        "p = tower/dropout, q = lstm",
    ]
    assert weights(made)[:4] == ["tower/dense/kernel", "tower/dense/bias", "tower/dense_1/kernel", "tower/dense_1/bias"]


def test_a_block_has_a_name_like_a_layer() -> None:
    made = graph('a -> Tower(4, depth = 1, name = "left")', "output d", "d = b -> Tower(4, depth = 1)", before=TOWER)
    assert weights(made) == ["left/dense/kernel", "left/dense/bias", "tower/dense/kernel", "tower/dense/bias"]
    assert codes('a -> Tower(4, name = "x")', 'b -> Tower(4, name = "x")', before=TOWER) == ["E0215"]


def test_parameters_of_a_block_can_use_those_of_the_model_and_each_other() -> None:
    text = """
        block Pair(first, second = 2 * first, act = tanh) { Dense(first, act)  Dense(second) }
        model Case(units = 3) { input x: float[5]  Pair(units + 1)  Pair(units, 1, relu) }
    """
    made = graph_of(text)
    assert [weight.shape for weight in made.weights if weight.path.endswith("kernel")] == [(5, 4), (4, 8), (8, 3), (3, 1)]


def test_blocks_inside_blocks() -> None:
    before = """
        block Outer(units) { Inner(units)  Inner(2 * units)  Dense(1) }
        block Inner(units) { shared twice = Dense(units)  Dense(units)  twice  twice }
    """
    made = graph("Outer(3)", of="x: float[4]", before=before)
    layers = ("outer/inner/dense", "outer/inner/twice", "outer/inner_1/dense", "outer/inner_1/twice", "outer/dense")
    assert weights(made) == [f"{layer}/{weight}" for layer in layers for weight in ("kernel", "bias")]
    assert shown(made)[-1] == "outer/dense = outer/dense"


def test_a_block_sees_its_own_names_only() -> None:
    before = "block B() { h = LSTM(2)  h -> Dense(3) }"
    made = graph("h = a -> B()", "a -> B()", "h -> Dense(1)", "output h", before=before)
    assert list(types(made)) == ["b/lstm", "b/dense", "b_1/lstm", "b_1/dense", "dense"]
    assert codes("h = a -> LSTM(2)", "a -> C()", before="block C() { h -> Dense(2) }") == ["E0501"]
    assert codes("a -> B()", "h -> Dense(2)", before=before) == ["E0501"]


def test_a_block_gives_what_its_last_statement_gives() -> None:
    before = "block Both(units) { LSTM(units, return_state = true) }"
    made = graph("y, h, c = a -> Both(2)", "[y, h, c] -> Average()", before=before)
    assert shown(made) == ["both/lstm(a)", "average(both/lstm.0, both/lstm.1, both/lstm.2)", "average = average"]
    assert codes("a -> Both(2) -> Dense(3)", before=before) == ["E0211"]


def test_a_block_of_a_name_and_an_arrow() -> None:
    before = "block Residual(units) { wide = Dense(units)  narrow = wide -> Dense(units)  [wide, narrow] -> Add() }"
    made = graph("Residual(4)", "Residual(4)", of="x: float[4]", before=before)
    assert shown(made)[2:4] == ["residual/add(residual/dense, residual/dense_1)", "residual_1/dense(residual/add)"]


def test_remarks_on_layers_across_blocks() -> None:
    """What gave only its last step is found wherever it is."""
    for body, before in (
        (("a -> B()", "LSTM(2)"), "block B() { LSTM(3) }"),
        (("a -> LSTM(3)", "B()"), "block B() { LSTM(2) }"),
        (("a -> B() -> C()",), "block B() { Bidirectional(LSTM(3)) } block C() { TimeDistributed(Dense(3)) }"),
    ):
        with pytest.raises(SpecError) as caught:
            graph(*body, before=before)
        (error,) = caught.value.diagnostics
        used = ["used here"] if "a -> B() -> C()" in body or "B()" in body else []
        assert (error.code, [label.text for label in error.secondary]) == ("E0204", ["gives only its last step", *used])


@pytest.mark.parametrize(
    ("body", "before", "code"),
    [
        ("a -> B()", "block B() { }", "E0510"),
        ("a -> B()", "block B() { B() }", "E0511"),
        ("a -> B()", "block B() { C() } block C() { Dense(2) B() }", "E0511"),
        ("a -> B(1)", "block B() { Dense(2) }", "E0105"),
        ("a -> B()", "block B(units) { Dense(units) }", "E0104"),
        ("a -> B(wide = 2)", "block B(units = 3) { Dense(units) }", "E0103"),
        ("a -> B(none)", "block B(units) { Dense(units) }", "E0108"),
        ("[a, b] -> B()", "block B() { Concatenate() }", "E0507"),
        ("a -> B", "block B() { Dense(2) }", "E0216"),
        ("a -> B()", "block B() { Dense(2) } block B() { Dense(2) }", "E0119"),
        ("a -> LSTM(2)", "block LSTM(units) { Dense(units) } cell LSTM(units) { state h [units] h' = h return h' }", "E0119"),
    ],
)
def test_blocks_that_are_refused(body: str, before: str, code: str) -> None:
    assert codes(body, before=before) == [code]


# Repeats


def test_a_repeat_writes_its_layers_again_and_again() -> None:
    made = graph("repeat 3 { Dense(3) }", "Dense(1)", of="x: float[3]")
    assert shown(made) == ["dense(x)", "dense_1(dense)", "dense_2(dense_1)", "dense_3(dense_2)", "dense_3 = dense_3"]


def test_a_repeat_counts_with_parameters_and_inside_another() -> None:
    text = "model Case(depth = 2) { input x: float[3] repeat depth { repeat depth + 1 { Dense(3) } Dropout(0.5) } }"
    assert [layer.name for layer in graph_of(text).layers] == [
        *("dense", "dense_1", "dense_2", "dropout", "dense_3", "dense_4", "dense_5", "dropout_1"),
    ]


def test_a_repeat_of_nothing_changes_nothing() -> None:
    assert shown(graph("Dense(3)", "repeat 0 { Dens(3) }", "Dense(4)", of="x: float[3]"))[:2] == ["dense(x)", "dense_1(dense)"]


def test_names_inside_a_repeat_are_new_each_time() -> None:
    body = ("repeat 2 { wide = Dense(3)  narrow = wide -> Dense(3)  [wide, narrow] -> Add() }", "Dense(1)")
    made = graph(*body, of="x: float[3]")
    assert shown(made)[:6] == [
        *("dense(x)", "dense_1(dense)", "add(dense, dense_1)"),
        *("dense_2(add)", "dense_3(dense_2)", "add_1(dense_2, dense_3)"),
    ]
    assert warned(made) == []
    assert codes(*body, "wide -> Dense(2)", of="x: float[3]") == ["E0501"]


def test_a_shared_layer_around_a_repeat_is_one_layer() -> None:
    made = graph("shared s = Dense(3)", "repeat 3 { s }", of="x: float[3]")
    assert shown(made) == ["s(x)", "s(s)", "s(s)", "s = s"]
    assert weights(made) == ["s/kernel", "s/bias"]


def test_a_fault_in_a_repeat_is_reported_once() -> None:
    assert codes("a -> Dense(3)", "repeat 5 { Dens(3) }", "Dense(2)") == ["E0102"]


@pytest.mark.parametrize("count", ["-1", "2.5", "true", '"two"', "none", "a", "[2]", "2001", "1e300"])
def test_counts_that_are_none(count: str) -> None:
    assert codes("a -> Dense(3)", f"repeat {count} {{ Dense(3) }}", "Dense(2)") == ["E0512"]


def test_there_is_a_limit_of_layers() -> None:
    assert len(graph("a -> Dropout(0.5)", "repeat 1999 { Dropout(0.5) }").applications) == 2000
    assert codes("a -> Dropout(0.5)", "repeat 2000 { Dropout(0.5) }") == ["E0518"]


# Outputs


def test_the_last_value_is_the_output_under_its_layers_name() -> None:
    assert [output.name for output in graph('Dense(3, name = "answer")', of="x: float[3]").outputs] == ["answer"]


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        ("GRU(2, return_state = true)", ["gru/output", "gru/h"]),
        ("LSTM(2, return_state = true, return_sequences = true)", ["lstm/output", "lstm/h", "lstm/c"]),
        ("Bidirectional(LSTM(2))", ["bidirectional"]),
        ("Bidirectional(LSTM(2), merge_mode = none)", ["bidirectional/forward", "bidirectional/backward"]),
        ("Bidirectional(GRU(2, return_state = true))", ["bidirectional/output", "bidirectional/forward/h", "bidirectional/backward/h"]),
        (
            "Bidirectional(GRU(2, return_state = true), merge_mode = none)",
            ["bidirectional/forward", "bidirectional/backward", "bidirectional/forward/h", "bidirectional/backward/h"],
        ),
    ],
)
def test_several_results_are_several_outputs(layer: str, names: list[str]) -> None:
    made = graph(layer, of="x: float[time, 3]")
    assert [output.name for output in made.outputs] == names
    assert [output.value for output in made.outputs] == list(last(made).results)


def test_a_join_at_the_end_gives_outputs() -> None:
    made = graph("shared s = LSTM(2)", "p = a -> s", "q = b -> s", "r = other -> s", "[p, q, r]")
    assert [output.name for output in made.outputs] == ["s", "s_1", "s_2"]
    assert warned(made) == []


def test_outputs_by_name_in_the_order_that_is_written() -> None:
    made = graph("p = a -> LSTM(2, return_sequences = true)", "q = p -> GRU(2)", "output q, p")
    assert [(output.name, output.value.type.shape) for output in made.outputs] == [("q", (2,)), ("p", (Name("time"), 2))]
    assert shown(graph("output q", "q = a -> LSTM(2)", "Dense(2)"))[-1] == "q = lstm"


def test_a_masked_input_is_an_output() -> None:
    assert shown(graph("Masking(mask_value = 1)", of="x: float[time, 3]")) == ["masking(x)", "masking = masking"]


@pytest.mark.parametrize(
    ("outputs", "codes_"),
    [
        ("output x", ["E0513"]),
        ("output h, h", ["E0110"]),
        ("output h output h", ["E0514"]),
        ("output g", ["E0501"]),
        ("output LSTM", ["E0216"]),
    ],
)
def test_outputs_that_are_refused(outputs: str, codes_: list[str]) -> None:
    assert codes("h = LSTM(2)", outputs, of="x: float[time, 3]") == codes_


TWO_HEADS = ("h = a -> LSTM(2)", "g = a -> GRU(2)", "output h, g")


@pytest.mark.parametrize(
    "settings",
    [
        "loss = mse",
        "loss = [mse, none]",
        "loss = mse metrics = [mse]",
        "loss = mse metrics = [mse, mae]",
        "loss = mse metrics = [[mse, mae], []]",
        "loss = mse metrics = [[mse, mae], none]",
        "loss = mse loss_weights = 2",
        "loss = mse loss_weights = [2, 0.5]",
        "loss = mse metrics = [mae] weighted_metrics = [[mse, mae], none]",
        "loss = mse class_weight = [[1, 2.5], none]",
        "loss = [none, mse] class_weight = [1, 2.5]",
        "class_weight = [1, 2.5]",
    ],
)
def test_settings_for_several_outputs(settings: str) -> None:
    assert warned(graph(*TWO_HEADS, f"train {{ {settings} }}")) == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("loss = [mse]", "E0402"),
        ("loss = [none, none]", "E0404"),
        ("loss = mse metrics = [mse, mae, mse]", "E0402"),
        ("loss = mse loss_weights = [2, none]", "E0108"),
        ("loss = mse weighted_metrics = [mse, mae, mse]", "E0402"),
        ("loss = mse weighted_metrics = mse", "E0108"),
        ("loss = [mse, none] weighted_metrics = [mse, mae]", "E0405"),
        ("loss = mse weighted_metrics = [[sparse_categorical_accuracy], none]", "E0406"),
        ("loss = mse class_weight = [1, 2.5]", "E0407"),
        ("loss = mse class_weight = [[1, 2], [1, 2], [1, 2]]", "E0402"),
        ("loss = mse class_weight = [[1, 2, 3], none]", "E0408"),
        ("loss = mse class_weight = 2", "E0108"),
        ("loss = mse class_weight = [[1, none], none]", "E0108"),
    ],
)
def test_settings_that_do_not_fit_the_outputs(settings: str, code: str) -> None:
    assert codes(*TWO_HEADS, f"train {{ {settings} }}") == [code]


def test_losses_in_the_order_of_the_outputs() -> None:
    heads = ["h = a -> LSTM(2)", "g = h -> Dense(3, softmax)", "f = h -> Dense(1, sigmoid)", "output f, g"]
    assert warned(graph(*heads, "train { loss = [binary_crossentropy, categorical_crossentropy] }")) == []
    made = graph(*heads, "train { loss = [mse, binary_crossentropy] loss_weights = 2 }")
    probability = Config("binary_crossentropy", (("from_logits", False), ("label_smoothing", 0.0)))
    assert made.train.loss == (Config("mean_squared_error"), probability)
    assert made.train.loss_weights == 2.0
    assert codes(*heads, "train { loss = categorical_crossentropy }") == ["E0403"]


def test_class_weights_are_numbers_by_class_or_by_output() -> None:
    for written, of_model in (("[1, 2]", (1.0, 2.0)), ("[[1, 2], none]", ((1.0, 2.0), None)), ("[]", ())):
        assert graph(*TWO_HEADS, f"train {{ loss = [mse, none] class_weight = {written} }}").train.class_weight == of_model
    assert graph(*TWO_HEADS, "train { loss = mse }").train.class_weight is None


def test_a_loss_of_an_output_that_is_named() -> None:
    made = graph("h = a -> LSTM(2)", "g = h -> Dense(3, softmax)", "output g", "train { loss = categorical_crossentropy }")
    assert warned(made) == []
    made = graph("h = a -> LSTM(2)", "g = h -> Dense(3)", "h -> Dense(3, softmax)", "output g", "train { loss = categorical_crossentropy }")
    assert [warning.code for warning in made.warnings] == ["W0401"]


# What nothing uses


def test_a_value_that_nothing_uses() -> None:
    """Of a statement with several values using one is enough."""
    made = graph("h, c, d = a -> LSTM(2, return_state = true)", "g = h -> Dense(2)", "b -> GRU(2)")
    assert warned(made) == [f"W0501 the value `{name}` is never used" for name in ("g",)]


def test_an_underscore_says_that_nothing_uses_it() -> None:
    assert warned(graph("_, h, _c = a -> LSTM(2, return_state = true)", "_g = h -> Dense(2)", "h -> Dense(2)")) == []


def test_what_flows_on_is_used() -> None:
    assert warned(graph("h = a -> LSTM(2)", "Dense(2)")) == []
    assert warned(graph("h = a -> LSTM(2)")) == []
    assert warned(graph("a -> B()", before="block B() { h = LSTM(2)  g = h -> Dense(2) }")) == []
    assert warned(graph("repeat 2 { h = Dense(3) }", "Dense(2)", of="x: float[3]")) == []
    assert warned(graph("h = a -> LSTM(2)", "a -> LSTM(2, initial_state = [h, h])")) == []


def test_warnings_come_in_the_order_of_the_text() -> None:
    body = "repeat 3 { " + " ".join(f"n{number} = x -> Dense({number + 1})" for number in range(6)) + " x -> Dense(2) }"
    assert [warning.message for warning in graph(body, of="x: float[3]").warnings] == [
        f"the value `n{number}` is never used" for number in range(6)
    ]


# States


def recurrent(layer: Layer) -> Recurrent:
    assert isinstance(layer, Recurrent)
    return layer


def test_states_are_results() -> None:
    made = graph("a -> LSTM(2, return_state = true, return_sequences = true)")
    output, h, c = last(made).results
    assert (output.type.shape, h.type.shape, c.type.shape) == ((Name("time"), 2), (2,), (2,))
    assert (output.type.sequence, h.type.sequence) == (True, False)


@pytest.mark.parametrize("layer", ["LSTM(4, initial_state = [row, s])", "GRU(4, initial_state = row)", "SimpleRNN(4, initial_state = [s])"])
def test_an_initial_state_is_a_value_or_a_list(layer: str) -> None:
    made = graph("s = b -> GRU(4)", f"a -> {layer}")
    assert recurrent(last(made).layer).initial_state
    assert len(last(made).operands) == (3 if "LSTM" in layer else 2)
    assert not recurrent(made.applications[0].layer).initial_state


def test_initial_states_of_both_directions() -> None:
    """Those of the layer, then those of the one that walks from the end."""
    made = graph("_, f, b2 = a -> Bidirectional(GRU(4, return_state = true))", "b -> Bidirectional(GRU(4), initial_state = [f, b2])")
    layer = last(made).layer
    assert isinstance(layer, Bidirectional)
    assert layer.forward.initial_state and layer.backward.initial_state
    assert shown(made)[1] == "bidirectional_1(b, bidirectional.1, bidirectional.2)"


@pytest.mark.parametrize(
    "body",
    [
        "a -> GRU(4, initial_state = [row, row])",
        "a -> LSTM(4, initial_state = row)",
        "a -> GRU(3, initial_state = row)",
        "a -> GRU(3, initial_state = a)",
        "a -> GRU(4, initial_state = [])",
        "a -> GRU(4, initial_state = 0)",
        "a -> GRU(4, initial_state = [0])",
        "a -> GRU(4, initial_state = row, stateful = true)",
        "a -> Bidirectional(GRU(4), initial_state = row)",
        "a -> Bidirectional(LSTM(4), initial_state = [row, row])",
        "a -> Bidirectional(GRU(4, stateful = true), initial_state = [row, row])",
    ],
)
def test_initial_states_that_do_not_fit(body: str) -> None:
    assert codes(body) == ["E0508"]


def test_an_initial_state_must_be_known() -> None:
    assert codes("a -> GRU(4, initial_state = s)") == ["E0501"]
    assert codes("a -> GRU(4, initial_state = [row, s])") == ["E0501"]
    assert codes("a -> Bidirectional(GRU(4), initial_state = [row, s])") == ["E0501"]


def test_initial_states_of_both_directions_stand_outside() -> None:
    assert codes("a -> Bidirectional(GRU(4, initial_state = [row, row]))") == ["E0213"]


# Both directions


def test_a_backward_layer_of_its_own() -> None:
    made = graph("a -> Bidirectional(LSTM(2), backward_layer = GRU(4, go_backwards = true))")
    layer = last(made).layer
    assert isinstance(layer, Bidirectional)
    assert (layer.forward.name, layer.backward.name, layer.backward.go_backwards) == ("forward_lstm", "backward_gru", True)
    assert [value.shape for value in types(made)["bidirectional"]] == [(6,)]
    assert weights(made)[0] == "bidirectional/forward_lstm/kernel"
    assert weights(made)[-1] == "bidirectional/backward_gru/bias"


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ("Bidirectional(LSTM(2), backward_layer = LSTM(2))", "E0219"),
        ("Bidirectional(LSTM(2), backward_layer = LSTM(2, go_backwards = true, return_sequences = true))", "E0219"),
        ("Bidirectional(LSTM(2), backward_layer = LSTM(2, go_backwards = true, return_state = true))", "E0219"),
        ("Bidirectional(LSTM(2), backward_layer = Dense(2))", "E0212"),
        ("Bidirectional(GRU(4), backward_layer = GRU(4, go_backwards = true, initial_state = row))", "E0213"),
        ("Bidirectional(GRU(4), backward_layer = GRU(4, go_backwards = true, stateful = true))", "E0219"),
        ("Bidirectional(LSTM(2), backward_layer = GRU)", "E0216"),
        ("Bidirectional(LSTM(2), merge_mode = sum, backward_layer = LSTM(3, go_backwards = true))", "E0506"),
    ],
)
def test_backward_layers_that_do_not_fit(layer: str, code: str) -> None:
    assert codes(f"a -> {layer}") == [code]


# Merges


@pytest.mark.parametrize("kind", ["Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_merges_of_rows_and_of_sequences(kind: str) -> None:
    wide = 9 if kind == "Concatenate" else 3
    made = graph(f"[a, b, a] -> {kind}()")
    assert (last(made).results[0].type.shape, isinstance(last(made).layer, Merge)) == ((Name("time"), wide), True)
    made = graph("p = row -> Dense(3)", f"[p, p, p] -> {kind}()")
    assert last(made).results[0].type.shape == (wide,)


def steps_of(made: Graph) -> StepMask | None:
    return last(made).results[0].type.steps


A, B = ("a", ()), ("b", ())


def test_a_merge_keeps_the_steps_that_are_real_in_one_of_them() -> None:
    assert steps_of(graph("[a, a] -> Add()")) == StepMask((A,))
    assert steps_of(graph("[a, b] -> Add()")) == StepMask((A, B))
    assert steps_of(graph("m = a -> Masking()", "n = b -> Masking(1)", "[m, n] -> Add()")) == StepMask((("a", (0.0,)), ("b", (1.0,))))
    assert steps_of(graph("m = a -> Masking(1)", "n = a -> Masking(2)", "[m, n] -> Add()")) == StepMask((("a", (1.0,)), ("a", (2.0,))))


def test_a_merge_forgets_masks_that_another_takes_back() -> None:
    assert steps_of(graph("m = a -> Masking()", "[m, a] -> Add()")) == StepMask((A,))
    assert steps_of(graph("m = a -> Masking()", "[m, b, a] -> Add()")) == StepMask((B, A))
    assert steps_of(graph("m = a -> Masking(1)", "n = m -> Masking(2)", "[n, m] -> Add()")) == StepMask((("a", (1.0,)),))
    assert steps_of(graph("m = a -> Masking(1) -> Masking(2)", "[m, m] -> Add()")) == StepMask((("a", (1.0, 2.0)),))


def test_a_merge_with_a_sequence_without_an_input_masks_nothing() -> None:
    body = ("m = x -> Masking()", "r = row -> RepeatVector(5)", "[m, r] -> Add()")
    assert steps_of(graph(*body, of="x: float[5, 3], row: float[3]")) == StepMask((), 5)


def test_what_counts_as_masked() -> None:
    """A merge masks what all masked; a value that a spec doesn't mask isn't masked."""
    assert last(graph("m = a -> Masking()", "n = b -> Masking()", "[m, n] -> Add()")).results[0].type.masked
    assert not last(graph("m = a -> Masking()", "[m, b] -> Add()")).results[0].type.masked


def test_a_merge_of_sequences_of_a_length_of_their_own() -> None:
    made = graph("p = row -> RepeatVector(5)", "q = row -> RepeatVector(5)", "[p, q] -> Add()")
    assert steps_of(made) == StepMask((), 5)


def test_packing_indices_come_in_the_order_of_use() -> None:
    made = graph("p = b -> LSTM(2, return_sequences = true)", "q = a -> LSTM(2, return_sequences = true)", "[p, q] -> Add()")
    assert list(sequences(made)) == [StepMask((B,)), StepMask((A,)), StepMask((B, A))]
    assert list(sequences(graph("a -> Masking() -> LSTM(2)"))) == [StepMask((("a", (0.0,)),))]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("[a, other] -> Add()", "E0506"),
        ("[a, row] -> Concatenate(axis = 1)", "E0506"),
        ("[a] -> Add()", "E0506"),
        ("a -> Concatenate()", "E0506"),
        ("[a, b, a] -> Subtract()", "E0506"),
        ("w = b -> Dense(5) [a, w] -> Multiply()", "E0506"),
        ("r = b -> GRU(3, go_backwards = true, return_sequences = true) [a, r] -> Add()", "E0006"),
        ("shared r = GRU(3, go_backwards = true, return_sequences = true) p = a -> r q = b -> r [p, q] -> Add()", "E0006"),
    ],
)
def test_merges_that_do_not_fit(body: str, code: str) -> None:
    assert codes(body) == [code]


def test_ids_cannot_be_merged() -> None:
    assert codes("[x, x] -> Add()", of="x: int[time]") == ["E0206"]


# Layers that are an activation


@pytest.mark.parametrize(
    ("layer", "name", "activation"),
    [
        ("Activation(tanh)", "activation", Config("tanh")),
        ("Softmax()", "softmax", Config("softmax")),
        ("ReLU()", "re_lu", Config("relu", (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)))),
        ("ReLU(6, 0.5)", "re_lu", Config("relu", (("max_value", 6.0), ("negative_slope", 0.5), ("threshold", 0.0)))),
        ("LeakyReLU()", "leaky_re_lu", Config("leaky_relu", (("negative_slope", 0.3),))),
        ("LeakyReLU(negative_slope = 0.25)", "leaky_re_lu", Config("leaky_relu", (("negative_slope", 0.25),))),
        ("ELU(2)", "elu", Config("elu", (("alpha", 2.0),))),
    ],
)
def test_activations_as_layers(layer: str, name: str, activation: Config) -> None:
    made = graph(f"a -> {layer}")
    assert last(made).layer.name == name
    assert isinstance(layer_made := last(made).layer, Activation) and layer_made.activation == activation
    assert last(made).results[0].type.shape == (Name("time"), 3)


@pytest.mark.parametrize("layer", ["Softmax(axis = 2)", "LayerNormalization([-1])", "BatchNormalization(2)"])
def test_the_last_axis_has_two_numbers(layer: str) -> None:
    assert last(graph(f"a -> {layer}")).results[0].type.shape == (Name("time"), 3)
    assert last(graph(f"row -> {layer.replace('2', '1')}")).results[0].type.sequence is False
    assert last(graph("[a, b] -> Concatenate(axis = 2)")).results[0].type.shape == (Name("time"), 6)


@pytest.mark.parametrize(
    "layer",
    [
        "Softmax([1, 2])",
        "row -> Softmax(2)",
        "[a, b] -> Concatenate(0)",
        "[row, row] -> Concatenate(2)",
        "LayerNormalization([1, 2])",
        "BatchNormalization(0)",
    ],
)
def test_another_axis_is_refused(layer: str) -> None:
    assert codes(layer if "->" in layer else f"a -> {layer}") == ["E0233"]


def test_arguments_that_mean_the_same() -> None:
    assert last(graph("a -> LSTM(2, unroll = true)")).layer == last(graph("a -> LSTM(2)")).layer
    assert last(graph("a -> Conv1D(2, 3, data_format = channels_last)")).layer == last(graph("a -> Conv1D(2, 3)")).layer


@pytest.mark.parametrize("kind", ["GlobalAveragePooling1D", "GlobalMaxPooling1D"])
def test_pooling_that_keeps_the_time(kind: str) -> None:
    """One step, which is real even where the sequence had no real one."""
    made = graph("a -> Masking()", f"{kind}(keepdims = true)", "LSTM(2, return_sequences = true)")
    pooled = made.applications[1].results[0].type
    assert (pooled.shape, pooled.steps) == ((1, 3), StepMask((), 1))
    assert last(made).results[0].type.shape == (1, 2)
    assert last(graph(f"a -> {kind}(keepdims = false)")).results[0].type.shape == (3,)


@pytest.mark.parametrize("options", ["", ", scale = false", ", center = true", ", scale = false, center = false"])
def test_rms_scaling_has_gamma_alone(options: str) -> None:
    made = graph(f"a -> LayerNormalization(rms_scaling = true{options})")
    assert [weight.path for weight in made.weights] == ["layer_normalization/gamma"]
