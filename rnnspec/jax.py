"""Models as functions of JAX's programs: `jit`, `grad`, `vmap`.

    import jax
    import rnnspec.jax

    f = rnnspec.jax.function(model)
    y = jax.jit(f)(x)
    gradients = jax.grad(lambda weights: f(x, weights).sum())(f.weights)

It needs JAX, and computes on the processor: each call leaves JAX's program for native code and comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rnnspec.frameworks.pure_model import PureModel
from rnnspec.training.model import Model


class Function:
    """What `function` gives: called as `f(x, weights=None, *, mask=None, lengths=None)`, an output, or a tuple of them."""

    def __init__(self, model: Model) -> None:
        self._pure = PureModel(model)
        if self._pure.dtype == np.float64 and not jax.config.jax_enable_x64:
            raise ValueError(f'model {model.signature.model} is of float64: jax.config.update("jax_enable_x64", True) first')
        self._apply = differentiable(self._pure)

    @property
    def weights(self) -> dict[str, Any]:
        """The model's weights of this moment by name, as JAX's arrays: a pytree to start from."""
        return {name: jax.numpy.asarray(value) for name, value in self._pure.model.weights.items()}

    def __call__(self, x: Any, weights: Mapping[str, Any] | None = None, *, mask: Any = None, lengths: Any = None) -> Any:
        """The output for `x`, as `Model.forward` gives it in inference: without dropout.

        `x`: (batch, ...) as for `Model.forward`, a dict by input, or a list; without the axis of the batch it is one sample. `weights`: by
        name; those that are missing, or all for None, are the model's own at the time of the call. `mask`, `lengths`: as for `forward`.
        ValueError for shapes and names that don't fit, TypeError for complex numbers.
        """
        pure = self._pure
        inputs = {
            name: jax.numpy.asarray(_real(value, name), np.int32 if pure.inputs[name].integer else pure.dtype)
            for name, value in pure.by_name(x, "x").items()
        }
        masks = {name: jax.numpy.asarray(value, bool) for name, value in pure.by_name(mask, "mask").items()}
        counts = {name: jax.numpy.asarray(value, np.int32) for name, value in pure.by_name(lengths, "lengths").items()}
        given = {name: jax.numpy.asarray(_real(value, name), pure.dtype) for name, value in (weights or {}).items()}
        pure.check_weights(list(given))
        is_one = all(value.ndim == pure.batched[name] - 1 for name, value in inputs.items())
        if is_one:
            inputs, masks, counts = ({name: value[None] for name, value in each.items()} for each in (inputs, masks, counts))
        found: list[Any] = [each[0] if is_one else each for each in self._apply(given, inputs, masks, counts)]
        return tuple(found) if len(found) > 1 else found[0]


def function(model: Model) -> Function:
    """A model as a pure function of JAX: `f(x)`, `f(x, weights)`, under `jit`, `grad` and `vmap`; see `Function`.

    Gradients are by the weights that are given and by inputs of floats. ValueError for a stateful model, for one of texts, and for
    one of float64 while JAX has no such numbers.
    """
    return Function(model)


def differentiable(pure: PureModel) -> Any:
    """The outputs by weights, inputs, masks and lengths, with the derivative that native code computes."""

    def called(*arguments: Any) -> Any:
        return pure.outputs(_numpy(arguments))

    def derived(arguments: Any, cotangents: Any) -> Any:
        return pure.gradients(_numpy(arguments), list(_numpy(cotangents)))

    def outputs(weights: Any, x: Any, masks: Any, lengths: Any) -> Any:
        shapes = pure.output_shapes({name: value.shape for name, value in x.items()})
        wanted = tuple(jax.ShapeDtypeStruct(shape, pure.dtype) for shape in shapes)
        return jax.pure_callback(called, wanted, weights, x, masks, lengths, vmap_method="expand_dims")

    def forward(weights: Any, x: Any, masks: Any, lengths: Any) -> Any:
        return outputs(weights, x, masks, lengths), (weights, x, masks, lengths)

    def backward(kept: Any, cotangents: Any) -> Any:
        weights, x, _, _ = kept
        floats = {name: x[name] for name in pure.floats}
        wanted = [{name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in each.items()} for each in (weights, floats)]
        of_weights, of_inputs = jax.pure_callback(derived, tuple(wanted), kept, cotangents, vmap_method="expand_dims")
        return of_weights, {name: of_inputs.get(name) for name in x}, None, None

    applied = jax.custom_vjp(outputs)
    applied.defvjp(forward, backward)
    return applied


def _real(value: Any, name: str) -> Any:
    """A value whose conversion to the model's dtype loses no half of it."""
    if jax.numpy.iscomplexobj(value):
        raise TypeError(f"{name} has complex numbers: expected real ones")
    return value


def _numpy(values: Any) -> Any:
    return jax.tree.map(np.asarray, values)
