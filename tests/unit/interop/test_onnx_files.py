"""ONNX files that are damaged, hostile, or say what no spec can: refused with the node and the reason, in bounded time and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper

from rnnspec.cli.import_ import import_
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import ImportRefused
from rnnspec.interop.onnx_files import loops, moving, reading
from rnnspec.interop.onnx_files.nodes import Node as PlainNode
from rnnspec.interop.onnx_files.nodes import NodeGraph, SourceInput, pruned
from rnnspec.interop.onnx_files.reader import OnnxReader
from tests.onnx_models import FIXTURES, info, model, node, saved

ROW = [info("x", ["batch", 3])]


def read(path: Path, **inputs: float | int | str) -> ImportedGraph:
    return OnnxReader().read(path, ReaderOptions(inputs=inputs, source=path.name))


def shape(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.int64)


def _cycle() -> Any:
    return model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])], ROW, ["b"])


def _nested_functions() -> Any:
    """Each function calls the one before it twice."""
    made = [helper.make_function("f", "f0", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 18)])]
    for level in range(1, 29):
        calls = [helper.make_node(f"f{level - 1}", ["a"], ["c"], domain="f"), helper.make_node(f"f{level - 1}", ["c"], ["b"], domain="f")]
        imports = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
        made.append(helper.make_function("f", f"f{level}", ["a"], ["b"], calls, imports))
    return model([helper.make_node("f28", ["x"], ["y"], domain="f")], ROW, ["y"], functions=made, domains=["f"])


def _endless_function() -> Any:
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    made = helper.make_function("f", "f", ["a"], ["b"], [helper.make_node("f", ["a"], ["b"], domain="f")], imports)
    return model([helper.make_node("f", ["x"], ["y"], domain="f")], ROW, ["y"], functions=[made], domains=["f"])


def _deep_graphs() -> Any:
    inner = model([node("Relu", ["x"], ["z"])], [], ["z"]).graph
    for _ in range(6):
        inner = model([node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)], [], ["z"]).graph
    return model([node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)], ROW, ["y"], {"yes": np.array(True)})


def _one(kind: str, *constants: Any, inputs: list[Any] | None = None, **attributes: Any) -> Any:
    names = {f"c{place}": value for place, value in enumerate(constants)}
    return model([node(kind, ["x", *names], ["y"], **attributes)], inputs or ROW, ["y"], names)


def _filled(numbers: tuple[int, ...]) -> Any:
    nodes = [node("ConstantOfShape", ["s"], ["f"]), node("Add", ["x", "f"], ["y"])]
    return model(nodes, ROW, ["y"], {"s": shape(*numbers)})


def _doubled() -> Any:
    """A constant that is put beside itself again and again."""
    nodes = [node("Concat", [f"a{place}", f"a{place}"], [f"a{place + 1}"], axis=0) for place in range(60)]
    return model([*nodes, node("Add", ["x", "a60"], ["y"])], ROW, ["y"], {"a0": np.zeros((2, 3), np.float32)})


def _loop(*more: Any, going: str = "going", limit: int | None = 5) -> Any:
    """A loop over x, (5, batch, 3), that adds up its steps; `more`: nodes in its body."""
    inner = [
        helper.make_node("Gather", ["x", "i"], ["row"], axis=0, name="get"),
        helper.make_node("Add", ["h", "row"], ["h_out"]),
        helper.make_node("Identity", ["going"], ["same"]),
        *more,
    ]
    inputs = [info("i", [], np.int64), info("going", [], np.bool_), info("h", None)]
    outputs = [info("same" if going == "going" else going, [], np.bool_), info("h_out", None)]
    body = helper.make_graph(inner, "body", inputs, outputs)
    given = ["" if limit is None else "limit", "yes", "zero"]
    constants = {"limit": np.array(limit or 0), "yes": np.array(True), "zero": np.zeros((2, 3), np.float32), "one": np.array(1)}
    return model([node("Loop", given, ["y"], body=body)], [info("x", [5, 2, 3])], ["y"], constants)


def _scan(states: int, sequences: int, outputs: int) -> Any:
    names = [f"a{place}" for place in range(states + sequences)]
    inner = [helper.make_node("Relu", [names[-1]], [f"b{place}"]) for place in range(outputs)]
    body = helper.make_graph(inner, "body", [info(name, None) for name in names], [info(f"b{place}", None) for place in range(outputs)])
    nodes = [node("Scan", ["zero"] * states + ["x"] * sequences, ["y"], body=body, num_scan_inputs=sequences)]
    return model(nodes, [info("x", ["time", 2, 3])], ["y"], {"zero": np.zeros((2, 3), np.float32)})


def _sparse() -> Any:
    made = _one("Relu")
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64)), [3]))
    return made


def _words(*words: str) -> Any:
    return helper.make_tensor("words", TensorProto.STRING, [len(words)], [each.encode() for each in words])


def _strings() -> Any:
    made = model([node("Equal", ["x", "words"], ["y"])], ROW, ["y"])
    made.graph.initializer.append(_words("a", "b", "c"))
    return made


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "cycle": (_cycle, "node the_.* waits for its own result: the graph has a cycle"),
    "functions": (_nested_functions, "it has more than 3,000 nodes"),
    "endless function": (_endless_function, "functions call each other more than 30 deep"),
    "huge fill": (lambda: _filled((2**40, 2**20)), r"node the_constantofshape \(ConstantOfShape\): its result of .* has more than"),
    "negative fill": (lambda: _filled((-1, 3)), "a shape of"),
    "huge expand": (lambda: _one("Expand", shape(2**30, 2**30, 3)), r"node the_expand \(Expand\): its result of .* has more than"),
    "huge tile": (lambda: _one("Tile", shape(2**40, 1)), "the_tile .* has more than"),
    "huge pad": (lambda: _one("Pad", shape(0, 0, 0, 2**50)), "the_pad .* has more than"),
    "doubled": (_doubled, "has more than"),
    "reshape": (lambda: _one("Reshape", shape(7, 11)), "the_reshape"),
    "axis": (lambda: _one("Concat", np.zeros((1, 3), np.float32), axis=9), "the_concat .*axis 9 of 2"),
    "no node": (lambda: model([node("Relu", ["nothing"], ["y"])], ROW, ["y"]), "value nothing: no node makes it"),
    "mixed samples": (lambda: _one("ReduceMean", shape(0), keepdims=1), "samples of a batch are mixed"),
    "operation": (lambda: _one("NonZero"), r"the_nonzero \(NonZero\): the language has nothing that says it"),
    "domain": (lambda: model([helper.make_node("Fast", ["x"], ["y"], domain="com.x")], ROW, ["y"], domains=["com.x"]), "com.x.Fast"),
    "constant output": (lambda: model([node("Relu", ["c"], ["y"])], ROW, ["y"], {"c": np.zeros(3)}), "output y: it is the same"),
    "open features": (lambda: model([node("Relu", ["x"], ["y"])], [info("x", ["a", "b", "c"])], ["y"]), "can't be rows or sequences"),
    "endless loop": (lambda: _loop(limit=None), "it is repeated more than 100 times"),
    "loop of other steps": (lambda: _loop(limit=3), "the_loop .* it is repeated 3 times, over 5 steps"),
    "loop that stops itself": (
        lambda: _loop(
            helper.make_node("ReduceMax", ["h_out"], ["m"], keepdims=0), helper.make_node("Less", ["m", "m"], ["go"]), going="go"
        ),
        "whether it goes on is computed when the model runs",
    ),
    "scan without sequences": (lambda: _scan(1, 0, 1), "a scan over 0 sequences of 1 inputs"),
    "scan of few results": (lambda: _scan(2, 1, 1), "its body gives 1 values for 1"),
    "made twice": (
        lambda: model([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])], ROW, ["y"]),
        "value y: it is made more than once",
    ),
    "sparse": (_sparse, "sparse initializers aren't read"),
    "strings": (_strings, r"the_equal \(Equal\): it takes texts"),
    "shapes": (lambda: _one("Add", np.zeros(4, np.float32)), r"the_add \(Add\): shape mismatch"),
    "string input": (lambda: model([node("Identity", ["x"], ["y"])], [info("x", ["n", 3], np.object_)], ["y"]), "input x: it takes"),
    "absurd input": (lambda: model([node("Relu", ["x"], ["y"])], [info("x", ["n", 2**60])], ["y"]), "larger than what is followed"),
    "attention by features": (
        lambda: model(
            [node("Transpose", ["z"], ["turned"], perm=[0, 2, 1]), node("MatMul", ["x", "turned"], ["y"])],
            [info("x", ["batch", "time", 3]), info("z", ["batch", "steps", 3])],
            ["y"],
        ),
        "products with every step of a sequence, which no layer but Attention has",
    ),
    "ids": (
        lambda: model([node("Neg", ["x"], ["y"])], [info("x", ["n", "t"], np.int64)], ["y"]),
        "of the numbers in x, and no table tells how many",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_graph_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With lower limits, which are reached sooner."""
    monkeypatch.setattr(reading, "NODE_LIMIT", 3_000)
    monkeypatch.setattr(moving, "SIZE_LIMIT", 2**16)
    monkeypatch.setattr(loops, "MOST_STEPS", 100)
    make, wanted = HOSTILE[what]
    with pytest.raises(ImportRefused, match=wanted):
        read(saved(tmp_path, make()))


