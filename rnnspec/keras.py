"""Models as layers of Keras 3, with any back end: `jax`, `torch`, `tensorflow`, `numpy`.

    import keras
    import rnnspec.keras

    inputs = keras.Input((None, 3))
    outputs = keras.layers.Dense(1)(rnnspec.keras.Layer(model)(inputs))
    whole = keras.Model(inputs, outputs)

It needs Keras, and computes on the processor: each call leaves the back end's program for native code and comes back.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

import keras
import numpy as np

from rnnspec import api
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import frozen_weights
from rnnspec.frameworks.pure_model import Arguments, PureModel
from rnnspec.training.model import Model


class _Given:
    """An initializer that gives a value."""

    def __init__(self, value: Array) -> None:
        self._value = value

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(self._value, dtype)


@keras.saving.register_keras_serializable(package="rnnspec")
class Layer(keras.layers.Layer):
    """A layer that computes what a model does in inference: without dropout, and with the moving statistics of BatchNormalization.

    `model`: a copy is kept; its weights become the layer's variables, those of frozen layers and moving statistics not trained. Called with
    a tensor, or with a list or a dict of them for several inputs; `mask` as Keras gives it. Returns a tensor, or a tuple of them. Saved and
    loaded with the whole by Keras, once `rnnspec.keras` is imported: the model's file is in the layer's configuration. ValueError
    for a stateful model, and for one of texts.
    """

    def __init__(self, model: Model | str, **settings: Any) -> None:
        held = api.load(base64.b64decode(model)) if isinstance(model, str) else deepcopy(model)
        super().__init__(**{"dtype": held.signature.dtype, **settings})
        self._pure = PureModel(held)
        self.supports_masking = True
        still = {*frozen_weights([weight.name for weight in held.signature.weights], held.signature.frozen)}
        self._variables_by_name = {
            weight.name: self.add_weight(
                name=weight.name.replace("/", "_"),
                shape=weight.shape,
                dtype=held.signature.dtype,
                initializer=_Given(held.weights[weight.name]),
                trainable=weight.trainable and weight.name not in still,
            )
            for weight in held.signature.weights
        }
        self._apply = _PROGRAMS[keras.backend.backend()](self._pure)
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """The variables are there from the beginning."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The outputs; see the class."""
        pure = self._pure
        x = {
            name: keras.ops.cast(value, "int32" if pure.inputs[name].integer else pure.dtype.name)
            for name, value in pure.by_name(inputs, "x").items()
        }
        masks = {name: keras.ops.cast(value, "bool") for name, value in self._masks(mask).items()}
        weights = {name: keras.ops.convert_to_tensor(variable) for name, variable in self._variables_by_name.items()}
        found = self._apply(weights, x, masks)
        return found if len(found) > 1 else found[0]

    def _masks(self, given: Any) -> dict[str, Any]:
        """The masks of the sequences that have one."""
        names = list(self._pure.inputs)
        if given is None:
            return {}
        if isinstance(given, Mapping):
            named = dict(cast(Mapping[str, Any], given))
        else:
            listed: list[Any] = list(cast(Any, given)) if isinstance(given, (list, tuple)) else [given]
            named = dict(zip(names, listed, strict=True))
        return {name: value for name, value in named.items() if value is not None and name in self._pure.sequences}

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the only sequence, where the only output is a sequence of as many steps; else none."""
        (output, *others), masks = self._pure.model.signature.outputs, self._masks(previous_mask)
        if others or len(self._pure.inputs) > 1 or not masks or not output.is_sequence:
            return None
        steps = {spec.shape[:1] for spec in self._pure.inputs.values()}
        return next(iter(masks.values())) if output.shape[:1] in steps and not output.flip else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The outputs' shapes for that of the input, or a list or a dict of the inputs'; None for an axis of which nothing is known."""
        names = list(self._pure.inputs)
        if isinstance(input_shape, Mapping):
            shapes: dict[str, Any] = dict(cast(Mapping[str, Any], input_shape))
        else:
            shapes = dict(zip(names, input_shape if len(names) > 1 else [input_shape], strict=True))
        batch: Any = next(iter(shapes.values()))[0]
        if any(size is None for shape in shapes.values() for size in shape[1:]):
            outputs = self._pure.model.signature.outputs
            found = [tuple(size if isinstance(size, int) else None for size in output.shape) for output in outputs]
        else:
            of_one = {name: (1, *map(int, shape[1:])) for name, shape in shapes.items()}
            found = [shape[1:] for shape in self._pure.output_shapes(of_one)]
        first, *more = [(batch, *shape) for shape in found]
        return (first, *more) if more else first

    def compute_output_spec(self, inputs: Any, mask: Any = None) -> Any:
        """The outputs without values."""
        shapes: dict[str, Any] = {name: tuple(value.shape) for name, value in self._pure.by_name(inputs, "x").items()}
        found = self.compute_output_shape(shapes if len(shapes) > 1 else next(iter(shapes.values())))
        several = len(self._pure.model.signature.outputs) > 1
        specs = tuple(keras.KerasTensor(shape, dtype=self._pure.dtype.name) for shape in (found if several else [found]))
        return specs if several else specs[0]

    def get_config(self) -> dict[str, Any]:
        """The configuration, with the file of the model as text."""
        file = io.BytesIO()
        self.to_model().save(file)
        return {**super().get_config(), "model": base64.b64encode(file.getvalue()).decode()}

    def to_model(self) -> Model:
        """A copy of the model, with the layer's weights of this moment."""
        found = deepcopy(self._pure.model)
        found.set_weights({name: keras.ops.convert_to_numpy(variable.value) for name, variable in self._variables_by_name.items()})
        return found


