"""What a valid spec means: names, defaults, positions, parameters, constant expressions, weights and their initializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.dimensions import Dim, Name
from rnnspec.contract.signature import Config, InitializerPart
from rnnspec.diagnostics import SpecError
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.graph.graph import Graph, GraphTensor
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers.bidirectional import Bidirectional
from rnnspec.frontend.layers.dense import Dense
from rnnspec.frontend.layers.embedding import Embedding
from rnnspec.frontend.layers.recurrent import Recurrent
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.verify import verify
from rnnspec.source import SourceFile


def graph_of(text: str, parameters: Mapping[str, ParameterValue] | None = None) -> Graph:
    graph = resolve(parse(SourceFile.of_text(text)), parameters)
    verify(lower(graph, dtype="float64", training=True))
    return graph


def model(*body: str, of: str = "float[time, 3]", head: str = "") -> str:
    return f"model Case{head} {{ input x: {of}\n" + "\n".join(body) + "\n}\n"


def layers(*body: str, **options: str) -> tuple[Layer, ...]:
    return graph_of(model(*body, **options)).layers


def results(*body: str, **options: str) -> list[tuple[GraphTensor, ...]]:
    """What each layer gives."""
    applications = graph_of(model(*body, **options)).applications
    return [tuple(value.type for value in application.results) for application in applications]


def cell_layer(cell: str, use: str) -> Recurrent:
    (layer,) = graph_of(cell + model(use)).layers
    assert isinstance(layer, Recurrent)
    return layer


def cell_shape(cell: str, use: str) -> tuple[Dim, ...]:
    ((output,),) = (application.results for application in graph_of(cell + model(use)).applications)
    return output.type.shape


def units_of(expression: str, head: str = "", parameters: Mapping[str, ParameterValue] | None = None) -> int:
    """What a constant expression comes to."""
    (layer,) = graph_of(model(f"Dense({expression})", head=head), parameters).layers
    assert isinstance(layer, Dense)
    return layer.units


def test_layers_are_named_as_keras_names_them() -> None:
    named = [
        layer.name
        for layer in layers(
            "SimpleRNN(2, return_sequences = true)",
            "LSTM(2, return_sequences = true)",
            "LSTM(2, return_sequences = true)",
            "Bidirectional(LSTM(2, return_sequences = true))",
            "Bidirectional(GRU(2, return_sequences = true))",
            'GRU(2, name = "Reader_2")',
            "Dense(2)",
            "Dropout(0.5)",
            "Dense(2)",
            "Activation(tanh)",
        )
    ]
    assert named == [
        *("simple_rnn", "lstm", "lstm_1", "bidirectional", "bidirectional_1"),
        *("Reader_2", "dense", "dropout", "dense_1", "activation"),
    ]


def test_a_layer_inside_bidirectional_takes_a_name_too() -> None:
    inside, after = layers("Bidirectional(LSTM(2, return_sequences = true))", "LSTM(2)")
    assert isinstance(inside, Bidirectional)
    assert (inside.forward.name, inside.backward.name, after.name) == ("forward_lstm", "backward_lstm", "lstm_1")


@pytest.mark.parametrize(("cell", "name"), [("MyCell", "my_cell"), ("LSTMCell2", "lstm_cell2"), ("leaky", "leaky"), ("GRU", "gru")])
def test_a_users_cell_is_named_like_a_class(cell: str, name: str) -> None:
    text = f"cell {cell}(units) {{ weight w [features, units] = ones state h [units] h' = x @ w + h return h' }}\n"
    assert [weight.path for weight in cell_layer(text, f"{cell}(2)").weights] == [f"{name}/w"]


WEIGHTS = {
    "LSTM(2)": [("lstm/kernel", (3, 8)), ("lstm/recurrent_kernel", (2, 8)), ("lstm/bias", (8,))],
    "LSTM(2, use_bias = false)": [("lstm/kernel", (3, 8)), ("lstm/recurrent_kernel", (2, 8))],
    "GRU(2)": [("gru/kernel", (3, 6)), ("gru/recurrent_kernel", (2, 6)), ("gru/bias", (2, 6))],
    "SimpleRNN(2)": [("simple_rnn/kernel", (3, 2)), ("simple_rnn/recurrent_kernel", (2, 2)), ("simple_rnn/bias", (2,))],
    "Dense(2)": [("dense/kernel", (3, 2)), ("dense/bias", (2,))],
    "Dense(2, use_bias = false)": [("dense/kernel", (3, 2))],
    'Bidirectional(SimpleRNN(2), name = "both")': [
        *(("both/forward_simple_rnn/kernel", (3, 2)), ("both/forward_simple_rnn/recurrent_kernel", (2, 2))),
        *(("both/forward_simple_rnn/bias", (2,)), ("both/backward_simple_rnn/kernel", (3, 2))),
        *(("both/backward_simple_rnn/recurrent_kernel", (2, 2)), ("both/backward_simple_rnn/bias", (2,))),
    ],
    "Masking()": [],
}


@pytest.mark.parametrize("layer", WEIGHTS)
def test_weights_in_keras_order(layer: str) -> None:
    (resolved,) = layers(layer)
    assert [(weight.path, weight.shape) for weight in resolved.weights] == WEIGHTS[layer]


def test_an_embedding() -> None:
    body = ("Embedding(5, 4, mask_zero = true)", "LSTM(2)")
    embedding, _ = layers(*body, of="int[20]")
    assert isinstance(embedding, Embedding)
    assert (embedding.table.path, embedding.table.shape) == ("embedding/embeddings", (5, 4))
    (embedded,), (row,) = results(*body, of="int[20]")
    assert (embedded.masked, embedded.shape, row.masked) == (True, (20, 4), False)


def initializers(layer: str, weight: str) -> list[tuple[int, int, str]]:
    (resolved,) = layers(layer)
    (found,) = [each for each in resolved.weights if each.path.endswith(f"/{weight}")]
    return [(part.start, part.stop, part.initializer.name) for part in found.initializer]


def test_default_initializers_are_kerass() -> None:
    assert initializers("LSTM(2)", "kernel") == [(0, 8, "glorot_uniform")]
    assert initializers("LSTM(2)", "recurrent_kernel") == [(0, 8, "orthogonal")]
    assert initializers("LSTM(2)", "bias") == [(0, 2, "zeros"), (2, 4, "ones"), (4, 6, "zeros"), (6, 8, "zeros")]
    assert initializers("LSTM(2, unit_forget_bias = false)", "bias") == [(0, 8, "zeros")]
    assert initializers("Dense(2)", "bias") == [(0, 2, "zeros")]


def test_initializers_by_class_name_and_with_arguments() -> None:
    (dense,) = layers('Dense(2, kernel_initializer = RandomNormal(stddev = 2), bias_initializer = "he_normal")')
    kernel, bias = dense.weights
    assert kernel.initializer == (InitializerPart(0, 2, Config("random_normal", (("mean", 0.0), ("stddev", 2.0), ("seed", None)))),)
    assert bias.initializer[0].initializer.name == "he_normal"


def test_positional_arguments_have_kerass_order() -> None:
    assert layers("LSTM(2, relu, hard_sigmoid, false, ones, zeros)") == layers(
        "LSTM(units = 2, activation = relu, recurrent_activation = hard_sigmoid, use_bias = false,"
        " kernel_initializer = ones, recurrent_initializer = zeros)"
    )
    assert layers("Dense(2, tanh, false, ones)") == layers(
        "Dense(kernel_initializer = ones, use_bias = false, activation = tanh, units = 2)"
    )


def test_other_spellings_mean_the_same() -> None:
    assert layers("Dense(2.0, none, true, GlorotUniform)") == layers('Dense(2, linear, kernel_initializer = "glorot_uniform")')
    assert layers("Dense(2, swish)") == layers("Dense(2, silu)")
    assert layers("Bidirectional(LSTM(2), none)") == layers("Bidirectional(layer = LSTM(2), merge_mode = none)")


def test_widths_and_merge_modes() -> None:
    widths = {
        mode: [value.shape for value in results(f"Bidirectional(LSTM(2), merge_mode = {mode})")[0]]
        for mode in ("concat", "sum", "mul", "ave", "none")
    }
    assert widths == {"concat": [(4,)], "sum": [(2,)], "mul": [(2,)], "ave": [(2,)], "none": [(2,), (2,)]}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("12 / 4 / 3", 1),
        ("7 - 3 - 2", 2),
        ("-2 * -3", 6),
        ("5 / 2 * 2", 5),
        ("1e1", 10),
        ("units * 2 if deep else units", 16),
        ("3 if not deep else 4 if units < 8 else 5", 5),
        ("3 if deep and units >= 8 else 4", 3),
        ("3 if false and 1 / 0 == 1 else 4", 4),
        ("3 if true or 1 / 0 == 1 else 4", 3),
        ('3 if kind == "wide" else 4', 3),
        ("3 if none != units else 4", 3),
        ("sizes[1] + sizes[units / 8 - 1]", 48),
        ("[3, 4, 5][2]", 5),
        ("1 / 0 if false else 3", 3),
    ],
)
def test_constant_expressions(expression: str, value: int) -> None:
    assert units_of(expression, '(units = 8, deep = true, kind = "wide", sizes = [32, 2 * units])') == value


def test_a_parameter_can_use_those_before_it() -> None:
    assert units_of("second", "(first = 3, second = 2 * first + 1)") == 7
    assert units_of("second", "(first = 3, second = 2 * first + 1)", {"first": 10}) == 21
    assert units_of("second", "(first = 3, second = 2 * first + 1)", {"second": 2}) == 2


@pytest.mark.parametrize("value", [5, 5.0, np.int64(5), np.float32(5.0)])
def test_a_number_from_outside(value: Any) -> None:
    assert units_of("units", "(units = 3)", {"units": value}) == 5
    assert units_of("units", "(units)", {"units": value}) == 5


def test_names_flags_lists_and_none_from_outside() -> None:
    text = model(
        "Dense(sizes[1], activation = act, use_bias = bias, name = label)", head="(act = tanh, bias = true, sizes = [1, 2], label = none)"
    )
    (dense,) = graph_of(text, {"act": "relu", "bias": False, "sizes": [4, 5], "label": "last"}).layers
    assert isinstance(dense, Dense)
    assert (dense.activation.name, dense.bias, dense.units, dense.name) == ("relu", None, 5, "last")


def test_a_parameter_can_be_a_call() -> None:
    (dense,) = layers("Dense(2, act)", head="(slope = 0.25, act = leaky_relu(negative_slope = 2 * slope))")
    assert isinstance(dense, Dense)
    assert dense.activation == Config("leaky_relu", (("negative_slope", 0.5),))


def input_type(text: str) -> GraphTensor:
    (source,) = graph_of(text).inputs
    assert source.name == "x"
    return source.value.type


def test_inputs() -> None:
    text = model("LSTM(2)", of="float[width, 2 * width - 1]", head="(width = 4)")
    assert input_type(text).shape == (4, 7)
    assert input_type(model("LSTM(2)", of="float[frames, 7]")).shape == (Name("frames"), 7)
    assert not input_type(model("Dense(2)", of="float[7]")).sequence


def test_direction_of_time() -> None:
    backwards = "LSTM(2, go_backwards = true, return_sequences = true)"
    assert [value.flipped for (value,) in results(backwards, backwards, "LSTM(2, return_sequences = true)")] == [True, False, False]
    assert [value.flipped for (value,) in results(backwards, "LSTM(2, return_sequences = true)")] == [True, True]


def test_a_cell_of_the_user_hides_that_of_the_library() -> None:
    own = "cell LSTM(units) { weight w [features, units] = ones state h [units] h' = x @ w + h return h' }\n"
    assert [weight.path for weight in cell_layer(own, "LSTM(2)").weights] == ["lstm/w"]


VARIED = """
cell Varied(units, factor = 0.5, act = tanh, start = ones, use_gate = false, extra) {
    weight kernel [features, 2 * units]   = start
    weight gate   [units, units]          = orthogonal(gain = 2) if use_gate
    weight scale  [units * factor]        = [zeros, start] if factor < 1
    state  h [units], wide [2 * units + extra]

    n = 2            # constants have names too
    low = -1 / n
    a, b = split(x @ kernel, n)
    c = clip(a * b, low, 1) if extra > 1 else a
    h' = act(c + h @ gate) + 0 * sum(scale)
    wide' = concat(h', h, 0 * wide[0]) if false else concat(h', h) * 1 if extra == 0 else wide
    return concat(h', max(h'), mean(c))
}
"""


def test_a_cell_with_choices() -> None:
    layer = cell_layer(VARIED, "Varied(4, extra = 3)")
    assert [(weight.path, weight.shape) for weight in layer.weights] == [("varied/kernel", (3, 8)), ("varied/scale", (2,))]
    assert [(part.start, part.stop, part.initializer.name) for part in layer.weights[1].initializer] == [(0, 1, "zeros"), (1, 2, "ones")]
    assert {state.name: state.width for state in layer.cells[0].step.states} == {"h": 4, "wide": 11}
    assert cell_shape(VARIED, "Varied(4, extra = 3)") == (6,)


def test_a_cells_arguments() -> None:
    use = "Varied(4, factor = 1, use_gate = true, act = relu, start = constant(0.5), extra = 0, return_sequences = true)"
    layer = cell_layer(VARIED, use)
    assert [weight.path for weight in layer.weights] == ["varied/kernel", "varied/gate"]
    assert layer.weights[0].initializer[0].initializer == Config("constant", (("value", 0.5),))
    assert layer.weights[1].initializer[0].initializer == Config("orthogonal", (("gain", 2.0), ("seed", None)))
    assert cell_shape(VARIED, use) == (Name("time"), 6)


@pytest.mark.parametrize("act", ["tanh", '"tanh"', "leaky_relu(0.1)"])
def test_an_activation_for_a_parameter_without_a_default(act: str) -> None:
    assert cell_shape("cell Plain(units, act) { state h [units] h' = act(h + mean(x)) return h' }\n", f"Plain(3, act = {act})") == (3,)


def test_the_train_section() -> None:
    train = graph_of(
        model(
            "Dense(2, softmax)",
            "train { loss = categorical_crossentropy metrics = [acc, mse] optimizer = SGD(rate, momentum = 0.9)",
            "epochs = 2 * 3 shuffle = false }",
            head="(rate = 0.5)",
        )
    ).train
    assert train.loss == Config("categorical_crossentropy", (("from_logits", False), ("label_smoothing", 0.0)))
    assert train.metrics == (Config("accuracy"), Config("mean_squared_error"))
    assert train.optimizer is not None
    assert dict(train.optimizer.arguments)["learning_rate"] == 0.5
    assert dict(train.optimizer.arguments)["momentum"] == 0.9
    assert (train.epochs, train.shuffle, train.batch_size, train.seed, train.validation_split) == (6, False, None, None, None)


def test_a_train_section_with_a_loss_only() -> None:
    train = graph_of(model("Dense(2)", "train { loss = mse }")).train
    assert train.loss == Config("mean_squared_error")
    assert (train.optimizer, train.metrics) == (None, ())


def test_no_train_section() -> None:
    assert graph_of(model("Dense(2)")).train.loss is None


def test_layout_is_free() -> None:
    text = "model Case ( units = 2 , ) { input x : float [ time , 3 , ] LSTM ( units , ) train { loss = mse } }"
    scattered = "# first\n" + text.replace(" ", "\r\n\t# ) } a remark\f\n") + "# last"
    assert graph_of("\ufeff" + scattered) == graph_of(text)


def test_the_order_of_declarations_is_free() -> None:
    cell = "cell Own(units) { state h [units] h' = h + mean(x) return h' }\n"
    assert graph_of(model("Own(2)") + cell) == graph_of(cell + model("Own(2)"))


def test_warnings_come_with_the_graph() -> None:
    graph = graph_of(model("Dense(2)", "train { loss = sparse_categorical_crossentropy }"))
    assert [warning.code for warning in graph.warnings] == ["W0401"]


@pytest.mark.parametrize(
    "train",
    [
        "loss = sparse_categorical_crossentropy(from_logits = true)",
        "loss = mse",
    ],
)
def test_no_warning_without_a_doubt(train: str) -> None:
    assert graph_of(model("Dense(2)", f"train {{ {train} }}")).warnings == ()


def test_every_error_of_the_stage_is_in_the_exception() -> None:
    with pytest.raises(SpecError) as caught:
        graph_of(model("Dense(0)", "Dens(2)", "train { loss = mes }"))
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["E0108", "E0102", "E0109"]


def test_a_cell_may_call_a_parameter_like_an_option_that_does_nothing() -> None:
    cell = "cell Deep(units, unroll = 1, seed = 2) { state h [unroll * units]  h' = h * seed + 0 * sum(x)  return h' }\n"
    assert cell_shape(cell, "Deep(3, unroll = 4)") == (12,)
    assert cell_shape(cell, "Bidirectional(Deep(3, unroll = 2, seed = 1), merge_mode = sum)") == (6,)
    assert cell_shape(cell, "RNN([Deep(3, unroll = 2)], unroll = true)") == (6,)
