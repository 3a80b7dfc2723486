"""The examples in docstrings of what users call run as they stand, and each of these docstrings has one."""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rnnspec
from docs.generate import ROOT
from rnnspec import callbacks, data, decoding, optimizers, schedules, sklearn
from rnnspec import losses as public_losses
from rnnspec import metrics as public_metrics
from rnnspec.runtime.model.compiled_model import CompiledModel
from rnnspec.runtime.model.stream import Stream
from rnnspec.training import losses, metrics, sequence_losses
from rnnspec.training import optimizers as training_optimizers
from rnnspec.training import schedules as training_schedules

WITH_FRAMEWORKS = {"torch.py"}
"""Modules of the package that need another framework: `make interop` runs their examples."""

EXAMPLES: dict[str, Any] = {
    "rnnspec.build": rnnspec.build,
    "rnnspec.build_python": rnnspec.build_python,
    "rnnspec.compile": rnnspec.compile,
    "rnnspec.load": rnnspec.load,
    "rnnspec.import_model": rnnspec.import_model,
    "rnnspec.export_model": rnnspec.export_model,
    "Model.forward": CompiledModel.forward,
    "Model.backward": CompiledModel.backward,
    "Model.predict": CompiledModel.predict,
    "Model.stream": CompiledModel.stream,
    "Model.check_samples": CompiledModel.check_samples,
    "Model.save": rnnspec.Model.save,
    "Model.adapt": CompiledModel.adapt,
    "Model.predict_classes": CompiledModel.predict_classes,
    "Model.set_weights": CompiledModel.set_weights,
    "Model.save_weights": rnnspec.Model.save_weights,
    "Stream.step": Stream.step,
    "Stream.steps": Stream.steps,
    "Model.layer": rnnspec.Model.layer,
    "Model.configure": rnnspec.Model.configure,
    "Model.fit": rnnspec.Model.fit,
    "Model.train_on_batch": rnnspec.Model.train_on_batch,
    "Model.test_on_batch": rnnspec.Model.test_on_batch,
    "Model.check_examples": rnnspec.Model.check_examples,
    "Model.evaluate": rnnspec.Model.evaluate,
    "Model.report": rnnspec.Model.report,
    "Model.scorer": rnnspec.Model.scorer,
    "training.optimizers": training_optimizers,
    "training.schedules": training_schedules,
    "optimizers": optimizers,
    "Optimizer.exclude_from_weight_decay": optimizers.Optimizer.exclude_from_weight_decay,
    "schedules": schedules,
    **{f"schedules.{name}": vars(schedules)[name] for name in schedules.__all__},
    "losses": public_losses,
    "metrics": public_metrics,
    "training.losses": losses,
    "training.metrics": metrics,
    "training.sequence_losses": sequence_losses,
    "callbacks": callbacks,
    "callbacks.BackupAndRestore": callbacks.BackupAndRestore,
    "callbacks.Callback": callbacks.Callback,
    "callbacks.History.plot": callbacks.History.plot,
    "callbacks.EarlyStopping": callbacks.EarlyStopping,
    "callbacks.LambdaCallback": callbacks.LambdaCallback,
    "callbacks.LearningRateScheduler": callbacks.LearningRateScheduler,
    "callbacks.ModelCheckpoint": callbacks.ModelCheckpoint,
    "data": data,
    "data.Batch": data.Batch,
    "data.split": data.split,
    "data.windows": data.windows,
    "decoding": decoding,
    "sklearn": sklearn,
    **{f"sklearn.{name}": vars(sklearn)[name] for name in sklearn.__all__},
    "decoding.ctc_greedy_decode": decoding.ctc_greedy_decode,
    "decoding.ctc_beam_decode": decoding.ctc_beam_decode,
    "decoding.crf_decode": decoding.crf_decode,
}
"""Docstrings with an example, by the name that a user calls. An example sees only the names that it imports itself."""


def ran(name: str, docstring: str) -> tuple[doctest.TestResults, str]:
    """The results of a docstring's example, and the report of its failures."""
    report: list[str] = []
    example = doctest.DocTestParser().get_doctest(docstring, {}, name, None, None)
    return doctest.DocTestRunner(verbose=False).run(example, out=report.append), "".join(report)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_docstrings_example_runs(name: str) -> None:
    results, report = ran(name, EXAMPLES[name].__doc__)
    assert results.attempted, f"{name} has no example"
    assert not results.failed, report


def test_a_wrong_example_fails() -> None:
    results, report = ran("wrong", ">>> 1 + 1\n3\n")
    assert results.failed == 1
    assert "Expected:" in report


def docstrings_with_examples(file: Path) -> Iterator[str]:
    """The docstrings of a module and its definitions that show an example."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ">>>" in (found := ast.get_docstring(node, clean=False) or ""):
            yield found


def test_every_example_of_the_package_runs() -> None:
    """An example that isn't in the table would rot."""
    files = {file for file in (ROOT / "rnnspec").rglob("*.py") if file.name not in WITH_FRAMEWORKS}
    shown = {docstring for file in files for docstring in docstrings_with_examples(file)}
    assert shown == {documented.__doc__ for documented in EXAMPLES.values()}
