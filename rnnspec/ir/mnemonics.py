"""How operations are spelled in the IR's text: one name and one list of attributes for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from rnnspec.ir.ops import (
    Binary,
    BinaryKind,
    Broadcast,
    Compare,
    CompareKind,
    Concat,
    Constant,
    Distinct,
    DistinctIds,
    FillSum,
    Index,
    Mask,
    Matmul,
    Operation,
    Pack,
    PackSum,
    Pairs,
    PairTokens,
    Places,
    Random,
    Rearrange,
    Reduce,
    ReduceKind,
    Reshape,
    RestoreRows,
    Scan,
    ScatterAdd,
    Select,
    SortRows,
    Split,
    Take,
    Unary,
    UnaryKind,
    Unpack,
    Window,
    WindowMask,
)

Kind: TypeAlias = UnaryKind | BinaryKind | CompareKind | ReduceKind

MNEMONICS: Mapping[type[Operation], str] = {
    Constant: "constant",
    Select: "select",
    Broadcast: "broadcast",
    Reshape: "reshape",
    Split: "split",
    Concat: "concat",
    Matmul: "matmul",
    Take: "take",
    ScatterAdd: "scatter_add",
    Random: "random",
    Mask: "mask",
    Index: "index",
    Window: "window",
    WindowMask: "window_mask",
    Pairs: "pairs",
    PairTokens: "pair_tokens",
    Distinct: "distinct",
    DistinctIds: "distinct_ids",
    Places: "places",
    Rearrange: "rearrange",
    Pack: "pack",
    Unpack: "unpack",
    PackSum: "pack_sum",
    FillSum: "fill_sum",
    SortRows: "sort_rows",
    RestoreRows: "restore_rows",
    Scan: "scan",
}
"""Operations without a kind."""

KINDS: Mapping[str, tuple[type[Unary | Binary | Compare | Reduce], Kind]] = {
    **{kind.value: (Unary, kind) for kind in UnaryKind},
    **{kind.value: (Binary, kind) for kind in BinaryKind},
    **{kind.value: (Compare, kind) for kind in CompareKind},
    **{f"reduce_{kind.value}": (Reduce, kind) for kind in ReduceKind},
}
"""Operations with a kind, by their spelling."""

ATTRIBUTES: Mapping[type[Operation], tuple[str, ...]] = {
    Constant: ("value",),
    Split: ("axis",),
    Concat: ("axis",),
    Reduce: ("axis",),
    Random: ("stream",),
    Mask: ("value",),
    Window: ("stride", "offset", "span", "clamp", "at_end", "own"),
    WindowMask: ("size", "stride", "dilation", "start", "same", "flip"),
    Pairs: ("causal",),
    PairTokens: ("of_keys",),
    Rearrange: ("transpose",),
    Unpack: ("hold", "flip"),
    PackSum: ("hold", "flip"),
    FillSum: ("hold", "flip"),
    Scan: ("reverse",),
}
"""The fields in braces, in this order; operations that are missing here have none."""

ATTRIBUTE_TYPES: Mapping[str, type[float | int | bool]] = {
    "value": float,
    "axis": int,
    "stream": int,
    "hold": bool,
    "flip": bool,
    "reverse": bool,
    "stride": int,
    "offset": int,
    "span": int,
    "clamp": bool,
    "at_end": bool,
    "own": bool,
    "size": int,
    "dilation": int,
    "start": int,
    "same": bool,
    "causal": bool,
    "of_keys": bool,
    "transpose": bool,
}


def mnemonic(operation: Operation) -> str:
    """The operation's spelling: `add`, `reduce_sum`, `scan`."""
    match operation:
        case Unary() | Binary() | Compare():
            return operation.kind.value
        case Reduce():
            return f"reduce_{operation.kind.value}"
        case _:
            return MNEMONICS[type(operation)]
