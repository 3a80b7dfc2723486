"""Programs of `torch.export` that are unsound, hostile, or more than a spec can say, are refused with the call and the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest

from rnnspec.interop.graph.refusals import Findings, ImportRefused
from rnnspec.interop.importing import import_model
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.torch_programs.archive import read_program
from rnnspec.interop.torch_programs.calls import Call, Nodes, Ref
from rnnspec.interop.torch_programs.operators import OPERATORS
from rnnspec.interop.torch_programs.reader import nodes_of
from rnnspec.interop.torch_programs.writes import Step, unseen_writes

DOUBLE = Path(__file__).parents[2] / "fixtures" / "interop" / "torch_programs" / "double.pt2"
GRAPH, WEIGHTS = "/models/model.json", "/data/weights/model_weights_config.json"


def changed(member: str, change: Callable[[Any], Any], *, compression: int = ZIP_STORED) -> bytes:
    """The file with one JSON changed: in its place, or by what the change returns."""
    file = BytesIO()
    with ZipFile(DOUBLE) as given, ZipFile(file, "w", compression) as made:
        for name in given.namelist():
            data = given.read(name)
            if name.endswith(member):
                content = json.loads(data)
                result = change(content)
                data = result if isinstance(result, bytes) else json.dumps(content).encode()
            made.writestr(name, data)
    return file.getvalue()


def refused(content: bytes, tmp_path: Path) -> str:
    path = tmp_path / "net.pt2"
    path.write_bytes(content)
    with pytest.raises(ImportRefused) as refusal:
        import_model(path)
    return str(refusal.value)


def of_weight(**parts: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        entry = next(iter(content["config"].values()))
        entry |= {name: value for name, value in parts.items() if name in entry}
        entry["tensor_meta"] |= {name: value for name, value in parts.items() if name in entry["tensor_meta"]}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_weight(use_pickle=True), "is pickled, or of a type that isn't read here"),
        (of_weight(dtype=9), "is pickled, or of a type that isn't read here"),
        (of_weight(path_name="../weight"), "its storage ../weight isn't there"),
        (of_weight(storage_offset={"as_int": 2**40}), "reaches beyond its storage"),
        (of_weight(storage_offset={"as_int": -1}), "the offset of a tensor"),
        (of_weight(sizes=[{"as_int": 2**40}, {"as_int": 2**40}]), "has the shape"),
        (of_weight(strides=[{"as_expr": {"expr_str": "s"}}, {"as_int": 1}]), "the strides of a tensor"),
        (lambda content: content.pop("config") and None, "its tensors aren't described"),
        (lambda content: content["config"].popitem() and None, "isn't among its weights"),
    ],
)
def test_weights_that_arent_within_the_file_are_refused(change: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    assert message in refused(changed(WEIGHTS, change), tmp_path)


def calls(content: Any) -> Any:
    return content["graph_module"]["graph"]["nodes"]


def renamed(content: Any) -> None:
    for node in calls(content):
        node["target"] = node["target"].replace("aten.transpose", "aten.fft").replace("aten.select", "mine.own")


def itself(content: Any) -> None:
    first = calls(content)[0]
    first["inputs"][0]["arg"] = {"as_tensor": {"name": first["outputs"][0]["as_tensor"]["name"]}}


def wide(content: Any) -> None:
    node = next(node for node in calls(content) if node["target"].endswith("aten.zeros.default"))
    node["inputs"][0]["arg"] = {"as_ints": [2**30, 2**30]}


def trained(content: Any) -> None:
    arguments = {each["name"]: each for each in next(node for node in calls(content) if "rnn_relu" in node["target"])["inputs"]}
    arguments["train"]["arg"], arguments["dropout"]["arg"] = {"as_bool": True}, {"as_float": 0.5}


def overwritten(content: Any) -> None:
    """Writes into the first tensor by a view of it, which nothing reads."""
    first = calls(content)[0]
    view, written = ({"as_tensor": {"name": name}} for name in ("view", "written"))
    at = [{"name": "self", "arg": first["outputs"][0]}, *({"name": name, "arg": {"as_int": 0}} for name in ("dim", "index"))]
    made = {"target": "torch.ops.aten.select.int", "inputs": at, "outputs": [view], "metadata": {}}
    doubled = [{"name": "self", "arg": view}, {"name": "other", "arg": {"as_int": 2}}]
    write = {"target": "torch.ops.aten.mul_.Tensor", "inputs": doubled, "outputs": [written], "metadata": {}}
    calls(content)[1:1] = [made, write]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (overwritten, "node written (aten.mul_.Tensor): it writes into a tensor that is read by another name"),
        (renamed, "node transpose (aten.fft.int): the language has nothing that says it"),
        (renamed, "(mine.own.int): the language has nothing that says it"),
        (itself, "nothing makes its argument transpose"),
        (wide, "(ConstantOfShape)"),
        (trained, "it was exported in training, with dropout"),
        (lambda content: content.update(schema_version={"major": 99}), "its form has the version"),
        (lambda content: content.pop("graph_module") and None, "has no graph_module"),
        (lambda content: content["graph_module"]["graph"].pop("tensor_values") and None, "another form than it should"),
        (lambda content: b"[" * 100_000, "its JSON can't be read"),
        (lambda content: b"[]", "its JSON is no object"),
    ],
)
def test_graphs_that_cant_be_said_are_refused(change: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    assert message in refused(changed(GRAPH, change), tmp_path)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("y=exp x; z=mul_ y; out=tanh z", []),
        ("y=exp x; z=mul_ y; out=tanh y", [1]),
        ("y=exp x; v=select y; w=copy_ v x; out=tanh y", [2]),
        ("y=exp x; v=select y; u=slice v; w=fill_ u; out=tanh v", [3]),
        ("y=exp x; v=strange y; w=copy_ v x; out=tanh y", [2]),
        ("y=exp x; v=select y; w=add.out x x v; out=tanh y", [2]),
        ("y=exp x; v=select y; out=tanh y; w=copy_ v x", []),
        ("y=exp x; c=clone y; w=mul_ c; out=tanh y", []),
        ("p q=chunk x; a=mul_ p; b=mul_ q; out=cat a b", []),
        ("p q=chunk x; r s=chunk x; a=mul_ p; out=cat a s", [2]),
        ("p q=chunk x; a=mul_ p; out=cat a x", [1]),
        ("y=exp x; w=dropout_ y; out=tanh y", []),
        ("y=exp x; w=mul_ x; out=tanh y", []),
    ],
)
def test_a_write_is_told_where_it_is_read_by_another_name(steps: str, expected: list[int]) -> None:
    """Nodes have no memory, so that such a read would give the numbers from before the write."""
    made: list[Step] = []
    needed = {"out"}
    for text in reversed(steps.split("; ")):
        names, call = text.split("=")
        makes = names.split()
        operation, *reads = call.split()
        form = {"select": ".int", "chunk": ".default", "slice": ".Tensor", "mul_": ".Tensor"}.get(
            operation, "" if "." in operation else ".default"
        )
        made.insert(0, Step(f"aten.{operation}{form}", reads, makes, not needed.isdisjoint(makes)))
        needed.update(reads if not needed.isdisjoint(makes) else ())
    assert list(unseen_writes(made, ["out"])) == expected


def test_texts_of_sizes_are_never_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch gives them to sympy, which does."""
    monkeypatch.chdir(tmp_path)
    text = "__import__('pathlib').Path('ran').touch()"

    def change(content: Any) -> None:
        for tensor in content["graph_module"]["graph"]["tensor_values"].values():
            tensor["sizes"] = [{"as_expr": {"expr_str": text, "hint": {"as_int": 2}}} for _ in tensor["sizes"]]

    path = tmp_path / "net.pt2"
    path.write_bytes(changed(GRAPH, change))
    with pytest.raises(ImportRefused):
        import_model(path)
    assert not (tmp_path / "ran").exists()