def test_graphs_in_graphs_are_read_to_a_depth(tmp_path: Path) -> None:
    """Seven deep, each branch twice: only what is chosen is walked."""
    assert [each.layer for each in read(saved(tmp_path, _deep_graphs())).layers] == ["Activation"]


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    nodes = [node("Hardmax", ["x"], ["a"]), node("LpPool", ["x"], ["b"], kernel_shape=[2]), node("Relu", ["x"], ["y"])]
    with pytest.raises(ImportRefused) as refused:
        read(saved(tmp_path, model(nodes, ROW, ["a", "b", "y"])))
    assert [each.place for each in refused.value.findings] == ["node the_hardmax (Hardmax)", "node the_lppool (LpPool)"]


def test_pruned_keeps_what_outputs_come_from() -> None:
    """Nodes that nothing reads go, with what only they read; of others, the names of outputs that nothing reads."""

    def plain(op: str, inputs: str, outputs: str, **attributes: NodeGraph) -> PlainNode:
        return PlainNode(op, "", "", tuple(inputs.split()), tuple(outputs.split()), attributes, 18)

    inner = NodeGraph("inner", (), ("z",), (plain("Relu", "deep", "z"),), {})
    nodes = (
        plain("Split", "x", "a b"),
        plain("Abs", "b", "dead"),
        plain("Neg", "dead", "deader"),
        plain("Sin", "x", "deep"),
        plain("If", "a", "y", then_branch=inner),
    )
    kept = pruned(NodeGraph("g", (SourceInput("x", "float32", (2,)),), ("y",), nodes, {})).nodes
    assert [(each.op, each.outputs) for each in kept] == [("Split", ("a", "")), ("Sin", ("deep",)), ("If", ("y",))]


