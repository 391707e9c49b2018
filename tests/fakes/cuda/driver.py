"""The machine behind the stand-in for CuPy: its cards, their memory, and what is scripted to fail.

``reset`` makes a new one. Tests read and write this module; the stand-in itself has no name that CuPy does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RUNTIME_ERRORS = {
    2: "cudaErrorMemoryAllocation: out of memory",
    100: "cudaErrorNoDevice: no CUDA-capable device is detected",
    101: "cudaErrorInvalidDevice: invalid device ordinal",
    600: "cudaErrorNotReady: device not ready",
    700: "cudaErrorIllegalAddress: an illegal memory access was encountered",
    719: "cudaErrorLaunchFailure: unspecified launch failure",
}
DRIVER_ERRORS = {
    200: "CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid",
    209: "CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available for execution on the device",
    700: "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
    719: "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
}
MULTIPROCESSORS = {75: 40, 80: 108, 86: 84, 89: 128, 90: 132, 100: 148, 120: 170}
"""T4, A100, A10, L40S less a few, H100, B200, RTX 5090: by compute capability × 10."""
THREADS_PER_MULTIPROCESSOR = {75: 1024, 80: 2048, 86: 1536, 89: 1536, 90: 2048, 100: 2048, 120: 1536}
BLOCKS_PER_MULTIPROCESSOR = {75: 16, 80: 32, 86: 16, 89: 24, 90: 32, 100: 32, 120: 24}
"""CUDA C++ Programming Guide, technical specifications per compute capability."""


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(RUNTIME_ERRORS[status])


class CUDADriverError(RuntimeError):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(DRIVER_ERRORS[status])


@dataclass
class Card:
    index: int
    arch: int = 90
    multiprocessors: int = 1
    """One, so that a grid that fills the card is small enough for this CPU."""
    one_block_fits: bool = True
    total_bytes: int = 1 << 30
    used_bytes: int = 0
    """Held by others, and by arrays; memory that CuPy's pool keeps counts until it is given back."""
    cached_bytes: int = 0
    opened: bool = False
    """Whether this process has a context there."""
    fault: int | None = None
    """CUDA errors that end a context are sticky: every later call fails with the same one."""

    @property
    def pci_bus_id(self) -> str:
        return f"0000:{0x3B + self.index:02X}:00.0"

    def check(self) -> None:
        if self.fault:
            raise CUDARuntimeError(self.fault)

    def fail(self, status: int) -> None:
        self.fault = status
        self.check()

    def occupancy(self, threads: int) -> int:
        if self.one_block_fits:
            return 1
        return min(THREADS_PER_MULTIPROCESSOR[self.arch] // threads, BLOCKS_PER_MULTIPROCESSOR[self.arch])

    def become(self, arch: int) -> None:
        """Take the size of a real card of this architecture."""
        self.arch, self.multiprocessors, self.one_block_fits = arch, MULTIPROCESSORS[arch], False


@dataclass
class Machine:
    cards: list[Card] = field(default_factory=lambda: [Card(0), Card(1)])
    current: int = 0
    """The thread's current device; it is the first until another is set, and has no context yet."""
    launches: list[tuple[int, int, int]] = field(default_factory=list)
    """``(device, blocks, threads)`` of every launch."""
    failures: list[str] = field(default_factory=list)
    """What fails next: ``launch``, ``synchronize``, ``nvrtc``, ``headers``, ``image`` or ``memory``."""
    pool_emptied: int = 0

    def card(self) -> Card:
        """The current card, with a context on it."""
        self.set_device(self.current)
        self.cards[self.current].check()
        return self.cards[self.current]

    def set_device(self, index: int) -> None:
        """As ``cudaSetDevice`` since CUDA 12: it opens a context on the device."""
        if not 0 <= index < len(self.cards):
            raise CUDARuntimeError(101)
        self.current = index
        self.cards[index].opened = True

    def next_failure(self, kind: str) -> bool:
        if kind in self.failures:
            self.failures.remove(kind)
            return True
        return False


machine = Machine()


def reset() -> Machine:
    """A new machine: two cards, nothing scripted."""
    machine.__init__()  # type: ignore[misc]
    return machine
