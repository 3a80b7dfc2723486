"""Where each peer lives: a virtual environment of its own, and one process a workload."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"

HERE = {"rnnspec": ("rnnspec", "llvmlite", "numpy"), "numpy": ("numpy",)}
"""Peers that run in the environment that this runs in, with the packages whose versions are shown."""

APART = {
    "torch": ("torch", "numpy"),
    "jax": ("jax", "jaxlib", "numpy"),
    "onnxruntime": ("onnxruntime", "onnx", "numpy"),
    "keras": ("keras", "jax", "numpy"),
}
"""Peers in environments that `install` makes, with the packages that they need."""

PEERS: Mapping[str, Sequence[str]] = {**HERE, **APART}


AT = "@"
"""`rnnspec@FOLDER` is this project in another checkout: before a change, say."""


def program_of(peer: str) -> str:
    """The peer's name without the checkout that it is in."""
    return peer.partition(AT)[0]


def file_stem(peer: str) -> str:
    """What the peer's files are called."""
    program, at, folder = peer.partition(AT)
    return f"{program}-{Path(folder).resolve().name}" if at else program


def root_of(peer: str) -> Path:
    """The checkout whose code the peer's process runs."""
    folder = peer.partition(AT)[2]
    return Path(folder).resolve() if folder else ROOT


def python_of(peer: str) -> Path:
    return Path(sys.executable) if program_of(peer) in HERE else BUILD / peer / "bin" / "python"


def is_installed(peer: str) -> bool:
    return program_of(peer) in PEERS and python_of(peer).exists() and (root_of(peer) / "benchmarks" / "worker.py").exists()


def installed() -> list[str]:
    return [peer for peer in PEERS if is_installed(peer)]


def install(requirement: str) -> None:
    """Makes the environment of a peer anew: "torch", or "torch==2.13.0+cpu" for a version of it."""
    peer = requirement.partition("==")[0]
    if peer not in APART:
        raise ValueError(f"there is no peer {peer} to install; there are {', '.join(APART)}")
    packages = [requirement, *(name for name in APART[peer] if name != peer)]
    subprocess.run([sys.executable, "-m", "venv", "--clear", BUILD / peer], check=True)
    subprocess.run([python_of(peer), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *packages], check=True)


INSTRUCTIONS: Mapping[str, Mapping[str, str]] = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "sse4.2": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
"""By the target in `RNNSPEC_TARGET`, what PyTorch, oneDNN, MKL and OpenBLAS call it."""

UNTOLD = ("jax", "keras", "onnxruntime")
"""Peers whose products take all instructions that there are: XLA's flag for it holds for the rest of its code alone."""


def comparable(peers: Sequence[str]) -> list[str]:
    """The peers that use no more instructions than the target in `RNNSPEC_TARGET` has, all of them if it names none with fewer."""
    return [peer for peer in peers if not _told() or peer not in UNTOLD]


def _told() -> Mapping[str, str]:
    """The variables by which peers are told of the target in `RNNSPEC_TARGET`."""
    return INSTRUCTIONS.get(os.environ.get("RNNSPEC_TARGET", ""), {})


def variables(threads: int, root: Path = ROOT) -> dict[str, str]:
    """The environment of a worker: so many threads, and no more instructions than asked for, in every library that can be told."""
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RNNSPEC_THREADS")
    eigen = "true" if threads > 1 else "false"
    # What Python compiles is kept, as it is of any package that pip installs.
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **{name: str(threads) for name in limits},
        **_told(),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": str(root),
    }


def pin(threads: int) -> None:
    """Keeps this process, and those that it starts, on the last so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
