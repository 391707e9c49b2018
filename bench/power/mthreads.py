"""Moore Threads cards through mthreads-ml-py (pymtml): power readings only, since there is no energy counter.

Runs in the sampler's process only; nothing else imports pymtml.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.model import DEVICE_LOST, BenchError, CardState, Sample, Sensor
from bench.power.probe import period_s, watch

PROBE_S = 0.6


def _load() -> Any:
    try:
        import pymtml
    except ImportError:
        raise BenchError(
            "the Python package mthreads-ml-py is not installed", "pip install 'bitwatt[mthreads]'"
        ) from None
    try:
        pymtml.mtmlLibraryInit()
    except pymtml.MTMLError as error:
        raise BenchError(
            f"MTML does not start ({error})", "install the Moore Threads driver, or run with --meter none"
        ) from None
    return pymtml


class MthreadsReader:
    """One card, probed.

    Raises:
        BenchError: no single card matches, or its power cannot be read.
    """

    sensor: Sensor

    def __init__(self, mtml: Any, uuid: str | None, index: int | None) -> None:
        self._mtml = mtml
        self._failure: type[Exception] = mtml.MTMLError
        try:
            self._device, self._uuid = self._find(uuid, index)
            name = str(mtml.mtmlDeviceGetName(self._device))
            self._read_power()
        except self._failure as error:
            raise BenchError(
                f"MTML reports no power ({error})", "run as a user who may read the card, or run with --meter none"
            ) from None
        self._gpu = self._or_none(lambda: mtml.mtmlDeviceInitGpu(self._device))
        self._memory = self._or_none(lambda: mtml.mtmlDeviceInitMemory(self._device))
        changes = watch({"power": self._read_power}, PROBE_S, (self._failure,))
        self.sensor = Sensor(
            source="mthreads",
            scope="gpu",
            sensor_id=self._uuid,
            power_field="instant",
            power_period_s=period_s(changes["power"]),
            uncertainty_source="no gain or offset is published for Moore Threads' sensors",
            name=name,
        )

    def _find(self, uuid: str | None, index: int | None) -> tuple[Any, str]:
        mtml = self._mtml
        devices = [mtml.mtmlLibraryInitDeviceByIndex(number) for number in range(mtml.mtmlLibraryCountDevice())]
        uuids = [str(mtml.mtmlDeviceGetUUID(device)) for device in devices]
        if uuid is not None:
            matches = [number for number, known in enumerate(uuids) if known.lower().startswith(uuid.lower())]
        else:
            wanted = 0 if index is None and len(devices) == 1 else index
            matches = [wanted] if wanted is not None and wanted < len(devices) else []
        if len(matches) != 1:
            listing = ", ".join(f"{number}: {known}" for number, known in enumerate(uuids)) or "none"
            asked = uuid or f"index {index}"
            raise BenchError(
                f"{asked} matches no single Moore Threads card (there are {listing})", "use --meter mthreads:<index>"
            )
        return devices[matches[0]], uuids[matches[0]]

    def _or_none(self, call: Callable[[], Any]) -> Any:
        """The driver's answer, or None where it has none. For conditions, never for power."""
        try:
            return call()
        except self._failure:
            return None

    def _read_power(self) -> float:
        return int(self._mtml.mtmlDeviceGetPowerUsage(self._device)) / 1000

    def read(self) -> Sample:
        before_ns = time.monotonic_ns()
        power_w: float | None = None
        error: str | None = None
        try:
            power_w = self._read_power() or None
            if power_w is None:
                error = "the power reading was 0"
        except self._failure as failure:
            lost = getattr(failure, "value", None) == self._mtml.MTML_ERROR_GPU_IS_LOST
            error = f"{DEVICE_LOST}: {failure}" if lost else str(failure)
        t_ns = (before_ns + time.monotonic_ns()) // 2
        if error is not None:
            return Sample.failed(t_ns, error)
        mtml = self._mtml
        return Sample(
            t_ns=t_ns,
            power_w=power_w,
            temperature_c=self._or_none(lambda: mtml.mtmlGpuGetTemperature(self._gpu)) if self._gpu else None,
            sm_clock_mhz=self._or_none(lambda: mtml.mtmlGpuGetClock(self._gpu)) if self._gpu else None,
            mem_clock_mhz=self._or_none(lambda: mtml.mtmlMemoryGetClock(self._memory)) if self._memory else None,
        )

    def card_state(self) -> CardState:
        return CardState()

    def close(self) -> None:
        self._or_none(self._mtml.mtmlLibraryShutDown)


def open_reader(
    uuid: str | None = None, index: int | None = None, device_index: int | None = None, **_: object
) -> MthreadsReader:
    """Open the card with this UUID, else this MTML index, else the device's own index, else the only one.

    Raises:
        BenchError: pymtml or the driver is missing, no single card matches, or the card has no readable power.
    """
    return MthreadsReader(_load(), uuid, device_index if index is None else index)
