"""Drivers that lack functions, fields or values: the reader in this process, on the fake library, symbols hidden."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from bench.model import BenchError, Energy
from bench.power import nvml
from bench.power.energy import net_work_per_j
from tests.fakes.nvml.build import LIBRARY, build
from tests.fakes.nvml.truth import Card, Curve, write_script

UUID = "GPU-11111111-0000-0000-0000-000000000001"
REQUIRED = {
    "nvmlInitWithFlags",
    "nvmlShutdown",
    "nvmlErrorString",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
}
"""Without these no card can be found at all; every driver since 2013 has them."""
OPTIONAL = (
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetApplicationsClock",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetEccMode",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetPowerManagementDefaultLimit",
    "nvmlDeviceGetPowerManagementLimitConstraints",
    "nvmlDeviceGetHandleByPciBusId_v2",
    "nvmlDeviceGetCurrPcieLinkGeneration",
    "nvmlDeviceGetCurrPcieLinkWidth",
    "nvmlDeviceGetPersistenceMode",
    "nvmlDeviceGetComputeMode",
    "nvmlDeviceGetVbiosVersion",
    "nvmlDeviceGetBAR1MemoryInfo",
    "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles",
)
NO_EVENT_REASONS = {"nvmlDeviceGetCurrentClocksEventReasons"}
NO_TEMPERATURE_V = {"nvmlDeviceGetTemperatureV"}
NO_PROFILES = {"nvmlDeviceWorkloadPowerProfileGetCurrentProfiles"}
BEFORE_570 = NO_TEMPERATURE_V | NO_PROFILES
NO_FIELDS = {"no_power_field": 1, "no_reason_fields": 1}
DRIVERS: dict[str, tuple[set[str], dict[str, int]]] = {
    "470": ({"nvmlDeviceGetComputeRunningProcesses_v3"} | NO_EVENT_REASONS | BEFORE_570, NO_FIELDS),
    "525.84": (NO_EVENT_REASONS | BEFORE_570, NO_FIELDS),
    "525.112": (NO_EVENT_REASONS | BEFORE_570, {"no_reason_fields": 1}),
    "535": (BEFORE_570, {"no_reason_fields": 1}),
    "550": (BEFORE_570, {"no_reason_fields": 1}),
    "570": (set(), {"no_reason_fields": 1}),
    "580.65": (set(), {"numbers_of_580": 1}),
    "580.126": (set(), {}),
    "615": (set(), {}),
    "after CUDA 14": (
        {
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            "nvmlDeviceGetTemperature",
            "nvmlDeviceGetApplicationsClock",
        },
        {},
    ),
}
"""By driver: functions and fields that it lacks, read from nvidia-ml-py 11.470.66 to 13.615.71 (the functions that it
calls and the field numbers that it names are those of the driver's nvml.h) and from nvml.h of CUDA 12.0 to 13.5. The
last row lacks those functions of ours that nvidia-ml-py 13.615.71 says CUDA 14 removes."""


class Library:
    """The fake library without some of its functions, as ctypes shows an older one."""

    def __init__(self, library: ctypes.CDLL, hidden: set[str]) -> None:
        self._library, self._hidden = library, hidden

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(f"undefined symbol: {name}")
        return getattr(self._library, name)


Opener = Callable[..., nvml.NvmlReader]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return ctypes.CDLL(str(build(tmp_path_factory.mktemp("nvml")) / LIBRARY))


@pytest.fixture
def opened(library: ctypes.CDLL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Open the only card with some symbols hidden."""
    monkeypatch.setattr(nvml, "PROBE_S", 0.05)
    monkeypatch.setattr(nvml, "FIRST_READING_S", 0.0)

    def opener(hidden: set[str], keys: dict[str, Any] | None = None, **card: Any) -> nvml.NvmlReader:
        curve = card.pop("curve", Curve(((0.0, 300.0),)))
        cards = Card(UUID, curve, {"name": "NVIDIA H100 80GB HBM3", **(keys or {})}, **card)
        script = write_script(tmp_path / "script", time.monotonic_ns() - 2 * 10**9, cards)
        os.environ["FAKE_NVML_SCRIPT"] = str(script)
        library.nvmlShutdown()
        monkeypatch.setattr(pynvml, "nvmlLib", Library(library, hidden))
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        return nvml.open_reader(uuid=UUID, own_pid=1)

    yield opener
    library.nvmlShutdown()
    os.environ.pop("FAKE_NVML_SCRIPT", None)


@pytest.mark.parametrize("symbol", OPTIONAL)
def test_every_optional_function_may_be_missing(symbol: str, opened: Opener) -> None:
    """A driver without nvmlDeviceGetComputeRunningProcesses_v3 once stopped the sampler."""
    reader = opened({symbol})
    sample = reader.read()
    assert sample.error is None
    assert sample.power_w == pytest.approx(300) or sample.counter_j
    reader.card_state()
    reader.close()


def test_the_list_of_optional_functions_is_complete() -> None:
    """Every function that the reader's source names is required or in the list, whichever version NVML calls."""
    source = Path(nvml.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"nvmlDevice\w+", source))
    known = {symbol.removesuffix("_v2").removesuffix("_v3") for symbol in (*OPTIONAL, *REQUIRED)}
    assert named - known <= {"nvmlDeviceGetTemperature"}, "stands in for nvmlDeviceGetTemperatureV"


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver_branch(driver: str, opened: Opener) -> None:
    hidden, keys = DRIVERS[driver]
    reader = opened(hidden, keys, spans=(("throttle", (0.0, 1e9, 0x4)),))
    sample, state = reader.read(), reader.card_state()
    assert sample.error is None
    assert sample.power_w == pytest.approx(300)
    assert sample.counter_j
    assert sample.throttle == ("sw_power_cap",)
    assert sample.power_limit_w == 700
    assert reader.sensor.power_field == ("usage" if keys.get("no_power_field") else "instant")
    assert reader.sensor.ceiling_w == 1400
    assert state.power_limit_w == 700


