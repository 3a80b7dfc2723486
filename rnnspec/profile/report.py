"""What a profile says. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rnnspec.contract.location import Line
from rnnspec.profile.machine import Rates


@dataclass(frozen=True, slots=True)
class OperationCount:
    """Counted: operations in matrix products, all other arithmetic, elementary functions by name, and bytes."""

    matmul: int
    elementwise: int
    elementary: Mapping[str, int]
    bytes_read: int
    bytes_written: int

    def __add__(self, other: OperationCount) -> OperationCount:
        return OperationCount(
            self.matmul + other.matmul,
            self.elementwise + other.elementwise,
            {name: self.elementary.get(name, 0) + other.elementary.get(name, 0) for name in (*self.elementary, *other.elementary)},
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )

    @property
    def operations(self) -> int:
        return self.matmul + self.elementwise

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds that the work takes at least on this machine.

    `arithmetic` at its peak; `memory`, each buffer's bytes at the rate of reading a buffer of that size;
    `elementary` functions. `seconds`: arithmetic and memory at the same time, then the elementary functions.
    """

    arithmetic: float
    memory: float
    elementary: float
    seconds: float

    @staticmethod
    def of(arithmetic: float, memory: float, elementary: float) -> Limit:
        return Limit(arithmetic, memory, elementary, max(arithmetic, memory) + elementary)

    def __add__(self, other: Limit) -> Limit:
        """One after the other."""
        return Limit(
            self.arithmetic + other.arithmetic,
            self.memory + other.memory,
            self.elementary + other.elementary,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Kernel:
    """A loop nest. `name`: its place in the kernel IR, "2.0" for one in the step of scan 2, whose time and work are those of its step too.

    `writes`: the buffers that it fills; `shape`: over what it runs. `seconds`: the median of all calls; `fastest`: of one call.
    """

    name: str
    kind: str
    writes: tuple[str, ...]
    shape: str
    seconds: float
    fastest: float
    work: OperationCount
    limit: Limit
    lines: tuple[Line, ...] = ()
    """The lines of specs that it comes from."""

    @property
    def inner(self) -> bool:
        return "." in self.name


@dataclass(frozen=True, slots=True)
class FunctionProfile:
    """A native function. `every_call`: whether it runs in each call, or once for a set of weights."""

    name: str
    kernels: tuple[Kernel, ...]
    every_call: bool

    @property
    def outer(self) -> tuple[Kernel, ...]:
        """The kernels but for those inside of others."""
        return tuple(kernel for kernel in self.kernels if not kernel.inner)

    @property
    def seconds(self) -> float:
        return sum(kernel.seconds for kernel in self.outer)

    @property
    def fastest(self) -> float:
        return sum(kernel.fastest for kernel in self.outer)

    @property
    def work(self) -> OperationCount:
        return sum((kernel.work for kernel in self.outer), OperationCount(0, 0, {}, 0, 0))

    @property
    def limit(self) -> Limit:
        return sum((kernel.limit for kernel in self.outer), Limit(0.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class MemoryProfile:
    """Bytes beside inputs, outputs and weights, planned before a call.

    `workspace` while a call runs; `tape` from a recorded call to its gradients; `prepared` for a set of weights.
    """

    workspace: int
    tape: int
    prepared: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """Around the kernels. `call`: the same native calls without clocks in their code, from Python.

    `packing`: checks of the inputs and the packing index, before it; `update`: the optimizer's, after it, if training has one.
    """

    call: float
    packing: float
    update: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """`sizes`: batch, tokens, steps and so on. `repeats`: of which times are the medians.

    `share`: of a processor's time that the calls had; the rest went to other work.
    """

    model: str
    spec: str
    """The path of the spec, as `Kernel.lines` have it."""
    dtype: str
    training: bool
    sizes: Mapping[str, int]
    functions: tuple[FunctionProfile, ...]
    memory: MemoryProfile
    rates: Rates
    repeats: int
    seconds: Seconds
    share: float

    @property
    def each_call(self) -> FunctionProfile:
        """All that runs in each call, as one function."""
        running = [function for function in self.functions if function.every_call]
        return FunctionProfile("each call", tuple(kernel for function in running for kernel in function.kernels), True)


def as_data(found: Profile) -> dict[str, object]:
    """The profile as JSON has it."""
    rates = found.rates
    return {
        "model": found.model,
        "spec": found.spec,
        "dtype": found.dtype,
        "training": found.training,
        "sizes": dict(found.sizes),
        "repeats": found.repeats,
        "share": found.share,
        "seconds": {**asdict(found.seconds), "kernels": found.each_call.seconds},
        "memory": asdict(found.memory),
        "machine": {
            "operations_per_second": rates.peak,
            "bytes_per_second": {str(size): rate for size, rate in rates.reading.items()},
            "seconds_per_element": dict(rates.elementary),
        },
        "functions": [asdict(function) for function in found.functions],
    }
