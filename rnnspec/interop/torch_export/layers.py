"""Layers of rows and sequences as statements, each by its class. Sequences are (batch, time, features), as the layer shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frontend.graph.graph import Application
from rnnspec.interop.torch_export import recurrent
from rnnspec.interop.torch_export.module_text import CantSay, ModuleText

LayerWriter: TypeAlias = "Callable[[ModuleText, Any, Application, list[str]], Sequence[str]]"
"""Writes a layer: of its operands' expressions, those of its results."""


def written(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    """The expressions of a layer's results; `CantSay` for one that has no exact form."""
    writer = LAYERS.get(type(layer).__name__)
    if writer is None:
        raise CantSay("the layer has no form in PyTorch here")
    return writer(m, layer, application, given)


def _width(application: Application) -> int:
    return application.operands[0].type.features


def _mask(m: ModuleText, application: Application, place: int = 0) -> str | None:
    return m.mask(application.operands[place].type)


def _module(m: ModuleText, layer: Any, made: str, weights: Mapping[str, Array], value: str) -> str:
    return f"{m.attribute(layer.name, made, weights)}({value})"


def _over_channels(m: ModuleText, layer: Any, made: str, weights: Mapping[str, Array], value: str) -> str:
    """A module that takes (batch, features, time)."""
    return f"{_module(m, layer, made, weights, f'{value}.transpose(1, 2)')}.transpose(1, 2)"


def _dense(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    weights = {"weight": m.numbers(layer.kernel).T}
    if layer.bias is not None:
        weights["bias"] = m.numbers(layer.bias)
    made = f"nn.Linear({_width(application)}, {layer.units}{'' if layer.bias is not None else ', bias=False'})"
    return [m.activated(layer.activation, _module(m, layer, made, weights, given[0]), layer.units)]


def _embedding(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    made = f"nn.Embedding({layer.input_dim}, {layer.output_dim})"
    return [_module(m, layer, made, {"weight": m.numbers(layer.table)}, given[0])]


def _masking(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return [m.zeroed(given[0], m.mask(application.results[0].type))]


def _recurrent(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return recurrent.recurrent(m, layer, given, _mask(m, application))


def _bidirectional(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return recurrent.bidirectional(m, layer, given, _mask(m, application))


def _as_it_is(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    m.notes[f"layer {layer.name} ({type(layer).__name__}) is left out: it does nothing but in training"] = None
    return [given[0]]


def _dropout(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return [_module(m, layer, f"nn.Dropout({layer.amount!r})", {}, given[0])]


def _activation(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return [m.activated(layer.activation, given[0], _width(application), library=layer.kind != "Activation")]


def _prelu(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    value, alpha = m.let(layer.name, given[0]), m.parameter(layer.alpha)
    return [f"torch.where({value} > 0, {value}, {alpha} * {value})"]


def _layer_norm(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    if layer.rms_scaling:
        value = m.let(layer.name, given[0])
        deviation = f"torch.rsqrt({value}.var(-1, keepdim=True, unbiased=False) + {layer.epsilon!r})"
        gamma = "" if layer.gamma is None else f" * {m.parameter(layer.gamma)}"
        return [f"({value} * {deviation}{gamma})"]
    weights: dict[str, Array] = {}
    if layer.gamma is not None or layer.beta is not None:
        width = _width(application)
        weights["weight"] = np.ones(width, m.dtype) if layer.gamma is None else m.numbers(layer.gamma)
        weights["bias"] = np.zeros(width, m.dtype) if layer.beta is None else m.numbers(layer.beta)
    affine = "" if weights else ", elementwise_affine=False"
    return [_module(m, layer, f"nn.LayerNorm({_width(application)}, eps={layer.epsilon!r}{affine})", weights, given[0])]


def _batch_norm(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    mean = m.numbers(layer.moving_mean)
    weights = {
        "weight": np.ones_like(mean) if layer.gamma is None else m.numbers(layer.gamma),
        "bias": np.zeros_like(mean) if layer.beta is None else m.numbers(layer.beta),
        "running_mean": mean,
        "running_var": m.numbers(layer.moving_variance),
        "num_batches_tracked": np.array(0),
    }
    made = f"nn.BatchNorm1d({len(mean)}, eps={layer.epsilon!r}, momentum={round(1 - layer.momentum, 12)!r})"
    if _mask(m, application) is not None:
        m.notes[f"layer {layer.name}: in training a BatchNorm1d counts masked steps, and the layer doesn't"] = None
    if application.operands[0].type.sequence:
        return [_over_channels(m, layer, made, weights, given[0])]
    return [_module(m, layer, made, weights, given[0])]


def _normalization(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    if layer.given is not None:
        mean, variance = (np.asarray(each, m.dtype) for each in layer.given)
    elif layer.mean is not None and layer.variance is not None:
        mean, variance = m.numbers(layer.mean), m.numbers(layer.variance)
    else:
        raise CantSay("it has no moments")
    deviation = np.maximum(np.sqrt(variance), 1e-7).astype(m.dtype)
    names: list[str] = []
    for name, value in (("mean", mean), ("deviation", deviation)):
        made = f"nn.Parameter(torch.empty({', '.join(map(str, value.shape)) or '()'}), requires_grad=False)"
        names.append(m.attribute(f"{layer.name}/{name}", made, {"": value}))
    if layer.invert:
        return [f"({given[0]} * {names[1]} + {names[0]})"]
    return [f"(({given[0]} - {names[0]}) / {names[1]})"]


def _unit_norm(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    value = m.let(layer.name, given[0])
    return [f"({value} / torch.sqrt(torch.clamp(({value} * {value}).sum(-1, keepdim=True), min=1e-12)))"]


def _padded(m: ModuleText, window: Any, value: str, fill: str = "0.0") -> tuple[str, str]:
    """A sequence (batch, features, time) with what windows need at its ends, and an argument `padding` in its place."""
    match window.padding.value:
        case "causal":
            return f"functional.pad({value}, ({window.span - 1}, 0), value={fill})", ""
        case "same":
            m.helpers.add("same")
            return f"same({value}, {window.span}, {window.stride}, {fill})", ""
        case _:
            return value, ""


def _unmasked(m: ModuleText, application: Application, carry_mask: bool) -> None:
    if carry_mask and _mask(m, application) is not None:
        raise CantSay("windows that leave masked steps out aren't written", "carry_mask")


def _convolution(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    window, kernel = layer.window, m.numbers(layer.kernel)
    weights = {"weight": kernel.transpose(2, 1, 0)}
    if layer.bias is not None:
        weights["bias"] = m.numbers(layer.bias)
    options = [f"stride={window.stride}" if window.stride > 1 else "", f"dilation={window.dilation}" if window.dilation > 1 else ""]
    options.append("" if layer.bias is not None else "bias=False")
    arguments = ", ".join(filter(None, [str(kernel.shape[1]), str(kernel.shape[2]), str(kernel.shape[0]), *options]))
    value, _ = _padded(m, window, f"{given[0]}.transpose(1, 2)")
    result = f"{_module(m, layer, f'nn.Conv1d({arguments})', weights, value)}.transpose(1, 2)"
    return [m.activated(layer.activation, result, kernel.shape[2])]


def _pooling(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    window, is_max = layer.window, layer.kind.name == "MAX"
    value = f"{given[0]}.transpose(1, 2)"
    if is_max:
        value, _ = _padded(m, window, value, 'float("-inf")')
        return [f"functional.max_pool1d({value}, {window.size}, {window.stride}).transpose(1, 2)"]
    if window.padding.value == "valid":
        return [f"functional.avg_pool1d({value}, {window.size}, {window.stride}).transpose(1, 2)"]
    value, _ = _padded(m, window, m.let(f"{layer.name}_in", value))
    ones = f"torch.ones_like({given[0]}).transpose(1, 2)"
    counts, _ = _padded(m, window, ones)
    means = [f"functional.avg_pool1d({each}, {window.size}, {window.stride})" for each in (value, counts)]
    return [f"({means[0]} / {means[1]}).transpose(1, 2)"]


def _global_pooling(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    mask, keep = _mask(m, application), ", keepdim=True" if layer.keepdims else ""
    average = layer.kind.name == "AVERAGE"
    if mask is None:
        return [f"{given[0]}.{'mean' if average else 'amax'}(1{keep})"]
    if average:
        count = f"{mask}.sum(1, keepdim=True).clamp(min=1)" + ("[..., None]" if layer.keepdims else "")
        return [f"({m.zeroed(given[0], mask)}.sum(1{keep}) / {count})"]
    largest = m.let(layer.name, f'torch.where({mask}[..., None], {given[0]}, float("-inf")).amax(1{keep})')
    return [f"torch.where({largest}.isinf(), 0.0, {largest})"]


def _last(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    mask = _mask(m, application)
    if mask is None:
        return [f"{given[0]}[:, -1]"]
    m.helpers.add("last")
    return [f"last({given[0]}, {mask})"]


def _repeated(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    count = f"{given[1]}.shape[1]" if layer.count is None else str(layer.count)
    return [m.zeroed(f"{given[0]}.unsqueeze(1).expand(-1, {count}, -1)", m.mask(application.results[0].type))]


def _padding(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    return [f"functional.pad({given[0]}, (0, 0, {layer.start}, {layer.end}))"]


def _cropping(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    return [f"{given[0]}[:, {layer.start} : {-layer.end or None}]".replace("None", "")]


def _upsampling(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return [f"{given[0]}.repeat_interleave({layer.size}, 1)"]


def _features(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return [f"{given[0]}[..., {layer.start} : {layer.stop}]"]


def _steps(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    return [f"{given[0]}[:, {layer.start} : {'' if layer.stop is None else layer.stop}]"]


def _reshaping(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    if layer.transpose:
        return [f"{given[0]}.transpose(1, 2)"]
    return [f"{given[0]}.reshape(len({given[0]}), {', '.join(map(str, layer.shape))})"]


def _merge(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    types = [each.type for each in application.operands]
    kind = layer.kind.value
    if layer.over_steps:
        return [f"torch.cat([{', '.join(given)}], 1)"]
    sequences = [each for each in types if each.sequence]
    masks = {each.steps for each in sequences if each.masked}
    if masks and (len({each.steps for each in sequences}) > 1 or len(sequences) < len(types)):
        raise CantSay("masked values are merged with others that aren't masked alike")
    if sequences and kind == "Concatenate":
        like = next(name for name, each in zip(given, types, strict=True) if each.sequence)
        given = [
            name if each.sequence else f"{name}.unsqueeze(1).expand(-1, {like}.shape[1], -1)"
            for name, each in zip(given, types, strict=True)
        ]
    elif sequences:
        given = [name if each.sequence else f"{name}.unsqueeze(1)" for name, each in zip(given, types, strict=True)]
    match kind:
        case "Concatenate":
            return [f"torch.cat([{', '.join(given)}], -1)"]
        case "Add" | "Average":
            total = f"({' + '.join(given)})"
            return [total if kind == "Add" else f"({total} / {len(given)})"]
        case "Subtract":
            return [f"({' - '.join(given)})"]
        case "Multiply":
            return [m.zeroed(f"({' * '.join(given)})", m.mask(application.results[0].type))]
        case _:
            result = given[0]
            for other in given[1:]:
                result = f"torch.{kind.lower()}({result}, {other})"
            return [result]


def _attention(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    query, value, key = given[0], given[1], given[-1]
    scores = f"{query} @ {key}.transpose(1, 2)"
    if layer.scale is not None:
        scores = f"({scores}) * {m.parameter(layer.scale)}"
    seen = _mask(m, application, 1)
    allowed = [] if seen is None else [f"{seen}[:, None]"]
    if layer.causal:
        allowed.append(f"torch.ones({query}.shape[1], {value}.shape[1], dtype=torch.bool, device={query}.device).tril()")
    made = m.let(f"{layer.name}_scores", scores)
    weights = f"torch.softmax({made}, -1)"
    if allowed:
        m.helpers.add("masked_softmax")
        weights = f"masked_softmax({made}, {' & '.join(allowed)}, -1)"
    if layer.rate:
        m.notes[f"layer {layer.name} drops no weights in the module's training"] = None
    return [m.zeroed(f"({weights} @ {value})", _mask(m, application, 0))]


def _step_softmax(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    mask = _mask(m, application)
    if mask is None:
        return [f"torch.softmax({given[0]}, 1)"]
    m.helpers.add("masked_softmax")
    return [f"masked_softmax({given[0]}, {mask}[..., None], 1)"]


def _dot(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    types = [each.type for each in application.operands]
    turned = [
        f"{name}.transpose(1, 2)" if kind.sequence and axis == 0 else name
        for name, kind, axis in zip(given, types, layer.axes, strict=True)
    ]
    if any(_mask(m, application, place) is not None for place in range(len(types))):
        raise CantSay("products over masked steps aren't written")
    if layer.normalize:
        turned = [_unit_norm(m, layer, application, [name])[0] for name in turned]
    match [each.sequence for each in types]:
        case [True, True]:
            return [f"({turned[0]} @ {turned[1]}.transpose(1, 2))"]
        case [False, False]:
            return [f"({turned[0]} * {turned[1]}).sum(-1, keepdim=True)"]
        case [first, _]:
            sequence, row = turned if first else turned[::-1]
            return [f"({sequence} @ {row}[..., None])[..., 0]"]
        case _:
            raise CantSay("it takes two values")


def _distributed(m: ModuleText, layer: Any, application: Application, given: list[str]) -> Sequence[str]:
    return written(m, layer.layer, application, given)


LAYERS: Mapping[str, LayerWriter] = {
    "Activation": _activation,
    "AlphaDropout": _as_it_is,
    "Attention": _attention,
    "BatchNormalization": _batch_norm,
    "Bidirectional": _bidirectional,
    "Convolution": _convolution,
    "Cropping": _cropping,
    "Dense": _dense,
    "Dot": _dot,
    "Dropout": _dropout,
    "Embedding": _embedding,
    "FeatureSlice": _features,
    "GaussianDropout": _as_it_is,
    "GaussianNoise": _as_it_is,
    "GlobalPooling": _global_pooling,
    "Last": _last,
    "LayerNormalization": _layer_norm,
    "LocalPooling": _pooling,
    "Masking": _masking,
    "Merge": _merge,
    "Normalization": _normalization,
    "PReLU": _prelu,
    "Recurrent": _recurrent,
    "RepeatVector": _repeated,
    "Reshaping": _reshaping,
    "SpatialDropout": _as_it_is,
    "StepSlice": _steps,
    "StepSoftmax": _step_softmax,
    "TimeDistributed": _distributed,
    "UnitNormalization": _unit_norm,
    "UpSampling": _upsampling,
    "ZeroPadding": _padding,
}
"""The writer of each layer by the name of its class."""
