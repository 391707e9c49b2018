"""AMD cards through amdsmi. Runs in the sampler's process only; nothing else imports amdsmi.

The energy counter of some cards is frozen or counts in another unit than stated, so it is used only where half a second
of it agrees with the power readings (docs/method.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.model import BenchError, CardState, Sample, Sensor
from bench.power import probe
from bench.power.probe import period_s, watch

SANITY_S = 0.5
SANITY_FACTOR = 2.0
"""Counter and power readings may differ by this factor over SANITY_S; a frozen or wrong counter differs by more."""
POWER_KEYS = (("socket_power", "instant"), ("current_socket_power", "instant"), ("average_socket_power", "average"))
"""Keys of the watts in amdsmi's power info, by version, and our name for the reading."""
COUNTER_KEYS = ("energy_accumulator", "power")
"""Keys of the count in amdsmi's energy info, newer versions first."""
MICRO = 1e-6
MOST_WATTS = 10_000
"""A limit above this is in microwatts."""


def _load() -> Any:
    try:
        import amdsmi
    except ImportError:
        raise BenchError("the Python package amdsmi is not installed", "pip install 'bitwatt[amd]'") from None
    except (OSError, KeyError) as error:
        raise BenchError(
            f"amdsmi finds no libamd_smi.so ({error})", "install ROCm's amd-smi-lib, or run with --meter none"
        ) from None
    return amdsmi


