"""What the other cards of a node draw while one card is measured: they heat its air and load its supply."""

from __future__ import annotations

import threading
import time
from typing import Any

INTERVAL_S = 1.0
"""NVML's power is an average over a second on most cards."""


class Neighbours:
    """Polls the power of every other NVIDIA card of the machine, also of cards that this fleet does not measure."""

    def __init__(self, own_uuid: str | None) -> None:
        self._own = own_uuid
        self._seen: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def mean_w(self, start_s: float, end_s: float) -> float | None:
        """Mean power in [start, end] (Unix time), summed over the other cards.

        None where there are none, or nothing was read. Under :data:`INTERVAL_S` of time the nearest poll counts.
        """
        seen = list(self._seen)
        inside = [watts for at, watts in seen if start_s <= at <= end_s]
        if not inside and seen:
            at, watts = min(seen, key=lambda each: abs(each[0] - (start_s + end_s) / 2))
            inside = [watts] if abs(at - (start_s + end_s) / 2) <= INTERVAL_S else []
        return sum(inside) / len(inside) if inside else None

    def close(self) -> None:
        """Stop polling. A read that hangs in the driver is left behind."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _poll(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
            others = _others(pynvml, self._own)
        except pynvml.NVMLError:
            return
        while others and not self._stop.is_set():
            watts = []
            for handle in others:
                try:
                    watts.append(pynvml.nvmlDeviceGetPowerUsage(handle) / 1000)
                except pynvml.NVMLError:
                    continue
            if len(watts) == len(others):
                self._seen.append((time.time(), sum(watts)))
            self._stop.wait(INTERVAL_S)


def _others(pynvml: Any, own_uuid: str | None) -> list[Any]:
    handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    return [handle for handle in handles if str(pynvml.nvmlDeviceGetUUID(handle)) != own_uuid]