def _of_numpy(pure: PureModel) -> Callable[..., Any]:
    def apply(weights: Any, x: Any, masks: Any) -> Any:
        return pure.outputs((weights, x, masks, {}))

    return apply


def _of_jax(pure: PureModel) -> Callable[..., Any]:
    from rnnspec.jax import differentiable

    applied = differentiable(pure)

    def apply(weights: Any, x: Any, masks: Any) -> Any:
        return applied(weights, x, masks, {})

    return apply


def _of_torch(pure: PureModel) -> Callable[..., Any]:
    import torch

    from rnnspec.frameworks.torch_gradients import once

    def arrays(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value.detach().cpu().numpy() for name, value in values.items()}

    class Applied(torch.autograd.Function):
        """The outputs of flat arguments: weights, inputs, masks."""

        @staticmethod
        def forward(ctx: Any, names: Any, *tensors: Any) -> Any:
            """Native code's outputs."""
            weights, x, masks = (arrays(dict(zip(of, tensors[begin : begin + len(of)], strict=True))) for of, begin in names)
            arguments: Arguments = weights, x, masks, {}
            ctx.arguments, ctx.names, ctx.device = arguments, names, tensors[0].device
            ctx.save_for_backward(*tensors)
            return tuple(torch.from_numpy(value).to(ctx.device) for value in pure.outputs(arguments))

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            """Native code's gradients, None of what has none."""
            dy = [each.detach().cpu().numpy() for each in cotangents]
            of_weights, of_inputs = pure.gradients(ctx.arguments, dy)
            found = {**of_weights, **{f"x:{name}": value for name, value in of_inputs.items()}}
            (weights, _), (inputs, _), (masks, _) = ctx.names
            wanted = [*weights, *(f"x:{name}" for name in inputs), *(None for _ in masks)]
            values = [torch.from_numpy(found[name]).to(ctx.device) if name in found else None for name in wanted]
            return None, *once(values, (*ctx.saved_tensors, *cotangents))

    def apply(weights: Any, x: Any, masks: Any) -> Any:
        names = ((tuple(weights), 0), (tuple(x), len(weights)), (tuple(masks), len(weights) + len(x)))
        return Applied.apply(names, *weights.values(), *x.values(), *masks.values())

    return apply


def _of_tensorflow(pure: PureModel) -> Callable[..., Any]:
    import tensorflow as tf

    @tf.custom_gradient
    def once(found: Any, *sources: Any) -> Any:
        """A gradient, whose derivative is an error: that of a call of numpy would silently be none."""

        def gradient(*cotangents: Any) -> Any:
            raise RuntimeError("a model's gradients have no derivatives of their own: second derivatives aren't there")

        return tf.identity(found), gradient

    def apply(weights: Any, x: Any, masks: Any) -> Any:
        names = tuple(weights), tuple(x), tuple(masks)
        kinds = [tf.as_dtype(pure.dtype)] * len(pure.model.signature.outputs)
        floats = [name for name in x if name in pure.floats]

        def arguments(flat: Sequence[Any]) -> Arguments:
            left = iter(flat)
            weights, x, masks = ({name: np.asarray(next(left)) for name in each} for each in names)
            return weights, x, masks, {}

        def called(*flat: Any) -> Any:
            return list(pure.outputs(arguments(flat)))

        @tf.custom_gradient
        def applied(*tensors: Any) -> Any:
            def derived(*flat: Any) -> Any:
                dy = flat[len(tensors) :]
                of_weights, of_inputs = pure.gradients(arguments(flat[: len(tensors)]), list(dy))
                return [*of_weights.values(), *(of_inputs[name] for name in floats)]

            def gradient(*dy: Any) -> Any:
                count = len(weights) + len(floats)
                found = _listed(tf.numpy_function(derived, [*tensors, *dy], [tf.as_dtype(pure.dtype)] * count))
                found = [once(each, *tensors, *dy) for each in found]
                by_name = dict(zip([*weights, *(f"x:{name}" for name in floats)], found, strict=True))
                wanted = [*weights, *(f"x:{name}" for name in x), *(None for _ in masks)]
                return [by_name.get(cast(str, name)) for name in wanted]

            found = _listed(tf.numpy_function(called, list(tensors), kinds))
            for each, output in zip(found, pure.model.signature.outputs, strict=True):
                each.set_shape([None, *(size if isinstance(size, int) else None for size in output.shape)])
            return tuple(found), gradient

        return applied(*(tf.convert_to_tensor(value) for value in (*weights.values(), *x.values(), *masks.values())))

    return apply


def _listed(values: Any) -> list[Any]:
    """The tensors of a call; of a single one TensorFlow makes no list."""
    return list(cast(Any, values)) if isinstance(values, (list, tuple)) else [values]


_PROGRAMS: dict[str, Callable[[PureModel], Callable[..., Any]]] = {
    "jax": _of_jax,
    "numpy": _of_numpy,
    "tensorflow": _of_tensorflow,
    "torch": _of_torch,
}
"""What calls native code, by the back end's name."""
