"""Power sources: what a sensor is, what it read, and the energy of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a power source is and how far it can be trusted; fixed once it is opened and probed."""

    source: str
    """``nvml``, ``jetson``, ``rapl``, ``amd``, ``mthreads``, ``command``, ``replay``, ``assumed`` or ``none``."""
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
    """Length of the boxcar average behind the reading; None where it is instantaneous or unknown."""
    duty: float | None = None
    """Duty cycle: share of each update period during which the sensor samples (0.25 on A100/H100)."""
    delay_s: float | None = None
    """Seconds by which a power reading is published after what it reports, where that was measured."""
    counter_delay_s: float | None = None
    """The same for the energy counter."""
    gain_uncertainty: float | None = None
    """Relative, 95%."""
    offset_uncertainty_w: float | None = None
    """Watts, 95%."""
    uncertainty_source: str | None = None
    reason: str | None = None
    """Why there are no watts, and what to do, when there are none."""
    note: str | None = None
    """A property of the sensor that every window carries as a warning."""
    name: str | None = None
    """Card or zone as its vendor names it."""
    poll_s: float | None = None
    """Interval at which the sampler polls."""
    assumed_w: float | None = None
    """Constant power supplied by the user (``--assume-watts``), with the source ``assumed``."""
    ceiling_w: float | None = None
    """Readings above this, twice the highest limit that the card accepts, are failed reads."""
    calibration_gain: float = 1.0
    calibration_offset_w: float = 0.0
    """From the user's own wattmeter: reading = gain × true watts + offset. Samples stay raw; energy is corrected."""
    members: tuple[Sensor, ...] = ()
    """The sensors of a group of cards, whose joules are added up; empty for a single sensor."""

    @property
    def lag_s(self) -> float:
        """Seconds by which a held reading trails the power that it reports.

        Half of what it averages over, half of the update period for which it is held, half of a poll.
        """
        period_s = self.power_period_s or 0.0
        averaged_s = self.averaging_s or period_s * (1.0 if self.duty is None else self.duty)
        return averaged_s / 2 + period_s / 2 + (self.poll_s or 0.0) / 2

    @property
    def settle_s(self) -> float:
        """Seconds until the samples that report a given moment have arrived."""
        if self.members:
            return max(member.settle_s for member in self.members)
        counted_s = 1.5 * (self.counter_period_s or 0.0) + (self.counter_delay_s or 0.0)
        return max(self.lag_s + (self.delay_s or 0.0), counted_s) + 2 * (self.poll_s or 0.0)


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

    power_limit_w: float | None = None
    """The power limit that is set, where it is read together with the conditions."""
    member: int | None = None
    """In a group of cards, which of its sensors read this, from 0."""

    @classmethod
    def failed(cls, t_ns: int, error: str, *, power_w: float | None = None, counter_j: float | None = None) -> Self:
        """A poll in which a power or counter read failed; what was read before the failure is kept."""
        return cls(t_ns, power_w, counter_j, missing=True, error=error)


@dataclass(frozen=True, slots=True)
class Window:
    """A timed stretch between two syncs, and the work that was done in it."""

    start_ns: int
    end_ns: int
    launches: int
    work: float
    launch_us: tuple[int, ...] = ()
    """Microseconds from the end of the launch before (or the start) to the end of each launch."""
    launch_iterations: tuple[int, ...] = ()
    """Iterations of each launch."""

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
    """Settings of the card that decide its efficiency; None where no vendor library reports them."""

    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    sm_clock_lock_mhz: float | None = None
    mig: bool | None = None
    ecc: bool | None = None
    co_tenants: int | None = None
    """Other processes with a context on the card."""
    power_profiles: str | None = None
    """Numbers of the workload power profiles in force, joined by spaces; empty text where there are none."""
    power_smoothing: bool | None = None
    """Power smoothing holds a floor under the power and ramps it, so that idle and edges draw more."""
    edpp_percent: float | None = None
    """EDPp multiplier: the allowed peak power in per cent of its default."""
    app_sm_clock_mhz: float | None = None
    app_mem_clock_mhz: float | None = None
    pcie_gen: int | None = None
    pcie_width: int | None = None
    power_limit_by: str | None = None
    """Who set the limit in force: ``default``, ``software`` on this machine, or ``elsewhere`` (board, rack, BMC)."""
    power_mizer: str | None = None
    adaptive_tgp: bool | None = None
    persistence: bool | None = None
    compute_mode: str | None = None
    """``default``, ``exclusive_thread``, ``prohibited`` or ``exclusive_process``."""
    vbios: str | None = None
    bar1_mib: float | None = None


class ReferenceMeter(Protocol):
    """A second energy meter that measures the same windows, for comparison."""

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
        """Samples that cover ``[start_ns, end_ns]``, oldest first, with at least one before and one after where the
        sensor gave them. Waits for the one after for at most a few update periods.
        """

    def close(self) -> None:
        """Stop sampling. Idempotent."""
