"""The texts of a library's folder: header, what CMake and pkg-config read, and the example of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.backend.protocol import BAD_ID, BAD_LENGTH, BAD_RATE, BAD_SIZE, BAD_TARGET, BAD_WEIGHTS, NOT_FINITE, OK, WORKSPACE_TOO_SMALL
from rnnspec.backend.templates import render
from rnnspec.contract.dimensions import Dim
from rnnspec.deploy.built import Layouts
from rnnspec.deploy.forward_layout import ForwardLayout
from rnnspec.deploy.forward_texts import forward_example, forward_header
from rnnspec.deploy.left_out_steps import left_out
from rnnspec.deploy.step_layout import Field, StepLayout
from rnnspec.deploy.train_texts import TrainFacts, train_example, train_header
from rnnspec.deploy.weights_text import WEIGHTS_PARAMETER, WeightsFile
from rnnspec.version import __version__

STEP_CODES = {"OK": OK, "BAD_ID": BAD_ID}

FORWARD_CODES = {
    "OK": OK,
    "WORKSPACE_TOO_SMALL": WORKSPACE_TOO_SMALL,
    "BAD_SIZE": BAD_SIZE,
    "BAD_LENGTH": BAD_LENGTH,
    "BAD_ID": BAD_ID,
}
"""What the functions give, by the names in C."""

TRAIN_CODES = {"BAD_TARGET": BAD_TARGET, "BAD_RATE": BAD_RATE, "NOT_FINITE": NOT_FINITE}
"""What training gives besides what a forward call does."""


def texts(
    model: str,
    digest: str,
    targets: Sequence[str],
    layouts: Layouts,
    *,
    workspace: Dim = 0,
    checked: Mapping[str, int] | None = None,
    training: TrainFacts | None = None,
) -> Mapping[str, str]:
    """The texts by their paths in the folder.

    `digest`: of the model, the same for all targets. `workspace`: the bytes that a forward call needs on any of the targets; `checked`:
    the sizes of its example's batch by their names in C. `training`: what the texts say of it, if there is any.
    """
    step, forward, layout = layouts.step, layouts.forward, layouts.first
    prefix, upper = layout.prefix, layout.prefix.upper()
    file = WeightsFile(prefix) if layouts.weights_file else None
    functions = [*([file.header] if file else []), *([_step_header(step, file)] if step else [])]
    functions += [forward_header(forward, workspace, file)] if forward else []
    train = layouts.train
    functions += [train_header(train, training)] if train and training else []
    codes = {
        **(FORWARD_CODES if forward or train else {}),
        **(STEP_CODES if step else {}),
        **({"BAD_WEIGHTS": BAD_WEIGHTS} if file else {}),
    }
    codes |= TRAIN_CODES if train else {}
    values: dict[str, object] = {
        "prefix": prefix,
        "upper": upper,
        "model": model,
        "version": __version__,
        "digest": digest,
        "codes": "\n".join(f"#define {upper}_{name} {code}" for name, code in codes.items()),
        "widths": "\n".join(f"#define {width(each, layout)} {each.width}" for each in (*layout.inputs, *layout.outputs)),
        "functions": "\n".join(functions),
        "targets": ", ".join(targets),
        "first": targets[0],
        "opened": "{",
        "closed": "}",
    }
    return {
        f"include/{prefix}.h": render("library.h.j2", values),
        **({"example.c": render("library_example.c.j2", _example(step, file))} if step else {}),
        **({"example_forward.c": forward_example(forward, checked or {}, file)} if forward else {}),
        **({"example_train.c": train_example(train, checked or {})} if train else {}),
        f"{prefix}-config.cmake": render("library_config.cmake.j2", values),
        f"{prefix}.pc": render("library.pc.j2", values),
    }


def _step_header(layout: StepLayout, file: WeightsFile | None) -> str:
    kept = [*([WEIGHTS_PARAMETER] if file else []), f"{layout.prefix}_state *state"]
    parameters = [*kept, *(_parameter(each, layout, constant=True) for each in layout.inputs)]
    parameters += [_parameter(each, layout, constant=False) for each in layout.outputs]
    rows = [*kept, *(f"const {c_type(each, layout)} *{each.name}" for each in layout.inputs)]
    rows += [f"{layout.element} *{each.name}" for each in layout.outputs]
    states = [f"    {layout.element} {each.name}[{each.width}];" for each in layout.states]
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "states": "\n".join(states) or "    char none; /* this model carries nothing from step to step */",
        "parameters": ", ".join(parameters),
        "parameters_of_several": ", ".join((*rows, "size_t steps")),
        "left_out": "".join(f"\n   {line}" for line in left_out(layout)),
    }
    return render("library_step.h.j2", values)


def c_type(each: Field, layout: StepLayout | ForwardLayout) -> str:
    """The type of an input's or output's numbers."""
    return layout.element if each.vocabulary is None else "int32_t"


def width(each: Field, layout: StepLayout | ForwardLayout) -> str:
    """The macro of the numbers of a step."""
    return f"{layout.prefix.upper()}_{each.name.upper()}_WIDTH"


def _parameter(each: Field, layout: StepLayout, *, constant: bool) -> str:
    return f"{'const ' if constant else ''}{c_type(each, layout)} {each.name}[{width(each, layout)}]"


def _example(layout: StepLayout, file: WeightsFile | None) -> Mapping[str, object]:
    """What the example does with the inputs and outputs of a step."""
    given = [(f"given_{each.name}", each) for each in layout.inputs]
    got = [(f"got_{each.name}", each) for each in layout.outputs]
    expected = [(f"expected_{each.name}", each) for each in layout.outputs]
    declared = [f"        {c_type(each, layout)} {name}[{width(each, layout)}];" for name, each in (*given, *got, *expected)]
    pairs = ((mine, right) for (mine, _), (right, _) in zip(got, expected, strict=True))
    return {
        "prefix": layout.prefix,
        "upper": layout.prefix.upper(),
        "declarations": "\n".join(declared),
        "reads": " || ".join(f"fread({name}, sizeof {name}, 1, file) != 1" for name, _ in (*given, *expected)),
        "weights_reader": file.reader if file else "",
        "weights_read": file.read if file else "",
        "arguments": ", ".join((*(["weights"] if file else []), "&state", *(name for name, _ in (*given, *got)))),
        "compared": " || ".join(f"memcmp({mine}, {right}, sizeof {mine}) != 0" for mine, right in pairs),
    }
