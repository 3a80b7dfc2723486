"""Drawn specs with damaged words: what is still accepted must work, what isn't must be told, at a place in the text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from rnnspec.contract.dimensions import Size
from rnnspec.frontend.graph.graph import Graph
from tests.property.drawn_model import MAIN, DrawnModel, long_enough
from tests.property.entries import Shape
from tests.property.models import drawn_models

WORDS = re.compile(r'"[^"\n]*"|\d+(?:\.\d*)?|\w+\'?|->|\S')
NUMBERS = ("0", "-1", "1.5", "7", "1000000000", "1e400", "99999999999999999999", "true", "none", "[1, 2]", "width")
STRANGE = ("(", ")", "{", "}", "[", "]", ",", "=", "->", "'", '"', "@", "$", "#", "model", "cell", "repeat 3 {", "shared", "output", "none",
           "_", "time", "batch", "initial_state = v1", "stateful = true", "return_state = true", "merge_mode = none", "LSTM(3)", "Add()",
           "go_backwards = true", "Masking()", "a", "v1", "h", "h'", "x", "units = 3", "Bidirectional(LSTM(2))")  # fmt: skip
ALIKE = (
    ("1", "2", "3", "5", "0.5", "0", "1.0"),
    ("true", "false"),
    ("LSTM", "GRU", "SimpleRNN", "Dense", "Embedding", "RepeatVector"),
    ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
    (
        "Activation",
        "Softmax",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "PReLU",
        "LayerNormalization",
        "GlobalMaxPooling1D",
        "Masking",
        "TimeDistributed",
    ),
    ("Conv1D", "MaxPooling1D", "AveragePooling1D", "Dense"),
    ("Flatten", "Reshape", "Permute", "GlobalMaxPooling1D"),
    ("Dot", "Attention", "Concatenate"),
    ("BatchNormalization", "LayerNormalization", "GaussianNoise"),
    ("LSTM", "RNN", "Bidirectional", "TimeDistributed"),
    ("valid", "same", "causal"),
    ("dropout", "recurrent_dropout"),
    ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask", "use_bias", "mask_zero", "center", "scale"),
    ("concat", "sum", "mul", "ave", "none"),
    ("tanh", "sigmoid", "softmax", "relu", "softsign", "silu", "exp", "abs", "sqrt", "mean", "softplus", "gelu"),
    ("float", "int"),
    ("time", "later"),
    ("glorot_uniform", "orthogonal", "random_normal", "ones", "he_normal"),
    ("+", "-", "*", "/", "@"),
)
"""Words that may stand where another of them does."""
NAMES = re.compile(r"v\d+|[abc]|inner|narrow|[hcnx]'?|[lr]\d|bias|peephole|kernel|recurrent_kernel|gates|twin")
MOST_WEIGHTS, LONGEST = 20_000, 40
"""Of a damaged spec that is compiled: a damaged number may ask for anything."""


@st.composite
def damaged_models(draw: st.DrawFn) -> DrawnModel:
    """A drawn model, its text damaged in one place to three; what it means to the oracle is unknown."""
    drawn = draw(drawn_models())
    path = draw(st.sampled_from([MAIN, *drawn.files]))
    text = drawn.files[path]
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        text = damaged(draw, text)
    return replace(drawn, files={**drawn.files, path: text}, sound=False)


def damaged(draw: st.DrawFn, text: str) -> str:
    words = list(WORDS.finditer(text))
    if not words:
        return draw(st.sampled_from(STRANGE))
    word = draw(st.sampled_from(words))
    before, after = text[: word.start()], text[word.end() :]
    if draw(st.booleans()):
        return likely(draw, text, words)
    other = draw(st.sampled_from(words))
    match draw(st.integers(0, 6)):
        case 0:
            return before + after
        case 1:
            return f"{before}{word.group()} {word.group()}{after}"
        case 2:
            first, second = sorted([word, other], key=lambda each: each.start())
            if first.end() > second.start():
                return before + after
            return text[: first.start()] + second.group() + text[first.end() : second.start()] + first.group() + text[second.end() :]
        case 3:
            return before + other.group() + after
        case 4:
            return before + draw(st.sampled_from(STRANGE)) + after
        case 5:
            return f"{before}{word.group()} {draw(st.sampled_from(STRANGE))} {after}"
        case _:
            numbers = [each for each in words if each.group()[0].isdigit()]
            chosen = draw(st.sampled_from(numbers or words))
            return text[: chosen.start()] + draw(st.sampled_from(NUMBERS)) + text[chosen.end() :]


def likely(draw: st.DrawFn, text: str, words: Sequence[re.Match[str]]) -> str:
    """A word for another that may stand in its place."""
    names = [word.group() for word in words if NAMES.fullmatch(word.group())]
    places = [(word, alike) for word in words for alike in (names, *ALIKE) if word.group() in alike]
    if not places:
        return text
    word, alike = draw(st.sampled_from(places))
    return text[: word.start()] + draw(st.sampled_from(alike)) + text[word.end() :]


def called_as(drawn: DrawnModel, graph: Graph, vocabularies: Mapping[str, int | None]) -> DrawnModel | None:
    """The model with inputs as its damaged spec has them; None if it is larger than a test should be."""
    shapes: dict[str, Shape] = {}
    for source in graph.inputs:
        type_ = source.value.type
        *lengths, width = type_.shape if not type_.ids else (*type_.shape, vocabularies[source.name] or 2)
        if not isinstance(width, int) or any(isinstance(length, int) and length > LONGEST for length in (*lengths, width)):
            return None
        shapes[source.name] = Shape(lengths[0] if lengths else None, width, ids=type_.ids)
    if any(
        isinstance(extent, int) and extent > MOST_WEIGHTS
        for each in graph.applications
        for value in each.results
        for extent in value.type.shape
    ):
        return None
    named = {shape.length: drawn.times.get(shape.length, 3) for shape in shapes.values() if isinstance(shape.length, Size)}
    patterns = {name: drawn.patterns.get(name, "holed") for name, shape in shapes.items() if shape.sequence}
    lengths = [value.type.shape[0] for each in graph.applications for value in each.results if value.type.sequence]
    times = long_enough(named, lengths)
    return replace(drawn, shapes=shapes, times=times, patterns=patterns)
