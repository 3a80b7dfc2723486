"""Fills the generated parts of the pages, and the answers to specs with errors: `.venv/bin/python docs/generate.py`.

A part stands between `<!-- begin: name argument ... -->` and `<!-- end -->`; `PARTS` has what a name
stands for. A part about a spec takes the last ```rnn block above it. A ```text block right below a
```rnn error or ```rnn warning block shows the diagnostics of that spec.
"""

from __future__ import annotations

import difflib
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from docs.library_text import declared
from docs.python_text import api
from rnnspec.backend.llvm_cpu.math import FUNCTIONS as ELEMENTARY_FUNCTIONS
from rnnspec.backend.llvm_cpu.objects import PASSES
from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.model_source import ModelSource, summary_text
from rnnspec.contract.optimizer_arguments import OF_ALL
from rnnspec.diagnostics import SpecError, render_all
from rnnspec.driver import commands
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.tensor_ir import list_passes
from rnnspec.frontend.binding.bind import declared_equations
from rnnspec.frontend.binding.values import NOTHING_OWN
from rnnspec.frontend.catalogue.argument_types import REQUIRED, ArgumentSpec, DefaultOnly, Entry, Family
from rnnspec.frontend.catalogue.callbacks import CALLBACKS
from rnnspec.frontend.catalogue.choices import (
    ACTIVATIONS,
    CONSTRAINTS,
    FAMILIES,
    INITIALIZERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    REGULARIZERS,
    SCHEDULES,
    SETTINGS,
)
from rnnspec.frontend.catalogue.entries import Catalogue
from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.frontend.catalogue.texts import TEXT
from rnnspec.frontend.cells.functions import FUNCTIONS
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.summary import layer_rows
from rnnspec.frontend.syntax.expression_layout import parameter_text
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frontend.syntax.standard_library import FILES
from rnnspec.ir.ops import Module
from rnnspec.ir.printer import print_module
from rnnspec.ir.types import DType
from rnnspec.keras_names import names
from rnnspec.kernel.cpu.tiles import contraction_tile, turn_registers, turn_slack
from rnnspec.kernel.printer import print_kernel, print_kernels
from rnnspec.kernel.target import AVX2, AVX512, Target
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "passes"

