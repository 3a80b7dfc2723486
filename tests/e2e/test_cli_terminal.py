"""What the command prints where: nothing is cut at any width, streams may be closed or full, Ctrl-C is one line."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import Workplace

COMMAND = (sys.executable, "-m", "rnnspec")
OPTIONS = {
    "train": ["--data", "--output", "--seed", "--parameter", "--epochs", "--batch-size", "--validation-split", "--shuffle", "--no-shuffle"],
    "profile": ["--batch", "--time", "--real", "--training", "--train", "--seconds", "--parameter", "--dtype", "--json"],
}
TABLES = {
    "check": ("check", "trend.rnn"),
    "masks": ("check", "trend.rnn", "--masks"),
    "predict": ("predict", "trend.rnnc", "-d", "trend.npz"),
}


def environment(**changes: str) -> dict[str, str]:
    """Without what the tests' own surroundings say about colours and widths."""
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM")}
    return {**kept, "TERM": "xterm-256color", **changes}


def piped(folder: Path, *words: str, **changes: str) -> str:
    """Standard output of a fresh command, whose streams are no terminals."""
    done = subprocess.run(
        [*COMMAND, *words], cwd=folder, env=environment(**changes), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_terminal(folder: Path, columns: int, *words: str) -> str:
    """What a fresh command writes to a terminal of that width, colours and bars taken out."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment(), stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                more = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            if not more:
                break
            shown += more
    os.close(master)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "\x1b[" in text or "--help" in words
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r\n", "\n")


def words_of(text: str) -> list[str]:
    """All that is in a table or text, in any arrangement, without what it is drawn with."""
    return sorted(re.sub(r"[─━|+\-]{2,}|\|", " ", text).split())


@pytest.mark.parametrize("table", TABLES)
def test_no_width_cuts_a_table(trained: Workplace, table: str) -> None:
    whole = piped(trained.folder, *TABLES[table])
    assert "…" not in whole and "\x1b" not in whole
    assert not [line for line in whole.splitlines() if line != line.rstrip()]
    assert piped(trained.folder, *TABLES[table], COLUMNS="30") == whole
    for columns in (40, 80):
        assert words_of(on_terminal(trained.folder, columns, *TABLES[table])) == words_of(whole)


def test_no_width_cuts_a_profile(workplace: Workplace) -> None:
    """Its times differ from run to run, so that lines are counted."""
    quick = ("profile", "trend.rnn", "--batch", "4", "--time", "6", "--seconds", "0", "--train")
    whole = piped(workplace.folder, *quick, COLUMNS="40")
    assert "writes" in whole and "gradient.lstm/recurrent_kernel" in whole and "…" not in whole
    shown = on_terminal(workplace.folder, 40, *quick)
    assert "…" not in shown and "writes" not in shown
    for text in (whole, shown):
        for line in text.splitlines():
            if re.match(r" +\d+(\.\d+)? \w", line):
                assert re.fullmatch(r" +[\d.]+ \w+ +\S.*?(  +[\d.,]+[kM]?){4,}(  \S.*|   +.*)?", line.rstrip()), line


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_shows_whole_names(workplace: Workplace, columns: int) -> None:
    for command, options in OPTIONS.items():
        shown = piped(workplace.folder, command, "--help", COLUMNS=str(columns))
        assert "…" not in shown and "<bool>" not in shown and "\x1b" not in shown
        assert set(options) <= set(re.findall(r"--[a-z-]+", shown)), command
    shown = piped(workplace.folder, "--help", COLUMNS=str(columns))
    assert "..." not in shown.partition("\n")[2].replace("[ARGS]...", "")
    assert " ".join(shown.split()).count("evaluate it if the data has a test set") == 1


def test_a_long_path_is_not_broken(workplace: Workplace) -> None:
    name = "a-long-name-" * 12 + ".rnnc"
    done = shell(workplace.folder, f"COLUMNS=40 rnnspec compile trend.rnn -o {name}; COLUMNS=40 rnnspec compile trend.rnn -o absent/{name}")
    first, *_, last = done.stderr.splitlines()
    assert (first, last) == (f"wrote {name}", "Error: Invalid value for '--output' / '-o': there is no folder `absent`")


def test_colours_and_letters(workplace: Workplace) -> None:
    (workplace.folder / "wrong.rnn").write_text("model Wrong { input x: float[time, 3] LSTN(4) }", encoding="utf-8")
    shown = {
        name: subprocess.run([*COMMAND, "check", "wrong.rnn"], cwd=workplace.folder, env=environment(**changes), capture_output=True).stderr
        for name, changes in {"none": {}, "forced": {"FORCE_COLOR": "1"}, "no": {"NO_COLOR": "1"}}.items()
    }
    assert [b"\x1b[" in text for text in shown.values()] == [False, True, False]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    quick = ("profile", "trend.rnn", "--batch", "4", "--time", "6", "--seconds", "0")
    for words in (("check", "trend.rnn"), quick):
        assert piped(workplace.folder, *words, **ascii_only).isascii()


def loaded(*words: str) -> set[str]:
    """All modules in a process that ran the command."""
    code = """
import sys
from rnnspec.cli import main
sys.argv = ["rnnspec", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_version_and_help_load_nothing_heavy() -> None:
    for words in (("--version",), ("--help",), ("train", "--help")):
        assert not {"numpy", "lark", "llvmlite", "rnnspec.driver.compilation", "rnnspec.api"} & loaded(*words)


def test_a_check_loads_the_front_end_alone(workplace: Workplace) -> None:
    """Neither numpy nor a stage behind the layer graph: a check takes as long as what it imports."""
    found = loaded("check", str(workplace.folder / "trend.rnn"))
    assert "rnnspec.frontend.model.resolve" in found
    assert not {"numpy", "llvmlite", "jinja2", "safetensors"} & found
    stages = ("passes", "kernel", "backend", "runtime", "training", "api")
    assert not [name for name in found if name.startswith(tuple(f"rnnspec.{stage}" for stage in stages))]
    assert not [name for name in found if name.startswith("rnnspec.frontend.errors.")]
    others = {"compile", "evaluate", "format", "inspect", "opt", "predict", "profile", "train"}
    assert not {f"rnnspec.cli.{name}" for name in others} & found  # whose options would be made too


RESULTS: dict[str, tuple[str, ...]] = {
    "version": ("--version",),
    "check": ("check", "trend.rnn"),
    "evaluate": ("evaluate", "trend.rnnc", "-d", "trend.npz"),
    "predict": ("predict", "trend.rnnc", "-d", "trend.npz", "-o", "-"),
    "fmt": ("fmt", "<", "trend.rnn"),
}


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, `rnnspec` in it a fresh command."""
    line = f'rnnspec() {{ "{sys.executable}" -m rnnspec "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)


NOWHERE = [">&-", *([">/dev/full"] if Path("/dev/full").exists() else [])]
"""Standard output that is closed, or whose disk is full."""


@pytest.mark.parametrize("command", RESULTS)
def test_results_that_cannot_be_written(trained: Workplace, command: str) -> None:
    for nowhere in NOWHERE:
        done = shell(trained.folder, f"rnnspec {' '.join(RESULTS[command])} {nowhere}")
        assert done.returncode == 2, done.stderr
        assert re.fullmatch(r"error: (standard output: )?(Bad file descriptor|No space left on device)\n", done.stderr)


def test_messages_that_cannot_be_written_do_not_end_the_work(workplace: Workplace) -> None:
    """Neither those of a training nor errors; the exit status tells all the same."""
    for nowhere in NOWHERE:
        line = (
            f"rnnspec train trend.rnn -d trend.npz -o new.rnnc --epochs 2 2{nowhere}; echo $?; rnnspec check absent.rnn 2{nowhere}; echo $?"
        )
        done = shell(workplace.folder, line)
        assert re.fullmatch(r"test accuracy \d\.\d+\ntest loss \d\.\d+\n0\n2\n", done.stdout), done.stdout
        (workplace.folder / "new.rnnc").unlink()


def test_a_file_does_not_take_the_place_of_a_closed_stream(workplace: Workplace) -> None:
    """All three closed: the model is written whole, with nothing of the messages in it."""
    assert shell(workplace.folder, "rnnspec compile trend.rnn -o new.rnnc --seed 0 <&- >&- 2>&-").returncode == 0
    workplace.succeeds("compile", "trend.rnn", "-o", "again.rnnc", "--seed", "0")
    assert (workplace.folder / "new.rnnc").read_bytes() == (workplace.folder / "again.rnnc").read_bytes()


def test_a_pipe_that_closes_ends_the_command_quietly(trained: Workplace) -> None:
    for words in ("inspect trend.rnn --stage llvm", "predict trend.rnnc -d big.npz -o -"):
        if "big" in words:
            np.savez(trained.folder / "big.npz", x=np.ones((20000, 1, 3), np.float32))
        done = shell(trained.folder, f"set -o pipefail; rnnspec {words} | head -n 1; echo ${{PIPESTATUS[0]}}")
        assert (done.stdout.splitlines()[-1], done.stderr) == ("141", "")


INTERRUPTED: dict[str, tuple[str, ...]] = {
    "train": ("train", "trend.rnn", "-d", "trend.npz", "-o", "out.rnnc", "--epochs", "1"),
    "predict": ("predict", "trend.rnnc", "-d", "trend.npz", "-o", "out.csv"),
    "compile": ("compile", "trend.rnn", "-o", "out.rnnc"),
    "fmt": ("fmt", "out.rnn"),
}
WRITING = """
import os, signal, sys
from rnnspec.cli import main
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["rnnspec", *sys.argv[1:]]
main()
"""
"""The command, with Ctrl-C when all is in the new file and nothing in its place."""


@pytest.mark.parametrize("command", INTERRUPTED)
def test_an_interrupt_is_one_line_and_no_file(trained: Workplace, tmp_path: Path, command: str) -> None:
    words = INTERRUPTED[command]
    for name in ("trend.rnn", "trend.npz", "trend.rnnc"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    old = tmp_path / next(word for word in words if word.startswith("out."))
    old.write_text("model  Old { input x: float[3] Dense(1) }")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", WRITING, *words], cwd=tmp_path, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )  # fmt: skip
    assert done.returncode == 130
    assert [line for line in done.stderr.splitlines() if not line.startswith("epoch ")] == ["interrupted"]
    assert done.stdout == ""
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
