"""Models as modules of PyTorch: `rnnspec.torch.Module`. Needs torch, `pip install "rnnspec[torch]"`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

try:
    import torch
    from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence, pad_sequence
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError('rnnspec.torch needs PyTorch: pip install "rnnspec[torch]"', name=missing.name) from None

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature, frozen_weights
from rnnspec.frameworks.torch_gradients import once
from rnnspec.runtime.model.compiled_model import Outputs
from rnnspec.training.model import Model


class Module(torch.nn.Module):
    """A compiled model as an `nn.Module`, with autograd through its native backward.

    Its parameters are the model's own memory under the model's names (`lstm/kernel`): what an optimizer of torch does to them, the model
    has, and the other way round. Moving statistics, and the weights of layers that aren't trained, are buffers and parameters without a
    gradient. `train()` and `eval()` decide about dropout, noise and moving statistics, as `training` does in `Model.forward`; dropout is
    drawn from the model's seed, not from torch's. Everything is computed on the processor, in the model's dtype: moving the module to
    another device or dtype is a TypeError. Second derivatives aren't there.

    Each call looks at the weights anew, also one of the model itself, which costs it the time of going through them once; for inference
    of a trained model, `copy.copy(module.model)` is without this. Copies and pickles have a model of their own.

    >>> import numpy as np
    >>> import rnnspec
    >>> import rnnspec.torch
    >>> import torch
    >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
    >>> module = rnnspec.torch.Module(model)
    >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    >>> x = torch.ones(2, 5, 3)
    >>> module(x, lengths=torch.tensor([5, 2])).square().mean().backward()
    >>> optimizer.step()
    >>> bool(np.array_equal(module(x).detach(), model.predict(x.numpy())))
    True
    """

    def __init__(self, model: Model) -> None:
        """`model`: of `rnnspec.compile` or `rnnspec.load`."""
        super().__init__()
        if not isinstance(model, Model):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"model: expected a model that rnnspec.compile or rnnspec.load gave, got {type(model).__name__}")
        self.model = model
        self._views = model.share_weights()
        signature = model.signature
        frozen = set(frozen_weights(self._views, signature.frozen))
        for weight in signature.weights:
            tensor = torch.from_numpy(self._views[weight.name])
            if weight.trainable:
                self.register_parameter(weight.name, torch.nn.Parameter(tensor, requires_grad=weight.name not in frozen))
            else:
                self.register_buffer(weight.name, tensor)
        tensors = {**self._parameters, **self._buffers}
        self._owned = {name: (tensor, view.ctypes.data) for name, view in self._views.items() if (tensor := tensors[name]) is not None}

    @torch.compiler.disable
    def forward(self, *inputs: Any, mask: Any = None, lengths: Any = None) -> Any:
        """The output of a batch, padded; a tuple of them if the model has several outputs.

        `inputs`: a tensor for each input in the model's order, or one dict by the inputs' names. One of a sequence may be a list of
        tensors of different lengths, or a `PackedSequence`, which both have their lengths in themselves. `mask` and `lengths` as for
        `Model.forward`, as tensors or whatever that takes. Gradients flow to the parameters and to float inputs.
        """
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            raise TypeError(
                "native code can't be traced or exported: rnnspec.export_model(module.model, 'net.py') writes a module of torch's own"
            )
        self._take_back()
        given = self._named(inputs)
        signature = self.model.signature
        floats: dict[str, torch.Tensor] = {}
        others: dict[str, object] = {}
        for spec in signature.inputs:
            if spec.name not in given:
                continue
            value: object = given[spec.name]
            if isinstance(value, PackedSequence) or _samples(value):
                value, lengths = _padded(value, spec, mask, lengths, len(signature.inputs))
            if isinstance(value, torch.Tensor) and not spec.integer:
                floats[spec.name] = _of_numbers(value, spec.name).to(self._dtype)
            else:
                others[spec.name] = _array(value, spec.name)
        others |= {name: value for name, value in given.items() if name not in floats and name not in others}
        masks = _arrays(mask, "mask"), _arrays(lengths, "lengths")
        parameters = dict(self.named_parameters())
        trained = [*floats.values(), *parameters.values()]
        if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in trained):
            outputs = self.model.forward(_together(floats, others), *masks, training=self.training)
            found = _tensors(outputs)
        else:
            call = _Call(self.model, tuple(floats), others, masks, self.training, tuple(parameters))
            found = cast(tuple[torch.Tensor, ...], _Recorded.apply(call, *trained))
        return found[0] if len(signature.outputs) == 1 else found

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if self.model.signature.dtype == "float64" else torch.float32

    def _named(self, inputs: Sequence[Any]) -> Mapping[str, Any]:
        names = [spec.name for spec in self.model.signature.inputs]
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            return cast(Mapping[str, Any], inputs[0])
        if len(inputs) != len(names):
            raise ValueError(f"expected {len(names)} inputs, {', '.join(names)}; got {len(inputs)}")
        return dict(zip(names, inputs, strict=True))

    def _take_back(self) -> None:
        """Has parameters that were given other memory, as by `parameter.data = ...`, lie in the model's again, with the new values.

        TypeError for one of another dtype or device, ValueError for one of another shape, or another object.
        """
        for name, (tensor, address) in self._owned.items():
            if self._parameters.get(name, self._buffers.get(name)) is not tensor:
                advice = "parametrizations, `torch.func.functional_call` and the like can't be used"
                raise ValueError(f"parameter {name} is another tensor than the one that the model's weights lie in: {advice}")
            view = self._views[name]
            if not view.size or (tensor.data_ptr() == address and tensor.is_contiguous() and tensor.dtype == self._dtype):
                continue
            if tensor.dtype != self._dtype or tensor.device.type != "cpu":
                raise TypeError(f"parameter {name} is {tensor.dtype} on {tensor.device}: {self._fixed()}")
            if tensor.shape != view.shape:
                raise ValueError(f"parameter {name}: expected shape {view.shape}, got {tuple(tensor.shape)}")
            own = torch.from_numpy(view)
            with torch.no_grad():
                own.copy_(tensor)
            tensor.data = own

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *others: Any) -> None:
        """Copies the values: with `assign` the module would have other tensors than the model."""
        super()._load_from_state_dict(state_dict, prefix, {**local_metadata, "assign_to_params_buffers": False}, *others)

    def _fixed(self) -> str:
        return f"the model computes on the processor, in {self.model.signature.dtype}; `rnnspec.compile(..., dtype=...)` makes another"

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Module:
        """What `to`, `double`, `cuda` and the like do: nothing, or TypeError where that isn't what the model is already."""
        probe = fn(torch.zeros(1, dtype=self._dtype))
        if probe.dtype != self._dtype or probe.device.type != "cpu":
            raise TypeError(f"the module can't become {probe.dtype} on {probe.device}: {self._fixed()}")
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Module:
        return _restored(copy.deepcopy(self.model, memo), self._state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.model, self._state())

    def _state(self) -> tuple[bool, dict[str, bool]]:
        self._take_back()
        return self.training, {name: parameter.requires_grad for name, parameter in self.named_parameters()}


