"""The frozen types that cross the boundaries between rooms, and the one error a user sees.

Data flows one way: ``devices → workload → runner under a meter → record → store → compare``.
Every type below is the only thing that crosses its boundary. This module imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

SCHEMA_VERSION = 1
"""Version of the CSV's columns. History: 1 = first."""

METHOD_VERSION = "1"
"""Version of the way energy is measured (docs/method.md). Rows of different methods are never pooled."""

EXIT_OK, EXIT_REGRESSION, EXIT_USAGE, EXIT_INVALID = 0, 1, 2, 3
"""0 good, 1 a regression found, 2 wrong use, 3 an invalid measurement."""


class BenchError(Exception):
    """What happened in one sentence, and what to do next in another.

    Raised for everything a user can cause or mend. The command line prints it without a traceback
    and exits with ``exit_code``.
    """

    def __init__(self, message: str, fix: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(f"{message}. To fix: {fix}." if fix else f"{message}.")
        self.message = message
        self.fix = fix
        self.exit_code = exit_code


class Skip(BenchError):  # noqa: N818 - a state of affairs, not a fault
    """A variant that this device cannot run (too little memory, a type it lacks). The run goes on without it."""


# ---------------------------------------------------------------------------------------------------------------------
# devices → all


@dataclass(frozen=True, slots=True)
class Device:
    """One thing that computes, as torch's accelerator API names it.

    ``cores`` is multiprocessors on a GPU and usable logical cores on a CPU.
    """

    kind: str
    """``cuda``, ``rocm``, ``musa``, ``mlu``, ``xpu``, ``mps`` or ``cpu``."""
    index: int
    name: str
    uuid: str | None = None
    """As NVML prints it, ``GPU-…``; the key by which a power sensor is matched."""
    pci_bus_id: str | None = None
    driver: str | None = None
    runtime: str | None = None
    """For example ``CUDA 13.0``."""
    cores: int | None = None
    memory_bytes: int | None = None
    arch: str | None = None
    """``sm_90`` on CUDA, the machine's architecture on a CPU."""

    @property
    def torch_name(self) -> str:
        """The name torch knows the device by. ROCm builds of torch call their devices ``cuda``."""
        if self.kind == "cpu":
            return "cpu"
        return f"{'cuda' if self.kind == 'rocm' else self.kind}:{self.index}"

    @property
    def label(self) -> str:
        """``cuda:0`` or ``cpu``: what ``--device`` accepts."""
        return "cpu" if self.kind == "cpu" else f"{self.kind}:{self.index}"


# ---------------------------------------------------------------------------------------------------------------------
# cli → workload → runner


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing to measure: a workload and its setting. Missing means that the workload has no such knob."""

    workload: str
    phase: str | None = None
    shape: str | None = None
    dtype: str | None = None
    batch: int | None = None
    seq: int | None = None
    """Tokens per sequence."""
    product: str | None = None
    """One matrix product of the set (``qkv``, ``o``, ``gate_up``, ``down``, ``lm_head``); None: the whole."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the workload alone understands (``isa``, ``inputs``, ``compile`` …)."""

    @property
    def label(self) -> str:
        """One line for a progress bar or a message, for example ``transformer gemm llama3-8b bf16``."""
        parts = [self.workload, self.phase, self.shape, self.product, self.dtype]
        if self.batch is not None:
            parts.append(f"b{self.batch}")
        if self.seq is not None:
            parts.append(f"s{self.seq}")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a job is, fixed once it is built. A quantum is the smallest launch; work per quantum never varies."""

    implementation: str
    """What really runs, for example ``c-avx512``, ``cuda-v1``, ``torch-portable``, ``torch-2.13.0``."""
    work_unit: str
    """``hash`` or ``FLOP``."""
    work_per_quantum: float
    tokens_per_quantum: float | None = None
    """Tokens of the whole model that a quantum stands for: tokens of one block ÷ layers (modelled)."""
    bytes_per_quantum: float | None = None
    """Least bytes that must cross device memory in a quantum (weights, activations, cache)."""
    peak_work_per_s: float | None = None
    """The device's own stated or derived peak in ``work_unit``/s; None when unknown, never infinite."""
    peak_bytes_per_s: float | None = None
    peak_source: str | None = None
    native: bool = True
    """False where the device emulates the type."""
    precision: str | None = None
    """Numeric flags that were set, for example ``tf32=on reduced_precision_reduction=off``."""
    memory_bytes: int | None = None
    """Device memory announced beforehand."""
    options: str | None = None
    """Further settings that must match for two rows to be compared, ``name=value`` joined by spaces."""


@dataclass(frozen=True, slots=True)
class Share:
    """One found nonce: the 80-byte header (nonce field included) whose SHA-256d meets the share target."""

    header_hex: str
    nonce: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Judgement of the work done since the last audit. ``ok`` is False where the output was wrong."""

    ok: bool
    reasons: tuple[str, ...] = ()
    share_bits: int | None = None
    """A share is a hash with at least this many leading zero bits (as Bitcoin writes the number)."""
    shares_expected: float | None = None
    shares_found: int | None = None
    shares_p_value: float | None = None
    """Two-sided Poisson probability of a count at least this far from the expected one."""
    shares: tuple[Share, ...] = ()
    details: Mapping[str, float] = field(default_factory=dict)
    """Figures worth keeping in the sidecar, for example the Freivalds residual."""


@runtime_checkable
class Job(Protocol):
    """Work that a runner can time. Built by a workload module's ``build``; owns device memory until ``close``."""

    facts: Facts

    def verify(self) -> Audit:
        """Check the output against a reference. Nothing unverified is timed."""

    def launch(self, quanta: int) -> None:
        """Enqueue ``quanta`` ≥ 1 quanta; may return before they are done. Allocates nothing."""

    def sync(self) -> None:
        """Return once all that was launched is done. Raises :class:`BenchError` if the device failed."""

    def audit(self) -> Audit:
        """Judge what was launched since the last audit; called after a sync, outside every window."""

    def close(self) -> None:
        """Free what the job holds. Idempotent."""


# ---------------------------------------------------------------------------------------------------------------------
# meter → energy


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a power source is and how far it can be trusted; fixed once it is opened and probed."""

    source: str
    """``nvml``, ``rapl``, ``amd``, ``mthreads``, ``command``, ``replay``, ``assumed`` or ``none``."""
    scope: str | None
    """What the watts cover: ``gpu``, ``module`` (CPU + GPU), ``package``, ``wall`` …; None with no sensor."""
    sensor_id: str | None = None
    """UUID or zone names, so that a CSV says which sensor was read."""
    counter: bool = False
    """Whether an energy counter exists."""
    counter_period_s: float | None = None
    """Measured update period of the counter."""
    counter_resolution_j: float | None = None
    power_field: str | None = None
    """``instant``, ``average`` or ``usage`` for NVML; None without a power reading."""
    power_period_s: float | None = None
    """Measured update period of the power reading."""
    averaging_s: float | None = None
    """Length of the boxcar that the reading averages over; None when it is instantaneous or unknown."""
    duty: float | None = None
    """Share of each update period during which the sensor looks (0.25 on A100/H100)."""
    gain_uncertainty: float | None = None
    """Relative, 95%."""
    offset_uncertainty_w: float | None = None
    """Watts, 95%."""
    uncertainty_source: str | None = None
    reason: str | None = None
    """Why there are no watts, and what to do, when there are none."""
    note: str | None = None
    """Something about the sensor that every window should carry as a warning."""
    name: str | None = None
    """Card or zone as its vendor names it."""
    poll_s: float | None = None
    """Interval at which the sampler polls."""
    assumed_w: float | None = None
    """The user's own figure (``--assume-watts``), with the source ``assumed``."""
    calibration_gain: float = 1.0
    calibration_offset_w: float = 0.0
    """From a wattmeter of the user's: reading = gain × true watts + offset. Samples stay raw; energy is corrected."""

    @property
    def lag_s(self) -> float:
        """Seconds by which a held reading trails the power it tells of.

        Half of what it averages over, half of the update period for which it is held, half of a poll.
        """
        period_s = self.power_period_s or 0.0
        looked_s = self.averaging_s or period_s * (1.0 if self.duty is None else self.duty)
        return looked_s / 2 + period_s / 2 + (self.poll_s or 0.0) / 2

    @property
    def settle_s(self) -> float:
        """Seconds after a moment until the samples that tell of it have arrived."""
        return max(self.lag_s, 1.5 * (self.counter_period_s or 0.0)) + 2 * (self.poll_s or 0.0)


DEVICE_LOST = "device lost"
"""Beginning of a sample's error after which no further reading can come."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One poll of a sensor. A failed read is ``missing`` with its ``error``, never 0 W."""

    t_ns: int
    """Monotonic clock (CLOCK_MONOTONIC, shared by all processes), midway through the read."""
    power_w: float | None = None
    counter_j: float | None = None
    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    mem_clock_mhz: float | None = None
    throttle: tuple[str, ...] = ()
    """Active clocks-event reasons by name, for example ``sw_power_cap``, ``hw_thermal``."""
    missing: bool = False
    error: str | None = None
    throttle_ns: tuple[tuple[str, int], ...] = ()
    """Cumulative nanoseconds per clocks-event reason since the driver was loaded, where the driver counts them."""


@dataclass(frozen=True, slots=True)
class Window:
    """A timed stretch between two syncs, and the work that was done in it."""

    start_ns: int
    end_ns: int
    launches: int
    work: float

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one window with its uncertainty, or None with the reasons why."""

    joules: float | None
    method: str | None
    """``counter``, ``integrated`` or ``assumed``."""
    scope: str | None
    uncertainty_j: float | None = None
    """95% half-width from timing, ticks and sampling; falls with longer windows."""
    sensor_uncertainty_j: float | None = None
    """95% half-width from the sensor's own gain and offset; does not fall with repeats."""
    crosscheck_ratio: float | None = None
    """Counter joules ÷ integrated joules."""
    sample_count: int | None = None
    samples_missing: int | None = None
    power_mean_w: float | None = None
    power_p95_w: float | None = None
    temperature_start_c: float | None = None
    temperature_end_c: float | None = None
    temperature_max_c: float | None = None
    sm_clock_mhz_mean: float | None = None
    mem_clock_mhz_mean: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    throttle_s: float | None = None
    """Seconds in which a reason that invalidates (thermal, power brake) was active."""
    warnings: tuple[str, ...] = ()
    invalid_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CardState:
    """Settings of the card that decide its efficiency; all None where no vendor library tells."""

    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    sm_clock_lock_mhz: float | None = None
    mig: bool | None = None
    ecc: bool | None = None
    co_tenants: int | None = None
    """Other processes with a context on the card."""


class Beside(Protocol):
    """Another energy meter, laid beside ours in the same windows."""

    def begin(self) -> None:
        """Begin a window."""

    def end(self) -> float:
        """End it; its joules."""


class Meter(Protocol):
    """An opened power source. Sampling runs beside the workload and is not starved by it."""

    sensor: Sensor

    def card_state(self) -> CardState:
        """Settings of the metered card as they are now."""

    def start(self) -> None:
        """Begin sampling; returns once the first sample has arrived, or raises :class:`BenchError`."""

    def latest(self) -> Sample | None:
        """The newest sample, for a progress bar. None before the first."""

    def samples(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:
        """Samples that tell of ``[start_ns, end_ns]``, oldest first, with at least one before and one after where
        the sensor gave them. Waits for the one after for at most a few update periods.
        """

    def close(self) -> None:
        """Stop sampling. Idempotent."""


# ---------------------------------------------------------------------------------------------------------------------
# runner → store


def _column(doc: str) -> Any:
    return field(default=None, metadata={"doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One CSV row: one measured window. Field names are column names, with units; missing is None, never 0."""

    # identity
    schema_version: int
    method_version: str
    run_id: str
    started_utc: str = field(metadata={"doc": "start of the window, ISO 8601 UTC"})
    harness_version: str
    commit: str | None = _column("git commit of the harness")
    dirty: bool | None = _column("whether the checkout had uncommitted changes")
    host: str | None = _column("host name, or what --host-label gave")
    # device
    device_kind: str
    device_name: str
    device_uuid: str | None = _column("UUID as the vendor library prints it")
    device_index: int
    device_cores: int | None = _column("multiprocessors, or usable logical cores of a CPU")
    device_memory_gib: float | None = _column("device memory in GiB")
    device_arch: str | None = _column("sm_90 and the like")
    driver: str | None = _column("driver version")
    runtime: str | None = _column("CUDA/HIP runtime")
    torch: str | None = _column("torch version")
    cupy: str | None = _column("cupy version, where it ran")
    device_choice: str | None = _column("how the device was chosen: asked for, or auto with the reason")
    # setting
    power_limit_w: float | None = _column("enforced power limit")
    default_power_limit_w: float | None = _column("default power limit")
    sm_clock_lock_mhz: float | None = _column("locked SM clock")
    mig: bool | None = _column("MIG mode on")
    ecc: bool | None = _column("ECC on")
    co_tenants: int | None = _column("other processes with a context on the card")
    # workload
    workload: str
    phase: str | None = _column("gemm, prefill, decode, train, …")
    shape: str | None = _column("model shape")
    dtype: str | None = _column("numeric type")
    batch: int | None = _column("sequences")
    seq: int | None = _column("tokens per sequence (context length in decode)")
    product: str | None = _column("one matrix product of the set; empty: the whole set")
    implementation: str
    native: bool = field(metadata={"doc": "false where the device emulates the type"})
    precision: str | None = _column("numeric flags that were set")
    options: str | None = _column("further settings that must match")
    # window
    repeat: int
    mode: str = field(metadata={"doc": "standard, quick or smoke: how long windows and warm-up are"})
    window_s: float
    launches: int
    work: float
    work_unit: str
    rate_per_s: float = field(metadata={"doc": "work ÷ window_s"})
    tokens_per_s: float | None = _column("modelled: block tokens/s ÷ layers")
    # energy
    meter: str | None = _column("power source")
    meter_id: str | None = _column("which sensor")
    energy_j: float | None = _column("gross joules of the window")
    energy_method: str | None = _column("counter, integrated or assumed")
    energy_scope: str | None = _column("what the joules cover: gpu, module, package, wall")
    energy_uncertainty_j: float | None = _column("95% half-width from timing and sampling")
    sensor_uncertainty_j: float | None = _column("95% half-width from the sensor's gain and offset")
    crosscheck_ratio: float | None = _column("counter ÷ integrated joules")
    sample_count: int | None = _column("samples in the window")
    samples_missing: int | None = _column("failed reads in the window")
    power_mean_w: float | None = _column("energy_j ÷ window_s")
    power_p95_w: float | None = _column("95th percentile of the samples")
    idle_power_w: float | None = _column("mean of the idle baselines before and after, context created")
    # efficiency
    work_per_j: float | None = _column("work ÷ energy_j")
    net_work_per_j: float | None = _column("work ÷ (energy_j − idle_power_w × window_s)")
    tokens_per_j: float | None = _column("modelled tokens ÷ energy_j")
    peak_per_s: float | None = _column("stated or derived peak in work_unit/s")
    peak_source: str | None = _column("where the peak comes from")
    mfu: float | None = _column("rate_per_s ÷ peak_per_s")
    mbu: float | None = _column("least bytes/s ÷ peak memory bandwidth")
    intensity_flop_per_byte: float | None = _column("arithmetic intensity")
    memory_announced_gib: float | None = _column("device memory announced beforehand")
    # conditions
    temperature_start_c: float | None = _column("°C")
    temperature_end_c: float | None = _column("°C")
    temperature_max_c: float | None = _column("°C")
    sm_clock_mhz_mean: float | None = _column("mean SM clock")
    mem_clock_mhz_mean: float | None = _column("mean memory clock")
    throttle_reasons: str | None = _column("clocks-event reasons seen, joined by ;")
    throttle_s: float | None = _column("seconds under a reason that invalidates")
    # proof of work
    share_bits: int | None = _column("leading zero bits of a share")
    shares_expected: float | None = _column("hashes ÷ 2^share_bits")
    shares_found: int | None = _column("shares found, each re-hashed by pycryptodome")
    shares_p_value: float | None = _column("Poisson probability of a count that far off")
    # verdict
    steady: bool | None = _column("warm-up reached a steady state; empty: not judged")
    verified: bool
    valid: bool
    invalid_reasons: str | None = _column("joined by ;")
    warnings: str | None = _column("joined by ;")


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle baseline: the context is created, nothing runs."""

    when: str
    """``before`` or ``after`` the windows."""
    start_ns: int
    end_ns: int
    power_w: float | None
    """Mean; None where the sensor gave nothing in that stretch."""
    uncertainty_w: float | None
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A variant that was not timed: the device cannot run it, or its output was wrong."""

    variant: Variant
    reason: str
    wrong: bool
    """True where the verification failed: the run then ends with exit code 3."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One finished window: the row for the CSV and all that stands behind it, for the sidecar."""

    row: int
    """Number of the row in its CSV, from 1."""
    record: Record
    window: Window
    sensor: Sensor
    samples: tuple[Sample, ...]
    audit: Audit
    idle: Idle | None
    """The baseline that the row's net figures were first reckoned with."""
    beside_j: float | None = None
    """Joules of the same window by another meter that was laid beside (Zeus); None where none was."""


# ---------------------------------------------------------------------------------------------------------------------
# compare → report


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity of one device × workload × setting against its baseline."""

    key: Mapping[str, Any]
    """The columns that name this line (device, workload, setting)."""
    metric: str
    """``rate_per_s``, ``power_mean_w``, ``work_per_j``, ``tokens_per_s`` or ``tokens_per_j``."""
    unit: str
    repeats: int
    value: float | None
    low: float | None
    high: float | None
    """``low`` and ``high`` bound the 95% interval of ``value``."""
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    verdict: str = "cannot tell"
    """``faster``, ``slower`` (watts: ``more``, ``less``; per joule: ``better``, ``worse``), ``same``, ``cannot tell``,
    ``invalid``, ``baseline`` or ``published``."""
    reason: str | None = None
