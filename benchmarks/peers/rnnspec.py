"""This project."""

from __future__ import annotations

import rnnspec
from benchmarks.native_loop import native_loop
from benchmarks.peers import Call, Settings, Task


def settings(task: Task) -> Settings:
    work = task.work

    def build() -> Call:
        model = rnnspec.compile(work.spec, parameters=work.parameters, weights=task.weights)
        if work.kind == "stream":
            return model.stream().step
        if work.kind == "samples":
            return native_loop(model, work.time)
        if len(work.inputs) > 1:
            return lambda *given: model.train_on_batch(given[:-1], given[-1])
        return model.train_on_batch if work.train else model.forward

    return {"as it is": build}
