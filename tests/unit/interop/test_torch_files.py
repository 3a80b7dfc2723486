"""Checkpoints of PyTorch, read without it: as torch reads them, or refused with the reason, whatever is in them."""

from __future__ import annotations

import errno
import pickle
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from rnnspec.interop.graph.refusals import ImportRefused
from rnnspec.interop.importing import import_model
from rnnspec.interop.torch_files.archive import OLD_MAGIC, CheckpointError
from rnnspec.interop.torch_files.state_dict import read_state_dict, state_dict_of
from rnnspec.interop.torch_programs import scripts
from tests.unit.interop.checkpoints import Called, Global, Storage, archive, checkpoint, pickled, tensor

WEIGHTS = {
    "lstm.weight_ih_l0": np.arange(24, dtype=np.float32).reshape(8, 3),
    "lstm.bias": np.array([np.nan, np.inf, -0.0]),
    "half": np.array([1.5, 65504.0], np.float16),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(3.5),
    "count": np.array(7),
    "flags": np.array([True, False]),
}


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_state_dict_is_read_to_the_bit(order: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(checkpoint(WEIGHTS, order=order))
    found = read_state_dict(path)
    assert list(found.weights) == list(WEIGHTS) and found.notes == ()
    for name, value in WEIGHTS.items():
        assert (found.weights[name].dtype, found.weights[name].shape) == (value.dtype, value.shape)
        assert found.weights[name].tobytes() == value.tobytes()


def test_tensors_are_views_of_a_storage_with_offsets_and_strides() -> None:
    """As all weights of an nn.LSTM are, and tied or transposed ones."""
    numbers = np.arange(40, dtype=np.float32)
    storage = Storage("FloatStorage", "0", 40)
    content = archive(
        pickled(
            {"turned": tensor(storage, (4, 5), (1, 8), 3), "tail": tensor(storage, (2,), (1,), 38), "same": tensor(storage, (40,), (1,))}
        ),
        {"0": numbers.tobytes()},
    )
    found = state_dict_of(content).weights
    np.testing.assert_array_equal(found["turned"], numbers[3:].reshape(-1)[:37][np.add.outer(np.arange(4), 8 * np.arange(5))])
    np.testing.assert_array_equal(found["tail"], [38, 39])
    assert not found["same"].flags.writeable


def test_small_floats_and_untyped_storages() -> None:
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], np.uint16)
    bfloat = tensor(Storage("BFloat16Storage", "0", 4), (4,), (1,))
    untyped = Storage("UntypedStorage", "1", 2)
    eight = Called("torch._utils", "_rebuild_tensor_v3", untyped, 0, (2,), (1,), False, OrderedDict(), Global("torch", "float8_e4m3fn"))
    found = state_dict_of(archive(pickled({"a": bfloat, "b": eight}), {"0": bits.tobytes(), "1": b"\x38\xb8"})).weights
    np.testing.assert_array_equal(found["a"].view(np.uint32), bits.astype(np.uint32) << 16)
    np.testing.assert_array_equal(found["b"], [1, -1])


def test_parameters_and_what_stands_beside_a_checkpoints_weights() -> None:
    weight = Called("torch._utils", "_rebuild_parameter", tensor(Storage("FloatStorage", "0", 2), (2,), (1,)), True, OrderedDict())
    beside = {
        "epoch": 3,
        "optimizer_states": [{"state": {0: {"step": 1.0}}}],
        "hyper_parameters": Called("argparse", "Namespace"),
        "loss": Called("numpy.core.multiarray", "scalar", Called("numpy", "dtype", "f8", False, True), b"\0" * 8),
    }
    content = archive(pickled({**beside, "state_dict": OrderedDict({"model.a.weight": weight})}), {"0": b"\0" * 8})
    found = state_dict_of(content)
    assert list(found.weights) == ["a.weight"]
    assert found.notes == (
        "passed over, beside the weights: epoch, optimizer_states, hyper_parameters, loss",
        "all names began with `model.`, which was left out",
    )


def test_names_of_compiled_modules_within_others_are_the_modules_own() -> None:
    weights = {
        "model.a._orig_mod.weight": np.zeros(2),
        "model.b._fsdp_wrapped_module._orig_mod.w": np.zeros(2),
        "model.my_orig_mod.w": np.zeros(2),
    }
    found = state_dict_of(checkpoint(weights))
    assert list(found.weights) == ["a.weight", "b.w", "my_orig_mod.w"]
    assert found.notes[-1] == "`_orig_mod`, `_fsdp_wrapped_module` in the names was left out"


