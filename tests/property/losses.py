"""Losses and metrics drawn from the grammar, with functions that they call."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

UNARY = (
    "tanh({})",
    "sigmoid({})",
    "softplus({})",
    "softmax({} + ROW)",
    "log_softmax({} + ROW)",
    "-({})",
    "exp(-abs({}))",
    "expm1(-abs({}))",
    "log(clip_probability(sigmoid({})))",
    "log(clip_probability(softmax({} + ROW)))",
    "log(1 - clip_probability(sigmoid({})))",
    "log(0.1 + sigmoid({}))",
    "log1p(abs({}))",
    "sqrt(1.0 + ({}) * ({}))",
    "sin({})",
    "cos(0.5 * ({}))",
    "erf({})",
    "pow(0.5 + sigmoid({}), 1.5)",
    "squared({})",
    "clip({}, -0.75, 0.8)",
    "stop_gradient({})",
    "unit({} + ROW)",
    "smoothed({}, 0.1, 3)",
    "huber_like({}, 0.7)",
)
CHOICES = (
    "where({0} > {1} and {0} > 0, {0} - max({1}, 0), 0)",
    "where({0} <= 0 or {1} < -50, -({0}), {0})",
    "where(not_far({0}), {1}, 0)",
    "({0}) * round(0.9 + 1e-3 * tanh({1})) + floor(1e-3 * tanh({1}) - 0.5)",
)
"""Continuous, or jumps that nothing comes near: rounding decides no choice."""

BINARY = (
    "{} + {}",
    "{} - {}",
    "({}) * ({})",
    "({}) / (2.0 + tanh({}))",
    "max({}, 0.5 * ({}))",
    "min({}, {} + 0.25)",
    "quotient({}, 1.5 + sin({}))",
    "blend({}, {}, 0.25)",
    *CHOICES,
)
NARROW = (
    "sum({}) * 0.25",
    "mean({})",
    "max({})",
    "min({})",
    "pick({}, 0)",
    "pick({}, width(ROW) - 1)",
    "pick({}, width(ROW))",
    "pick({}, argmax(stop_gradient(ROW)))",
    "mean(concat({0}, {0}))",
)
"""Of a row a row of width 1, which every operation repeats over the units. The place of the largest element jumps at a tie alone."""

HELPERS = """
function huber_like(x, delta) {
    when delta == 0 {
        return abs(x)
    } else {
        size = abs(x)
        return where(size <= delta, 0.5 * x * x, delta * size - 0.5 * delta * delta)
    }
}

function blend(x, y, share) = share * x + (1 - share) * y

function powers(x, count) = x if count == 0 else x + 0.5 * tanh(powers(x, count - 1))

function not_far(x) = abs(x) < 1e6
"""


@dataclass(frozen=True)
class DrawnLoss:
    """A text with a loss and two metrics called `drawn`, `each` and `whole`; the model has rows, or a sequence, of `width` units.

    `of`: what a target is. `activation`: of the model's one layer.
    """

    text: str
    width: int
    of: str
    sequence: bool
    activation: str

    @property
    def spec(self) -> str:
        """The whole file."""
        shape = f"time, {self.width}" if self.sequence else f"{self.width}"
        return f"{self.text}\nmodel Case {{\n    input p: float[{shape}]\n    Activation({self.activation})\n}}\n"


@st.composite
def drawn_losses(draw: st.DrawFn) -> DrawnLoss:
    """Nothing divides by 0 and nothing overflows; rows of all widths from 1 on, and class numbers in the row."""
    width = draw(st.integers(1, 9))
    of = draw(st.sampled_from(["values", "probabilities", "binary", "class"]))
    functions: list[str] = []

    def expression(names: list[str], depth: int) -> str:
        kind = draw(st.integers(0, 7)) if depth else 7
        if kind <= 1:
            return draw(st.sampled_from(UNARY)).replace("ROW", names[0]).replace("{}", expression(names, depth - 1))
        if kind <= 3:
            left, right = expression(names, depth - 1), expression(names, depth - 1)
            return "(" + draw(st.sampled_from(BINARY)).format(left, right) + ")"
        if kind == 4:
            narrow = draw(st.sampled_from(NARROW)).replace("{0}", "{}").replace("ROW", names[0])
            return f"({draw(st.sampled_from(names))} - {narrow.replace('{}', f'{expression(names, depth - 1)} + {names[0]}')})"
        if kind == 5 and functions:
            place = draw(st.integers(0, len(functions) - 1))
            return f"own{place}({expression(names, depth - 1)} + {names[0]}, {draw(st.sampled_from(['0', '1', '2', '0.5']))})"
        if kind == 6:
            return draw(st.sampled_from([f"powers({draw(st.sampled_from(names))}, {draw(st.integers(0, 3))})", "0.3", "-1.5"]))
        return draw(st.sampled_from(names))

    for number in range(draw(st.integers(0, 2))):
        body = expression(["x"], 2)
        other = expression(["x", "(constant * x)"], 1)
        functions.append(
            f"function own{number}(x, constant) {{\n    first = {body} + x\n    when constant == 1 {{ return first }}\n"
            f"    else {{ return first + {other} }}\n}}\n"
        )
    rows = ["prediction", "prediction", "target" if of != "class" else "(prediction * 0.5)", "positions(width(prediction)) * 0.125"]
    narrow = ["factor"] + (["pick(prediction, target)", "pick(log_softmax(prediction), target)"] if of == "class" else [])

    def equations(last: str) -> str:
        names, lines = [*rows, *narrow], list[str]()
        for number in range(draw(st.integers(0, 2))):
            lines.append(f"r{number} = {expression(names, 2)}")
            names.append(f"r{number}")
        returned = last.replace("{}", " + ".join([expression(names, 2), "prediction", *names[len(rows) :]]))
        return "".join(f"    {line}\n" for line in [*lines, f"return {returned}"])

    loss = equations(draw(st.sampled_from(["sum({})", "mean({})", "max({}) + 0.25 * min({})", "-pick({}, 0)"])))
    each = equations(draw(st.sampled_from(["mean({})", "sum({}) * 0.5"])))
    row = f"tanh({expression([*rows, *narrow], 2)} + prediction)"
    kind = f" of {of}"
    text = (
        HELPERS
        + "".join(functions)
        + f"loss drawn(factor = 0.5){kind} {{\n{loss}}}\n"
        + f"metric each(factor = 0.25){kind} {{\n{each}}}\n"
        + f"metric whole(factor = 0.25){kind} {{\n    row = {row}\n"
        + "    return (total(sum(row)) + total(mean(row * row))) / max(total(1) * factor, 1e-7)\n}\n"
    )
    return DrawnLoss(text, width, of, draw(st.booleans()), draw(st.sampled_from(["linear", "softmax", "sigmoid", "tanh", "log_softmax"])))
