"""What is written for one target of a build: one library, or one a level of x86-64 behind functions that choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnspec.contract.dimensions import Dim, names_in, plus, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.target_names import LEVELS
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.deploy.archive import Member
from rnnspec.deploy.forward_layout import ForwardLayout
from rnnspec.deploy.library import Library, library
from rnnspec.deploy.object_symbols import undefined_symbols
from rnnspec.deploy.shared import Parts
from rnnspec.deploy.step_layout import StepLayout
from rnnspec.deploy.train_layout import TrainLayout
from rnnspec.driver.compilation import Compilation
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.kernel.count import NOTHING, count
from rnnspec.kernel.forward_memory import largest
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.target import Target


@frozen
class Layouts:
    """The C side of the functions that a build makes, at least one; `weights_file`: whether they take the weights as a parameter."""

    step: StepLayout | None
    forward: ForwardLayout | None
    weights_file: bool = False
    train: TrainLayout | None = None

    @property
    def prefix(self) -> str:
        """How all names begin."""
        return self.first.prefix

    @property
    def first(self) -> StepLayout | ForwardLayout:
        """One of them, for what all have."""
        layout = self.step or self.forward or (self.train and self.train.forward)
        assert layout is not None
        return layout

    def named(self, prefix: str) -> Layouts:
        """The same with names that begin otherwise."""
        step, forward, train = self.step, self.forward, self.train
        training = train and replace(train, forward=replace(train.forward, prefix=prefix))
        return replace(
            self, step=step and replace(step, prefix=prefix), forward=forward and replace(forward, prefix=prefix), train=training
        )


@frozen
class Built:
    """The libraries of one folder, `members` of its archive; of one library, or of several with the functions that choose last."""

    folder: str
    prefix: str
    libraries: tuple[Library, ...]
    members: tuple[Member, ...]

    @property
    def target(self) -> Target:
        """The target of the library, or of the lowest level."""
        return self.libraries[0].target

    @property
    def symbols(self) -> tuple[str, ...]:
        """The functions that users call."""
        return self.members[-1].symbols

    @property
    def parts(self) -> Parts:
        """All that a shared library is linked of."""
        return Parts(self.prefix, self.target, tuple(member.object_code for member in self.members), self.symbols)

    @property
    def imports(self) -> tuple[str, ...]:
        """The functions that it calls in other libraries; none for WebAssembly, whose linker refuses them."""
        if self.target.object_format == "Wasm":
            return ()
        own = {symbol for member in self.members for symbol in member.symbols}
        called = {name for member in self.members for name in undefined_symbols(member.object_code, self.target.object_format)}
        return tuple(sorted(called - own))

    @property
    def operations(self) -> int | None:
        """The products, sums and elementary functions of one step, none of it masked; None without that function."""
        step = self.libraries[0].export.step
        if step is None:
            return None
        function = step.kernels.function
        total = sum((count(nest, function) for nest in nests_of(function)), NOTHING)
        operations = plus(total.matmul, total.elementwise, *total.elementary.values())
        return value_of(operations, dict.fromkeys(names_in(operations), 1))

    @property
    def workspace(self) -> Dim | None:
        """The bytes of a forward call's workspace, at most; None without that function."""
        found = [each.workspace for each in self.libraries if each.workspace is not None]
        return largest(found) if found else None


def library_of(model: Compilation, weights: Mapping[str, Array], layouts: Layouts, target: Target, storage: WeightStorage) -> Library:
    """The library with the functions of some layouts for a target."""
    step, forward, train, in_file = layouts.step, layouts.forward, layouts.train, layouts.weights_file
    return library(model, weights, target, step=step, forward=forward, train=train, storage=storage, weights_file=in_file)


def built(
    model: Compilation, weights: Mapping[str, Array], layouts: Layouts, name: str, target: Target | None, storage: WeightStorage
) -> Built:
    """A model's library for a target, or with None for all levels of x86-64; matrices are kept as `storage` says."""
    prefix = layouts.prefix
    if target is not None:
        made = library_of(model, weights, layouts, target, storage)
        return Built(name, prefix, (made,), (Member(f"{prefix}.o", made.object_code, made.symbols),))
    libraries: list[Library] = []
    prefixes: dict[int, str] = {}
    for level, its_target in LEVELS.items():
        prefixes[level] = f"{prefix}_v{level}"
        own = layouts.named(prefixes[level])
        libraries.append(library_of(model, weights, own, BUILD_TARGETS[its_target], storage))
    lowest = libraries[0]
    emitted = model.backend.emit_dispatch(replace(lowest.export, prefix=prefix), prefixes, lowest.target)
    chooser = Member("levels.o", model.backend.assemble(emitted.text, lowest.target), emitted.symbols)
    members = [Member(f"v{level}.o", each.object_code, each.symbols) for level, each in zip(LEVELS, libraries, strict=True)]
    return Built(name, prefix, tuple(libraries), (*members, chooser))
