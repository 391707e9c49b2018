"""Devices, streams and events of the stand-in. Module state stands for the machine; ``reset`` makes it new."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace, TracebackType


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):
    pass


def _occupancy(_function: int, _block: int, _shared: int) -> int:
    return 1


def _memory() -> tuple[int, int]:
    current_device()
    return FREE_BYTES, 2 * FREE_BYTES


runtime = SimpleNamespace(CUDARuntimeError=CUDARuntimeError, memGetInfo=_memory)
driver = SimpleNamespace(CUDADriverError=CUDADriverError, occupancyMaxActiveBlocksPerMultiprocessor=_occupancy)
memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
compiler = SimpleNamespace(CompileException=CompileException)

DEVICES = 2
MULTIPROCESSORS = 1
FREE_BYTES = 4 << 20

launches: list[tuple[int, int, int]] = []
"""``(device, blocks, threads)`` of every launch."""
failures: list[str] = []
"""What fails next: ``launch``, ``synchronize``, ``compile`` or ``memory``."""
_devices: list[int] = []
_streams: list[Stream] = []


def reset() -> None:
    launches.clear()
    failures.clear()
    _devices.clear()
    _streams.clear()


def next_failure(kind: str) -> bool:
    if kind in failures:
        failures.remove(kind)
        return True
    return False


def current_device() -> int:
    assert _devices, "work outside of `with Device(...)` would land on the first device"
    return _devices[-1]


def current_stream() -> Stream:
    assert _streams, "work outside of `with stream` would land on the null stream"
    return _streams[-1]


class Device:
    def __init__(self, index: int) -> None:
        if not 0 <= index < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = index
        self.attributes = {"MultiProcessorCount": MULTIPROCESSORS}
        self.pci_bus_id = f"0000:{0x3B + index:02X}:00.0"

    def __enter__(self) -> Device:
        _devices.append(self.id)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _devices.pop()


class Stream:
    def __init__(self, *, non_blocking: bool = False) -> None:
        assert non_blocking, "a blocking stream would wait for torch's"
        self.device = current_device()
        self.pending: list[Callable[[], None]] = []

    def enqueue(self, work: Callable[[], None]) -> None:
        self.pending.append(work)

    def synchronize(self) -> None:
        if next_failure("synchronize"):
            raise CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure")
        pending, self.pending = self.pending, []
        for work in pending:
            work()

    def __enter__(self) -> Stream:
        _streams.append(self)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _streams.pop()


class Event:
    def __init__(self) -> None:
        self._stream: Stream | None = None
        self.at_s = 0.0

    def record(self, stream: Stream) -> None:
        self._stream = stream
        stream.enqueue(self._stamp)

    def _stamp(self) -> None:
        self.at_s = time.perf_counter()

    def synchronize(self) -> None:
        assert self._stream is not None
        self._stream.synchronize()


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds."""
    return (end.at_s - start.at_s) * 1e3
