"""Devices, streams and events of the stand-in, over the machine of ``tests.fakes.cuda.driver``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.fakes.cuda.driver import Card, CUDADriverError, CUDARuntimeError, machine


class _OutOfMemoryError(MemoryError):
    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class _CompileException(Exception):
    def __init__(self, msg: str, source: str, name: str, options: tuple[str, ...], backend: str = "nvrtc") -> None:
        super().__init__(msg)


def _memory() -> tuple[int, int]:
    card = machine.card()
    return card.total_bytes - card.used_bytes, card.total_bytes


def _occupancy(func: int, blockSize: int, dynamicSMemSize: int) -> int:
    return machine.card().occupancy(blockSize)


runtime = SimpleNamespace(CUDARuntimeError=CUDARuntimeError, memGetInfo=_memory)
driver = SimpleNamespace(CUDADriverError=CUDADriverError, occupancyMaxActiveBlocksPerMultiprocessor=_occupancy)
memory = SimpleNamespace(OutOfMemoryError=_OutOfMemoryError)
compiler = SimpleNamespace(CompileException=_CompileException)

_streams: list[Stream] = []


def get_current_stream() -> Stream:
    assert _streams, "work outside of `with stream` would land on the null stream"
    stream = _streams[-1]
    assert stream._card is machine.card(), "a stream of another device"
    return stream


class MemoryPool:
    def free_all_blocks(self) -> None:
        card = machine.card()
        card.used_bytes -= card.cached_bytes
        card.cached_bytes = 0
        machine.pool_emptied += 1


_pool = MemoryPool()


class Device:
    """Making one checks nothing, as in CuPy; its context opens when it is made current."""

    def __init__(self, device: int) -> None:
        self.id = device
        self._previous: list[int] = []

    @property
    def _card(self) -> Card:
        if not 0 <= self.id < len(machine.cards):
            raise CUDARuntimeError(101)
        return machine.cards[self.id]

    @property
    def attributes(self) -> dict[str, int]:
        return {"MultiProcessorCount": self._card.multiprocessors}

    @property
    def pci_bus_id(self) -> str:
        return self._card.pci_bus_id

    def use(self) -> None:
        machine.set_device(self.id)

    def __enter__(self) -> Device:
        self._previous.append(machine.current)
        self.use()
        return self

    def __exit__(self, *args: Any) -> None:
        machine.set_device(self._previous.pop())


class Stream:
    def __init__(self, *, non_blocking: bool = False) -> None:
        assert non_blocking, "a blocking stream would wait for torch's"
        self._card = machine.card()
        self._pending: list[Callable[[], None]] = []

    def _enqueue(self, work: Callable[[], None]) -> None:
        machine.card()
        self._pending.append(work)

    def _advance(self, until: Callable[[], None] | None = None) -> None:
        """Run what was enqueued, up to ``until`` or all of it."""
        self._card.check()
        if machine.next_failure("synchronize"):
            self._card.fail(719)
        while self._pending:
            work = self._pending.pop(0)
            work()
            if work is until:
                return

    def synchronize(self) -> None:
        self._advance()

    def __enter__(self) -> Stream:
        assert self._card is machine.card(), "a stream of another device"
        _streams.append(self)
        return self

    def __exit__(self, *args: Any) -> None:
        _streams.pop()


class Event:
    def __init__(self) -> None:
        machine.card()
        self._stream: Stream | None = None
        self._stamp: Callable[[], None] | None = None
        self._at_s: float | None = None

    def record(self, stream: Stream) -> None:
        self._stream, self._at_s = stream, None
        self._stamp = lambda: setattr(self, "_at_s", time.perf_counter())
        stream._enqueue(self._stamp)

    def synchronize(self) -> None:
        """Waits for this event only: what was enqueued after it has not run."""
        assert self._stream is not None
        if self._at_s is None:
            self._stream._advance(until=self._stamp)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds."""
    if start_event._at_s is None or end_event._at_s is None:
        raise CUDARuntimeError(600)
    return (end_event._at_s - start_event._at_s) * 1e3
