"""The texts of a library's training: its part of the header, and its example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnspec.backend.templates import render
from rnnspec.contract.dimensions import Dim, Size
from rnnspec.contract.signature import Signature, weight_ranges
from rnnspec.contract.update_rule import UpdateRule
from rnnspec.deploy.forward_layout import in_c
from rnnspec.deploy.forward_texts import CArray, arrays_of, read_text, rows_of, shape_text
from rnnspec.deploy.train_layout import TrainLayout, gradient_name, target_name, weight_macro
from rnnspec.frozen import frozen

CHECKED_UPDATES = 20
"""Updates of `check_train.bin`."""


@frozen
class TrainFacts:
    """What the texts say of a model's training. `step`, `predict`, `gradient`: bytes of the workspaces on any of the targets."""

    signature: Signature
    rule: UpdateRule
    step: Dim
    predict: Dim
    gradient: Dim


def train_header(layout: TrainLayout, facts: TrainFacts) -> str:
    """The part of the header."""
    forward, prefix, upper, element = layout.forward, layout.prefix, layout.prefix.upper(), layout.forward.element
    names = [*forward.names.values()]
    cast: Mapping[Size, str] = {size: f"(int64_t)({name})" for size, name in forward.names.items()}
    sizes, given = [f"size_t {name}" for name in names], [*arrays_of(forward)]
    inputs = [f"const {each.type} *{each.name}" for each in given if each.given]
    outputs = [f"{each.type} *{each.name}" for each in given if not each.given]
    targets = [f"const {each.type} *{each.name}" for each in _targets(layout)]
    memory = ["void *workspace", "size_t bytes"]
    taken = [f"{element} *weights", f"{prefix}_optimizer *optimizer", "double learning_rate", "uint32_t key"]
    rate = "/* The learning rate comes from a schedule: each update takes its own. */"
    if facts.rule.learning_rate is not None:
        rate = f"#define {upper}_LEARNING_RATE {facts.rule.learning_rate!r}"
    slots = len(facts.rule.starts)
    optimizer = facts.signature.train.optimizer
    places = weight_ranges(facts.signature.weights)
    values: dict[str, object] = {
        "prefix": prefix,
        "upper": upper,
        "element": element,
        "weights": layout.weights,
        "places": "\n".join(f"#define {weight_macro(prefix, name)} {place.start}" for name, place in places.items()),
        "rate": rate,
        "optimizer": "" if optimizer is None else optimizer.name,
        "slots": ("no number", "a number")[slots] if slots < 2 else f"{slots} numbers",
        "state": f"    {element} state[{slots}][{upper}_WEIGHTS];\n" if slots else "",
        "sizes": ", ".join(names),
        "size_parameters": ", ".join(sizes),
        "train_workspace": in_c(facts.step, cast),
        "predict_workspace": in_c(facts.predict, cast),
        "shapes": "\n".join(shape_text(each, forward) for each in (*forward.inputs, *forward.outputs)),
        "targets": "\n".join(_target_texts(layout)),
        "step_parameters": ", ".join((*taken, *sizes, *inputs, *targets, "double *loss", *memory)),
        "predict_parameters": ", ".join((f"const {element} *weights", *sizes, *inputs, *outputs, *memory)),
    }
    whole = render("library_train.h.j2", values)
    return whole if layout.derived is None else f"{whole}\n{_gradient_header(layout, facts, inputs, outputs)}"


