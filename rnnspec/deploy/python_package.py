"""`rnnspec.build_python`: a model as a Python package that runs with numpy alone, as a folder and as a wheel."""

from __future__ import annotations

import json
import keyword
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rnnspec import api
from rnnspec.backend.templates import render
from rnnspec.contract.target_names import WHEEL_PLATFORMS
from rnnspec.contract.weight_storage import StorageName, WeightStorage, checked_storage
from rnnspec.deploy.build import new_folder
from rnnspec.deploy.runtime_copy import copied_modules
from rnnspec.deploy.step_layout import CannotBuild, each_once, identifier
from rnnspec.deploy.wheel import wheel, wheel_name
from rnnspec.diagnostics import no_such_name
from rnnspec.driver import native
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.compilation import build as compiled
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.packaged.contents import STATES, WEIGHTS, LevelCode, PackagedCode, write_contents
from rnnspec.runtime.packaged.levels import PACKAGED_LEVELS
from rnnspec.runtime.packaged.model import INFERENCE
from rnnspec.runtime.storage import model_file
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder
from rnnspec.source import SourceFile
from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.contract.signature import InputSignature, OutputSignature
    from rnnspec.frontend.binding.model_parameters import ParameterValue
    from rnnspec.training.model import Model

RUNTIME = "_runtime"
"""The package inside of the package, with the copied modules."""

PYTHON_TARGETS = tuple(level.name for level in PACKAGED_LEVELS)
"""The targets that a package can have code for: its objects are linked without LLVM, which is for Linux on x86-64."""

_RELEASE = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_TAKEN = frozenset({"numpy", "rnnspec"}) | sys.stdlib_module_names


@frozen
class PythonReport:
    """What a package takes, in bytes: `python` of its modules, `code` of all levels, `weights`, and `wheel_bytes` of the wheel.

    `storage`: the elements in which inference keeps matrices; the file of weights is of the model's own.
    """

    package: str
    wheel: str
    targets: tuple[str, ...]
    python: int
    code: int
    weights: int
    wheel_bytes: int
    storage: str = "float32"

    def as_dict(self) -> dict[str, object]:
        """The report for JSON."""
        sizes = {"python": self.python, "code": self.code, "weights": self.weights, "wheel_bytes": self.wheel_bytes}
        return {"package": self.package, "wheel": self.wheel, "targets": list(self.targets), **sizes, "storage": self.storage}


