"""NVIDIA cards through NVML. Runs in the sampler's process only; nothing else imports nvidia-ml-py.

What is used, and why, is in docs/method.md. Sources for numbers: nvml.h (field ids, reason bits, units).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import pynvml

from bench.data import cards
from bench.model import DEVICE_LOST, BenchError, CardState, Sample, Sensor
from bench.model.throttle import reason_names
from bench.power import nvml_fields, nvml_modes, probe, wsl
from bench.power.nvml_fields import NOT_AVAILABLE_MJ, NOT_AVAILABLE_MW, available, number_of
from bench.power.probe import period_s, watch

PROBE_S = 0.6
"""How long update periods are looked for: six updates of a 100 ms sensor."""
CONDITIONS_NS = 220_000_000
"""Temperature, clocks and clocks-event reasons are read every fourth poll of 60 ms: they cost more than the watts."""
FIRST_READING_S = 0.2
"""How long a first reading is tried for, since a single read may fail by chance."""
COUNTER_STEP_J = 0.001
AVERAGING_S = 1.0
"""Length of NVML's averaged power reading [nvml.h]."""

TOGETHER = (
    (pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_GPU),
    (pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0),
)
"""Field values that carry instant power and the energy counter."""
TOGETHER_TYPES = (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG)

Conditions = tuple[float | None, float | None, float | None, tuple[str, ...], tuple[tuple[str, int], ...], float | None]
"""Temperature, SM and memory clock, active clocks-event reasons, cumulative nanoseconds of each that invalidates, and
the power limit that is set."""

CEILING = 2.0
"""Watts above this many times the highest limit that the card accepts are a failed read."""
COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
"""Names of nvmlComputeMode_t, in order."""
MIB = 1 << 20
_NO_ANSWER = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError, AttributeError)

_LOST_CODES = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_GPU_NOT_FOUND, pynvml.NVML_ERROR_RESET_REQUIRED)
_FINAL_CODES = (
    *_LOST_CODES,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_INVALID_ARGUMENT,
)


def _explain(error: pynvml.NVMLError) -> str:
    return f"{DEVICE_LOST}: {error}" if error.value in _LOST_CODES else str(error)


def _or_none(call: Callable[..., Any], *arguments: object) -> Any:
    """The driver's answer, or None where it has none. For settings and conditions, never for power.

    An older driver lacks newer functions, and an older nvidia-ml-py their wrappers.
    """
    try:
        return call(*arguments)
    except _NO_ANSWER:
        return None


def _function(*names: str) -> Callable[..., Any]:
    """The first of these that nvidia-ml-py has; a function that answers nothing where it has none."""
    for name in names:
        found: Callable[..., Any] | None = getattr(pynvml, name, None)
        if found is not None:
            return found
    return lambda *_: None


def _answering(names: tuple[str, ...], *arguments: object) -> Callable[..., Any]:
    """The first of these functions that gives an answer; the last one where none does."""
    for name in names:
        if _or_none(_function(name), *arguments) is not None:
            return _function(name)
    return _function(names[-1])


