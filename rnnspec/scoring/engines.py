"""Who scores partitions: this process, or the workers of Dask or of Ray, which do those again whose worker has died.

Dask and Ray are loaded for their own runs alone. An engine gives the outcomes as they come, in any order.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import textwrap
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, assert_never

from rnnspec.contract.thread_count import processors
from rnnspec.frozen import frozen
from rnnspec.scoring.engine_name import EngineName
from rnnspec.scoring.partition import Outcome, Partition, score_partition

CONNECT_SECONDS = 10
"""How long a cluster has to answer."""

DEATHS = 4
"""How many workers a partition may cost, in a cluster that is made here, until it is given up."""


Work = Callable[[Partition], Outcome]


@frozen
class Engine:
    """`address`: of a cluster that is there, None for one that is made and taken down; `workers`: of one that is made."""

    name: EngineName
    address: str | None = None
    workers: int | None = None

    @property
    def threads(self) -> int | None:
        """The threads of a call in a worker: this machine's processors are shared by the workers here; None where others decide."""
        if self.name is EngineName.local or self.address is not None:
            return None
        return max(1, processors() // self.made)

    @property
    def made(self) -> int:
        """The number of workers of a cluster that is made."""
        return self.workers or processors()

    def run(self, partitions: Sequence[Partition], work: Work = score_partition) -> Generator[Outcome]:
        """The outcomes of all partitions, as they come; of none nobody is asked. Closed early, it takes its cluster down.

        `work`: what is done with each. ValueError if the engine isn't installed or doesn't answer.
        """
        if not partitions:
            return
        match self.name:
            case EngineName.local:
                yield from map(work, partitions)
            case EngineName.dask:
                yield from _run_dask(self, partitions, work)
            case EngineName.ray:
                yield from _run_ray(self, partitions, work)
            case _:
                assert_never(self.name)

    def check(self) -> None:
        """ValueError if the engine isn't installed or nobody answers under its address, before anything is written."""
        if self.name is not EngineName.local:
            _library(self.name, "distributed" if self.name is EngineName.dask else "ray")
        if self.address is not None:
            _check_answers(self.name, self.address)


def _library(engine: EngineName, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(f"--engine {engine}: it isn't installed: pip install 'rnnspec[{engine}]'") from None


_GREETINGS = {EngineName.dask: b"", EngineName.ray: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"}
"""What is said to the head of a cluster for a word of it: a scheduler of Dask speaks first, one of Ray is a server of HTTP/2."""


def _check_answers(engine: EngineName, address: str) -> None:
    """ValueError if nobody answers at `host:port`, with a scheme in front or without one.

    The engines' own clients wait for minutes for a head that takes a connection and says nothing.
    """
    host, colon, port = address.rpartition("://")[2].rstrip("/").rpartition(":")
    if not colon or not port.isdigit():
        if engine is EngineName.ray and address == "auto":
            return
        raise ValueError(f"--address {address}: expected the address of a cluster, host:port")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as connection:
            if not address.startswith("tls://"):
                connection.sendall(_GREETINGS[engine])
                if not connection.recv(1):
                    raise ConnectionError("the connection was closed")
    except (OSError, OverflowError) as error:
        raise ValueError(f"--address {address}: no {engine} cluster answers there: {error}") from None


def _given_up(partition: Partition) -> Outcome:
    return Outcome(partition, problem=f"{partition.source}: worker after worker that scored it has died: is there enough memory?")


def _without_rnnspec(engine: EngineName, error: Exception) -> ValueError:
    return ValueError(f"--engine {engine}: a worker can't load rnnspec: install the same version on all machines ({error})")


@contextmanager
def _quiet(*names: str) -> Generator[None]:
    """Without the log of a library, whose messages of dying workers and lost connections are no user's."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _dask_client(engine: Engine) -> Generator[Any]:
    distributed = _library(EngineName.dask, "distributed")
    if engine.address is not None:
        try:
            client = distributed.Client(engine.address, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(f"--address {engine.address}: no scheduler of Dask answers there: {error}") from None
        with client:
            yield client
        return
    with (
        distributed.LocalCluster(n_workers=engine.made, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def _run_dask(engine: Engine, partitions: Sequence[Partition], work: Work) -> Generator[Outcome]:
    distributed = _library(EngineName.dask, "distributed")
    config = importlib.import_module("dask").config
    settings = {"distributed.scheduler.allowed-failures": DEATHS // 2 - 1, "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s"}
    with _quiet("distributed"), config.set(settings), _dask_client(engine) as client:
        futures = client.map(work, partitions, pure=False)
        of_future = dict(zip((future.key for future in futures), partitions, strict=True))
        suspects: list[Partition] = []
        for future in distributed.as_completed(futures):
            try:
                yield _result_of_dask(future)
            except distributed.KilledWorker:
                suspects.append(of_future[future.key])
            future.release()
        # The scheduler suspects all that a dying worker had before it: one at a time, it is the partition's own doing.
        for partition in suspects:
            try:
                yield _result_of_dask(client.submit(work, partition, pure=False))
            except distributed.KilledWorker:
                yield _given_up(partition)


def _result_of_dask(future: Any) -> Outcome:
    try:
        return future.result()
    except (ImportError, AttributeError) as error:
        raise _without_rnnspec(EngineName.dask, error) from None


@contextmanager
def ray_session(engine: Engine) -> Generator[Any]:
    """Ray, connected to its cluster, or to one that is made and taken down; as it is where this process is connected already."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = _library(EngineName.ray, "ray")
    if ray.is_initialized():
        yield ray
        return
    local: dict[str, Any] = {} if engine.address is not None else {"num_cpus": engine.made, "include_dashboard": False}
    try:
        ray.init(address=engine.address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **local)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        if engine.address is None:
            raise
        reason = "no head of Ray answers there, or it wants a token (RAY_AUTH_MODE)"
        raise ValueError(f"--address {engine.address}: {reason}: {textwrap.shorten(str(error), 400)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _run_ray(engine: Engine, partitions: Sequence[Partition], work: Work) -> Generator[Outcome]:
    with ray_session(engine) as ray:
        score = ray.remote(num_cpus=1, max_retries=DEATHS - 1)(work)
        waiting = {score.remote(each): each for each in partitions}
        died = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)
        while waiting:
            ready: list[Any] = ray.wait([*waiting], num_returns=1)[0]
            for each in ready:
                partition = waiting.pop(each)
                try:
                    yield ray.get(each)
                except died:
                    yield _given_up(partition)
                except (ImportError, AttributeError) as error:
                    raise _without_rnnspec(EngineName.ray, error) from None
