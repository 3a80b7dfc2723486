"""The model of a package: what a compiled model does in inference, with code that was made before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rnnspec.contract.executable import Executable
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.runtime.model.compiled_model import CompiledModel
from rnnspec.runtime.native.executable import NativeExecutable, Variant
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.native.stateful import StatefulExecutable
from rnnspec.runtime.packaged.contents import CALL, LevelCode, object_name, read_code, read_states, read_weights
from rnnspec.runtime.packaged.levels import level_here
from rnnspec.runtime.storage import model_file

INFERENCE = {"forward": Variant("forward", False), "stream": Variant("stream", False)}
"""The variants that a package has code for, but that the code for one thread and for several is the same function."""


class PackagedModel(CompiledModel):
    """A model for inference, with numpy alone: `predict`, `forward`, `stream` and what goes with them, to the bit as where it came from.

    What needs the compiler, a gradient, a stage's text or a model's file, is refused with ValueError.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: with the files of `contents`. ImportError for a machine that there is no code for, ValueError for damaged files."""
        code = read_code(folder)
        found = level_here([each.level for each in code.levels])
        level = next(each for each in code.levels if each.level == found)

        def python_call() -> PythonCall:
            return replace(code.python_call, object_code=(folder / CALL).read_bytes())

        def build(wanted: Variant) -> NativeFunction:
            return _function(folder, level, replace(wanted, storage=WeightStorage.FULL))

        executable: Executable = NativeExecutable(code.signature, build, _no_stage, python_call, storage=code.storage)
        if code.signature.states:
            executable = StatefulExecutable(executable, code.signature.states, code.signature.dtype)
            if states := read_states(folder):
                executable.set_states(states)
        super().__init__(code.signature, executable, code.source, seed=0, weights=read_weights(folder, code.signature))
        self._thresholds = code.thresholds
        self.level = found
        """The level of processors that the code in use is for."""
        self.take_texts("", code.texts)

    @property
    def class_thresholds(self) -> Mapping[str, float]:
        """By output the value above which one unit is of class 1, as the model had them."""
        return self._thresholds

    def save(self, file: model_file.Target) -> NoReturn:
        """ValueError: a package has no spec that could be compiled again."""
        raise ValueError(f"a package can't save a model{_ADVICE}")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a package's model can't be pickled or copied: load the package where it is needed")


_ADVICE = ": rnnspec, which has made this one, can"


def _function(folder: Path, level: LevelCode, wanted: Variant) -> NativeFunction:
    name = next((name for name, variant in INFERENCE.items() if variant == replace(wanted, shared=False)), None)
    if name is None or name not in level.functions:
        raise ValueError(f"a package has code for inference alone, without training, tapes and gradients{_ADVICE}")
    return replace(level.functions[name], object_code=(folder / object_name(level.level, name)).read_bytes())


def _no_stage(stage: str, after: str | None) -> str:
    raise ValueError(f"a package has no compiler whose stages could be printed{_ADVICE}")
