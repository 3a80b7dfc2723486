"""ONNX's functions of single numbers, and the activations of its recurrent nodes, as functions of the language."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rnnspec.interop.onnx_files.emitting import Function
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node

HARD_SIGMOID = "function hard_sigmoid_of(x, alpha = 0.2, beta = 0.5) = clip(x * alpha + beta, 0, 1)\n"
AFFINE = "function line(x, alpha = 1.0, beta = 0.0) = x * alpha + beta\n"
SCALED_TANH = "function scaled_tanh(x, alpha = 1.0, beta = 1.0) = alpha * tanh(x * beta)\n"
BETWEEN = "function between(x, low = 0.0, high = 1.0) = clip(x, low, high)\n"


def _named(name: str, equation: str = "") -> Function:
    return Function(name, equation=equation)


def _own(name: str, equation: str) -> Function:
    """A function of the language that is no activation."""
    return Function(name, (), f"function {name}(x) = {equation}(x)\n", equation)


PLAIN: Mapping[str, Function] = {
    "Sigmoid": _named("sigmoid", "sigmoid"),
    "Tanh": _named("tanh", "tanh"),
    "Relu": _named("relu"),
    "Softplus": _named("softplus"),
    "Softsign": _named("softsign"),
    "HardSwish": _named("hard_silu"),
    "Mish": _named("mish"),
    "Exp": _named("exponential", "exp"),
    "Sqrt": _own("root", "sqrt"),
    "Log": _own("logarithm", "log"),
    "Abs": _own("size_of", "abs"),
    "Erf": _own("error_function", "erf"),
    "Sin": _own("sine", "sin"),
    "Cos": _own("cosine", "cos"),
    "Floor": _own("rounded_down", "floor"),
    "Round": _own("rounded", "round"),
    "Neg": Function("negative", (), "function negative(x) = -x\n"),
    "Reciprocal": Function("reciprocal", (), "function reciprocal(x) = 1 / x\n"),
    "Ceil": Function("rounded_up", (), "function rounded_up(x) = -floor(-x)\n"),
    "Sign": Function("sign_of", (), "function sign_of(x) = where(x > 0, 1, where(x < 0, -1, x * 0))\n"),
}
"""Operations without attributes."""


def negative_slope(alpha: float) -> Function:
    """A leaky rectifier."""
    return Function("leaky_relu", (("negative_slope", alpha),))


def hard_sigmoid(alpha: float, beta: float) -> Function:
    """ONNX's HardSigmoid; Keras 3's where it is that."""
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return Function("hard_sigmoid")
    return Function("hard_sigmoid_of", (("alpha", alpha), ("beta", beta)), HARD_SIGMOID)


def between(low: float | None, high: float | None) -> Function:
    """Within limits, of which one may be missing."""
    if low == 0 and high is None:
        return Function("relu")
    if low == 0 and high == 6:
        return Function("relu6")
    if low == 0 and high is not None:
        return Function("relu", (("max_value", high),))
    if low is None and high is None:
        return Function("linear")
    return Function("between", (("low", -1e38 if low is None else low), ("high", 1e38 if high is None else high)), BETWEEN)


def _gelu(node: Node) -> Function:
    return Function("gelu", (("approximate", True),)) if node.text("approximate", "none") == "tanh" else Function("gelu")


def _selu(node: Node) -> Function:
    alpha, gamma = node.number("alpha", 1.6732632423543772), node.number("gamma", 1.0507009873554805)
    if abs(alpha - 1.6732632423543772) > 1e-6 or abs(gamma - 1.0507009873554805) > 1e-6:
        raise Unfit("SELU has its own alpha and gamma", "alpha")
    return Function("selu")


WITH_ATTRIBUTES: Mapping[str, Callable[[Node], Function]] = {
    "LeakyRelu": lambda node: negative_slope(node.number("alpha", 0.01)),
    "Elu": lambda node: Function("elu", (("alpha", node.number("alpha", 1.0)),)),
    "Celu": lambda node: Function("celu", (("alpha", node.number("alpha", 1.0)),)),
    "Selu": _selu,
    "Gelu": _gelu,
    "HardSigmoid": lambda node: hard_sigmoid(node.number("alpha", 0.2), node.number("beta", 0.5)),
    "ThresholdedRelu": lambda node: threshold(node.number("alpha", 1.0)),
    "Shrink": lambda node: _shrink(node),
}
"""Operations by their attributes."""


def threshold(alpha: float) -> Function:
    """What is above alpha, and 0 for what isn't."""
    return Function("threshold", (("threshold", alpha), ("default_value", 0.0)))


def _shrink(node: Node) -> Function:
    bias, limit = node.number("bias", 0.0), node.number("lambd", 0.5)
    if bias == 0:
        return Function("hard_shrink", (("threshold", limit),))
    if bias == limit:
        return Function("soft_shrink", (("threshold", limit),))
    raise Unfit("a shrinking with another bias than 0 and lambd", "bias")


def function_of(node: Node) -> Function | None:
    """The function of a node of one value; None for one that is something else."""
    plain = PLAIN.get(node.op)
    if plain is not None:
        return plain
    made = WITH_ATTRIBUTES.get(node.op)
    return None if made is None else made(node)


def activation(name: str, alpha: float | None, beta: float | None) -> Function:
    """An activation of a recurrent node, with the standard's defaults for what isn't given."""

    def number(given: float | None, default: float) -> float:
        return default if given is None else given

    match name.lower():
        case "sigmoid" | "tanh" | "relu" | "softplus" | "softsign":
            return PLAIN[name.lower().capitalize()]
        case "affine":
            return Function("line", (("alpha", number(alpha, 1.0)), ("beta", number(beta, 0.0))), AFFINE)
        case "leakyrelu":
            return negative_slope(number(alpha, 0.01))
        case "thresholdedrelu":
            return threshold(number(alpha, 1.0))
        case "scaledtanh":
            return Function("scaled_tanh", (("alpha", number(alpha, 1.0)), ("beta", number(beta, 1.0))), SCALED_TANH)
        case "hardsigmoid":
            return hard_sigmoid(number(alpha, 0.2), number(beta, 0.5))
        case "elu":
            return Function("elu", (("alpha", number(alpha, 1.0)),))
        case _:
            raise Unfit(f"{name!r} isn't an activation of the standard", "activations")


TAKES: Mapping[str, int] = {
    "affine": 2,
    "leakyrelu": 1,
    "thresholdedrelu": 1,
    "scaledtanh": 2,
    "hardsigmoid": 2,
    "elu": 1,
}
"""How many of alpha and beta an activation takes of the node's lists."""