def test_one_of_several_state_dicts_is_named() -> None:
    one = tensor(Storage("FloatStorage", "0", 2), (2,), (1,))
    content = archive(pickled({"encoder": {"w": one}, "decoder": {"v": one}, "epoch": 1}), {"0": b"\0" * 8})
    with pytest.raises(CheckpointError, match="several state dicts: encoder, decoder; say which: --input part=encoder"):
        state_dict_of(content)
    assert list(state_dict_of(content, "decoder").weights) == ["v"]
    with pytest.raises(CheckpointError, match="no part x; its keys are encoder, decoder, epoch"):
        state_dict_of(content, "x")


RUN = Called("os", "system", "touch ran")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (Called("torch.nn.modules.rnn", "LSTM"), "torch.nn.modules.rnn.LSTM"),
        ({"a": Called("builtins", "eval", "1")}, "builtins.eval"),
        ({"w": tensor(Storage("FloatStorage", "0", 2), (2,), (1,)), "e": RUN}, "os.system"),
        ({"epoch": [{"deep": (RUN,)}]}, "os.system"),
        ({"x": Called("torch._utils", "_rebuild_tensor_v2", RUN, 0, (), (), False, {})}, "os.system"),
        ({"x": Called("argparse", "Namespace", RUN)}, "os.system"),
        ({"x": Called("collections", "deque", [RUN])}, "os.system"),
        ({"x": Called("numpy.testing._private.utils", "runstring", "1", {})}, "numpy.testing._private.utils.runstring"),
        ({"x": Called("torch.hub", "load", "a", "b")}, "torch.hub.load"),
        ({"x": Called("torch", "load", "a")}, "torch.load"),
        ({"x": Called("torch._utils", "_rebuild_qtensor")}, "torch._utils._rebuild_qtensor"),
        ({"x": Global("os", "system")}, "os.system"),
    ],
)
def test_a_pickle_that_would_run_something_is_refused_by_name(value: object, wanted: str) -> None:
    with pytest.raises(CheckpointError, match="which isn't executed here") as refusal:
        state_dict_of(archive(pickled(value), {"0": b"\0" * 8}))
    assert wanted in str(refusal.value)
    assert not Path("ran").exists()


