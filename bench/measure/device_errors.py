"""What a device's failure means for the run: one sentence, and whether the other variants go on."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from bench.model import EXIT_INVALID, BenchError, Device, Skip, Variant, first_line

TOOLS = {
    "cuda": "nvidia-smi, dmesg",
    "rocm": "rocm-smi, dmesg",
    "musa": "mthreads-gmi, dmesg",
    "mlu": "cnmon, dmesg",
    "xpu": "xpu-smi, dmesg",
    "mps": "Console.app",
}
"""Kind of device → what shows whether it is still there."""

OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|cannot allocate|bad_alloc", re.I)
"""How torch, the C library and C++ say so where the error has no type of its own."""


@contextmanager
def translate(device: Device, variant: Variant) -> Iterator[None]:
    """Turn what torch, CuPy and NumPy raise when a device fails into one sentence.

    Which call raises says little: a GPU's fault surfaces at the next call that waits for it.

    Raises:
        Skip: out of memory, which ends this variant only.
        BenchError: the device failed.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        reason = first_line(error)
        if is_out_of_memory(error):
            # The frames of a failed constructor hold its tensors for as long as anybody holds the error.
            traceback.clear_frames(error.__traceback__)
            raise Skip(f"out of memory on {device.label} ({reason})", _more_memory(device)) from error
        raise BenchError(
            f"{device.label} failed in {variant.label} ({reason})", _advice(device), exit_code=EXIT_INVALID
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or bool(OUT_OF_MEMORY.search(str(error)))


def _more_memory(device: Device) -> str:
    if device.kind == "cpu":
        return "free memory, raise the limit of the container or of ulimit, or choose a smaller shape"
    return "free the device's memory, or choose a smaller shape, fewer tokens or a narrower type"


def _advice(device: Device) -> str:
    kept = "the rows measured before are kept"
    if device.kind == "cpu":
        return f"report this with the output of `bitwatt doctor`; {kept}"
    return f"see whether the device is still there ({_tools(device)}); {kept}"


def _tools(device: Device) -> str:
    if device.maker:
        return f"{device.maker}'s own tool, dmesg"
    return TOOLS.get(device.kind, "dmesg")
