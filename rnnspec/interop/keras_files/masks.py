"""Masks in Keras's models: those that are given to a call, and layers that look at masked steps in Keras where they don't here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, cast

from rnnspec.interop.graph.graph import ImportedLayer, Value, Word
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.constants import shown_name
from rnnspec.interop.keras_files.layers import class_of, settings_of
from rnnspec.interop.keras_files.nodes import Tensor, node_of, tensors_in

_OF_MASKS = """NotEqual Any All LogicalAnd LogicalOr Equal ExpandDims Squeeze Stack Concatenate Flip BroadcastTo Cast And Or Identity
Embedding Masking Repeat Reshape ZerosLike OnesLike ConvertToTensor Max Amax LogicalNot"""
_MASK_OPERATIONS = frozenset(_OF_MASKS.split())

_OF_ENDS = """Conv1D MaxPooling1D AveragePooling1D ZeroPadding1D Cropping1D UpSampling1D Slice Flatten Reshape Permute Dot RepeatVector
GlobalAveragePooling1D GlobalMaxPooling1D Last"""
_ENDS = frozenset(_OF_ENDS.split())
"""Layers behind which there is no mask."""

_MASK_READERS = frozenset(
    {"GlobalAveragePooling1D", "Attention", "Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}
)

Node = Callable[[str, int], "tuple[list[Tensor], Mapping[str, Any]] | None"]
"""The call of a layer by its name and the call's number."""


def check_mask(layers: Sequence[Config], by_name: Mapping[str, int], node: Node, name: str, given: object, findings: Findings) -> None:
    """Adds a finding unless a mask that a layer is given is the one that goes along with the values: Masking's, or an Embedding's."""
    pending = tensors_in(given)
    seen: set[str] = set()
    place = f"layer {shown_name(name)}"
    while pending:
        tensor = pending.pop()
        if tensor.layer in seen or tensor.layer not in by_name:
            continue
        seen.add(tensor.layer)
        kind, found = class_of(layers[by_name[tensor.layer]]), node(tensor.layer, tensor.node)
        if kind not in _MASK_OPERATIONS or found is None:
            findings.add(place, "mask", f"it comes from {shown_name(tensor.layer)}, and is none that a layer makes")
            return
        if kind == "NotEqual" and not _is_made(layers, found[0]):
            findings.add(place, "mask", "it is none of Masking's, nor of an Embedding's with mask_zero")
            return
        if kind not in ("NotEqual", "ZerosLike", "OnesLike"):
            pending += found[0]


def _is_made(layers: Sequence[Config], compared: Sequence[Tensor]) -> bool:
    """Whether some layer masks what an operation compares."""
    for each in layers:
        masks = class_of(each) == "Masking" or (class_of(each) == "Embedding" and settings_of(each).get("mask_zero") is True)
        nodes = each.get("inbound_nodes")
        if masks and isinstance(nodes, list) and any(list(node_of(node)[0]) == list(compared) for node in cast(list[object], nodes)):
            return True
    return False


def looking_at_all_steps(layers: Sequence[ImportedLayer], blind: Set[str], findings: Findings) -> tuple[ImportedLayer, ...]:
    """The layers, with a mask dropped in front of those that don't see it in Keras, and do here.

    They are GlobalMaxPooling1D, and all operations, such as `x[:, -1]` or `x * 2`: `blind` has the values that these give. Windows of
    one step drop the mask.
    """
    masked: set[str] = set()
    turned: set[str] = set()
    found: list[ImportedLayer] = []
    for layer in layers:
        if turned.intersection(layer.inputs) and (_is_recurrent(layer) or layer.layer in _MASK_READERS):
            reason = "it takes a masked sequence in reversed order, whose mask Keras hands on as it was, and here it is reversed too"
            findings.add(f"layer {shown_name(layer.source)} ({layer.layer})", "mask", reason)
        is_masked = layer.layer == "Masking" or (layer.layer == "Embedding" and layer.arguments.get("mask_zero") is True)
        if (layer.layer == "GlobalMaxPooling1D" or layer.outputs[0] in blind) and masked.intersection(layer.inputs):
            cropped = {key: f"{key}:all" for key in dict.fromkeys(layer.inputs) if key in masked}
            known = {key for each in found for key in each.outputs}
            found += [
                ImportedLayer("MaxPooling1D", {"pool_size": 1}, (key,), (all_,)) for key, all_ in cropped.items() if all_ not in known
            ]
            layer = replace(layer, inputs=tuple(cropped.get(key, key) for key in layer.inputs))
            name = shown_name((layer.source or layer.shared).partition(":")[0])
            findings.note(f"layer {name} looks at masked steps too in Keras, and so `MaxPooling1D(1)` drops the mask")
        found.append(layer)
        if (is_masked or masked.intersection(layer.inputs)) and layer.layer not in _ENDS and not ends_sequence(layer):
            masked.add(layer.outputs[0])
            if layer.arguments.get("go_backwards") is True or turned.intersection(layer.inputs):
                turned.add(layer.outputs[0])
            if layer.arguments.get("merge_mode", "") is None:
                masked.update(layer.outputs[:2])
    return tuple(found)


def _settings(layer: ImportedLayer) -> Mapping[str, Value]:
    """A recurrent layer's arguments, of a Bidirectional the forward layer's."""
    inner = layer.arguments.get("layer")
    return dict(inner.arguments) if layer.layer == "Bidirectional" and isinstance(inner, Word) else layer.arguments


def _is_recurrent(layer: ImportedLayer) -> bool:
    return ("units" in layer.arguments and layer.layer != "Dense") or layer.layer in ("RNN", "Bidirectional")


def ends_sequence(layer: ImportedLayer) -> bool:
    """Whether a recurrent layer gives one row."""
    return _is_recurrent(layer) and _settings(layer).get("return_sequences") is not True