def _restored(model: Model, state: tuple[bool, dict[str, bool]]) -> Module:
    module = Module(model)
    training, with_gradient = state
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(with_gradient[name])
    return module.train(training)


class _Call:
    """What a recorded call is made of, beside its tensors."""

    def __init__(
        self,
        model: Model,
        floats: tuple[str, ...],
        others: Mapping[str, object],
        masks: tuple[object, object],
        training: bool,
        parameters: tuple[str, ...],
    ) -> None:
        self.model, self.floats, self.others, self.masks = model, floats, others, masks
        self.training, self.parameters = training, parameters


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        count = len(call.floats)
        x = _together(dict(zip(call.floats, tensors[:count], strict=True)), call.others)
        outputs, tape = call.model.forward(x, *call.masks, training=call.training, record=True)
        ctx.call, ctx.tape = call, tape
        ctx.save_for_backward(*tensors)  # so that torch refuses a backward after a change of these
        return _tensors(outputs)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        call: _Call = ctx.call
        given = [each.detach().numpy() for each in cotangents]
        gradients = call.model.backward(ctx.tape, given if len(given) > 1 else given[0])
        values = [gradients.inputs[name] for name in call.floats] + [gradients.weights[name] for name in call.parameters]
        found = [torch.from_numpy(value) if need else None for value, need in zip(values, ctx.needs_input_grad[1:], strict=True)]
        return None, *once(found, (*ctx.saved_tensors, *cotangents))


def _tensors(outputs: Outputs) -> tuple[torch.Tensor, ...]:
    given = cast(tuple[Array, ...], outputs) if isinstance(outputs, tuple) else (cast(Array, outputs),)
    return tuple(torch.from_numpy(output) for output in given)


def _together(floats: Mapping[str, torch.Tensor], others: Mapping[str, object]) -> dict[str, object]:
    return {**{name: tensor.detach().numpy() for name, tensor in floats.items()}, **others}


def _samples(value: object) -> list[torch.Tensor]:
    """The tensors of a list of nothing else; empty for anything else."""
    entries = cast(list[object], value) if isinstance(value, (list, tuple)) else []
    found = [entry for entry in entries if isinstance(entry, torch.Tensor)]
    return found if len(found) == len(entries) else []


def _padded(value: object, spec: InputSignature, mask: object, lengths: object, inputs: int) -> tuple[torch.Tensor, object]:
    """A packed sequence, or samples of different lengths, as one tensor, and the lengths."""
    if isinstance(value, PackedSequence):
        if not spec.is_sequence:
            raise ValueError(f"{spec.name}: a packed sequence where rows are expected")
        padded, own = pad_packed_sequence(value, batch_first=True)
    else:
        samples = _samples(value)
        if not spec.is_sequence:
            return torch.stack(samples), lengths
        padded, own = pad_sequence(samples, batch_first=True), torch.tensor([len(sample) for sample in samples])
    if mask is not None or (lengths is not None and inputs == 1):
        raise ValueError(f"{spec.name}: samples of different lengths tell these themselves; a mask or lengths belong to a padded tensor")
    if inputs == 1:
        return padded, own
    if lengths is not None and not isinstance(lengths, Mapping):
        raise ValueError("lengths: expected a mapping from inputs where there are several")
    return padded, {**cast(Mapping[str, object], lengths or {}), spec.name: own}


def _of_numbers(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """An input of floats; TypeError for one that numbers would be lost of, or that isn't an array."""
    if tensor.is_complex() or tensor.is_quantized or tensor.layout is not torch.strided:
        raise TypeError(f"{name} is {tensor.dtype}, {tensor.layout}: expected a dense tensor of real numbers")
    return _on_processor(tensor, name)


def _on_processor(tensor: torch.Tensor, name: str) -> torch.Tensor:
    if tensor.device.type != "cpu":
        raise TypeError(f"{name} is on {tensor.device}; the model computes on the processor: `.cpu()`")
    return tensor


def _array(value: object, name: str) -> object:
    return _on_processor(value, name).detach().numpy() if isinstance(value, torch.Tensor) else value


def _arrays(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        return {key: _array(each, name) for key, each in cast(Mapping[str, object], value).items()}
    return _array(value, name)
