"""Modules by names and shapes, and where their weights go in a given spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature, WeightSignature
from rnnspec.diagnostics import DroppedWarning
from rnnspec.interop.graph.refusals import Findings, ImportRefused
from rnnspec.interop.importing import import_model
from rnnspec.interop.safetensors import write_weights
from rnnspec.interop.torch_files.into import matched
from rnnspec.interop.torch_files.modules import parts_of
from tests.unit.interop.checkpoints import checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*skeleton:rnnspec.diagnostics.DroppedWarning")

DRAWN = np.random.default_rng(1)


def drawn(*shape: int) -> Array:
    return DRAWN.normal(size=shape).astype(np.float32)


def lstm(prefix: str, features: int, units: int, suffix: str = "_l0") -> dict[str, Array]:
    shapes = {"weight_ih": (4 * units, features), "weight_hh": (4 * units, units), "bias_ih": (4 * units,), "bias_hh": (4 * units,)}
    return {f"{prefix}{name}{suffix}": drawn(*shape) for name, shape in shapes.items()}


def linear(prefix: str, features: int, units: int) -> dict[str, Array]:
    return {f"{prefix}.weight": drawn(units, features), f"{prefix}.bias": drawn(units)}


def found(weights: dict[str, Array]) -> list[tuple[str, str]]:
    findings = Findings()
    parts = parts_of(weights, findings)
    assert not findings.found
    return [(part.source, part.layer.layer) for part in parts]


def signature(**shapes: tuple[int, ...]) -> Signature:
    weights = tuple(WeightSignature(name.replace("__", "/"), shape, ()) for name, shape in shapes.items())
    return Signature("Model", "float32", (), (), weights)


def place(weights: dict[str, Array], into: Signature, chosen: dict[str, str] | None = None, *, ordered: bool = True) -> dict[str, str]:
    """Which weight of the file is in which of the model's, told by a number of it; or the findings' texts."""
    findings = Findings()
    taken = matched(parts_of(weights, findings), into, chosen or {}, findings, ordered=ordered)
    if findings.found:
        return {"refused": "\n".join(map(str, findings.found))}
    return {
        name: next(source for source, own in weights.items() if own.dtype.kind == "f" and np.isin(value.flat[0], own))
        for name, value in taken.items()
        if name.endswith("kernel")
    }


def test_modules_are_known_by_names_and_shapes() -> None:
    assert found(lstm("a.b.", 3, 4) | lstm("a.b.", 4, 4, "_l1") | linear("fc", 4, 2)) == [
        ("a.b.l0", "LSTM"),
        ("a.b.l1", "LSTM"),
        ("fc", "Dense"),
    ]
    assert found(lstm("cell.", 3, 4, "")) == [("cell", "LSTM")]
    assert found(lstm("", 3, 4) | {"layers.0.weight": drawn(5, 4), "word_emb.weight": drawn(7, 3)}) == [
        ("", "LSTM"),
        ("layers.0", "Dense"),
        ("word_emb", "Embedding"),
    ]
    norm = {
        "n.weight": drawn(4),
        "n.bias": drawn(4),
        "n.running_mean": drawn(4),
        "n.running_var": drawn(4),
        "n.num_batches_tracked": np.array(3),
    }
    assert found(norm) == [("n", "BatchNormalization")]


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"conv.weight": drawn(2, 3, 3, 3)}, "no layer with a weight of the shape (2, 3, 3, 3)"),
        ({"h0": drawn(1, 1, 4)}, "h0: no module that is known here"),
        ({"ids": np.arange(3)}, "its numbers are of the type int64"),
        ({"a.weight_ih_l0": drawn(16, 3)}, "it lacks weight_ih or weight_hh"),
        ({"a.weight_ih_l0": drawn(10, 3), "a.weight_hh_l0": drawn(10, 4)}, "no recurrent module has weights of these shapes"),
        (lstm("a.", 3, 4, "_l1"), "its layers are numbered 1"),
        (lstm("a.", 3, 4, "_l0_reverse"), "a backward direction alone"),
        ({"a.weight_g": drawn(3, 2), "a.weight_v": drawn(4, 3)}, "its norms have the shape (3, 2)"),
        ({"p.parametrizations.weight.original": drawn(4, 4)}, "only weight_norm and spectral_norm"),
        ({"r.weight": drawn(4)}, "may be an RMSNorm's"),
        ({"group_norm.0.weight": drawn(4), "group_norm.0.bias": drawn(4)}, "a GroupNorm's mean is over groups"),
        ({"n.bn1.weight": drawn(4), "n.bn1.bias": drawn(4)}, "its moving statistics aren't in the file"),
        ({f"cell/{name}/kernel": drawn(4, 4) for name in ("if", "in", "hf", "hn")}, "no minimal gated unit"),
        ({f"cell/dense_{name}/kernel": drawn(4, 10) for name in "ih"}, "shapes that don't fit each other"),
        ({"up.deconv.weight": drawn(4, 4, 3), "up.deconv.bias": drawn(4)}, "no layer here is a transposed convolution"),
        ({"a.in_proj_weight": drawn(12, 5), "a.out_proj.weight": drawn(4, 4)}, "no MultiheadAttention of one width"),
    ],
)
def test_what_no_layer_is_known_for_is_refused(weights: dict[str, Array], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **weights)
    with pytest.raises(ImportRefused) as refusal:
        import_model(path)
    assert reason in str(refusal.value)


def test_an_attention_of_several_heads_and_an_rms_norm(tmp_path: Path) -> None:
    """The number of heads is in no file; without a name such as `rms` a norm's weight alone could be another module's, too."""
    path = tmp_path / "net.pt"
    weights = {
        "attn.in_proj_weight": drawn(12, 4),
        "attn.in_proj_bias": drawn(12),
        "attn.out_proj.weight": drawn(4, 4),
        "attn.out_proj.bias": drawn(4),
        "rms_norm.weight": drawn(4),
    }
    path.write_bytes(checkpoint(weights))
    x = drawn(2, 5, 4)
    projected = x @ weights["attn.in_proj_weight"].T + weights["attn.in_proj_bias"]
    query, key, value = (each.reshape(2, 5, 2, 2).transpose(0, 2, 1, 3) for each in np.split(projected, 3, axis=2))
    shares = np.exp(query @ key.transpose(0, 1, 3, 2) / np.sqrt(2))
    heads = (shares / shares.sum(axis=-1, keepdims=True)) @ value
    y = heads.transpose(0, 2, 1, 3).reshape(2, 5, 4) @ weights["attn.out_proj.weight"].T + weights["attn.out_proj.bias"]
    y = y / np.sqrt((y * y).mean(axis=-1, keepdims=True) + np.finfo(np.float32).eps) * weights["rms_norm.weight"]
    np.testing.assert_allclose(import_model(path, inputs={"num_heads": 2}).predict(x), y, atol=2e-5)
    assert "# attn.scores: num_heads, here 1" in import_model(path).source.text
    with pytest.raises(ImportRefused, match="num_heads: 3 of them don't divide its width of 4"):
        import_model(path, inputs={"num_heads": 3})


def test_trees_of_flax_with_joined_gates_both_directions_and_statistics(tmp_path: Path) -> None:
    """nnx has an LSTM's gates i, f, g, o and a GRU's r, z, n side by side; a tree has no order, and widths tell it."""
    path = tmp_path / "tree.npz"
    tree = {
        "params/rnn/forward_rnn/cell/dense_i/kernel": drawn(4, 15),
        "params/rnn/forward_rnn/cell/dense_i/bias": drawn(15),
        "params/rnn/forward_rnn/cell/dense_h/kernel": drawn(5, 15),
        "params/rnn/backward_rnn/cell/dense_i/kernel": drawn(4, 15),
        "params/rnn/backward_rnn/cell/dense_h/kernel": drawn(5, 15),
        "params/a_norm/scale": drawn(10),
        "params/a_norm/bias": drawn(10),
        "batch_stats/a_norm/mean": drawn(10),
        "batch_stats/a_norm/var": np.abs(drawn(10)),
        **{f"params/first/i{gate}/kernel": drawn(3, 4) for gate in ("i", "f_", "g", "o")},
        **{f"params/first/h{gate}/kernel": drawn(4, 4) for gate in "ifgo"},
        **{f"params/first/h{gate}/bias": drawn(4) for gate in "ifgo"},
    }
    np.savez(path, **tree)
    model = import_model(path)
    first = 'LSTM(4, return_sequences = true, name = "first")'
    layers = [first, 'Bidirectional(GRU(5, return_sequences = true), name = "rnn")', 'BatchNormalization(epsilon = 1e-05, name = "a_norm")']
    assert [line.strip() for line in model.source.text.splitlines() if "(" in line and line[0] == " "] == layers

    def gru(x: Array, side: str) -> Array:
        kernel, outer = (tree[f"params/rnn/{side}_rnn/cell/dense_{name}/kernel"] for name in "ih")
        bias = tree.get(f"params/rnn/{side}_rnn/cell/dense_i/bias", np.zeros(15, np.float32))
        h, steps = np.zeros((2, 5), np.float32), list[Array]()
        for step in x.swapaxes(0, 1) if side == "forward" else x.swapaxes(0, 1)[::-1]:
            (xr, xz, xn), (hr, hz, hn) = np.split(step @ kernel + bias, 3, 1), np.split(h @ outer, 3, 1)
            z = sigmoid(xz + hz)
            h = (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h
            steps.append(h)
        return np.stack(steps if side == "forward" else steps[::-1], axis=1)

    x = drawn(2, 6, 3)
    h, c, given = np.zeros((2, 4)), np.zeros((2, 4)), list[Array]()
    for step in x.swapaxes(0, 1):
        name = "params/first/"
        i, f, g, o = (step @ tree[f"{name}i{own}/kernel"] + h @ tree[f"{name}h{own[0]}/kernel"] + tree[f"{name}h{own[0]}/bias"]
                      for own in ("i", "f_", "g", "o"))  # fmt: skip
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        given.append(h)
    both = np.concatenate([gru(np.stack(given, axis=1), side) for side in ("forward", "backward")], axis=2)
    norm = (both - tree["batch_stats/a_norm/mean"]) / np.sqrt(tree["batch_stats/a_norm/var"] + 1e-5)
    np.testing.assert_allclose(model.predict(x), norm * tree["params/a_norm/scale"] + tree["params/a_norm/bias"], atol=1e-4, rtol=1e-4)


def test_attentions_of_flax_tell_their_heads() -> None:
    tree = {f"a/{name}/kernel": drawn(4, 2, 3) for name in ("query", "key", "value")} | {"a/out/kernel": drawn(2, 3, 5)}
    layers = [layer for _, layer in found(tree)]
    assert layers == [*["Dense", "Dense", "Dense", "Attention"] * 2, "Concatenate", "Dense"]
    haiku = {f"a/{name}/w": drawn(4, 6) for name in ("query", "key", "value")} | {"a/linear/w": drawn(6, 5)}
    assert [layer for _, layer in found(haiku)] == ["Dense", "Dense", "Dense", "Attention", "Dense"]


def test_what_is_said_beside_a_file_and_means_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **linear("fc", 4, 2))
    with pytest.raises(ImportRefused) as refusal:
        import_model(path, inputs={"part": "a", "num_heads": 0}, weights=path)
    assert [each.place for each in refusal.value.findings] == ["input part", "weights", "input num_heads"]
    with pytest.raises(ImportRefused, match="mapped to those of a spec"):
        import_model(path, map={"fc": "dense"})


def test_all_findings_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **{"conv.weight": drawn(2, 3, 3, 3), "h0": drawn(1, 4)})
    with pytest.raises(ImportRefused) as refusal:
        import_model(path)
    assert len(refusal.value.findings) == 2


def test_halves_are_added_as_floats() -> None:
    """A sum of two biases that is rounded to a half is another bias."""
    weights = {name: value.astype(np.float16) for name, value in lstm("a.", 3, 4).items()}
    (part,) = parts_of(weights, Findings())
    exact = weights["a.bias_ih_l0"].astype(np.float32) + weights["a.bias_hh_l0"].astype(np.float32)
    np.testing.assert_array_equal(part.layer.weights["bias"], exact)


def test_names_then_the_only_place_then_the_order() -> None:
    two = {"a.kernel".replace(".", "__"): (4, 4), "a__bias": (4,), "b__kernel": (4, 4), "b__bias": (4,)}
    weights = linear("b", 4, 4) | linear("a", 4, 4)
    assert place(weights, signature(**two)) == {"a/kernel": "a.weight", "b/kernel": "b.weight"}
    weights = linear("first", 4, 4) | linear("second", 4, 4)
    assert place(weights, signature(**two)) == {"a/kernel": "first.weight", "b/kernel": "second.weight"}
    weights = linear("one", 4, 2) | linear("x.10", 4, 4) | linear("x.9", 4, 4)
    three = two | {"c__kernel": (4, 2), "c__bias": (2,)}
    assert place(weights, signature(**three), ordered=False) == {
        "c/kernel": "one.weight",
        "a/kernel": "x.9.weight",
        "b/kernel": "x.10.weight",
    }


def test_without_an_order_equal_ones_are_refused_with_the_candidates() -> None:
    two = signature(a__kernel=(4, 4), a__bias=(4,), b__kernel=(4, 4), b__bias=(4,))
    weights = linear("first", 4, 4) | linear("second", 4, 4)
    refused = place(weights, two, ordered=False)["refused"]
    assert "first: it is Dense with kernel (4, 4), bias (4,), and fits a, b; say which: --map first=a" in refused
    assert place(weights, two, {"second": "a"}, ordered=False) == {"a/kernel": "second.weight", "b/kernel": "first.weight"}
    more = linear("first", 4, 4) | linear("second", 4, 4) | linear("third", 4, 4)
    assert "third: it is Dense" in place(more, two)["refused"]


def test_a_wrong_map_names_what_there_is() -> None:
    one = signature(lstm__kernel=(3, 16), lstm__recurrent_kernel=(4, 16), lstm__bias=(16,), dense__kernel=(4, 2), dense__bias=(2,))
    weights = lstm("enc.", 3, 4) | linear("fc", 4, 2)
    assert "the file has no module encoder; it has enc (LSTM), fc (Dense)" in place(weights, one, {"encoder": "lstm"})["refused"]
    assert "the model has no layer gru; it has lstm, dense" in place(weights, one, {"enc": "gru"})["refused"]
    assert "enc is LSTM with kernel (3, 16)" in place(weights, one, {"enc": "dense"})["refused"]
    assert place(weights, one, {"enc": "lstm"}) == {
        "lstm/kernel": "enc.weight_ih_l0",
        "lstm/recurrent_kernel": "enc.weight_hh_l0",
        "dense/kernel": "fc.weight",
    }


def test_a_layer_that_nothing_fits_is_refused() -> None:
    one = signature(dense__kernel=(4, 3), dense__bias=(3,))
    assert "layer dense: nothing in the file fits it: it has kernel (4, 3), bias (3,)" in place(linear("fc", 4, 2), one)["refused"]


def values_of(path: Path, x: Array) -> Any:
    model = import_model(path)
    return model.predict(x)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("separator", ["/", "."])
def test_flax_cells(separator: str, tmp_path: Path) -> None:
    """By `flax.linen.recurrent`'s formulas."""
    w = {name: drawn(3 if name[0] == "i" else 4, 4) for name in ("ii", "if", "ig", "io", "hi", "hf", "hg", "ho")}
    b = {name: drawn(4) for name in ("hi", "hf", "hg", "ho")}
    tree = {f"params/LSTMCell_0/{name}/kernel": value for name, value in w.items()} | {
        f"params/LSTMCell_0/{k}/bias": v for k, v in b.items()
    }
    tree |= {"params/Dense_0/kernel": drawn(4, 2), "params/Dense_0/bias": drawn(2)}
    path = tmp_path / "tree.safetensors"
    write_weights(path, {name.replace("/", separator): value for name, value in tree.items()})
    x = drawn(2, 5, 3)
    h = c = np.zeros((2, 4))
    for t in range(5):
        i, f, g, o = (x[:, t] @ w[f"i{n}"] + h @ w[f"h{n}"] + b[f"h{n}"] for n in "ifgo")
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    expected = h @ tree["params/Dense_0/kernel"] + tree["params/Dense_0/bias"]
    np.testing.assert_allclose(values_of(path, x)[:, -1], expected, atol=2e-5)


