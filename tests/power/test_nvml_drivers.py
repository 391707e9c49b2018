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
DRIVERS: dict[str, tuple[set[str], dict[str, int]]] = {
    "470": (
        {
            "nvmlDeviceGetComputeRunningProcesses_v3",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetTemperatureV",
        },
        {"no_power_field": 1, "no_reason_fields": 1},
    ),
    "525": (
        {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetTemperatureV"},
        {"no_power_field": 1, "no_reason_fields": 1},
    ),
    "550": ({"nvmlDeviceGetTemperatureV"}, {"no_reason_fields": 1}),
    "580": (set(), {}),
    "615": ({"nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetTemperature"}, {}),
}
"""By driver branch: functions and fields that it lacks."""


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