def test_compressed_and_older_programs_are_refused(tmp_path: Path) -> None:
    assert "compressed" in refused(changed(GRAPH, lambda _: b" " * 10**7, compression=ZIP_DEFLATED), tmp_path)
    file = BytesIO()
    with ZipFile(file, "w") as made:
        made.writestr("serialized_exported_program.json", "{}")
    assert "no program of torch.export of version 2.9 or newer" in refused(file.getvalue(), tmp_path)


def test_damage_anywhere_is_a_refusal() -> None:
    """Any value of the graph replaced by another kind of value: a finding or a graph, and no other error."""
    program = read_program(DOUBLE.read_bytes())
    for number, (container, key) in enumerate([*_places(program.graph), *_places(program.signature)][::2]):
        kept = container[key]
        container[key] = (None, [], {"as_none": True}, "x", -1)[number % 5]
        nodes_of(program, "net", Findings())
        container[key] = kept


def _places(value: Any) -> list[tuple[Any, Any]]:
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [(value, key) for key, _ in items] + [place for _, each in items for place in _places(each)]


@pytest.mark.parametrize(("pads", "mode", "expected"), [
    ((4, 0), "constant", ([0, 0, 4, 0, 0, 0], "constant")),
    ((1, 2, 3, 4), "replicate", ([0, 3, 1, 0, 4, 2], "edge")),
])  # fmt: skip
def test_pads_begin_with_the_last_axis(pads: tuple[int, ...], mode: str, expected: tuple[list[int], str]) -> None:
    nodes = Nodes({}, {"x": ("batch", 4, 9)})
    nodes.names["x"] = "x"
    call = Call(nodes, "pad", "aten.pad.default", {"self": Ref("x"), "pad": pads, "mode": mode, "value": None}, 1)
    OPERATORS["aten.pad.default"](call)
    (node,) = nodes.made
    assert (nodes.constants[node.inputs[1]].tolist(), node.attributes["mode"]) == expected
    assert nodes.constants[node.inputs[2]].tolist() == 0


@pytest.mark.parametrize(("pads", "mode"), [((1,), "constant"), ((1,) * 8, "constant"), ((1, 1), "mirrored")])
def test_pads_of_no_tensor_are_refused(pads: tuple[int, ...], mode: str) -> None:
    nodes = Nodes({}, {"x": ("batch", 4, 9)})
    call = Call(nodes, "pad", "aten.pad.default", {"self": Ref("x"), "pad": pads, "mode": mode}, 1)
    with pytest.raises(Unfit, match="of a tensor of 3 axes"):
        OPERATORS["aten.pad.default"](call)