def test_a_laptops_moving_limit_is_not_taken_for_one_that_somebody_set(opened: Opener) -> None:
    """Laptops let nobody set a limit; Dynamic Boost moves the enforced one by what the CPU leaves."""
    reader = opened({"nvmlDeviceGetPowerManagementLimit"}, {"name": "NVIDIA GeForce RTX 4090 Laptop GPU"})
    assert reader.read().power_limit_w is None
    assert reader.card_state().power_limit_w == 700


def test_fields_are_told_apart_where_drivers_number_them_differently(opened: Opener) -> None:
    """Field 251 is power smoothing, and in nvml.h of CUDA 12.9 and 13.0 the nanoseconds of thermal slowdown."""
    throttled = (("throttle", (0.0, 1e9, 0x40)),)
    for numbers_of_580 in (0, 1):
        reader = opened(set(), {"numbers_of_580": numbers_of_580}, spans=throttled)
        assert dict(reader.read().throttle_ns)["hw_thermal"] > 0
        assert reader.card_state().power_smoothing is None, "this card has no power smoothing"
        reader.close()
        reader = opened(set(), {"numbers_of_580": numbers_of_580, "settings": 1}, spans=throttled)
        assert dict(reader.read().throttle_ns)["hw_thermal"] > 0
        assert reader.card_state().power_smoothing is True
        reader.close()


@pytest.mark.parametrize("scope", [2, 3], ids=["MEMORY", "GPU_BASE"])
def test_a_scope_that_covers_a_part_of_the_card_is_not_its_power(scope: int, opened: Opener) -> None:
    with pytest.raises(BenchError, match="neither power nor energy"):
        opened(set(), {"module_only": scope})


def test_a_gb10_has_power_and_a_counter_but_neither_limits_nor_memory_information(opened: Opener) -> None:
    limits = {symbol for symbol in OPTIONAL if "Limit" in symbol}
    reader = opened(limits, {"name": "NVIDIA GB10"})
    assert (reader.sensor.power_field, reader.sensor.counter, reader.sensor.ceiling_w) == ("instant", True, None)
    assert reader.sensor.uncertainty_source is not None
    assert reader.sensor.uncertainty_source.startswith("Blackwell")
    sample = reader.read()
    assert (sample.power_w, sample.error, sample.power_limit_w) == (pytest.approx(300), None, None)
    assert (reader.card_state().power_limit_w, reader.card_state().bar1_mib) == (None, None)


def test_reasons_of_newer_drivers_keep_their_bits(opened: Opener) -> None:
    reader = opened(set(), spans=(("throttle", (0.0, 1e9, 0x200 | 0x400 | 0x2000)),))
    assert reader.read().throttle == ("board_limit", "reliability", "unknown_0x2000")


@pytest.mark.parametrize("keys", [{}, {"no_energy_field": 1}, {"no_power_field": 1}], ids=["fields", "calls", "usage"])
def test_not_available_is_a_failed_read_and_not_four_million_watts(keys: dict[str, int], opened: Opener) -> None:
    reader = opened(set(), keys, spans=(("missing", (3.0, 1e9)),))
    assert reader.read().error is None
    time.sleep(1.2)
    sample = reader.read()
    assert sample.missing
    assert sample.power_w is None
    assert sample.error


def test_a_power_that_is_never_available_is_not_chosen(opened: Opener) -> None:
    reader = opened(set(), spans=(("missing", (0.0, 1e9)),))
    assert reader.sensor.power_field is None
    assert reader.sensor.counter
    with pytest.raises(BenchError, match="neither power nor energy"):
        opened(set(), {"no_counter": 1}, spans=(("missing", (0.0, 1e9)),))


def test_settings_that_move_joules(opened: Opener) -> None:
    state = opened(set(), {"settings": 1, "app_mhz": 1200}).card_state()
    assert (state.power_profiles, state.power_smoothing, state.edpp_percent) == ("3 33", True, 110)
    assert (state.pcie_gen, state.pcie_width, state.persistence, state.compute_mode) == (
        5,
        16,
        True,
        "exclusive_process",
    )
    assert (state.vbios, state.bar1_mib, state.app_sm_clock_mhz) == ("96.00.99", 131072, 1200)
    older = opened(set()).card_state()
    assert {older.power_profiles, older.power_smoothing, older.edpp_percent, older.vbios, older.bar1_mib} == {None}


def test_net_work_is_unknown_while_smoothing_holds_a_floor() -> None:
    energy = Energy(100.0, "counter", "gpu", uncertainty_j=1.0)
    assert net_work_per_j(1000.0, energy, 2.0, 20.0, power_smoothing=True) is None
    assert net_work_per_j(1000.0, energy, 2.0, 20.0, power_smoothing=False) is not None
