"""The object code of a model's step for any machine, and the same code run by this one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.deploy.constants import flat_weights, on_this_machine
from rnnspec.deploy.library import Library, fitting, library
from rnnspec.deploy.step_layout import StepLayout
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.target import Target
from rnnspec.runtime.model.stream import Stream
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.executable import NativeExecutable


def step_library(
    model: Compilation,
    weights: Mapping[str, Array],
    layout: StepLayout,
    target: Target,
    storage: WeightStorage = WeightStorage.FULL,
) -> Library:
    """The step of a model with these weights, whose matrices are kept as `storage` says, as code for a target."""
    return library(model, weights, target, step=layout, storage=storage)


def reference(
    model: Compilation,
    weights: Mapping[str, Array],
    layout: StepLayout,
    target: Target,
    steps: Mapping[str, Array],
    storage: WeightStorage = WeightStorage.FULL,
) -> list[Array]:
    """What the target's library gives, bit for bit, computed here: each output's values, (steps, width), NaN at steps at which it has none.

    `steps`: each input, (steps, width) or, of ids, (steps,).
    """
    host = on_this_machine(model, fitting(target, layout.bytes))
    parameters = Parameters(host.signature.weights, host.signature.dtype)
    parameters.change(lambda flat: np.copyto(flat, flat_weights(host, weights)))
    executable = NativeExecutable(host.signature, host.native, host.print, storage=storage)
    stream = Stream(host.signature, executable, parameters, 1)
    count = len(next(iter(steps.values())))
    shown = [stream.step({name: values[place : place + 1] for name, values in steps.items()}) for place in range(count)]
    rows = shown if len(layout.outputs) > 1 else [(one,) for one in shown]
    absent = [np.full((1, each.width), np.nan, host.signature.dtype) for each in layout.outputs]
    return [np.concatenate([nothing if one[number] is None else one[number] for one in rows]) for number, nothing in enumerate(absent)]
