"""Functions, losses and metrics as text: what they mean where they are called, and that any text ends in bounded time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.metric_names import COMPUTED, SEQUENCE_LOSSES
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import SpecError
from rnnspec.frontend.binding.python_choice import config_of
from rnnspec.frontend.binding.values import NOTHING_OWN, CheckError
from rnnspec.frontend.catalogue.choices import LOSSES, METRICS
from rnnspec.frontend.cells import equation_checks
from rnnspec.frontend.cells.cell_printer import step_lines
from rnnspec.frontend.cells.row_functions import activation_step, loss_step, metric_steps
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.graph_printer import print_graph
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.frontend.syntax.parser import parse
from rnnspec.source import SourceFile

X = np.array([[-1.5, -0.25, 0.5, 2.0]])
"""A row of a batch of one."""


def declared(text: str) -> tuple[ast.Declaration, ...]:
    return parse(SourceFile.of_text(text)).declarations


def function(text: str) -> ast.Function:
    (made,) = declared(text)
    assert isinstance(made, ast.Function)
    return made


def graph_of(text: str) -> Graph:
    return resolve(parse(SourceFile.of_text(text)))


def model(activation: str, units: int = 4) -> str:
    return f"\nmodel Case {{ input x: float[{units}] Activation({activation}) }}\n"


def applied(text: str, activation: str = "f", x: NDArray[np.float64] = X) -> NDArray[np.float64]:
    """An activation of a spec on a row, in native code."""
    compiled = rnnspec.compile(text + model(activation, x.shape[1]), dtype="float64")
    return np.asarray(compiled.predict(x))


def cell(*equations: str, result: str, parameters: str = "units") -> str:
    """A cell of width 3 on inputs of width 3, whose equations read `x` and `h`."""
    body = "\n".join(f"    {line}" for line in (*equations, f"h' = {result}", "return h'"))
    return f"cell Case({parameters}) {{\n    state h [units]\n{body}\n}}\nmodel M {{ input x: float[time, 3] Case(3) }}\n"


def step_of(text: str) -> list[str]:
    """The equations of a cell with all functions put in, as `inspect --stage graph` shows them."""
    lines = [line.strip() for line in print_graph(graph_of(text)).splitlines()]
    first = next(place for place, line in enumerate(lines) if line.startswith("state h"))
    last = lines.index("return h'")
    return lines[first + 1 : last]


def faults(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        graph_of(text)
    return [f"{each.code} {each.span.text}" for each in caught.value.diagnostics]


class TestSyntax:
    def test_a_value_and_braces_are_the_same_function(self) -> None:
        assert function("function f(x) = x * x").statements == function("function f(x) { return x * x }").statements

    def test_parameters_have_defaults(self) -> None:
        made = function("function f(x, slope = 0.5, kind = none,) { y = slope * x\n return y }")
        assert [each.name.text for each in made.parameters] == ["x", "slope", "kind"]
        assert [each.default is None for each in made.parameters] == [True, False, False]
        assert [type(each) for each in made.statements] == [ast.Equation, ast.Return]

    def test_a_loss_says_what_its_target_is(self) -> None:
        first, second, third = declared(
            "loss a { return 1 } loss b(k = 1) of binary { return 1 } metric c(none_of = 1) of class except none_of { return 1 }"
        )
        assert isinstance(first, ast.Loss) and isinstance(second, ast.Loss) and isinstance(third, ast.Metric)
        assert first.target is None and not first.parameters
        assert second.target is not None and second.target.text == "binary" and second.unlabelled is None
        assert third.target is not None and third.target.text == "class"
        assert third.unlabelled is not None and third.unlabelled.text == "none_of"

    @pytest.mark.parametrize("word", ["function", "loss", "metric", "of", "except"])
    def test_the_words_of_a_head_are_names_elsewhere(self, word: str) -> None:
        text = f"function f({word}) {{\n    {word}_2 = 2 * {word}\n    return {word}_2\n}}\n"
        assert graph_of(text + f"model M({word} = 3) {{ input x: float[3] Dense({word}, activation = f) }}").layers
        assert graph_of(f"function {word}(x) = 2 * x\n" + model(word)).layers

    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("function  f( x )=x*x", "function f(x) = x * x\n"),
            ("function f(x){return x*x}", "function f(x) {\n    return x * x\n}\n"),
            ("function f() = 1", "function f() = 1\n"),
            ("loss f ( q=0.5 )of class except q{return q}", "loss f(q = 0.5) of class except q {\n    return q\n}\n"),
            ("metric f{return 1}# end", "metric f {\n    return 1\n}  # end\n"),
            (
                "function f(x,a){when a{y=x\nreturn y}else{return -x}}",
                "function f(x, a) {\n    when a {\n        y = x\n        return y\n    } else {\n        return -x\n    }\n}\n",
            ),
        ],
    )
    def test_the_canonical_form(self, text: str, canonical: str) -> None:
        assert format_spec(SourceFile.of_text(text)) == canonical
        assert format_spec(SourceFile.of_text(canonical)) == canonical
        assert declared(text) == declared(canonical)


class TestCalls:
    """What stands in the place of a call."""

    def test_a_function_is_put_in(self) -> None:
        assert step_of("function f(a, b) = a - 2 * b\n" + cell(result="f(h, x)")) == ["h' = h - (2 * x)"]

    @pytest.mark.parametrize("call", ["f(h, 2, 3)", "f(h, m = 3, k = 2)", "f(m = 3, k = 2, a = h)", "f(h, 2)", "f(h, k = 2)"])
    def test_arguments_go_by_place_name_and_default(self, call: str) -> None:
        assert step_of("function f(a, k, m = 3) = k * a + m\n" + cell(result=call)) == ["h' = (2 * h) + 3"]

    def test_an_argument_that_is_read_twice_is_computed_once(self) -> None:
        found = step_of("function square(a) = a * a\n" + cell(result="square(x + h)"))
        assert found == ["square.a = x + h", "h' = square.a * square.a"]

    def test_a_value_that_has_a_name_gets_no_second_one(self) -> None:
        assert step_of("function square(a) = a * a\n" + cell("s = x + h", result="square(s)")) == ["s = x + h", "h' = s * s"]

    def test_an_equation_of_a_function_is_computed_once_a_call(self) -> None:
        text = "function f(a) {\n    t = exp(a)\n    return t / (t + 1)\n}\n"
        assert step_of(text + cell(result="f(x) + f(h)")) == [
            "f.t = exp(x)",
            "f.t.2 = exp(h)",
            "h' = (f.t / (f.t + 1)) + (f.t.2 / (f.t.2 + 1))",
        ]

    def test_a_function_that_is_called_twice_in_another_is_computed_once_by_name(self) -> None:
        text = "function inner(a) = exp(a)\nfunction outer(a) {\n    e = inner(a)\n    return e * e\n}\n"
        assert step_of(text + cell(result="outer(h)")) == ["outer.e = exp(h)", "h' = outer.e * outer.e"]

    def test_parts_of_a_split(self) -> None:
        text = "function swapped(a) {\n    b, c, d = split(a, 3)\n    return concat(d, c, b)\n}\n"
        assert step_of(text + cell(result="swapped(h)"))[0] == "swapped.b, swapped.c, swapped.d = split(h, 3)"

    def test_a_weight_is_an_argument_like_another(self) -> None:
        text = "function project(a, w) = a @ w\n"
        body = "cell C(units) { weight kernel [features, units] = ones state h [units] h' = project(x, kernel) return h' }\n"
        assert "    h' = x @ kernel" in print_graph(graph_of(text + body + "model M { input x: float[time, 3] C(2) }")).splitlines()

    def test_a_condition_is_an_argument_and_a_value(self) -> None:
        text = "function f(yes, a) = where(yes, a, 0)\nfunction big(a) = a > 1 or a < -1\n"
        assert step_of(text + cell(result="f(big(h), x)")) == ["h' = where((h > 1) or (h < -1), x, 0)"]

    def test_a_name_of_a_condition(self) -> None:
        text = "function f(a) {\n    big = a > 1\n    return where(big, 1, a)\n}\n"
        assert step_of(text + cell(result="f(h)")) == ["h' = where(h > 1, 1, h)"]

    def test_an_activation_is_an_argument(self) -> None:
        text = "function f(a, act = tanh) = act(a)\nfunction twice(a) = 2 * a\n"
        assert step_of(text + cell(result="f(h) + f(h, sigmoid) + f(h, act = twice)")) == ["h' = (tanh(h) + sigmoid(h)) + (2 * h)"]
        parameters = "units, activation = relu6"
        assert step_of(text + cell(result="f(h, activation)", parameters=parameters)) == ["h' = min(max(h, 0), 6)"]

    def test_a_cell_takes_a_function_as_its_activation(self) -> None:
        assert step_of(
            "function f(a, k = 1) = k * a\n"
            + cell(result="activation(h)", parameters="units, activation = tanh").replace("Case(3)", "Case(3, activation = f(k = 5))")
        ) == ["h' = 5 * h"]

    def test_names_of_the_caller_are_not_known(self) -> None:
        assert faults("function f(a) = a * units\n" + cell(result="f(h)")) == ["E0101 units"]
        assert faults("function f(a) = a + h\n" + cell(result="f(x)")) == ["E0101 h"]
        assert faults("function f(a) = h' + a\n" + cell(result="f(x)")) == ["E0321 h'"]

    def test_a_fault_names_the_calls_that_led_to_it(self) -> None:
        text = "function inner(a) = a + [1, 2]\nfunction outer(a) = inner(a)\n" + cell(result="outer(h)")
        with pytest.raises(SpecError) as caught:
            graph_of(text)
        (fault,) = caught.value.diagnostics
        assert [(label.span.text, label.text) for label in fault.secondary] == [
            ("inner", "called here"),
            ("outer", "called here"),
            ("Case", "used here, with `features` = 3"),
        ]


class TestConstants:
    """What is known when the spec is compiled chooses, counts, and computes nothing."""

    def test_a_condition_chooses_what_is_looked_at(self) -> None:
        text = "function f(a, n) = a if n == 0 else a @ n\n"
        assert step_of(text + cell(result="f(h, 0)")) == ["h' = h"]

    @pytest.mark.parametrize(("n", "value"), [(0, "h"), (1, "2 * h"), (2, "-h")])
    def test_when_chooses_statements(self, n: int, value: str) -> None:
        text = "function f(a, n) {\n    when n == 0 { return a }\n    when n == 1 { b = 2 * a } else { b = -a }\n    return b\n}\n"
        found = step_of(text + cell(result=f"f(h, {n})"))
        assert found[-1] == f"h' = {value if n == 0 else 'f.b'}"
        assert n == 0 or found[0] == f"f.b = {value}"

    def test_an_equation_of_a_constant_is_a_constant(self) -> None:
        text = "function f(a) {\n    n = width(a) - 1\n    return a * positions(n + 1) / n\n}\n"
        assert step_of(text + cell(result="f(h)")) == ["h' = (h * positions(3)) / 2"]

    def test_a_function_of_constants_is_a_constant(self) -> None:
        text = "function half(n) = floor(n / 2)\nfunction f(a, n) = a[half(n)]\n"
        assert step_of(text + cell(result="h + f(x, 5)")) == ["h' = h + x[2]"]

    def test_texts_choose(self) -> None:
        text = 'function f(a, kind = "sum") = sum(a) if kind == "sum" else mean(a)\n'
        assert step_of(text + cell(result='h + f(x) + f(x, "mean")')) == ["h' = (h + sum(x)) + mean(x)"]

    def test_lists_are_rows(self) -> None:
        text = "function f(a, k = [1, 2, 3]) = a * k + k[1] + width(k)\n"
        assert step_of(text + cell(result="f(h)")) == ["h' = ((h * concat(1, 2, 3)) + 2) + 3"]
        np.testing.assert_array_equal(applied("function f(x, k) = k * x\n", "f([1, 2, 3, 4])"), X * [1, 2, 3, 4])

    def test_a_number_is_a_list_of_one(self) -> None:
        assert step_of("function f(a, k) = k[0] * a + width(k)\n" + cell(result="f(h, 5)")) == ["h' = (5 * h) + 1"]

    def test_a_value_where_a_constant_is_needed(self) -> None:
        assert faults("function f(a, n) = a * positions(n)\n" + cell(result="f(h, h)")) == ["E0117 n"]
        assert faults("function f(a, n) = a if n else -a\n" + cell(result="f(h, h)")) == ["E0318 n"]

    def test_the_width_of_a_row_that_is_not_read(self) -> None:
        assert step_of("function f(a, b) = a * width(b)\n" + cell(result="f(h, exp(x))")) == ["h' = h * 3"]


class TestRecursion:
    def test_it_ends_by_a_condition(self) -> None:
        text = "function power(x, n) = x if n == 1 else x * power(x, n - 1)\n"
        np.testing.assert_allclose(applied(text, "power(5)"), X**5, rtol=1e-12)

    def test_it_walks_over_units(self) -> None:
        text = "function largest(x, n) = x[0] if n == 0 else max(x[n], largest(x, n - 1))\nfunction f(x) = x - largest(x, width(x) - 1)\n"
        np.testing.assert_allclose(applied(text), X - X.max(), rtol=1e-12)

    def test_the_deepest_that_is_possible(self) -> None:
        text = "function f(x, n) = x if n == 1 else f(x, n - 1) + 1\n"
        np.testing.assert_allclose(applied(text, "f(64)"), X + 63, rtol=1e-12)
        assert faults(text + model("f(65)")) == ["E0710 f"]

    def test_without_an_end(self) -> None:
        assert faults("function f(x) = f(x)\n" + model("f")) == ["E0710 f"]
        assert faults("function f(x) = g(x)\nfunction g(x) = -f(x)\n" + model("f")) == ["E0710 f"]


class TestBounds:
    """Few characters stand for many calls: each such text is refused soon, or short when it is written out."""

    TREE = "function tree(x, n) = x if n == 0 else tree(x, n - 1) * tree(x + 1, n - 1)\n"

    @pytest.mark.parametrize(
        ("text", "codes"),
        [
            (TREE + model("tree(40)"), ["E0706"]),
            (TREE + "model M { input x: float[4] repeat 400 { Dense(4, activation = tree(8)) } }", ["E0706"]),
            (TREE + cell(result="tree(h, 40)"), ["E0706"]),
            (TREE + "loss f { return mean(tree(prediction, 40)) }\nmodel M { input x: float[4] Dense(4) train { loss = f } }", ["E0706"]),
            (
                TREE + "metric f(k) { return mean(k * tree(prediction, 9)) }\nmodel M { input x: float[4] Dense(4) train { loss = mse "
                f"metrics = [{', '.join(f'f({k})' for k in range(100))}] }} }}",
                ["E0706"],
            ),
            ("function f(c, n) = c if n == 0 else f(c and c, n - 1)\nfunction g(x) = where(f(x > 0, 60), x, 0)\n" + model("g"), ["E0706"]),
        ],
        ids=["calls", "layers", "cell", "loss", "metrics", "comparisons"],
    )
    def test_what_is_refused_is_refused_soon(self, text: str, codes: Sequence[str]) -> None:
        start = time.process_time()
        assert [fault.split()[0] for fault in faults(text)] == codes
        assert time.process_time() - start < 10

    def test_a_value_that_is_doubled_again_and_again_is_short(self) -> None:
        text = "function f(x, n) = x if n == 0 else f(x + x, n - 1)\n"
        start = time.process_time()
        np.testing.assert_allclose(applied(text, "f(60)"), X * 2.0**60, rtol=1e-12)
        assert time.process_time() - start < 10


class TestNames:
    def test_an_own_function_comes_before_that_of_the_library(self) -> None:
        text = "function softsign(x) = 3 * x\n"
        np.testing.assert_array_equal(applied(text, "softsign"), 3 * X)
        assert step_of(text + cell(result="softsign(h)")) == ["h' = 3 * h"]

    def test_under_every_spelling(self) -> None:
        text = "function silu(x) = 3 * x\n"
        np.testing.assert_array_equal(applied(text, "swish"), 3 * X)
        assert step_of(text + cell(result="swish(h)")) == ["h' = 3 * h"]

    def test_the_library_reads_its_own_functions_alone(self) -> None:
        text = "function softplus(x) = 100 * x\nfunction below_maximum(x) = 100 * x\nfunction quotient(a, b) = 100\n"
        np.testing.assert_array_equal(applied(text, "mish"), applied("", "mish"))
        np.testing.assert_array_equal(applied(text, "softmax"), applied("", "softmax"))

    @pytest.mark.parametrize(
        ("own", "layer"),
        [
            ("function relu(x) = 100 * x\n", "ReLU(max_value = 1)"),
            ("function elu(x) = 100 * x\n", "ELU(alpha = 2.0)"),
            ("function leaky_relu(x) = 100 * x\n", "LeakyReLU()"),
            ("function softmax(x) = 100 * x\n", "Softmax()"),
        ],
    )
    def test_a_layer_that_is_an_activation_is_the_librarys(self, own: str, layer: str) -> None:
        text = f"model M {{ input x: float[4] {layer} }}"
        plain, beside = (rnnspec.compile(head + text, dtype="float64").predict(X) for head in ("", own))
        np.testing.assert_array_equal(plain, beside)

    @pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "where", "width", "total", "linear", "max", "stop_gradient"])
    def test_names_of_the_language_are_taken(self, name: str) -> None:
        assert faults(f"function {name}(x) = x\n" + model("relu")) == [f"E0110 {name}"]

    def test_kinds_have_names_of_their_own(self) -> None:
        text = "function f(x) = 2 * x\nloss f { return mean(f(prediction)) }\nmetric f { return mean(prediction) }\n"
        assert graph_of(text + "model f { input x: float[4] Dense(4, activation = f) train { loss = f metrics = [f] } }").layers

    def test_an_own_loss_stands_for_that_of_the_library_under_every_spelling(self) -> None:
        own = "loss huber(slope = 3) { return slope * mean(abs(target - prediction)) }\n"
        assert graph_of(own + "model M { input x: float[4] Dense(4) train { loss = Huber } }").train.loss == Config(
            "huber", (("slope", 3.0),)
        )


class TestActivations:
    """A function as the activation of a layer."""

    @pytest.mark.parametrize(
        ("layer", "width"), [("Dense(2, activation = f)", 2), ("Conv1D(5, 2, activation = f)", 5), ("Activation(f)", 3)]
    )
    def test_of_another_width_than_its_value(self, layer: str, width: int) -> None:
        text = f"function f(x) = concat(x, x)\nmodel M {{ input x: float[time, 3] {layer} }}"
        with pytest.raises(SpecError) as caught:
            graph_of(text)
        (fault,) = caught.value.diagnostics
        assert (fault.code, fault.span.start) == ("E0319", text.rindex("f)"))
        assert fault.message == f"the activation `f` needs [{width}], as wide as its value"
        assert fault.label_text == f"this is [{2 * width}]"

    def test_of_another_width_in_a_cell(self) -> None:
        text = "function f(x) = concat(x, x)\nmodel M { input x: float[time, 3] LSTM(2, activation = f) }"
        with pytest.raises(SpecError) as caught:
            graph_of(text)
        (fault,) = caught.value.diagnostics
        assert fault.message == "the activation `f` needs [2], as wide as its value"
        assert ("f", "given here") in [(label.span.text, label.text) for label in fault.secondary]

    def test_a_number_is_a_row_of_equal_ones(self) -> None:
        np.testing.assert_array_equal(applied("function f(x) = sum(x)\n"), np.full_like(X, X.sum()))
        np.testing.assert_array_equal(applied("function f(x) = 3\n"), np.full_like(X, 3))

    def test_its_gradient(self) -> None:
        compiled = rnnspec.compile("function f(x, k) = where(x > 0, x * x, k * sin(x))\n" + model("f(0.5)"), dtype="float64")
        _, tape = compiled.forward(X, record=True)
        gradients = compiled.backward(tape, np.ones_like(X))
        np.testing.assert_allclose(gradients.inputs["x"], np.where(X > 0, 2 * X, 0.5 * np.cos(X)), rtol=1e-12)

    def test_an_own_function_says_what_the_librarys_does(self) -> None:
        text = "function own(x) {\n    powers = exp(x - stop_gradient(max(x)))\n    return powers / sum(powers)\n}\n"
        np.testing.assert_array_equal(applied(text, "own"), applied("", "softmax"))


class TestFiles:
    FILES: Mapping[str, str] = {
        "parts.rnn": "function soft(x, k = 1) = k * tanh(x / k)\n"
        "loss tilted(q = 0.5) {\n    e = target - prediction\n    return mean(max(q * e, (q - 1) * e))\n}\n"
        "metric hits of binary {\n    return total(sum(where(prediction > 0.5, target, 0))) / max(total(sum(target)), 1)\n}\n",
        "main.rnn": 'import "parts.rnn"\nmodel M {\n    input x: float[4]\n    Dense(2, activation = soft(2))\n'
        "    train {\n        optimizer = Adam()\n        loss      = tilted(q = 0.9)\n        metrics   = [hits]\n    }\n}\n",
    }

    def test_an_import_brings_functions_losses_and_metrics(self, tmp_path: Path) -> None:
        for name, text in self.FILES.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        compiled = rnnspec.compile(tmp_path / "main.rnn", seed=0)
        x, y = np.tile(X, (6, 1)).astype(np.float32), np.ones((6, 2), np.float32)
        assert compiled.evaluate(x, y).keys() == {"loss", "hits"}
        compiled.save(tmp_path / "model.rnnc")
        loaded = rnnspec.load(tmp_path / "model.rnnc")
        np.testing.assert_array_equal(loaded.predict(x), compiled.predict(x))
        assert loaded.evaluate(x, y) == compiled.evaluate(x, y)
        assert loaded.fit(x, y, epochs=1, verbose=0).history.keys() == {"loss", "hits"}


class TestLibrary:
    """What the library's own text must be, since no spec reports its faults."""

    EVERY = (*standard_library.functions({}).items(), *standard_library.losses({}).items(), *standard_library.metrics({}).items())

    @pytest.mark.parametrize("each", [tree for _, tree in EVERY], ids=[f"{type(tree).__name__.lower()} {name}" for name, tree in EVERY])
    def test_a_declaration_is_without_fault(self, each: ast.Equations) -> None:
        own = isinstance(each, ast.Function) and each.name.text == "linear"
        assert [fault.message for fault in equation_checks.faults(each) if not own] == []

    def test_names_of_the_catalogue_are_the_texts(self) -> None:
        assert {entry.name for entry in LOSSES.values()} == {*standard_library.losses({}), *SEQUENCE_LOSSES}
        of_rows = {name for name, each in standard_library.losses({}).items() if not equation_checks.has_states(each)}
        assert {entry.name for entry in METRICS.values()} == {*standard_library.metrics({}), *of_rows, *COMPUTED}

    def test_one_declaration_of_a_file_is_parsed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[str] = []
        parse_text = standard_library.parse
        monkeypatch.setattr(
            standard_library, "parse", lambda source: (read.append(source.text.split("(")[0].strip()), parse_text(source))[1]
        )
        standard_library._declared.cache_clear()  # pyright: ignore[reportPrivateUsage]
        activation_step(Config("softmax"), 8, standard_library.functions({}))
        assert read == ["function softmax", "function below_maximum"]

    def test_a_place_in_the_library_is_that_of_its_file(self) -> None:
        tree = standard_library.losses({})["huber"]
        line, _ = tree.span.source.position(tree.name.span.start)
        text = (Path(rnnspec.__file__).parent / tree.span.source.path).read_text(encoding="utf-8")
        assert text.splitlines()[line - 1].startswith("loss huber(")

    def test_a_step_is_printed(self) -> None:
        config = config_of("loss", Config("hinge"), NOTHING_OWN, 2, classes=False)
        lines = list(step_lines(loss_step(config, 2, NOTHING_OWN)))
        assert lines[0].startswith("hinge.sign = where(target == 0, ")


