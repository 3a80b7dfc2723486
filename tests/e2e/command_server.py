"""Runs commands in forks of a process that has loaded the package: a short command spends most of its time on that.

A line in is the arguments, the folder, the environment and where the two streams go; a line out is the exit status.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import typer

import rnnspec
from rnnspec.cli import main
from rnnspec.driver import commands

WARM = """model Warm {
    input x: float[time, 3]
    LSTM(2)
    Dense(1)
    train { loss = mse optimizer = SGD(learning_rate = 0.1) }
}
"""

ELSEWHERE = ("__main__", "estimators", "frameworks", "jax", "keras", "sklearn", "torch")
"""Modules that no command loads: most are for programs of other frameworks."""


def load() -> None:
    """All that a command may import, so that no fork does."""
    for module in walk_packages(rnnspec.__path__, "rnnspec."):
        if module.name.split(".")[1] not in ELSEWHERE:
            import_module(module.name)
    for name in ("llvmlite.binding", "safetensors.numpy", "typer.rich_utils"):
        import_module(name)
    command = typer.Typer(add_completion=False)
    command.command()(takes)
    command(["x"], standalone_mode=False)
    commands.check(WARM)
    gc.freeze()


def takes(file: Path) -> None:
    """A command with an argument to convert, for which typer imports more."""


def run(request: dict[str, Any]) -> None:
    """As a fresh process: never returns."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, request["out"], os.O_WRONLY), (2, request["err"], os.O_WRONLY)):
        os.dup2(os.open(path, mode), number)
    sys.argv = ["rnnspec", *request["arguments"]]
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def serve() -> None:
    load()
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=replies, flush=True)


if __name__ == "__main__":
    serve()
