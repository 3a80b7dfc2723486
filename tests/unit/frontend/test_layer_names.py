"""Names of layers, given and automatic: unique whatever the order; what is shared has one name, and in a repeat one each round."""

from __future__ import annotations

import pytest

from rnnspec.diagnostics import SpecError
from tests.unit.frontend.test_flows import codes, graph, shown, warned, weights

X = "x: float[3]"
SERIES = "x: float[time, 3]"


def names(*body: str, of: str = X, before: str = "") -> list[str]:
    """Of the layers that have weights, in their order."""
    return list(dict.fromkeys(path.rpartition("/")[0] for path in weights(graph(*body, of=of, before=before))))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (["shared dense = Dense(3)", "Dense(3)", "dense"], ["dense_1", "dense"]),
        (["Dense(3)", "shared dense = Dense(3)", "dense"], ["dense_1", "dense"]),
        (["Dense(3)", 'Dense(3, name = "dense")'], ["dense_1", "dense"]),
        (['Dense(3, name = "dense")', "Dense(3)"], ["dense", "dense_1"]),
        (["Dense(3)", 'Dense(3, name = "dense_1")', "Dense(3)"], ["dense", "dense_1", "dense_2"]),
        (["Dense(3)", 'repeat 1 { Dense(3, name = "dense") }'], ["dense_1", "dense"]),
        (['shared dense = Dense(3, name = "d")', "Dense(3)", "dense"], ["dense", "d"]),
        (["Dense(3)", 'x -> Dense(3, name = "den" if false else "dense")'], ["dense_1", "dense"]),
    ],
)
def test_an_automatic_name_steps_aside(body: list[str], expected: list[str]) -> None:
    assert names(*body) == expected


def test_names_behind_another_name_do_not_step_aside() -> None:
    """What is inside of a layer can't collide: naming a layer by hand renames nothing there."""
    body = ("Bidirectional(LSTM(2, return_sequences = true))", 'Dense(3, name = "lstm")', "LSTM(2)")
    assert names(*body, of=SERIES) == ["bidirectional/forward_lstm", "bidirectional/backward_lstm", "lstm", "lstm_1"]
    before = 'block Half(n) { Dense(n, name = "dense") Dense(n) }'
    assert names("Half(3)", "Dense(3)", before=before) == ["half/dense", "half/dense_1", "dense"]


def test_blocks_step_aside() -> None:
    before = "block Half(n) { Dense(n) }"
    assert names("Half(3)", 'Half(3, name = "half")', before=before) == ["half_1/dense", "half/dense"]


def test_two_given_names_collide() -> None:
    assert codes('Dense(3, name = "d")', 'Dense(3, name = "d")', of=X) == ["E0215"]
    assert codes("shared d = Dense(3)", 'Dense(3, name = "d")', "d", of=X) == ["E0215"]
    assert codes('repeat 2 { Dense(3, name = "d") }', of=X) == ["E0215"]


def test_a_shared_layer_in_a_repeat_is_made_anew_each_round() -> None:
    made = graph("repeat 2 { shared s = Dense(3)  s  s }", of=X)
    assert shown(made) == ["s(x)", "s(s)", "s_1(s)", "s_1(s_1)", "s_1 = s_1"]
    assert warned(made) == []


def test_rounds_and_automatic_names_step_aside_of_each_other() -> None:
    body = "repeat 2 { Dense(3)  shared dense = Dense(3)  dense }"
    assert names(body) == ["dense_1", "dense", "dense_2", "dense_3"]
    assert names(body, 'Dense(3, name = "dense_3")') == ["dense_1", "dense", "dense_2", "dense_4", "dense_3"]


def test_a_name_is_free_again_after_its_repeat() -> None:
    assert names("repeat 2 { shared s = Dense(3)  s }", "shared s = Dense(3)", "s") == ["s", "s_1", "s_2"]


HALF = "block Half(n) { Dense(n, relu)  repeat 2 { shared s = Dense(3)  s } }"


def test_a_shared_block_has_one_set_of_weights() -> None:
    made = graph("shared h = Half(3)", "h", "Dense(3)", "h", of=X, before=HALF)
    assert [layer.name for layer in made.layers] == ["h/dense", "h/s", "h/s_1", "dense"]
    assert [line.partition("(")[0] for line in shown(made)[:-1]] == ["h/dense", "h/s", "h/s_1", "dense", "h/dense", "h/s", "h/s_1"]


def test_a_shared_block_takes_values_of_one_width() -> None:
    assert codes("shared h = Half(3)", "x -> h", "y -> h", of=f"{X}, y: float[4]", before=HALF) == ["E0509"]


def test_a_shared_layer_that_nothing_uses_is_checked() -> None:
    """As far as it can be without knowing what would flow in."""
    assert codes("shared s = Dens(3)", "Dense(3)", of=X) == ["E0102"]
    assert codes("shared s = Dense(3, unit = 3)", "Dense(3)", of=X) == ["E0103"]
    assert codes("shared s = Bidirectional(Dense(3))", "Dense(3)", of=X) == ["E0212"]
    assert codes("shared s = Half(3)", "Dense(3)", of=X, before="block Half(n) { Dense(n) Foo(2) }") == ["E0102"]
    assert codes("shared s = Dense(3)", "x -> Dens(3) -> s", "repeat 1 { shared t = Foo(2) }", of=X) == ["E0102", "E0102"]


def test_a_shared_layer_that_nothing_uses_is_warned_of() -> None:
    body = ("shared s = LSTM(3)", "shared used = Dense(3)", "shared _t = Dense(3)", "used", "repeat 2 { shared u = Dense(2) }")
    made = graph(*body, of=X)
    assert warned(made) == [f"W0502 the shared layer `{name}` is never used" for name in "us"]
    assert weights(made) == ["used/kernel", "used/bias"]
    inside = graph("x -> Half(3)", of=X, before="block Half(n) { shared s = Dense(n) Dense(3) }")
    assert warned(inside) == ["W0502 the shared layer `s` is never used"]


def test_both_directions_go_into_a_merge_without_names() -> None:
    made = graph("x -> Bidirectional(LSTM(2), merge_mode = none) -> Concatenate()", of=SERIES)
    assert shown(made)[1] == "concatenate(bidirectional.0, bidirectional.1)"
    assert codes("x -> Bidirectional(LSTM(2), merge_mode = none) -> Dense(3)", of=SERIES) == ["E0211"]


def test_a_fault_in_a_block_shows_its_uses_from_the_nearest() -> None:
    before = "block Inner() { Dense(3, unit = 2) }\nblock Outer() { Inner() }\n"
    with pytest.raises(SpecError) as caught:
        graph("Outer()", "Outer()", of=X, before=before)
    (error,) = caught.value.diagnostics
    assert [(label.span.text, label.text) for label in error.secondary] == [("Inner", "used here"), ("Outer", "used here")]
