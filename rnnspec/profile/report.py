"""A profile as plain data: counted operations and bytes, measured times, the machine's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from rnnspec.contract.location import Line
from rnnspec.frozen import frozen
from rnnspec.profile.machine import Rates


@frozen
class OperationCount:
    """Counts of one call: operations in matrix products, all other arithmetic, elementary functions by name, and bytes."""

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
        """Arithmetic operations, a multiply-add counted as two; without elementary functions."""
        return self.matmul + self.elementwise

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written


@frozen
class Limit:
    """The least time for the counted work on this machine, in seconds.

    `arithmetic`: at peak rate. `memory`: each buffer's bytes at the rate of reading a buffer of that size. `elementary`: elementary
    functions. `seconds`: the larger of arithmetic and memory, which overlap, plus the elementary functions.
    """

    arithmetic: float
    memory: float
    elementary: float
    seconds: float

    @staticmethod
    def of(arithmetic: float, memory: float, elementary: float) -> Limit:
        """The limit from its three parts."""
        return Limit(arithmetic, memory, elementary, max(arithmetic, memory) + elementary)

    def __add__(self, other: Limit) -> Limit:
        """The limit of two pieces of work that run one after the other."""
        return Limit(
            self.arithmetic + other.arithmetic,
            self.memory + other.memory,
            self.elementary + other.elementary,
            self.seconds + other.seconds,
        )


@frozen
class Kernel:
    """A loop nest with its time and work.

    `name`: its place in the kernel IR; "2.0" for a nest in the step of scan 2, whose own figures include those of its step. `writes`:
    the buffers that it fills. `shape`: its iteration space. `seconds`: the median over calls; `fastest`: of the fastest call.
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
    """Lines of specs from which the nest was made."""

    @property
    def inner(self) -> bool:
        """Whether the nest belongs to a scan's step."""
        return "." in self.name


@frozen
class FunctionProfile:
    """A native function. `every_call`: False for a prepare function, which runs once for a set of weights."""

    name: str
    kernels: tuple[Kernel, ...]
    every_call: bool

    @property
    def outer(self) -> tuple[Kernel, ...]:
        """The kernels but for those inside of others."""
        return tuple(kernel for kernel in self.kernels if not kernel.inner)

    @property
    def seconds(self) -> float:
        """Seconds of all kernels, each the median over calls."""
        return sum(kernel.seconds for kernel in self.outer)

    @property
    def fastest(self) -> float:
        """Seconds of all kernels, each at its fastest."""
        return sum(kernel.fastest for kernel in self.outer)

    @property
    def work(self) -> OperationCount:
        """The counts of all kernels together."""
        return sum((kernel.work for kernel in self.outer), OperationCount(0, 0, {}, 0, 0))

    @property
    def limit(self) -> Limit:
        """The least time of all kernels, one after the other."""
        return sum((kernel.limit for kernel in self.outer), Limit(0.0, 0.0, 0.0, 0.0))


@frozen
class MemoryProfile:
    """Planned memory in bytes, without inputs, outputs and weights.

    `workspace`: while a call runs. `tape`: from a recorded call to its gradients. `prepared`: for a set of weights.
    """

    workspace: int
    tape: int
    prepared: int


@frozen
class Seconds:
    """Seconds of a call as a whole.

    `call`: native calls from Python, without clocks in their code. `packing`: checks of the inputs and the packing index, before.
    `update`: the optimizer's step, after; None without one.
    """

    call: float
    packing: float
    update: float | None


@frozen
class Profile:
    """A model's profile on drawn inputs.

    `sizes`: batch, tokens, steps and the like of the call. `repeats`: the number of calls behind each median. `share`: the fraction of
    a processor's time that the calls had; below 1 other work ran beside them.
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
        """The kernels that run in each call, as a single function."""
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