def _gradient_header(layout: TrainLayout, facts: TrainFacts, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    forward, prefix, element = layout.forward, layout.prefix, layout.forward.element
    derived = layout.derived or ()
    cast: Mapping[Size, str] = {size: f"(int64_t)({name})" for size, name in forward.names.items()}
    sizes, memory = [f"size_t {name}" for name in forward.names.values()], ["void *workspace", "size_t bytes"]
    weights = f"const {element} *weights"
    of_outputs = [f"const {element} *{gradient_name(each)}" for each in forward.outputs]
    of_inputs = [f"{element} *{gradient_name(each)}" for each in derived]
    gradient = f"{element} *gradient"
    values: dict[str, object] = {
        "prefix": prefix,
        "upper": prefix.upper(),
        "sizes": ", ".join(forward.names.values()),
        "size_parameters": ", ".join(sizes),
        "workspace": in_c(facts.gradient, cast),
        "of_inputs": f", and of the input{'s' if len(derived) > 1 else ''} {', '.join(each.name for each in derived)}" if derived else "",
        "record_parameters": ", ".join((weights, "uint32_t key", *sizes, *inputs, *outputs, *memory)),
        "backward_parameters": ", ".join((weights, *sizes, *of_outputs, gradient, *of_inputs, *memory)),
        "update_parameters": f"{element} *weights, {prefix}_optimizer *optimizer, double learning_rate, {gradient}",
    }
    return render("library_gradient.h.j2", values)


def train_example(layout: TrainLayout, checked: Mapping[str, int]) -> str:
    """The program that trains on `check_train.bin`; `checked`: the sizes of its batch, by their names in C."""
    upper, sizes = layout.prefix.upper(), {name: f"checked_{name}" for name in checked}
    arrays = [each for each in arrays_of(layout.forward, sizes) if each.given] + [*_targets(layout, sizes)]
    file = "check_train.bin"
    reads = [read_text(f"fread(&size, sizeof size, 1, file) != 1 || size != {size}", name, file) for name, size in sizes.items()]
    further = [("rates", "updates"), ("expected_losses", "updates"), ("expected_weights", f"{upper}_WEIGHTS")]
    for name, elements in (*((each.own, each.elements) for each in arrays), *further):
        reads.append(read_text(f"fread({name}, sizeof *{name}, {elements}, file) != {elements}", name, file))
    given = (each.own for each in arrays)
    taken = ("weights", "&optimizer", "rates[update]", "update", *sizes.values(), *given, "&loss", "workspace", "sizeof workspace")
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "upper": upper,
        "element": layout.forward.element,
        "updates": CHECKED_UPDATES,
        "sizes": "\n".join(f"enum {{ {size} = {checked[name]} }};" for name, size in sizes.items()),
        "size_names": ", ".join(sizes.values()),
        "arrays": "\n".join(f"static {each.type} {each.own}[{each.elements}];" for each in arrays),
        "reads": "".join(reads).rstrip("\n"),
        "arguments": ", ".join(taken),
    }
    return render("library_example_train.c.j2", values)


def _targets(layout: TrainLayout, sizes: Mapping[str, str] | None = None) -> Iterator[CArray]:
    """The arrays of targets; `sizes`: the sizes' names in the example, by those in C."""
    for each in layout.outputs:
        rows = rows_of(each.field, layout.forward, sizes)
        of_classes = each.kind == "class"
        kind = "int32_t" if of_classes else layout.forward.element
        yield CArray(target_name(each.field), kind, rows if of_classes else f"{rows} * {each.field.width}")


def _target_texts(layout: TrainLayout) -> Iterator[str]:
    """The shape of each output's targets, and what they must be; else the call gives `BAD_TARGET`."""
    for each in layout.outputs:
        lead = "(batch, steps" if each.output.is_sequence else "(batch,"
        tail = ")" if each.kind == "class" else f"{', ' if each.output.is_sequence else ' '}{each.field.width})"
        match each.kind:
            case "class":
                what = f"class numbers from 0 to below {each.output.width}"
                what += "" if each.unlabelled is None else f"; {each.unlabelled} where there is no label"
            case "values":
                what = "finite numbers"
            case "probabilities":
                what = "numbers from 0 to 1"
            case "binary":
                what = "0 or 1"
        yield f"   `{target_name(each.field)}`: {lead}{tail}, {what}"
