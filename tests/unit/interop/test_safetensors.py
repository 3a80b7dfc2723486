"""Weights as `.safetensors`: what is written is read, by others too, and nothing but a ValueError comes of a bad file."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from rnnspec.interop.safetensors import read_weights, write_weights

WEIGHTS = {
    "lstm/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "lstm/bias": np.array([np.nan, np.inf, -0.0]),
    "empty": np.zeros((0, 3), np.float32),
    "ids": np.array([1, 2], np.int64),
}


def file(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, WEIGHTS)
    found = read_weights(str(path))
    assert set(found) == set(WEIGHTS)
    for name, value in WEIGHTS.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()
    with safe_open(path, "np") as other:  # pyright: ignore[reportUnknownVariableType]
        assert sorted(other.keys()) == sorted(WEIGHTS)


def test_arrays_in_any_order_of_memory_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_weights(path, {"fortran": np.asfortranarray(values), "strided": np.repeat(values, 2, axis=0)[::2], "big": values.astype(">f4")})
    for name, found in read_weights(path).items():
        np.testing.assert_array_equal(found, values, err_msg=name)


def test_no_weights(tmp_path: Path) -> None:
    write_weights(tmp_path / "none.safetensors", {})
    assert read_weights(tmp_path / "none.safetensors") == {}


def test_damage_is_a_value_error(tmp_path: Path) -> None:
    """Cut anywhere, or with any byte of the header changed, a file is refused by name or still reads."""
    path = tmp_path / "weights.safetensors"
    write_weights(path, WEIGHTS)
    content = path.read_bytes()
    refused = 0
    for place in range(0, len(content), 2):
        for damaged in (content[:place], *(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :] for flip in (1, 0x80))):
            path.write_bytes(damaged)
            try:
                read_weights(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")
                refused += 1
    assert refused >= len(content) / 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable .safetensors file: "),
        (b"\xff" * 64, "not a readable .safetensors file: "),
        (b"PK\x03\x04" + b"x" * 100, "not a readable .safetensors file: "),
        (file([]), "not a readable .safetensors file: "),
        (file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4), "not a readable .safetensors file: "),
        (file({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}), "not a readable .safetensors file: "),
        (file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8), "not a readable .safetensors file: "),
        (
            file({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\0"),
            "it holds numbers of type F4, which numpy doesn't have",
        ),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError) as raised:
        read_weights(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(IsADirectoryError):
        read_weights(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, {"a": np.zeros(3)})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_weights(path, WEIGHTS)
    assert list(read_weights(path)) == ["a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


def test_floats_of_few_bits_are_read_as_float32(tmp_path: Path) -> None:
    """All patterns of the 8-bit types, and those of bfloat16 against the upper halves of float32."""
    bits = np.arange(2**16, dtype=np.uint16)
    path = tmp_path / "small.safetensors"
    path.write_bytes(file({"a": {"dtype": "BF16", "shape": [2, 2**15], "data_offsets": [0, 2**17]}}, bits.tobytes()))
    found = read_weights(path)["a"]
    assert found.shape == (2, 2**15)
    np.testing.assert_array_equal(found.reshape(-1).view(np.uint32), bits.astype(np.uint32) << 16)
    header = {name: {"dtype": name, "shape": [256], "data_offsets": [0, 256]} for name in ("F8_E5M2",)}
    path.write_bytes(file(header, bytes(range(256))))
    half = (np.arange(256, dtype=np.uint16) << 8).view(np.float16)
    np.testing.assert_array_equal(read_weights(path)["F8_E5M2"], half)
    path.write_bytes(file({"a": {"dtype": "F8_E4M3", "shape": [256], "data_offsets": [0, 256]}}, bytes(range(256))))
    found = read_weights(path)["a"]
    assert (found[0x38], found[0x7E], found[1], found[0xB8]) == (1, 448, 2**-9, -1)  # 448: the largest; one bit: the smallest
    assert np.signbit(found[0x80]) and np.isnan(found[[0x7F, 0xFF]]).all() and np.isnan(found).sum() == 2