STORAGE = Storage("FloatStorage", "0", 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tensor(STORAGE, (5,), (1,)), "reaches beyond its storage"),
        (tensor(STORAGE, (2,), (1,), 3), "reaches beyond its storage"),
        (tensor(STORAGE, (2, 2), (3, 1)), "reaches beyond its storage"),
        (tensor(STORAGE, (2,), (1,), -1), "the offset of a tensor"),
        (tensor(STORAGE, (2,), (-1,)), "the strides of a tensor"),
        (tensor(STORAGE, (-2,), (1,)), "the shape of a tensor"),
        (tensor(STORAGE, (True,), (1,)), "the shape of a tensor"),
        (tensor(STORAGE, (2**62, 2**62), (0, 0)), "the shape of a tensor"),
        (tensor(STORAGE, (2**40, 2**40), (0, 0)), "has the shape"),
        (tensor(STORAGE, (2**20, 2**20), (0, 0)), "repeat the same numbers"),
        (tensor(STORAGE, (1,) * 40, (1,) * 40), "has the shape"),
        (tensor(STORAGE, (2, 2), (1,)), "has the shape"),
        (tensor(Storage("FloatStorage", "7", 4), (2,), (1,)), "storage 7 isn't there"),
        (tensor(Storage("FloatStorage", "0", 5), (2,), (1,)), "storage 0 isn't there, or has fewer bytes"),
        (tensor(Storage("FloatStorage", "0", -1), (2,), (1,)), "has no storage"),
        (tensor(Storage("QInt8Storage", "0", 4), (2,), (1,)), "QInt8"),
        (Called("torch._utils", "_rebuild_tensor_v2", 3, 0, (2,), (1,)), "has no storage"),
        (Called("torch._utils", "_rebuild_tensor_v2"), "lacks its storage"),
        (Called("torch._utils", "_rebuild_parameter", 3), "isn't made of a tensor"),
    ],
)
def test_a_tensor_that_isnt_within_its_storage_is_refused(value: object, message: str) -> None:
    """An out-of-bounds view would read other memory."""
    with pytest.raises(CheckpointError, match=message):
        state_dict_of(archive(pickled({"w": value}), {"0": bytes(16)}))


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"}X\x01\x00\x00\x00as" * 0 + b"(" * depth + b"t" * depth + b"."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02(.",
        b"\x80\x02N",
        b"\x80\x02j\xff\xff\xff\x7f.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.",
        b"\x80\x02\x8b\xff\xff\xff\x7f1.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02(cos\nsystem\nX\x01\x00\x00\x00ao.",
        b"(ios\nsystem\n.",
        b"P1\n.",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
        b"\x80\x02}(NN(t.",
        b"\x80\x02N}b.",
        b"\x80\x02NNR.",
        b"\x80\x02NNa.",
        b"\x80\x02NNNs.",
        nested(200_000),
        b"\x80\x02}" + nested(100_000)[2:-1] + b"Ns.",
        b"\x80\x02" + b"}q\x00" + b"X\x01\x00\x00\x00a" + b"}" * 3000 + b".",
    ],
)
def test_a_damaged_pickle_is_a_value_error(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        state_dict_of(archive(data, {}))


def test_dicts_that_refer_to_each_other_end_soon() -> None:
    """Eight in a row with eight references each are 16 million paths; and one in itself is endless."""
    here: dict[str, object] = {"w": tensor(STORAGE, (2,), (1,))}
    for _ in range(30):
        here = dict.fromkeys("abcdefgh", here)
    with pytest.raises(CheckpointError, match="nested deeper, or have more entries"):
        state_dict_of(archive(pickled({"w": tensor(STORAGE, (2,), (1,)), "b": here}), {"0": bytes(16)}))


def test_a_pickle_that_takes_long_to_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnspec.interop.torch_files.pickle_machine.MOST_OPCODES", 1000)
    with pytest.raises(CheckpointError, match="more than 1,000 opcodes"):
        state_dict_of(archive(b"\x80\x02" + b"N" * 2000 + b".", {}))


def test_keys_that_would_fall_on_one_place_dont() -> None:
    data = b"\x80\x02}(" + b"".join(b"\x8a\x0c" + (place * (2**61 - 1)).to_bytes(12, "little") + b"N" for place in range(1, 30_000)) + b"u."
    with pytest.raises(CheckpointError, match="no tensor"):
        state_dict_of(archive(data, {}))


def test_other_files_are_named() -> None:
    def zipped(*names: str, compression: int = 0, content: bytes = b"") -> bytes:
        file = BytesIO()
        with ZipFile(file, "w", compression) as members:
            for name in names:
                members.writestr(name, content)
        return file.getvalue()

    for content, message in (
        (b"", "no file of torch.save"),
        (b"hello", "no file of torch.save"),
        (OLD_MAGIC + b".", "before version 1.6"),
        (pickle.dumps({}), "a bare pickle"),
        (zipped("a/data.pkl", "a/constants.pkl", "a/code/__torch__.py"), "TorchScript"),
        (zipped("serialized_exported_program.json"), "a program of torch.export of a version before 2.9"),
        (zipped("a/data.pkl", "b/data.pkl"), "one member data.pkl"),
        (zipped("a.npy"), "one member data.pkl"),
        (zipped("a/data.pkl", compression=ZIP_DEFLATED, content=bytes(10**7)), "compressed"),
        (checkpoint(WEIGHTS, order="middle"), "byte order"),
        (checkpoint(WEIGHTS)[:-30], "truncated"),
    ):
        with pytest.raises(CheckpointError, match=message):
            state_dict_of(content)


def test_archives_of_torchscript_are_known_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they are trusted or not, where torch isn't installed."""
    monkeypatch.setattr(scripts, "find_spec", lambda _: None)
    path = tmp_path / "net.pt"
    with ZipFile(path, "w") as members:
        for name in ("net/data/0", "net/data.pkl", "net/code/__torch__/net.py", "net/constants.pkl", "net/version"):
            members.writestr(name, b"")
    for trusted in (False, True):
        with pytest.raises(ImportRefused, match=r"a TorchScript archive, which is code, .*with torch installed.*torch\.export\.save"):
            import_model(path, trusted=trusted)
    spec = tmp_path / "net.rnn"
    spec.write_text("model Net { input x: float[time, 3]  GRU(2) }")
    with pytest.raises(ImportRefused, match=r"a TorchScript archive, .*save the weights: .*state_dict"):
        import_model(path, into=spec)


def test_damage_anywhere_is_a_value_error(tmp_path: Path) -> None:
    """Cut anywhere, or with any byte changed, a file is refused or still reads."""
    content = checkpoint({"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3)})
    for place in range(0, len(content), 3):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]):
            try:
                found = state_dict_of(damaged)
            except CheckpointError:
                continue
            assert all(np.isfinite(value).shape for value in found.weights.values())


def test_the_path_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"weights\.pt: no file of torch.save"):
        read_state_dict(path)
    with pytest.raises(OSError, match=r"none\.pt") as missing:
        read_state_dict(tmp_path / "none.pt")
    assert missing.value.errno == errno.ENOENT