def test_flax_gru(tmp_path: Path) -> None:
    w = {name: drawn(3 if name[0] == "i" else 4, 4) for name in ("ir", "iz", "in", "hr", "hz", "hn")}
    b = {name: drawn(4) for name in ("ir", "iz", "in", "hn")}
    path = tmp_path / "tree.npz"
    np.savez(path, **{f"GRUCell_0/{k}/kernel": v for k, v in w.items()}, **{f"GRUCell_0/{k}/bias": v for k, v in b.items()})
    x = drawn(2, 5, 3)
    h = np.zeros((2, 4))
    for t in range(5):
        r = sigmoid(x[:, t] @ w["ir"] + b["ir"] + h @ w["hr"])
        z = sigmoid(x[:, t] @ w["iz"] + b["iz"] + h @ w["hz"])
        n = np.tanh(x[:, t] @ w["in"] + b["in"] + r * (h @ w["hn"] + b["hn"]))
        h = (1 - z) * n + z * h
    np.testing.assert_allclose(values_of(path, x)[:, -1], h, atol=2e-5)


def test_haiku_cores(tmp_path: Path) -> None:
    """By `haiku._src.recurrent`'s formulas: a forget gate with 1 added, a GRU whose update gate weighs the new state."""
    w, b = drawn(7, 16), drawn(16)
    wi, wh, bg = drawn(4, 15), drawn(5, 15), drawn(15)
    v, bv, u, bu = drawn(5, 3), drawn(3), drawn(3, 3), drawn(3)
    path = tmp_path / "tree.npz"
    tree = {"net/~/lstm/linear/w": w, "net/~/lstm/linear/b": b, "net/gru/w_i": wi, "net/gru/w_h": wh, "net/gru/b": bg}
    rest = {"linear/w": v, "linear/b": bv, "linear_1/w": u, "linear_1/b": bu}
    np.savez_compressed(path, **tree, **{f"net/vanilla_rnn/{name}": value for name, value in rest.items()})
    x = drawn(2, 5, 3)
    h, c, k, s = np.zeros((2, 4)), np.zeros((2, 4)), np.zeros((2, 5)), np.zeros((2, 3))
    for t in range(5):
        i, g, f, o = np.split(np.concatenate([x[:, t], h], 1) @ w + b, 4, 1)
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        z, r = np.split(sigmoid(h @ wi[:, :10] + k @ wh[:, :10] + bg[:10]), 2, 1)
        k = (1 - z) * k + z * np.tanh(h @ wi[:, 10:] + (r * k) @ wh[:, 10:] + bg[10:])
        s = np.maximum(k @ v + bv + s @ u + bu, 0)
    spec = tmp_path / "spec.rnn"
    layers = "LSTM(4, return_sequences = true)  GRU(5, reset_after = false, return_sequences = true)  SimpleRNN(3, activation = relu)"
    spec.write_text(f"model Net {{ input x: float[time, 3]  {layers} }}", encoding="utf-8")
    np.testing.assert_allclose(import_model(path, into=spec).predict(x), s, atol=2e-5)


