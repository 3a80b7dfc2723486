"""This project."""

from __future__ import annotations

import rnnspec
from benchmarks.peers import Call, Settings, Task


def settings(task: Task) -> Settings:
    work = task.work

    def build() -> Call:
        model = rnnspec.compile(work.spec, parameters=work.parameters, weights=task.weights)
        if work.kind == "stream":
            return model.stream().step
        return model.train_on_batch if work.train else model.forward

    return {"as it is": build}