def test_attention_is_the_layer_and_not_its_products() -> None:
    """Of one head and of two, with a scale, under a causal mask: no product and no softmax is left beside it."""
    layers = {name: read(FIXTURES / f"{name}.onnx").layers for name in ("attending", "attending_new", "causal", "multi_head")}
    for name in ("attending", "attending_new"):
        assert [each.layer for each in layers[name]] == ["GRU", "GRU", "Activation", "Attention", "Concatenate", "Dense"]
    assert [each.arguments for each in layers["causal"] if each.layer == "Attention"] == [{"use_causal_mask": True}]
    assert [each.layer for each in layers["multi_head"]].count("Attention") == 2
    assert not {"Dot", "unsaid"} & {each.layer for found in layers.values() for each in found}


def test_masks_of_ids_are_tables_of_what_is_computed_of_them() -> None:
    """`ids != 0` is looked up, in as many rows as the ids' own table has."""
    tables = [each for each in read(FIXTURES / "padded.onnx").layers if each.layer == "Embedding"]
    assert {each.arguments["input_dim"] for each in tables} == {9}
    real = np.array([[0], *[[1]] * 8], np.float32)
    assert any(np.array_equal(each.weights["embeddings"], real) for each in tables)


def test_what_nothing_needs_is_left_out(tmp_path: Path) -> None:
    nodes = [node("Hardmax", ["x"], ["a"]), node("Relu", ["x"], ["y"])]
    found = read(saved(tmp_path, model(nodes, [*ROW, info("unused", ["batch", 2])], ["y"])))
    assert [each.name for each in found.inputs] == ["x"]
    assert found.notes == ("input unused is dropped: nothing that is computed depends on it",)


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"PK\x03\x04", b"\x08\x07\x12\xff\xff\xff\xff\x0f", os.urandom(200), b"\x00" * 64])
def test_bytes_that_are_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match=r"bad\.onnx can't be imported"):
        OnnxReader().read(path, ReaderOptions())


def test_a_tensor_that_says_more_than_it_has(tmp_path: Path) -> None:
    made = _one("Add", np.zeros(3, np.float32))
    for dimensions in ([2**40], [-3], [5]):
        made.graph.initializer[0].dims[:] = dimensions
        with pytest.raises(ImportRefused, match="tensor c0"):
            read(saved(tmp_path, made))


def external(folder: Path, location: str, offset: int = 0, length: int | None = None) -> Path:
    made = _one("Add", np.zeros(3, np.float32))
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
    return saved(folder, made)