def build_python(
    model: Model | str | os.PathLike[str] | bytes,
    folder: str | os.PathLike[str],
    *,
    targets: Sequence[str] = ("x86-64-v4", "x86-64-v3", "x86-64-v2"),
    name: str = "",
    release: str = "0.1.0",
    weights: StorageName | None = None,
) -> PythonReport:
    """Writes a model as a Python package that runs with numpy alone, a folder and a wheel: what it takes.

    argument  type                    meaning                                                         default
    --------  ----------------------  --------------------------------------------------------------  ----------------
    model     `Model`, path or bytes  a model, or the `.rnnc` that it was saved to                    required
    folder    path                    where all is written; it isn't there yet, or is empty           required
    targets   sequence of str         levels of processors; a machine takes the highest that it has   all three
    name      str                     the package's name                                              the model's name
    release   str                     the wheel's version                                             "0.1.0"
    weights   "float16", "bfloat16",  how inference keeps matrices, see `load`                        as the model
              "int8"

    `<name>.load()` gives the model there: `predict`, `forward`, `predict_classes`, `stream` and their errors are this package's own, and so
    is every bit on the same processor. It can't train. For Linux on x86-64. ValueError for a target or a name that there isn't,
    FileExistsError for a folder with something in it. Nothing is left behind then.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import rnnspec
    >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
    >>> folder = Path(tempfile.mkdtemp()) / "package"
    >>> report = rnnspec.build_python(model, folder, targets=["x86-64-v3"])
    >>> sorted(path.name for path in folder.iterdir())
    ['report.json', 'tiny', 'tiny-0.1.0-py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64.whl']
    """
    chosen = _targets(targets)
    if not _RELEASE.fullmatch(release):
        raise CannotBuild(f"release: expected a version such as 1.0 or 2.1.post1, got {release!r}")
    made = model if not isinstance(model, str | bytes | os.PathLike) else api.load(model)
    package = _package_name(name, made.signature.model)
    artifact, _ = made.state_artifact()
    code = _code(made, artifact, chosen, checked_storage(weights or made.weight_storage, artifact.dtype))
    with new_folder(Path(folder)) as inside:
        place = inside / package
        place.mkdir()
        write_contents(place, code, artifact.weights, made.carried_states)
        _write_modules(place, package, release, code)
        content = {path.relative_to(inside).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
        file = wheel_name(package, release, WHEEL_PLATFORMS)
        made_wheel = _wheel(content, package, release, code.source.name)
        (inside / file).write_bytes(made_wheel)
        report = _report(content, package, file, chosen, len(made_wheel), code)
        (inside / "report.json").write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    return report


def _targets(names: Sequence[str]) -> tuple[str, ...]:
    chosen = each_once("targets", names)
    if not chosen:
        raise CannotBuild("targets: expected one at least")
    for name in chosen:
        if name not in BUILD_TARGETS:
            raise CannotBuild(no_such_name("target", name, PYTHON_TARGETS))
        if name not in PYTHON_TARGETS:
            raise CannotBuild(f"target {name}: a package for Python has code for {', '.join(PYTHON_TARGETS)} alone, on Linux")
    return chosen


def _package_name(name: str, model: str) -> str:
    chosen = name or identifier(model.lower())
    if not chosen.isascii() or not chosen.isidentifier() or keyword.iskeyword(chosen):
        raise CannotBuild(f"name: expected a name of Python, letters, digits and underscores, got {chosen!r}")
    if chosen in _TAKEN:
        raise CannotBuild(f"name: `{chosen}` is a package that Python or numpy has already; give another one")
    return chosen


def _code(model: Model, artifact: model_file.Artifact, targets: Sequence[str], storage: WeightStorage) -> PackagedCode:
    """The functions of inference for each level; the spec's text stays at home."""
    parameters = cast("Mapping[str, ParameterValue]", artifact.parameters)
    compilation = compiled(SourceFile(model_file.SPEC, artifact.text), parameters, artifact.dtype, imports=False).compilation
    wanted = {name: variant for name, variant in INFERENCE.items() if name != "stream" or not model.signature.stream.refusal}
    levels: list[LevelCode] = []
    for target in targets:
        made = Compilation(compilation.tree, compilation.graph, compilation.dtype, BUILD_TARGETS[target], compilation.backend)
        shared = {name: replace(variant, shared=name != "stream", storage=storage) for name, variant in wanted.items()}
        levels.append(LevelCode(target, {name: made.native(variant) for name, variant in shared.items()}))
    call = _python_call(compilation, min(targets))
    source = replace(model.source, text="")
    return PackagedCode(model.signature, source, artifact.texts, dict(model.class_thresholds), tuple(levels), call, storage)


def _python_call(model: Compilation, target: str) -> PythonCall:
    emitted = model.backend.emit_python_call(BUILD_TARGETS[target])
    code = native.assembled(emitted, BUILD_TARGETS[target], model.backend, ObjectCache(default_folder()))
    return PythonCall(code.object_code, emitted.symbols[0], emitted.imports)


def _write_modules(place: Path, package: str, release: str, code: PackagedCode) -> None:
    """The package's own modules, and the runtime's."""
    signature = code.signature
    values = {
        "model": signature.model,
        "package": package,
        "release": release,
        "runtime": RUNTIME,
        "version": __version__,
        "inputs": ", ".join(map(_shape, signature.inputs)),
        "outputs": ", ".join(map(_shape, signature.outputs)),
        "license": _license(),
    }
    texts = {
        "__init__.py": render("python_package.py.j2", values),
        "py.typed": "",
        f"{RUNTIME}/__init__.py": render("python_package_runtime.py.j2", values),
        **{f"{RUNTIME}/{path}": text for path, text in copied_modules(f"{package}.{RUNTIME}").items()},
    }
    for path, text in texts.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text, encoding="utf-8")


def _shape(each: InputSignature | OutputSignature) -> str:
    return f"{each.name} ({', '.join(map(str, ('batch', *each.shape)))})"


def _license() -> str:
    """The licence's text: beside the package in a checkout, else where the installer has put it."""
    checkout = Path(__file__).parents[2] / "LICENSE"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    try:
        found = next((each for each in files("rnnspec") or () if each.name == "LICENSE"), None)
    except PackageNotFoundError:
        found = None
    return "" if found is None else found.read_text()


def _wheel(content: Mapping[str, bytes], package: str, release: str, model: str) -> bytes:
    values = {"package": package, "release": release, "version": __version__, "model": model}
    tags = "\n".join(f"Tag: py3-none-{platform}" for platform in WHEEL_PLATFORMS)
    metadata = render("python_package_metadata.j2", values)
    return wheel(content, f"{package}-{release}.dist-info", metadata, render("python_package_wheel.j2", {**values, "tags": tags}))


def _report(
    content: Mapping[str, bytes], package: str, file: str, targets: tuple[str, ...], wheel_bytes: int, code: PackagedCode
) -> PythonReport:
    def size(*endings: str) -> int:
        return sum(len(data) for path, data in content.items() if path.endswith(endings))

    storage = code.signature.dtype if code.storage is WeightStorage.FULL else code.storage.value
    return PythonReport(package, file, targets, size(".py", ".json"), size(".o"), size(WEIGHTS, STATES), wheel_bytes, storage)