def _number(value: object) -> float | None:
    """A number, or None for the text that amdsmi returns where it has none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class AmdReader:
    """One card, probed.

    Raises:
        BenchError: amdsmi does not start, no single card matches, or it reports neither power nor energy.
    """

    sensor: Sensor

    def __init__(self, amdsmi: Any, uuid: str | None, pci_bus_id: str | None, index: int | None) -> None:
        self._smi = amdsmi
        self._failure: type[Exception] = amdsmi.AmdSmiException
        self.own_pid: int | None = None
        try:
            amdsmi.amdsmi_init()
            self._handle, self._uuid = self._find(uuid, pci_bus_id, index)
        except self._failure as error:
            raise BenchError(
                f"amdsmi failed ({_one_line(error)})", "check amd-smi on the command line, or run with --meter none"
            ) from None
        self._name = self._or_none(lambda: str(amdsmi.amdsmi_get_gpu_asic_info(self._handle)["market_name"]))
        known = [(key, name) for key, name in POWER_KEYS if self._watts(key)]
        self._power_key = known[0][0] if known else None
        field = known[0][1] if known else None
        changes, note = self._sanity()
        if self._power_key is None and not self._counter:
            raise BenchError(
                f"amdsmi reports neither power nor energy for {self._name or self._uuid}",
                "give the user access to /dev/kfd and /dev/dri, use another --meter, or run with --meter none",
            )
        self.sensor = Sensor(
            source="amd",
            scope="gpu",
            sensor_id=self._uuid,
            counter=self._counter,
            counter_period_s=period_s(changes["counter"]) if self._counter else None,
            counter_resolution_j=self._step_j if self._counter else None,
            power_field=field,
            power_period_s=period_s(changes.get("power", [])),
            uncertainty_source="no gain or offset is published for AMD's sensors",
            name=self._name,
            note=note,
        )

    def _find(self, uuid: str | None, pci_bus_id: str | None, index: int | None) -> tuple[Any, str]:
        smi = self._smi
        handles = list(smi.amdsmi_get_processor_handles())
        uuids = [str(smi.amdsmi_get_gpu_device_uuid(handle)) for handle in handles]
        buses = [str(smi.amdsmi_get_gpu_device_bdf(handle)).lower() for handle in handles]
        # HIP invents UUIDs of its own, so the bus decides first
        matches = [number for number, bus in enumerate(buses) if pci_bus_id is not None and bus == pci_bus_id.lower()]
        if not matches and uuid is not None:
            matches = [number for number, known in enumerate(uuids) if known.lower().startswith(uuid.lower())]
        if pci_bus_id is None and uuid is None:
            wanted = 0 if index is None and len(handles) == 1 else index
            matches = [wanted] if wanted is not None and wanted < len(handles) else []
        if len(matches) != 1:
            listing = ", ".join(f"{number}: {bus}" for number, bus in enumerate(buses)) or "none"
            asked = pci_bus_id or uuid or f"index {index}"
            raise BenchError(f"{asked} matches no single AMD card (there are {listing})", "use --meter amd:<index>")
        return handles[matches[0]], uuids[matches[0]]

    def _or_none(self, call: Callable[[], Any]) -> Any:
        """The driver's answer, or None where it has none. For settings and conditions, never for power."""
        try:
            return call()
        except (self._failure, KeyError):
            return None

    def _watts(self, key: str) -> float | None:
        info = self._or_none(lambda: self._smi.amdsmi_get_power_info(self._handle))
        return None if info is None else _number(info.get(key)) or None

    def _read_power(self) -> float:
        watts = _number(self._smi.amdsmi_get_power_info(self._handle).get(self._power_key))
        if not watts:
            raise ValueError("the power reading was 0 or absent")
        return watts

    def _read_counter(self) -> float:
        info = self._smi.amdsmi_get_energy_count(self._handle)
        count = next(float(info[key]) for key in COUNTER_KEYS if key in info)
        self._step_j = float(info["counter_resolution"]) * MICRO
        return count * self._step_j

    def _sanity(self) -> tuple[dict[str, list[float]], str | None]:
        """Watch counter and power for half a second; a counter that is frozen or wrong is not used, with a note."""
        self._step_j = 0.0
        seen: list[tuple[float, float]] = []
        watts: list[float] = []

        def counter() -> float:
            joules = self._read_counter()
            seen.append((time.monotonic(), joules))
            return joules

        def power() -> float:
            watts.append(self._read_power())
            return watts[-1]

        self._counter = self._or_none(self._read_counter) is not None
        reads: dict[str, Callable[[], float]] = {"counter": counter} if self._counter else {}
        if self._power_key is not None:
            reads["power"] = power
        changes = watch(reads, SANITY_S, (self._failure, ValueError, KeyError))
        if not self._counter:
            return changes, None
        problem = None
        if len(seen) < 2 or seen[-1][1] <= seen[0][1]:
            problem = f"was frozen for {SANITY_S:g} s"
        elif watts:
            counted_w = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])
            mean_w = sum(watts) / len(watts)
            if not 1 / SANITY_FACTOR < counted_w / mean_w < SANITY_FACTOR:
                problem = f"counted {counted_w:.0f} W while the power reading was {mean_w:.0f} W"
        if problem is None:
            return changes, None
        self._counter = False
        return changes, f"the card's energy counter {problem} and is not used"

    def read(self) -> Sample:
        power_w: float | None = None
        counter_j: float | None = None
        error: str | None = None
        before_ns = time.monotonic_ns()
        try:
            if self._power_key is not None:
                power_w = self._read_power()
            if self._counter:
                counter_j = self._read_counter()
        except self._failure as failure:
            error = _one_line(failure)
        except (ValueError, KeyError, StopIteration) as failure:
            error = str(failure)
        t_ns = (before_ns + time.monotonic_ns()) // 2
        if error is not None:
            return Sample.failed(t_ns, error, power_w=power_w, counter_j=counter_j)
        return Sample(
            t_ns=t_ns,
            power_w=power_w,
            counter_j=counter_j,
            temperature_c=self._temperature(),
            sm_clock_mhz=self._clock("GFX"),
            mem_clock_mhz=self._clock("MEM"),
        )

    def _temperature(self) -> float | None:
        smi = self._smi
        kind, metric = smi.AmdSmiTemperatureType, smi.AmdSmiTemperatureMetric
        for name in ("HOTSPOT", "EDGE"):
            value = _number(
                self._or_none(partial(smi.amdsmi_get_temp_metric, self._handle, kind[name], metric.CURRENT))
            )
            if value is not None:
                return value
        return None

    def _clock(self, name: str) -> float | None:
        kind = self._smi.AmdSmiClkType[name]
        return _number(self._or_none(lambda: self._smi.amdsmi_get_clock_info(self._handle, kind)["clk"]))

    def card_state(self) -> CardState:
        cap = self._or_none(lambda: self._smi.amdsmi_get_power_cap_info(self._handle)) or {}
        processes = self._or_none(lambda: self._smi.amdsmi_get_gpu_process_list(self._handle))
        others = None
        if processes is not None:
            others = probe.co_tenants([int(process.get("pid", 0)) for process in processes], self.own_pid)
        return CardState(
            power_limit_w=_limit_w(cap.get("power_cap")),
            default_power_limit_w=_limit_w(cap.get("default_power_cap")),
            co_tenants=others,
        )

    def close(self) -> None:
        self._or_none(self._smi.amdsmi_shut_down)


def _limit_w(value: object) -> float | None:
    watts = _number(value)
    if not watts:
        return None
    return watts * MICRO if watts > MOST_WATTS else watts


def _one_line(error: Exception) -> str:
    """The library's message in one line."""
    return " ".join(str(error).split())


def open_reader(
    uuid: str | None = None,
    pci_bus_id: str | None = None,
    index: int | None = None,
    own_pid: int | None = None,
    **_: object,
) -> AmdReader:
    """Open the card at this PCI bus id, else with this UUID, else at amdsmi's index.

    Raises:
        BenchError: amdsmi is missing, no single card matches, or the card has no readable power.
    """
    reader = AmdReader(_load(), uuid, pci_bus_id, index)
    reader.own_pid = own_pid
    return reader