def initialise() -> None:
    """Start NVML. Raises :class:`BenchError` where that fails."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise BenchError(
            f"NVML does not start ({error})",
            wsl.no_driver(),
        ) from None


def _plain(uuid: str) -> str:
    return uuid.lower().removeprefix("gpu-")


def find(uuid: str | None, pci_bus_id: str | None, index: int | None) -> tuple[Any, str]:
    """Find one card: gives its NVML handle and UUID. CUDA and NVML number cards differently, so the UUID decides.

    Raises:
        BenchError: it is a MIG slice, or no single card matches.
    """
    handles: dict[int, Any] = {}
    uuids: dict[int, str] = {}
    for number in range(pynvml.nvmlDeviceGetCount()):
        # A card that is lost or forbidden to us says nothing of the others.
        handle = _or_none(pynvml.nvmlDeviceGetHandleByIndex, number)
        known = None if handle is None else _or_none(pynvml.nvmlDeviceGetUUID, handle)
        if known is not None:
            handles[number], uuids[number] = handle, str(known)
    if uuid is not None and uuid.upper().startswith("MIG-"):
        raise _slice_error(uuid)
    if uuid is not None:
        matches = [number for number, known in uuids.items() if _plain(known).startswith(_plain(uuid))]
        if not matches and pci_bus_id is not None:
            _refuse_slice(uuid, _or_none(pynvml.nvmlDeviceGetHandleByPciBusId, pci_bus_id))
    elif pci_bus_id is not None:
        handle = _or_none(pynvml.nvmlDeviceGetHandleByPciBusId, pci_bus_id)
        found = None if handle is None else str(pynvml.nvmlDeviceGetUUID(handle))
        matches = [number for number, known in uuids.items() if known == found]
    elif index is not None:
        matches = [index] if index in handles else []
    else:
        matches = list(handles) if len(handles) == 1 else []
    if len(matches) != 1:
        asked = uuid or pci_bus_id or (f"index {index}" if index is not None else "a card without UUID")
        listing = ", ".join(f"{number}: {known}" for number, known in uuids.items()) or "none"
        problem = "matches several NVML cards" if matches else "matches no NVML card"
        raise BenchError(f"{asked} {problem} (there are {listing})", "name one of them with --meter nvml:<UUID>")
    return handles[matches[0]], uuids[matches[0]]


def _slice_error(uuid: str) -> BenchError:
    return BenchError(
        f"NVML reports no power for {uuid} (a MIG slice): board power belongs to no slice",
        "turn MIG off and measure the whole card, or run with --meter none",
    )


def _refuse_slice(uuid: str, handle: Any) -> None:
    """Torch prints a slice's UUID without its MIG- prefix: the card at its PCI address tells what it is.

    Raises:
        BenchError: that card is cut into slices.
    """
    modes = None if handle is None else _or_none(pynvml.nvmlDeviceGetMigMode, handle)
    if modes is not None and modes[0]:
        raise _slice_error(uuid)


class NvmlReader:
    """One card, probed: which readings exist, in which scope, and how often they change.

    Raises:
        BenchError: the card has no readable power or energy, with why.
    """

    sensor: Sensor

    def __init__(self, handle: Any, uuid: str) -> None:
        self._handle = handle
        self._uuid = uuid
        self._name = str(pynvml.nvmlDeviceGetName(handle))
        mig = _or_none(pynvml.nvmlDeviceGetMigMode, handle)
        if mig is not None and mig[0]:
            raise BenchError(
                f"NVML reports no power for {self._name} (MIG is on): board power belongs to no slice",
                "turn MIG off and measure the whole card, or run with --meter none",
            )
        self._problems: list[str] = []
        self._power, self._field, self._scope = self._choose_power()
        self._counter = self._works("energy counter", self._read_counter) and self._scope != "module"
        if self._power is None and not self._counter:
            raise BenchError(
                f"NVML reports neither power nor energy for {self._name} ({'; '.join(self._problems)})",
                wsl.no_power(),
            )
        self._together = self._find_together()
        self._reason_fields: tuple[tuple[int, str], ...]
        self._smoothing_field: int
        found = _or_none(nvml_fields.reason_fields, handle)
        self._reason_fields, self._smoothing_field = found or ((), nvml_fields.NUMBERINGS[0][1])
        self._reasons = _answering(
            ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"), handle
        )
        self._temperature = _answering(
            ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"), handle, pynvml.NVML_TEMPERATURE_GPU
        )
        # Not the enforced limit, which a laptop's Dynamic Boost moves all the time without anybody setting it.
        self._limit = _answering(("nvmlDeviceGetPowerManagementLimit",), handle)
        self.sensor = self._probe()
        self._conditions: Conditions = (None, None, None, (), (), None)
        self._conditions_due_ns = 0

    # which readings exist ---------------------------------------------------------------------------------------------

    def _read_field(self, field_id: int, scope: int) -> float:
        value = pynvml.nvmlDeviceGetFieldValues(self._handle, [(field_id, scope)])[0]
        return available(number_of(value), NOT_AVAILABLE_MW)

    def _read_counter(self) -> float:
        return available(int(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)), NOT_AVAILABLE_MJ) / 1000

    def _find_together(self) -> Callable[[], tuple[float, float]] | None:
        """Watts and joules in one call, where the driver has both among its field values; None where it has not.

        Half of a poll's cost is nvidia-ml-py's making of arrays, so this one is made once and filled again.
        """
        if self._field != "instant" or self._scope != "gpu" or not self._counter:
            return None
        fields = (pynvml.c_nvmlFieldValue_t * len(TOGETHER))()
        power, counter = fields
        for field, (field_id, scope) in zip(fields, TOGETHER, strict=True):
            field.fieldId, field.scopeId = field_id, scope
        handle, count, pointer = self._handle, ctypes.c_int32(len(TOGETHER)), ctypes.byref(fields)
        call = pynvml.nvmlLib.nvmlDeviceGetFieldValues

        def read() -> tuple[float, float]:
            code = call(handle, count, pointer) or power.nvmlReturn or counter.nvmlReturn
            if code:
                raise pynvml.NVMLError(code)
            power_mw = available(power.value.uiVal, NOT_AVAILABLE_MW)
            return power_mw / 1000, available(counter.value.ullVal, NOT_AVAILABLE_MJ) / 1000

        try:
            before_j = self._read_counter()
            power_w, counter_j = read()
            if (power.valueType, counter.valueType) != TOGETHER_TYPES:
                return None
            # it must be the same counter, between two direct readings of it
            return read if power_w > 0 and before_j <= counter_j <= self._read_counter() else None
        except _NO_ANSWER:
            return None

    def _works(self, what: str, read: Callable[[], float]) -> bool:
        """Whether a reading exists. One that may only have failed by chance is tried for a while."""
        deadline_s = time.monotonic() + FIRST_READING_S
        while True:
            try:
                if read() > 0:
                    return True
                problem = "answers 0"
            except pynvml.NVMLError as error:
                problem = str(error)
                if error.value in _FINAL_CODES:
                    deadline_s = 0.0
            except (AttributeError, pynvml.NVMLLibraryMismatchError) as error:
                problem, deadline_s = str(error), 0.0
            if time.monotonic() >= deadline_s:
                self._problems.append(f"{what}: {problem}")
                return False
            time.sleep(0.02)

    def _choose_power(self) -> tuple[Callable[[], float] | None, str | None, str]:
        """The best power reading: instant before usage before averaged; the card's own scope before the module's.

        The scopes MEMORY and GPU_BASE are never asked for: the one is a part of the card, the other has limits only.
        """

        def field(field_id: int, scope: int) -> Callable[[], float]:
            return lambda: self._read_field(field_id, scope) / 1000

        def usage() -> float:
            return available(int(pynvml.nvmlDeviceGetPowerUsage(self._handle)), NOT_AVAILABLE_MW) / 1000

        instant, average = pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_POWER_AVERAGE
        gpu, module = pynvml.NVML_POWER_SCOPE_GPU, pynvml.NVML_POWER_SCOPE_MODULE
        candidates: list[tuple[Callable[[], float], str, str]] = [
            (field(instant, gpu), "instant", "gpu"),
            (usage, "usage", "gpu"),
            (field(average, gpu), "average", "gpu"),
        ]
        for read, name, scope in candidates:
            if self._works(f"{name} power", read):
                return read, name, scope
        if self._works("energy counter", self._read_counter):
            return None, None, "gpu"  # a module's watts would not fit the card's joules
        for field_id, name in ((instant, "instant"), (average, "average")):
            read = field(field_id, module)
            if self._works(f"{name} module power", read):
                return read, name, "module"
        return None, None, "gpu"

    def _probe(self) -> Sensor:
        """Poll quickly for a moment and see how often the readings change."""
        reads: dict[str, Callable[[], float]] = {}
        if self._counter:
            reads["counter"] = self._read_counter
        if self._power is not None:
            reads["power"] = self._power
        changes = watch(reads, PROBE_S, (pynvml.NVMLError,))
        family = cards.sensor(self._name)
        averaging_s = AVERAGING_S if self._field == "average" or family.usage_averages else None
        averaging_s = averaging_s if self._field in ("average", "usage") else None
        delay_s = None
        if family.averaging_s is not None and family.power_field == self._field:  # measured
            averaging_s, delay_s = family.averaging_s or None, family.delay_s
        return Sensor(
            source="nvml",
            scope=self._scope,
            sensor_id=self._uuid,
            counter=self._counter,
            counter_period_s=period_s(changes["counter"]) if self._counter else None,
            counter_resolution_j=COUNTER_STEP_J if self._counter else None,
            power_field=self._field,
            power_period_s=(period_s(changes["power"]) or family.period_s) if self._power is not None else None,
            averaging_s=averaging_s,
            duty=family.duty,
            delay_s=delay_s,
            counter_delay_s=family.counter_delay_s if self._counter else None,
            gain_uncertainty=family.gain_uncertainty,
            offset_uncertainty_w=family.offset_uncertainty_w,
            uncertainty_source=f"{family.family}: {family.source}",
            name=self._name,
            ceiling_w=self._ceiling_w(),
        )

    def _ceiling_w(self) -> float | None:
        limits_mw = [
            _or_none(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, self._handle),
            _or_none(pynvml.nvmlDeviceGetEnforcedPowerLimit, self._handle),
            *(_or_none(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, self._handle) or ()),
        ]
        highest_mw = max((limit for limit in limits_mw if limit and limit != NOT_AVAILABLE_MW), default=None)
        return None if highest_mw is None else CEILING * highest_mw / 1000

    # polling ----------------------------------------------------------------------------------------------------------

    def read(self) -> Sample:
        error: str | None = None
        power_w: float | None = None
        counter_j: float | None = None
        before_ns = time.monotonic_ns()
        try:
            if self._together is not None:
                power_w, counter_j = self._together()
            else:
                power_w = self._power() if self._power is not None else None
                counter_j = self._read_counter() if self._counter else None
            if power_w is not None and power_w <= 0:
                power_w, error = None, "the power reading was 0"
        except pynvml.NVMLError as failure:
            error = _explain(failure)
        t_ns = (before_ns + time.monotonic_ns()) // 2
        if error is None and t_ns >= self._conditions_due_ns:
            self._conditions = self._read_conditions()
            self._conditions_due_ns = t_ns + CONDITIONS_NS
        temperature_c, sm_mhz, mem_mhz, throttle, throttle_ns, limit_w = self._conditions
        missing = error is not None
        return Sample(
            t_ns, power_w, counter_j, temperature_c, sm_mhz, mem_mhz, throttle, missing, error, throttle_ns, limit_w
        )

    def _read_conditions(self) -> Conditions:
        """Temperature, clocks and clocks-event reasons; they stand until they are read again."""
        handle = self._handle
        mask = _or_none(self._reasons, handle) or 0
        limit_mw = _or_none(self._limit, handle)
        throttle_ns: tuple[tuple[str, int], ...] = ()
        if self._reason_fields:
            values = _or_none(pynvml.nvmlDeviceGetFieldValues, handle, [number for number, _ in self._reason_fields])
            if values is not None:
                throttle_ns = tuple(
                    (name, int(number_of(value)))
                    for (_, name), value in zip(self._reason_fields, values, strict=True)
                    if value.nvmlReturn == pynvml.NVML_SUCCESS
                )
        return (
            _or_none(self._temperature, handle, pynvml.NVML_TEMPERATURE_GPU),
            _or_none(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            _or_none(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM),
            reason_names(mask),
            throttle_ns,
            None if limit_mw is None else limit_mw / 1000,
        )

    def card_state(self) -> CardState:
        handle = self._handle
        limit_mw = _or_none(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        default_mw = _or_none(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
        mig = _or_none(pynvml.nvmlDeviceGetMigMode, handle)
        ecc = _or_none(pynvml.nvmlDeviceGetEccMode, handle)
        processes = _or_none(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
        mask = _or_none(self._reasons, handle) or 0
        locked_mhz = None
        if mask & 0x2:  # a clock setting of the user's is in force
            locked_mhz = _or_none(pynvml.nvmlDeviceGetApplicationsClock, handle, pynvml.NVML_CLOCK_SM)
        mode = self._setting("nvmlDeviceGetComputeMode")
        bar1 = self._setting("nvmlDeviceGetBAR1MemoryInfo")
        asked_mw = self._setting("nvmlDeviceGetPowerManagementLimit")
        persistence = self._setting("nvmlDeviceGetPersistenceMode")
        return CardState(
            power_limit_w=None if limit_mw is None else limit_mw / 1000,
            default_power_limit_w=None if default_mw is None else default_mw / 1000,
            sm_clock_lock_mhz=locked_mhz,
            mig=None if mig is None else bool(mig[0]),
            ecc=None if ecc is None else bool(ecc[0]),
            co_tenants=None
            if processes is None
            else probe.co_tenants([entry.pid for entry in processes], self.own_pid),
            power_profiles=_or_none(self._read_profiles),
            power_smoothing=_or_none(nvml_fields.switch, handle, self._smoothing_field),
            edpp_percent=_or_none(self._read_field, nvml_fields.EDPP_MULTIPLIER, 0),
            power_limit_by=nvml_modes.limit_by(limit_mw, default_mw, asked_mw),
            power_mizer=_or_none(nvml_modes.power_mizer, handle),
            adaptive_tgp=_or_none(nvml_modes.adaptive_tgp, handle),
            app_sm_clock_mhz=self._setting("nvmlDeviceGetApplicationsClock", pynvml.NVML_CLOCK_SM),
            app_mem_clock_mhz=self._setting("nvmlDeviceGetApplicationsClock", pynvml.NVML_CLOCK_MEM),
            pcie_gen=self._setting("nvmlDeviceGetCurrPcieLinkGeneration"),
            pcie_width=self._setting("nvmlDeviceGetCurrPcieLinkWidth"),
            persistence=None if persistence is None else bool(persistence),
            compute_mode=None if mode is None or not 0 <= mode < len(COMPUTE_MODES) else COMPUTE_MODES[mode],
            vbios=self._setting("nvmlDeviceGetVbiosVersion"),
            bar1_mib=None if bar1 is None else bar1.bar1Total / MIB,
        )

    def _setting(self, function: str, *arguments: object) -> Any:
        """What this function of NVML answers for the card; None where driver or card has no answer."""
        return _or_none(_function(function), self._handle, *arguments)

    def _read_profiles(self) -> str:
        """Numbers of the workload power profiles in force (Blackwell and later)."""
        found = pynvml.c_nvmlWorkloadPowerProfileCurrentProfiles_v1_t()
        pynvml.nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(self._handle, ctypes.byref(found))
        words = found.enforcedProfilesMask.mask
        return " ".join(
            str(32 * place + bit) for place, word in enumerate(words) for bit in range(32) if word >> bit & 1
        )

    own_pid: int | None = None
    """The run's own process, which is no co-tenant."""

    def close(self) -> None:
        _or_none(pynvml.nvmlShutdown)


def open_reader(
    uuid: str | None = None,
    pci_bus_id: str | None = None,
    index: int | None = None,
    own_pid: int | None = None,
    **_: object,
) -> NvmlReader:
    """Open the card with this UUID (full or a unique beginning), else PCI bus id, else NVML index.

    Raises:
        BenchError: NVML does not start, no single card matches, or the card has no readable power.
    """
    initialise()
    try:
        handle, known_uuid = find(uuid, pci_bus_id, index)
        reader = NvmlReader(handle, known_uuid)
    except pynvml.NVMLError as error:
        raise BenchError(f"NVML failed ({error})", "check nvidia-smi, or run with --meter none") from None
    reader.own_pid = own_pid
    return reader