class TestLossesAndMetrics:
    def test_a_loss_without_number(self) -> None:
        text = "loss f { return prediction }\nmodel M { input x: float[4] Dense(4) train { loss = f } }"
        assert faults(text) == ["E0319 f"]

    def test_totals_are_of_metrics(self) -> None:
        own = graph_of("metric f { return total(1) }\nmodel M { input x: float[4] Dense(4) train { loss = mse metrics = [f] } }").own
        steps = metric_steps(Config("f"), 4, own)
        assert steps.result is not None and steps.rows.output.shape.dimensions == (1,)
        assert faults("loss f { return total(mean(prediction)) }\nmodel M { input x: float[4] Dense(4) train { loss = f } }") == [
            "E0315 total(mean(prediction))"
        ]

    def test_a_loss_with_states_is_no_metric(self) -> None:
        loss = "loss f { state s [1] s' = s + mean(prediction) return s' }\n"
        text = loss + "model M { input x: float[time, 4] Dense(4) train { loss = mse metrics = [f] } }"
        assert faults(text) == ["E0319 f"]

    def test_statements_count_where_no_spec_does(self) -> None:
        tree = TestBounds.TREE + "metric f { return mean(tree(prediction, 40)) }\n"
        own = graph_of(tree + "model M { input x: float[4] Dense(4) }").own
        with pytest.raises(CheckError) as caught:
            metric_steps(Config("f"), 4, own)
        assert [fault.code for fault in caught.value.diagnostics] == ["E0706"]
