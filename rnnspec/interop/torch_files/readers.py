"""State dicts and parameter trees as models: a skeleton of the modules found in a file, or weights for a given spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.file_kinds import Kind, kind_of
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import Finding, Findings, ImportRefused
from rnnspec.interop.safetensors import read_weights
from rnnspec.interop.torch_files.archives_of_arrays import read_npz
from rnnspec.interop.torch_files.attention import HEADS
from rnnspec.interop.torch_files.into import by_own_names, matched
from rnnspec.interop.torch_files.modules import parts_of
from rnnspec.interop.torch_files.skeleton import skeleton
from rnnspec.interop.torch_files.state_dict import StateDict, read_state_dict, unwrapped

PART = "part"
"""The key among a user's `inputs` by which a checkpoint of several models is told which one."""


def _checkpoint(path: Path, options: ReaderOptions) -> StateDict:
    part = options.inputs.get(PART)
    return read_state_dict(path, None if part is None else str(part))


def _safetensors(path: Path, options: ReaderOptions) -> StateDict:
    return unwrapped(StateDict(read_weights(path)))


def _npz(path: Path, options: ReaderOptions) -> StateDict:
    return unwrapped(StateDict(read_npz(path)))


@frozen
class WeightsReader:
    """A format of weights by name.

    `kind`: by which the content is known. `load`: the weights of a file. `ordered`: whether they are in the order of the modules.
    """

    name: str
    kind: Kind
    load: Callable[[Path, ReaderOptions], StateDict]
    ordered: bool

    def takes(self, path: Path, head: bytes) -> bool:
        """Whether the content is of this format."""
        return kind_of(str(path), head) is self.kind

    def read(self, path: Path, options: ReaderOptions) -> ImportedGraph:
        """A skeleton: see `skeleton`."""
        findings = Findings()
        stored = self._stored(path, options)
        if options.map:
            findings.add("map", "", "names are mapped to those of a spec, which isn't given: --into spec.rnn")
        parts = parts_of(stored.weights, findings, _heads(options))
        for part in parts:
            if part.refusal:
                findings.add(part.source, "", part.refusal)
        if not parts and not findings.found:
            findings.add("", "", "it has no weights")
        findings.refuse_import(options.source or str(path))
        return skeleton(path.stem, parts, (*stored.notes, *findings.notes), ordered=self.ordered)

    def read_into(self, path: Path, signature: Signature, options: ReaderOptions) -> tuple[Mapping[str, Array], Sequence[str]]:
        """The weights of a given model: under its own names, or matched as `matched` says."""
        findings = Findings()
        stored = self._stored(path, options)
        own = by_own_names(stored.weights, signature)
        left = {name: value for name, value in stored.weights.items() if name not in own.values()}
        parts = [part for part in parts_of(left, findings, _heads(options)) if part.layer.weights]
        unknown = [str(finding) for finding in findings.found]
        findings.found.clear()
        taken = matched(parts, signature, options.map, findings, ordered=self.ordered, filled=own)
        findings.found += [Finding("", "", text) for text in unknown if findings.found]
        findings.refuse_import(options.source or str(path))
        taken |= {name: stored.weights[theirs] for name, theirs in own.items()}
        return taken, (*stored.notes, *findings.notes, *(f"not taken: {text}" for text in unknown))

    def _stored(self, path: Path, options: ReaderOptions) -> StateDict:
        """ImportRefused, rather than another ValueError, for a file that isn't sound, and for options that mean nothing here."""
        source = options.source or str(path)
        if faults := _faults(options, [PART, HEADS] if self.ordered else [HEADS]):
            raise ImportRefused(source, faults)
        try:
            return self.load(path, options)
        except ValueError as error:
            raise ImportRefused(source, [Finding("", "", str(error).removeprefix(f"{path}: "))]) from None


def _faults(options: ReaderOptions, known: Sequence[str]) -> list[Finding]:
    """What is said beside the file and has no meaning for weights by name."""
    what = f"weights by name have no input of this name; what can be said of them is {', '.join(known)}"
    faults = [Finding(f"input {name}", "", what) for name in options.inputs if name not in known]
    if options.weights is not None:
        faults.append(Finding("weights", "", "the file has weights itself"))
    faults += [Finding(f"cell {name}", "", "weights by name tell no class of a cell") for name in options.cells]
    heads = options.inputs.get(HEADS, 1)
    if not isinstance(heads, int) or heads < 1:
        faults.append(Finding(f"input {HEADS}", "", f"it is a whole number from 1, not {heads!r}"))
    return faults


def _heads(options: ReaderOptions) -> int | None:
    heads = options.inputs.get(HEADS)
    return heads if isinstance(heads, int) else None


READERS = (
    WeightsReader("PyTorch (.pt)", Kind.PYTORCH, _checkpoint, True),
    WeightsReader("safetensors", Kind.WEIGHTS, _safetensors, False),
    WeightsReader("numpy (.npz)", Kind.DATA, _npz, False),
)
