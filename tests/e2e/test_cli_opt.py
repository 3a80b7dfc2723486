"""`rnnspec opt`, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.conftest import Workplace


def test_what_inspect_prints_goes_through_passes(workplace: Workplace) -> None:
    """The passes of a stage one by one are the stage."""
    before = workplace.succeeds("inspect", "trend.rnn", "--after", "merge-carries").out
    (workplace.folder / "before.ir").write_text(before, encoding="utf-8")
    assert workplace.succeeds("opt", "before.ir").out == before
    after = workplace.succeeds("inspect", "trend.rnn", "--after", "hoist-projection").out
    assert workplace.succeeds("opt", "before.ir", "--pass", "hoist-projection").out == after != before


def test_locations_go_through_passes(workplace: Workplace) -> None:
    before = workplace.succeeds("inspect", "trend.rnn", "--after", "merge-carries", "--locations").out
    (workplace.folder / "before.ir").write_text(before, encoding="utf-8")
    assert workplace.succeeds("opt", "before.ir", "--locations").out == before
    after = workplace.succeeds("inspect", "trend.rnn", "--after", "hoist-projection", "--locations").out
    assert workplace.succeeds("opt", "before.ir", "--pass", "hoist-projection", "--locations").out == after
    assert "loc(" not in workplace.succeeds("opt", "before.ir").out


def test_standard_input_and_a_file_to_write(workplace: Workplace) -> None:
    before = workplace.succeeds("inspect", "trend.rnn", "--after", "lower").out
    command = [sys.executable, "-m", "rnnspec", "opt", "-", "-p", "canonicalize,eliminate-dead-code:keep_carried=true", "-o", "after.ir"]
    done = subprocess.run(command, cwd=workplace.folder, input=before, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "wrote after.ir\n")
    (workplace.folder / "before.ir").write_text(before, encoding="utf-8")
    shown = workplace.succeeds("opt", "before.ir", "--pass", "canonicalize", "--pass", "eliminate-dead-code:keep_carried=true").out
    assert (workplace.folder / "after.ir").read_text(encoding="utf-8") == shown != before


def test_list_names_passes_and_options(workplace: Workplace) -> None:
    shown = workplace.succeeds("opt", "--list").out
    assert "hoist-projection\n" in shown
    assert "  :input_gradients=true  (true or false)\n" in shown


def test_faults(workplace: Workplace) -> None:
    (workplace.folder / "bad.ir").write_text("module M\n\nfunc @f( {\n", encoding="utf-8")
    (workplace.folder / "good.ir").write_text("module M\n", encoding="utf-8")
    assert "a file of tensor IR is needed" in workplace.refuses("opt")
    assert "error: bad.ir: line 3, column 10: not tensor IR" in workplace.refuses("opt", "bad.ir")
    assert "error: none.ir: No such file" in workplace.refuses("opt", "none.ir")
    assert "did you mean `canonicalize`?" in workplace.refuses("opt", "good.ir", "--pass", "canonicalise")
    assert "error: trend.rnn: it is a spec" in workplace.refuses("opt", "trend.rnn")
    assert "would be written over" in workplace.refuses("opt", "good.ir", "-o", "good.ir")
    assert "there is no folder" in workplace.refuses("opt", "good.ir", "-o", "nowhere/good.ir")
    assert (workplace.folder / "good.ir").read_text(encoding="utf-8") == "module M\n"
