"""Each `cases/<name>.rnn` gives exactly the diagnostics of `cases/<name>.txt`, and every kind of diagnostic is shown by a case."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from rnnspec.diagnostics import Diagnostic, SpecError, render_all
from rnnspec.driver import commands
from rnnspec.frontend import errors
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.imports import Unreadable, follow_imports
from rnnspec.frontend.syntax.parser import Allowance, parse
from rnnspec.source import SourceFile
from tests.errors import generated

CASES = Path(__file__).parent / "cases"
NAMES = sorted((*(path.stem for path in CASES.glob("*.rnn")), *generated.SPECS))
UNREADABLE = "unreadable_spec"
NOT_A_SPEC = "not_a_spec"

OVERRIDES: Mapping[str, Mapping[str, ParameterValue]] = {
    "unknown_parameter": {"unit": 32, "depth": 3},
    "no_parameters": {"units": 32},
    "unfit_parameter": {"units": "many", "rate": True, "act": 3, "bias": 1, "sizes": float("nan")},
    "override_of_a_wrong_value": {"units": 2.25, "act": "tahn"},
    "override_of_another_kind": {"units": 0, "act": "tahn", "how": "roc", "rate": True, "sizes": [1, -1], "many": 4},
}
"""Values from outside for the parameters of a case's model."""


def compared(name: str, shown: str, regenerate: bool) -> None:
    golden = CASES / f"{name}.txt"
    if regenerate:
        golden.write_text(shown, encoding="utf-8", newline="")
    assert shown == golden.read_bytes().decode("utf-8")


def read(path: str) -> SourceFile:
    """A file below `cases` under its path from there."""
    if path in generated.FILES:
        return SourceFile(path, generated.FILES[path])
    try:
        return SourceFile(path, (CASES / path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


@cache
def diagnostics(name: str) -> tuple[Diagnostic, ...]:
    """Of a case: its errors, or its warnings if it has no error."""
    try:
        left = Allowance()
        tree = follow_imports(parse(read(f"{name}.rnn"), left), read, left).tree
        return resolve(tree, OVERRIDES.get(name)).warnings
    except SpecError as error:
        assert str(error) == render_all(error.diagnostics)
        return error.diagnostics


@pytest.mark.parametrize("name", NAMES)
def test_text(name: str, regenerate: bool) -> None:
    compared(name, render_all(diagnostics(name)), regenerate)


def test_a_spec_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regenerate: bool) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as caught:
        commands.check("absent.rnn")
    compared(UNREADABLE, str(caught.value), regenerate)


def test_a_file_that_is_known_to_be_no_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regenerate: bool) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.py").write_text("model = None\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        commands.check("network.py")
    compared(NOT_A_SPEC, str(caught.value), regenerate)


def test_every_text_belongs_to_a_case() -> None:
    assert {path.stem for path in CASES.glob("*.txt")} == {*NAMES, UNREADABLE, NOT_A_SPEC}


@pytest.mark.parametrize("name", NAMES)
def test_one_fault_is_one_error(name: str) -> None:
    found = [(diagnostic.code, diagnostic.span, diagnostic.message) for diagnostic in diagnostics(name)]
    assert found
    assert len(set(found)) == len(found)


def kinds() -> Iterator[type[Diagnostic]]:
    for module in pkgutil.iter_modules(errors.__path__, f"{errors.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Diagnostic) and value is not Diagnostic:
                yield value


def test_codes_are_unique_and_well_formed() -> None:
    codes = Counter(kind.code for kind in kinds())
    assert [code for code, uses in codes.items() if uses > 1 or not re.fullmatch(r"[EW][0-9]{4}", code)] == []


def test_every_kind_is_shown_by_a_case() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in CASES.glob("*.txt"))
    shown = set(re.findall(r"^(?:error|warning)\[(\w+)\]: ", texts, re.MULTILINE))
    assert {kind.code for kind in kinds()} - shown == set()