def test_a_skeleton_reads_well_and_compiles_as_it_stands(tmp_path: Path) -> None:
    """Where the widths don't fit, another chain begins with an input of its own."""
    path = tmp_path / "net.pt"
    weights = {"emb.weight": drawn(9, 3)} | lstm("lstm.", 3, 4) | linear("fc", 4, 2) | linear("other", 7, 2)
    path.write_bytes(checkpoint(weights))
    with pytest.warns(DroppedWarning, match="activations, .* is a skeleton to complete"):
        model = import_model(path)
    lines = model.source.text.splitlines()
    assert lines[0] == "# A skeleton: the file has weights by name, and nothing else. Complete what it can't tell:"
    body = [line.strip() for line in lines if not line.startswith("#")]
    assert body[:2] == ["model Net {", "input ids: int[time], x: float[time, 7]"]
    assert "LSTM(4, return_sequences = true)" in body and "fc    = Dense(2)" in body
    np.testing.assert_array_equal(model.weights["emb/embeddings"], weights["emb.weight"])
    assert [str(output.shape) for output in model.signature.outputs] == ["(time, 2)", "(time, 2)"]
    assert rnnspec.compile(model.source.text, seed=0).source.text == model.source.text


@pytest.mark.parametrize("damage", ["cut", "object", "twice", "bomb"])
def test_archives_of_arrays_that_arent_sound_are_refused(damage: str, tmp_path: Path) -> None:
    from zipfile import ZIP_DEFLATED, ZipFile

    path = tmp_path / "tree.npz"
    if damage == "object":
        np.savez(path, a=np.array([{}], dtype=object))
    elif damage == "bomb":
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", bytes(2**26))
    else:
        np.savez(path, a=drawn(30, 30))
        content = path.read_bytes()
        path.write_bytes(content[:-100] if damage == "cut" else content)
        if damage == "twice":
            with pytest.warns(UserWarning, match="Duplicate"), ZipFile(path, "a") as archive:
                archive.writestr("a.npy", b"")
    with pytest.raises(ImportRefused, match=r"not a readable \.npz file"):
        import_model(path)