PART = re.compile(r"<!-- begin: (?P<call>[^>]*) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
SPEC = re.compile(r"^```rnn\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
DOUBTFUL = re.compile(r"^```rnn (?P<kind>error|warning)\n(?P<spec>.*?)^```\n\n```text\n(?P<shown>.*?)^```$", re.DOTALL | re.MULTILINE)

FORMULAS: Mapping[str, str] = {
    "linear": "x",
    "relu": "where(x > threshold, minimum(x, inf if max_value is None else max_value), negative_slope * (x - threshold))",
    "relu6": "clip(x, 0, 6)",
    "leaky_relu": "where(x >= 0, x, negative_slope * x)",
    "elu": "where(x > 0, x, alpha * expm1(x))",
    "celu": "where(x > 0, x, alpha * expm1(x / alpha))",
    "selu": "1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * expm1(x))",
    "gelu": "x / 2 * (1 + where(approximate, tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)), erf(x / sqrt(2))))",
    "silu": "x * sigmoid(x)",
    "hard_silu": "x * hard_sigmoid(x)",
    "mish": "x * tanh(softplus(x))",
    "softplus": "log1p(exp(x))",
    "softsign": "x / (1 + abs(x))",
    "softmax": "exp(x) / sum(exp(x))",
    "log_softmax": "x - log(sum(exp(x)))",
    "sparsemax": "maximum(x - excess(x), 0)",
    "exponential": "exp(x)",
    "sigmoid": "1 / (1 + exp(-x))",
    "log_sigmoid": "-softplus(-x)",
    "hard_sigmoid": "clip(x / 6 + 0.5, 0, 1)",
    "tanh": "tanh(x)",
    "tanh_shrink": "x - tanh(x)",
    "hard_tanh": "clip(x, -1, 1)",
    "hard_shrink": "where(abs(x) > threshold, x, 0)",
    "soft_shrink": "where(abs(x) > threshold, x - clip(x, -threshold, threshold), 0)",
    "squareplus": "(x + sqrt(x**2 + b)) / 2",
    "threshold": "where(x > threshold, x, default_value)",
    "sparse_plus": "where(x <= -1, 0, where(x >= 1, x, (x + 1)**2 / 4))",
    "sparse_sigmoid": "clip((x + 1) / 2, 0, 1)",
}
"""Activations in numpy's words; `sum` goes over the last axis and keeps it. A test computes with them.

`excess` is the number that makes `sparsemax` sum to 1.
"""

REGULARIZER_FORMULAS: Mapping[str, str] = {
    "L1": "l1 * abs(w).sum()",
    "L2": "l2 * (w**2).sum()",
    "L1L2": "l1 * abs(w).sum() + l2 * (w**2).sum()",
    "OrthogonalRegularizer": "factor * mean(abs(cosines(w)))",
}
"""What is added to the loss for a weight w; `cosines` are those of all pairs of rows, or columns. A test computes with them."""

CONSTRAINT_FORMULAS: Mapping[str, str] = {
    "MaxNorm": "w * clip(n, 0, max_value) / (n + 1e-7)",
    "NonNeg": "maximum(w, 0)",
    "UnitNorm": "w / (n + 1e-7)",
    "MinMaxNorm": "w * (rate * clip(n, min_value, max_value) + (1 - rate) * n) / (n + 1e-7)",
}
"""What becomes of a weight w, n being its norms along the axis. A test computes with them."""

SETTING_WORDS: Mapping[str, str] = {
    "loss": "what training makes small",
    "loss_weights": "what the losses of several outputs are multiplied with in their sum; 1 if not set",
    "optimizer": "how the weights follow the gradient",
    "metrics": "what is reported beside the loss: means over rows, whatever they weigh",
    "weighted_metrics": "the same by the rows' weights, `sum(w * v) / sum(w)`",
    "classes": "the names of the output's classes in the order of their numbers, of one unit those of 0 and 1",
    "data": "the columns that the command takes [of data files](#columns-of-data)",
    "class_weight": "the factor of the loss of each class of targets in training, by their numbers; 1 if not set",
    "truncate": "steps of a part of each sequence, after which gradients are cut and weights updated; 0, or not set: whole sequences",
    "checkpoint": "steps between kept states; the gradient computes again what lies between; 0, or not set: all is kept",
    "shards": "parts of a batch, for [training on several processes](distributed-training.md); 1 if not set",
    "callbacks": "what each `fit` and `rnnspec train` calls on the way, in order: see [below](#callbacks)",
    "allow_nan": "whether NaN and infinity may be in real steps of inputs; `false` if not set: see [below](#numbers-that-arent-finite)",
    "batch_size": "samples in one update; 32 if not set",
    "epochs": "passes over the data; 1 if not set",
    "validation_split": "the last fraction of the samples is validated on; 0 if not set",
    "shuffle": "whether every epoch draws a new order; `true` if not set",
    "seed": "what the order, dropout and noise are drawn from; the model's own stream if not set",
}

FUNCTION_WORDS: Mapping[str, str] = {
    "abs": "`abs(v)`, elementwise",
    "cos": "`cos(v)`, of radians, elementwise",
    "erf": "`erf(v)`, the error function, elementwise",
    "exp": "`exp(v)`, elementwise",
    "expm1": "`expm1(v)`, which is `exp(v) - 1` and exact near 0, elementwise",
    "floor": "`floor(v)`, the largest integer that isn't above, elementwise; its gradient is 0",
    "log": "`log(v)`, the natural logarithm, elementwise",
    "log1p": "`log1p(v)`, which is `log(1 + v)` and exact near 0, elementwise",
    "positions": "`positions(n)`, the row `0, 1, ..., n - 1`, `n` a constant",
    "pow": "`pow(a, b)`, elementwise; of a base below 0 for exponents that are integers",
    "round": "`round(v)`, the nearest integer, of two the even one, elementwise; its gradient is 0",
    "sin": "`sin(v)`, of radians, elementwise",
    "sort": "`sort(list)`, the numbers of a constant list in rising order, a constant",
    "where": "`where(condition, a, b)`, `a` where the condition holds and else `b`, elementwise; only what is chosen gets a gradient",
    "width": "`width(v)`, how many units a row has, a constant",
    "stop_gradient": "`stop_gradient(v)`, which is `v`, and a constant to the gradient",
    "sqrt": "`sqrt(v)`, elementwise",
    "sum": "`sum(v)`, over the units: a row of width 1",
    "mean": "`mean(v)`, over the units: a row of width 1",
    "max": "`max(v)`, over the units: a row of width 1; `max(a, b)`, the larger one, elementwise",
    "min": "`min(v)`, over the units: a row of width 1; `min(a, b)`, the smaller one, elementwise",
    "clip": "`clip(v, low, high)`, which is `min(max(v, low), high)`",
    "concat": "`concat(a, b, ...)`, rows one after the other; a number is a row of one",
    "split": "`a, b = split(v, 2)`, equal parts of the last axis, one for each name on the left",
}

MASKS: Sequence[tuple[str, str, str]] = (
    ("`Masking(v)`", "float[time, 3]", "Masking(0.0)"),
    ("`Embedding(v, d)`", "int[time]", "Embedding(5, 3)"),
    ("`Embedding(v, d, mask_zero = true)`", "int[time]", "Embedding(5, 3, mask_zero = true)"),
    ("a cell", "float[time, 3]", "LSTM(2)"),
    ("a cell with `return_sequences = true`", "float[time, 3]", "LSTM(2, return_sequences = true)"),
    ("`Bidirectional` of a cell", "float[time, 3]", "Bidirectional(LSTM(2))"),
    ("`Bidirectional` of a cell with `return_sequences = true`", "float[time, 3]", "Bidirectional(LSTM(2, return_sequences = true))"),
    ("`Dense` on a sequence", "float[time, 3]", "Dense(2)"),
    ("`Dropout`, `GaussianDropout`, `AlphaDropout` on a sequence", "float[time, 3]", "AlphaDropout(0.5)"),
    ("`GaussianNoise` on a sequence", "float[time, 3]", "GaussianNoise(0.5)"),
    ("`Activation` and the like on a sequence", "float[time, 3]", "Activation(tanh)"),
    ("`LayerNormalization`, `UnitNormalization` on a sequence", "float[time, 3]", "UnitNormalization()"),
    ("`BatchNormalization`, `Normalization` on a sequence", "float[time, 3]", "Normalization()"),
    ("`TimeDistributed`", "float[time, 3]", "TimeDistributed(Dense(2))"),
    ("`SpatialDropout1D`", "float[time, 3]", "SpatialDropout1D(0.5)"),
    ("`Conv1D`, `MaxPooling1D`, `AveragePooling1D`", "float[time, 3]", "Masking(0.0) Conv1D(2, 3, padding = same)"),
    ("these with `carry_mask = true`", "float[time, 3]", "Masking(0.0) Conv1D(2, 3, padding = same, carry_mask = true)"),
    ("`ZeroPadding1D`, `Cropping1D`, `UpSampling1D`, `Slice` of steps", "float[time, 3]", "Masking(0.0) Slice(-2)"),
    ("`ZeroPadding1D`, `Cropping1D`, `Slice` with `carry_mask = true`", "float[time, 3]", "Masking(0.0) Slice(1, carry_mask = true)"),
    ("`Slice` of features", "float[time, 3]", "Slice(1, axis = -1)"),
    ("`Flatten`, `Reshape`, `Permute`, `Dot`", "float[5, 3]", "Masking(0.0) Flatten()"),
    ("`Concatenate(axis = 1)` of sequences", "float[time, 3]", "m = x -> Masking(0.0)\n    [m, x] -> Concatenate(axis = 1)"),
    ("`GlobalAveragePooling1D`, `GlobalMaxPooling1D`", "float[time, 3]", "GlobalMaxPooling1D()"),
    ("`Last`", "float[time, 3]", "Last()"),
)
"""How a layer is written in the table, an input it takes, and the layer itself."""


def fence(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def literal(value: object) -> str:
    """A default as a spec would write it."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"[{', '.join(map(literal, cast(tuple[object, ...], value)))}]"
        case _:
            return str(value)


def file(path: str, language: str = "") -> str:
    return fence((ROOT / path).read_text(encoding="utf-8"), language)


# Stages of the spec above.


def compilation(above: str) -> Compilation:
    tree = parse(SourceFile.of_text(_spec(above)))
    return Compilation(tree, resolve(tree), "float32", AVX2)


def _spec(above: str) -> str:
    return [match["text"] for match in SPEC.finditer(above)][-1]


def stage(above: str, name: str, after: str | None = None) -> str:
    return fence(compilation(above).print(name, after))


def function(above: str, name: str, stage_name: str) -> str:
    """One function of the tensor IR after all passes."""
    module = compilation(above).module(stage_name, training=False)
    return fence(print_module(Module(module.name, (module.function(name),))).split("\n", 2)[2])


def scan(above: str) -> str:
    """The first scan of the kernel IR."""
    lines = compilation(above).print("kernel").splitlines()
    start = next(place for place, line in enumerate(lines) if line.lstrip().startswith("scan "))
    indent = lines[start][: lines[start].index("scan ")]
    stop = next(place for place, line in enumerate(lines) if place > start and line == indent + "}")
    return fence("\n".join(line.removeprefix(indent) for line in lines[start : stop + 1]))


def recorded_in_place(above: str) -> str:
    """What changes in a recorded call's kernel IR where values are kept in place."""
    compiled, wanted = compilation(above), Variant("record", False)
    before, after = (print_kernels(compiled.kernels(wanted, label).module) for label in ("time-blocks", "alias-tape"))
    return _changed(before, after, 0)


def fetched_ahead(above: str) -> str:
    """What changes in the backward pass's kernel IR where a contraction fetches for the next step."""
    compiled, wanted = compilation(above), Variant("backward", False)
    before, after = (print_kernel(compiled.kernels(wanted, label).function) for label in ("alias-tape", "prefetch"))
    return _changed(before, after, 2)


def _changed(before: str, after: str, around: int) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=around, lineterm="")
    return fence("\n".join(line for line in lines if not line.startswith(("---", "+++", "@@"))), "diff")


def kernel_nodes(above: str) -> str:
    """The function's loop nests in the kernel IR, without its buffers."""
    lines = compilation(above).print("kernel").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("kernel @forward :"))
    return fence("\n".join(line for line in lines[start:] if not line.startswith("  buffer ")))


def llvm_loop(above: str, name: str) -> str:
    """The first loop of a function that multiplies and adds: the tile of the most rows."""
    text = compilation(above).print("llvm")
    body = text[text.index(f"@{name}(") :]
    lines = body[: body.index("\n}\n")].splitlines()
    first = next(place for place, line in enumerate(lines) if "@llvm.fma" in line)
    start = max(place for place, line in enumerate(lines[:first]) if line.endswith(".head:"))
    stop = next(place for place, line in enumerate(lines) if place > first and line.endswith(".end:"))
    return fence("\n".join(lines[start:stop]), "llvm")


def summary(above: str) -> str:
    tree = parse(SourceFile.of_text(_spec(above)))
    graph = resolve(tree)
    return fence(summary_text(ModelSource(graph.model, "", {}, "float32", layer_rows(graph))))


def tiles(_: str) -> str:
    """The tile of each number of gates, for a few targets: what is chosen for 1,024 units in float32."""
    rows = [(str(gates), *(_tile(target, gates) for target in (AVX512, AVX2))) for gates in range(1, 9)]
    return table(("gates", "AVX-512, 32 registers", "AVX2, 16 registers"), rows)


def _tile(target: Target, gates: int) -> str:
    tile = contraction_tile(target, gates, 1024, target.lanes(DType.F32))
    tallest, columns = tile.rows[0], gates * tile.vectors
    registers, slack = turn_registers(tallest, columns, target), round(100 * turn_slack(tallest, columns))
    return f"{tallest} rows by {tile.vectors} vectors: {tallest * columns} sums, {registers} registers, slack {slack} %"


# Benchmarks, as they were measured.


def measured(_: str, folder: str = "") -> str:
    """The median times of a run's workloads, this project's beside the fastest peer's; `folder`: of another run's results."""
    content = json.loads((ROOT / "docs" / "benchmarks" / folder / "results.json").read_text(encoding="utf-8"))
    rows: list[tuple[str, ...]] = []
    for row in content["workloads"]:
        times = {each["peer"]: each["p50"] for each in row["peers"] if "p50" in each}
        if "rnnspec" in times:
            best = row["best_peer"]
            peer = (f"{seconds(times[best])} ({best})", f"{row['gain']:.2f}") if best else ("-", "-")
            rows.append((row["name"], row["work"], seconds(times["rnnspec"]), *peer))
    return table(("", "work", "rnnspec", "fastest peer", "peer / rnnspec"), rows)


def seconds(time: float) -> str:
    """Three digits and a unit."""
    unit, size = next(pair for pair in (("s", 1.0), ("ms", 1e-3), ("µs", 0.0)) if time >= pair[1])
    return f"{float(f'{time / (size or 1e-6):.3g}'):g} {unit}"


# Passes.


def golden(_: str, name: str, case: str) -> str:
    before, after = _golden(name, case)
    return f"{_command(name, case)}\nBefore:\n\n{fence(before)}\nAfter:\n\n{fence(after)}"


def difference(_: str, name: str, case: str) -> str:
    before, after = (text.splitlines() for text in _golden(name, case))
    changes = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    return f"{_command(name, case)}\n{fence(chr(10).join(changes), 'diff')}"


def _command(name: str, case: str) -> str:
    """How a golden's text after the pass is made of the text before it."""
    folder = (GOLDEN / name.replace("-", "_")).relative_to(ROOT).as_posix()
    return fence(f"rnnspec opt {folder}/{case}.before.ir --pass {name}", "sh")


def _golden(name: str, case: str) -> tuple[str, str]:
    folder = GOLDEN / name.replace("-", "_")
    before, after = ((folder / f"{case}.{side}.ir").read_text(encoding="utf-8") for side in ("before", "after"))
    return before, after


# Tables of the language.


def layer(_: str, name: str) -> str:
    return arguments(LAYERS[name].arguments)


def arguments(given: Sequence[ArgumentSpec]) -> str:
    """A table of arguments, and below it those that are known but of no use."""
    now = [argument for argument in given if not isinstance(argument.kind, DefaultOnly)]
    fixed = [_fixed(argument.name, argument.kind) for argument in given if isinstance(argument.kind, DefaultOnly)]
    rows = [(f"`{argument.name}`", expected(argument), default(argument)) for argument in now]
    note = f"\nKnown from Keras, and of no use here, so that only its default is accepted: {', '.join(fixed)}.\n" if fixed else ""
    return table(("argument", "what it may be", "default"), rows) + note


def own_arguments(optimizer: Entry) -> list[ArgumentSpec]:
    """The arguments that aren't every optimizer's."""
    shared = {argument.name: argument.default for argument in OF_ALL}
    return [each for each in optimizer.arguments if each.name not in shared or each.default != shared[each.name]]


def _fixed(name: str, kind: DefaultOnly) -> str:
    """An argument without use, and what is accepted beside its default."""
    return f"`{name}`" + "".join(f" (`{literal(other)}` too)" for other in kind.others)


def expected(argument: ArgumentSpec) -> str:
    words = argument.kind.expected + (" or `none`" if argument.optional else "")
    return words if argument.positional else f"{words}; written with its name"


def default(argument: ArgumentSpec) -> str:
    return "must be given" if argument.default is REQUIRED else f"`{literal(argument.default)}`"


def entries(catalogue: Catalogue) -> list[Entry]:
    """Each entry once, whatever its spellings."""
    return list({entry.name: entry for entry in catalogue.values()}.values())


def call(entry: Entry) -> str:
    """An entry with the arguments that it has in this version, defaults written out."""
    words = [
        argument.name if argument.default is REQUIRED else f"{argument.name} = {literal(argument.default)}"
        for argument in entry.arguments
        if not isinstance(argument.kind, DefaultOnly)
    ]
    return f"`{entry.name}({', '.join(words)})`" if words else f"`{entry.name}`"


def activation_call(entry: Entry) -> str:
    """An activation with the parameters of its text behind the first one, which is the value."""
    text = declared_equations(Family.ACTIVATION, entry.name, NOTHING_OWN)
    words = [] if text is None else list(map(parameter_text, text.parameters[1:]))
    return f"`{entry.name}({', '.join(words)})`" if words else f"`{entry.name}`"


def spellings(entry: Entry) -> str:
    return ", ".join(f"`{spelling}`" for spelling in entry.spellings)


def catalogue_table(catalogue: Catalogue, heading: str, words: Mapping[str, str], code: bool) -> str:
    called = activation_call if catalogue is ACTIVATIONS else call
    rows = [(called(each), spellings(each), f"`{words[each.name]}`" if code else words[each.name]) for each in entries(catalogue)]
    return table(("name, with its arguments", "also written", heading), rows)


def library_table(file: str, kind: str, catalogue: Catalogue) -> str:
    """The losses or metrics in a file of the standard library, by its text."""
    rows = [(f"`{each.head}`", spellings(catalogue[each.name]), each.target, each.words) for each in declared(file, kind)]
    return table(("name, with its arguments", "also written", "targets", f"the {kind}"), rows)


def not_yet(_: str, family: str) -> str:
    """The members of one of Keras's families that a spec can't name, one name each."""
    here = {*LAYERS, *FILES} if family == "layer" else set(FAMILIES[Family(family)])
    meant = names.spellings(family)
    known = {meant[name] for name in here if name in meant}
    return textwrap.fill(", ".join(f"`{name}`" for name in sorted(set(meant.values()) - known)) + ".", 136, break_long_words=False) + "\n"


def masks(_: str) -> str:
    rows: list[tuple[str, str]] = []
    for shown, of_input, written in MASKS:
        tree = parse(SourceFile.of_text(f"model M {{\n    input x: {of_input}\n\n    {written}\n}}\n"))
        rows.append((shown, layer_rows(resolve(tree))[-1].mask))
    return table(("layer", "the mask is"), rows)


PARTS: Mapping[str, Callable[..., str]] = {
    "spec": lambda _, path: file(path, "rnn"),
    "file": lambda _, path: file(path),
    "stage": stage,
    "function": function,
    "scan": scan,
    "kernel-nodes": kernel_nodes,
    "recorded-in-place": recorded_in_place,
    "fetched-ahead": fetched_ahead,
    "llvm-loop": llvm_loop,
    "tiles": tiles,
    "summary": summary,
    "measured": measured,
    "stages": lambda _: fence(commands.list_stages()),
    "passes": lambda _: fence(list_passes()),
    "golden": golden,
    "difference": difference,
    "layer": layer,
    "not-yet": not_yet,
    "sequence-options": lambda _: arguments(SEQUENCE_OPTIONS),
    "text": lambda _: arguments(TEXT),
    "masks": masks,
    "activations": lambda _: catalogue_table(ACTIVATIONS, "value", FORMULAS, code=True),
    "initializers": lambda _: table(
        ("name, with its arguments", "also written"), [(call(each), spellings(each)) for each in entries(INITIALIZERS)]
    ),
    "regularizers": lambda _: catalogue_table(REGULARIZERS, "penalty", REGULARIZER_FORMULAS, code=True),
    "constraints": lambda _: catalogue_table(CONSTRAINTS, "after an update", CONSTRAINT_FORMULAS, code=True),
    "losses": lambda _: library_table("losses", "loss", {name: each for name, each in LOSSES.items() if each.name not in SEQUENCE_LOSSES}),
    "sequence-losses": lambda _: "\n".join(
        f"**`{each.name}`**, also written {spellings(each)}:\n\n{arguments(each.arguments)}"
        for each in entries(LOSSES)
        if each.name in SEQUENCE_LOSSES
    ),
    "optimizers": lambda _: "\n".join(
        f"**`{each.name}`**, also written {spellings(each)}:\n\n{arguments(own_arguments(each))}" for each in entries(OPTIMIZERS)
    ),
    "optimizer-options": lambda _: arguments(
        [each for each in OPTIMIZERS["SGD"].arguments if each not in own_arguments(OPTIMIZERS["SGD"])]
    ),
    "schedules": lambda _: "\n".join(f"**`{each.name}`**:\n\n{arguments(each.arguments)}" for each in entries(SCHEDULES)),
    "callbacks": lambda _: "\n".join(f"**`{each.name}`**:\n\n{arguments(each.arguments)}" for each in entries(CALLBACKS)),
    "metrics": lambda _: library_table("metrics", "metric", METRICS),
    "library-functions": lambda _: table(
        ("function", "value"), [(f"`{each.head}`", each.words) for each in declared("functions", "function")]
    ),
    "settings": lambda _: table(
        ("setting", "what it may be", "what it does"),
        [(f"`{name}`", expected(each), SETTING_WORDS[name]) for name, each in SETTINGS.items()],
    ),
    "functions": lambda _: table(
        ("function", "value"),
        [(f"`{name}`", FUNCTION_WORDS[name]) for name in sorted(FUNCTIONS - set(ACTIVATIONS))],
    ),
    "llvm-passes": lambda _: "\n" + "".join(f"- `{name}`\n" for name in PASSES) + "\n",
    "python": api,
    "bounds": lambda _: table(
        ("function", "units in the last place"), [(f"`{name}`", str(function.ulp)) for name, function in ELEMENTARY_FUNCTIONS.items()]
    ),
}


def filled(page: str) -> str:
    """The page with its generated parts as they have to be."""
    done, place = "", 0
    for match in PART.finditer(page):
        name, *words = match["call"].split()
        done += page[place : match.start()]
        done += f"<!-- begin: {match['call']} -->\n{PARTS[name](done, *words)}<!-- end -->"
        place = match.end()
    return DOUBTFUL.sub(_answered, done + page[place:])


def _answered(match: re.Match[str]) -> str:
    return match[0].replace(f"```text\n{match['shown']}```", f"```text\n{diagnostics(match['spec'], match['kind'])}```")


def diagnostics(spec: str, kind: str) -> str:
    """What the compiler says about a spec; ValueError if it finds nothing."""
    try:
        warnings = commands.check(spec).warnings
    except SpecError as error:
        return str(error)
    if kind == "error" or not warnings:
        raise ValueError(f"this spec was expected to have a fault:\n{spec}")
    return render_all(warnings)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    for path in pages():
        page = path.read_text(encoding="utf-8")
        now = filled(page)
        if now != page:
            path.write_text(now, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