def test_external_data_are_read_from_the_models_folder(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = np.array([1, 2, 3], np.float32).tobytes()
    for folder in (tmp_path, inside):
        (folder / "data.bin").write_bytes(b"\0\0\0\0" + secret)
    assert read(external(inside, "data.bin", 4, 12)).layers[0].layer == "BatchNormalization"
    (inside / "link.bin").symlink_to(tmp_path / "data.bin")
    escapes = ["../data.bin", str(tmp_path / "data.bin"), "link.bin", "", "there/../../data.bin"]
    for location in escapes:
        with pytest.raises(ImportRefused, match="own folder alone"):
            read(external(inside, location))
    for offset, length in ((8, 12), (-4, 12), (0, 2**40), (2**60, 12)):
        with pytest.raises(ImportRefused, match="tensor c0"):
            read(external(inside, "data.bin", offset, length))
    with pytest.raises(ImportRefused, match="tensor c0"):
        read(external(inside, "missing.bin"))
    os.mkfifo(inside / "pipe")
    with pytest.raises(ImportRefused, match="named pipe"):
        read(external(inside, "pipe"))


def test_inputs_are_fixed_by_name(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], ["y"])], [info("x", ["batch", "width"]), info("n", [], np.int64)], ["y"])
    path = saved(tmp_path, made)
    assert read(path, width=4).inputs[0].dimensions == (4,)
    with pytest.raises(ImportRefused, match="input wide: there is no input, and no length, that could be 4; there are x, n, batch, width"):
        read(path, wide=4)
    with pytest.raises(ImportRefused, match=r"input n: 1.5 isn't a whole number"):
        read(path, n=1.5)


def test_states_are_told(tmp_path: Path) -> None:
    """Names and shapes that tell nothing: without being told, it is a model of rows with two inputs."""
    nodes = [
        node("Mul", ["x", "w"], ["r"]),
        node("Tanh", ["before"], ["t"]),
        node("Add", ["r", "t"], ["after"]),
        node("Relu", ["after"], ["y"]),
    ]
    inputs = [info("x", ["batch", 3]), info("before", ["batch", 3])]
    path = saved(tmp_path, model(nodes, inputs, ["y", "after"], {"w": np.arange(3, dtype=np.float32)}))
    assert [each.name for each in read(path).inputs] == ["x", "before"]
    told = OnnxReader().read(path, ReaderOptions(states={"before": "after"}))
    assert [each.name for each in told.inputs] == ["x"] and "before' = x * scale + tanh(before)" in told.declarations[0]
    with pytest.raises(ImportRefused, match="state hidden: there is no input of that name; there are x, before"):
        OnnxReader().read(path, ReaderOptions(states={"hidden": "after"}))


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, _one("Relu"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnx.numpy_helper", None)
    with pytest.raises(ValueError, match=r"read by the package onnx, which isn't installed: pip install 'rnnspec\[onnx\]'"):
        read(path)


def test_a_model_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    reader, content = OnnxReader(), _one("Relu").SerializeToString()
    assert reader.takes(Path("model.bin"), content[:100])
    assert not reader.takes(Path("model.onnx"), b"PK\x03\x04")
    assert not reader.takes(Path("model.rnn"), b"model A { }")


def test_constants_of_all_kinds_are_read(tmp_path: Path) -> None:
    """Typed fields, half precision, and what a graph computes of constants."""
    half = numpy_helper.from_array(np.array([1, 2, 3], np.float16), "half")
    nodes = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Cast", ["half"], ["row"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["row", "two"], ["twice"]),
        helper.make_node("Add", ["x", "twice"], ["y"]),
    ]
    made = model(nodes, ROW, ["y"])
    made.graph.initializer.append(half)
    assert read(saved(tmp_path, made)).layers[0].weights["beta"].tolist() == [2, 4, 6]
    assert onnx.__version__


def test_the_command_fixes_inputs_and_is_told_states(tmp_path: Path) -> None:
    """`--input rate=2` chooses a branch and is no input of the model; `--state before=after` makes a cell of the step."""
    branches = {
        f"{name}_branch": model([node(kind, ["x"], [kind])], [], [kind]).graph for name, kind in (("then", "Relu"), ("else", "Tanh"))
    }
    nodes = [
        node("Equal", ["rate", "two"], ["is_two"]),
        node("If", ["is_two"], ["r"], **branches),
        node("Add", ["r", "before"], ["after"]),
        node("Neg", ["after"], ["y"]),
    ]
    inputs = [*ROW, info("before", ["batch", 3]), info("rate", [], np.int64)]
    path = saved(tmp_path, model(nodes, inputs, ["y", "after"], {"two": np.array(2)}))
    import_(path, tmp_path / "out", input=["rate=2"], state=["before=after"])
    text = (tmp_path / "out" / "model.rnn").read_text()
    assert "before' = relu(x) + before" in text and "rate" not in text
    with pytest.raises(typer.BadParameter, match="`before` is not of the form NAME=VALUE"):
        import_(path, tmp_path / "out", state=["before"])
