"""The printed syntax tree and the printed graph of a small spec that uses a user's cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnspec.frontend.model.graph_printer import print_ast, print_graph
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.source import SourceFile

GOLDEN = Path(__file__).parents[2] / "golden" / "frontend"
SPEC = SourceFile("leaky.rnn", (GOLDEN / "leaky.rnn").read_text(encoding="utf-8"))


def compared(name: str, printed: str, regenerate: bool) -> None:
    golden = GOLDEN / name
    if regenerate:
        golden.write_text(printed, encoding="utf-8")
    assert printed == golden.read_text(encoding="utf-8")


def test_syntax_tree(regenerate: bool) -> None:
    compared("leaky.ast", print_ast(parse(SPEC)), regenerate)


def test_graph(regenerate: bool) -> None:
    compared("leaky.graph", print_graph(resolve(parse(SPEC))), regenerate)


def test_a_stack_shows_its_cells() -> None:
    text = """
        model Case {
            input x: float[time, 2]
            RNN([SimpleRNN(3, dropout = 0.1), SimpleRNN(2)], go_backwards = true)
            BatchNormalization(scale = false)
            GaussianNoise(0.5)
        }
    """
    lines = print_graph(resolve(parse(SourceFile.of_text(text)))).splitlines()
    assert lines[2] == "  %1 = rnn(%0): RNN([SimpleRNN, SimpleRNN])(go_backwards = true) -> float[batch, 2]"
    assert [line for line in lines if line.startswith("    simple_rnn")] == [
        "    simple_rnn: SimpleRNN(dropout = 0.1)",
        "    simple_rnn_1: SimpleRNN()",
    ]
    assert "      weight rnn/simple_rnn_1/kernel [3, 2] = glorot_uniform" in lines
    assert "    weight batch_normalization/moving_mean [2] = zeros updated" in lines
    assert "  %3 = gaussian_noise(%2): GaussianNoise(stddev = 0.5) -> float[batch, 2]" in lines


def test_layers_show_their_options() -> None:
    text = """
        model Case {
            input x: float[time, 2]
            ZeroPadding1D([2, 1])
            Cropping1D(carry_mask = true)
            UpSampling1D(3)
            UnitNormalization()
            GaussianDropout(0.25)
            AlphaDropout(0.5)
        }
    """
    lines = print_graph(resolve(parse(SourceFile.of_text(text)))).splitlines()
    assert [line.partition(": ")[2] for line in lines[2:-1]] == [
        "ZeroPadding1D(padding = [2, 1]) -> float[batch, time+3, 2]",
        "Cropping1D(cropping = [1, 1], carry_mask = true) -> float[batch, time+1, 2]",
        "UpSampling1D(size = 3) -> float[batch, time+time+time+3, 2]",
        "UnitNormalization() -> float[batch, time+time+time+3, 2]",
        "GaussianDropout(rate = 0.25) -> float[batch, time+time+time+3, 2]",
        "AlphaDropout(rate = 0.5) -> float[batch, time+time+time+3, 2]",
    ]


@pytest.mark.parametrize(
    "term",
    [
        "2 * (h - x)",
        "-(h + x) * 2",
        "h - (x - 1)",
        "(h - x) - 1",
        "max(h, -x) / (1 + exp(-h))",
        "h * -x",
        "-(-h)",
        "h * positions(2)",
        "stop_gradient(h)",
    ],
)
def test_a_printed_term_means_the_same_when_it_is_read_again(term: str) -> None:
    def printed(equation: str) -> str:
        cell = f"cell Own(units) {{ state h [units] h' = {equation} return h' }}"
        graph = print_graph(resolve(parse(SourceFile.of_text(f"{cell} model Case {{ input x: float[time, 2] Own(2) }}"))))
        return next(line.partition(" = ")[2] for line in graph.splitlines() if line.strip().startswith("h' = "))

    assert printed(printed(term)) == printed(term)
    assert printed(term) != printed("h")
