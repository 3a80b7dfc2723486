"""Objects are linked without LLVM where they are simple, to the same functions; whatever else comes in is left to LLVM."""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.runtime.native import jit
from rnnspec.runtime.native.elf import Image, image_of
from rnnspec.runtime.native.jit import Jit, Unloadable

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not host_target().triple.startswith("x86_64"), reason="other objects are LLVM's to link"
)

SYMBOL = "rnnspec_tried"
HEAD = f"define void @{SYMBOL}(ptr %table, ptr %sizes) {{\n  %out = load ptr, ptr %table\n"

TEXTS = {
    "a constant": f"{HEAD}  store double 2.5, ptr %out\n  %v = load double, ptr %out\n  %w = fmul double %v, 3.5\n"
    "  store double %w, ptr %out\n  ret void\n}\n",
    "a call of C": f"declare double @exp2(double)\n{HEAD}  %w = call double @exp2(double 5.0)\n"
    "  store double %w, ptr %out\n  ret void\n}\n",
    "an import": f"declare double @rnnspec_given(double)\n{HEAD}  %w = call double @rnnspec_given(double 5.0)\n"
    "  store double %w, ptr %out\n  ret void\n}\n",
    "the address of an import": f"declare double @rnnspec_given(double)\n{HEAD}  store ptr @rnnspec_given, ptr %out\n  ret void\n}}\n",
    "a table": f"@values = internal constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0]\n{HEAD}"
    "  %place = load i64, ptr %sizes\n  %p = getelementptr double, ptr @values, i64 %place\n  %v = load double, ptr %p\n"
    "  store double %v, ptr %out\n  ret void\n}\n",
}

VARIABLE = f"@count = internal global i64 0\n{HEAD}  %n = load i64, ptr @count\n  %m = add i64 %n, 1\n  store i64 %m, ptr @count\n"
VARIABLE += "  store i64 %m, ptr %out\n  ret void\n}\n"


@cache
def assembled(text: str) -> bytes:
    target = host_target()
    return Machine(target).object_code(f'target triple = "{target.triple}"\n{text}')


GIVEN = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda value: value + 0.25)
IMPORTS = {"rnnspec_given": ctypes.cast(GIVEN, ctypes.c_void_p).value or 0}


def called(address: int) -> bytes:
    """The eight bytes that the function writes."""
    out = np.zeros(1)
    table, sizes = (ctypes.c_void_p * 1)(out.ctypes.data), (ctypes.c_int64 * 1)(2)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)(ctypes.addressof(table), ctypes.addressof(sizes))
    return out.tobytes()


def by_llvm(code: bytes, monkeypatch: pytest.MonkeyPatch) -> jit.Loaded:
    monkeypatch.setattr(jit, "image_of", lambda *_: None)
    return Jit().load(code, (SYMBOL,), IMPORTS)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_linked_here_is_what_llvm_links(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = assembled(TEXTS[name])
    image = image_of(code, (SYMBOL,), IMPORTS)
    assert image is not None
    assert called(image.addresses[SYMBOL]) == called(by_llvm(code, monkeypatch).addresses[SYMBOL])


def test_code_and_constants_can_not_be_written_to() -> None:
    image = image_of(assembled(TEXTS["a table"]), (SYMBOL,), {})
    assert image is not None
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= image.addresses[SYMBOL] < last:
            assert line.split()[1] == "r-xp"


def test_an_object_with_a_variable_is_llvm_s() -> None:
    code = assembled(VARIABLE)
    assert image_of(code, (SYMBOL,), {}) is None
    function = Jit().load(code, (SYMBOL,)).addresses[SYMBOL]
    assert [int.from_bytes(called(function), "little") for _ in range(2)] == [1, 2]


def test_what_nobody_can_link_is_unloadable() -> None:
    code = assembled(TEXTS["an import"])
    for symbols, imports in (((SYMBOL,), {}), ((SYMBOL, "another"), IMPORTS), (("rnnspec_given",), {})):
        assert image_of(code, symbols, imports) is None
    for symbols in ((SYMBOL,), (SYMBOL, "another")):
        with pytest.raises(Unloadable):
            Jit().load(code, symbols)


def damaged(code: bytes, drawn: random.Random) -> bytes:
    """An object with a few bytes or whole fields changed, or cut."""
    made = bytearray(code)
    for _ in range(drawn.randint(1, 3)):
        size = drawn.choice((1, 2, 4, 8))
        place = drawn.choice((drawn.randrange(64), drawn.randrange(len(made) - 8), drawn.randrange(len(made) // 2, len(made) - 8)))
        value = drawn.choice((0, 1, 255, 2**31, 2**32 - 1, 2**63, 2**64 - 1, drawn.getrandbits(64))) % 2 ** (8 * size)
        made[place : place + size] = value.to_bytes(size, "little")
    return bytes(made[: drawn.randrange(len(made))] if drawn.random() < 0.1 else made)


def test_a_damaged_object_is_refused_or_linked_in_its_own_bounds() -> None:
    """Nothing is run: an object whose code is changed is its owner's own doing."""
    drawn = random.Random(1)
    code = assembled(TEXTS["a table"] + TEXTS["an import"].replace(f"@{SYMBOL}(", "@another("))
    outcomes = {True: 0, False: 0}
    for _ in range(1000):
        image = image_of(damaged(code, drawn), (SYMBOL,), IMPORTS)
        outcomes[image is None] += 1
        if image is not None:
            base = ctypes.addressof(ctypes.c_char.from_buffer(image.memory))
            assert 0 <= image.addresses[SYMBOL] - base <= len(image.memory)
    assert min(outcomes.values()) > 100


SPEC = """
model Kept {
    input x: int[time]
    Embedding(9, 3)
    LSTM(4)
    Dense(2, activation = softmax)
    train { loss = sparse_categorical_crossentropy  optimizer = Adam() }
}
"""


def test_all_that_a_model_runs_is_linked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls, direct ones, streams, training: none loads LLVM once its code is made."""
    found: list[Image | None] = []

    def counted(code: bytes, symbols: Sequence[str], imports: Mapping[str, int]) -> Image | None:
        found.append(image_of(code, symbols, imports))
        return found[-1]

    monkeypatch.setattr(jit, "image_of", counted)
    model = rnnspec.compile(SPEC, seed=1)
    x = np.array([[1, 2, 3]])
    for _ in range(4):
        model.predict(x)
    model.train_on_batch(x, np.array([1]))
    stream = rnnspec.compile("model S {\n    input x: float[time, 3]\n    LSTM(2)\n}\n", seed=1).stream()
    for _ in range(4):
        stream.step(np.ones((1, 3), np.float32))
    assert len(found) >= 4
    assert None not in found


def test_code_lives_as_long_as_who_loaded_it() -> None:
    """It goes when another object is loaded after that, and not before."""
    for units in range(1, 5):
        model: Any = rnnspec.compile(SPEC.replace("LSTM(4)", f"LSTM({units})"), seed=1)
        model.predict(np.array([[1, 2, 3]]))
        del model
    code = assembled(TEXTS["a constant"])
    kept = [Jit().load(code, (SYMBOL,)) for _ in range(3)]
    assert {called(each.addresses[SYMBOL]) for each in kept} == {np.float64(8.75).tobytes()}
    assert len({each.addresses[SYMBOL] for each in kept}) == 3
