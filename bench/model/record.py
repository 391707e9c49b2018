"""What one measured window leaves behind: the CSV row and its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.model.job import Audit, Variant
from bench.model.power import Sample, Sensor, Window

SCHEMA_VERSION = 1
"""Version of the CSV's columns. History: 1 = first."""


METHOD_VERSION = "3"
"""Version of the way energy is measured (docs/method.md). Rows of different methods are never pooled."""


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
    power_profiles: str | None = _column("numbers of the workload power profiles in force")
    power_smoothing: bool | None = _column("power smoothing on: net figures are then empty")
    edpp_percent: float | None = _column("EDPp multiplier, per cent")
    power_limit_by: str | None = _column("who set the power limit: default, software, or elsewhere (board, rack, BMC)")
    power_mizer: str | None = _column("PowerMizer mode in force")
    adaptive_tgp: bool | None = _column("adaptive TGP in force, which moves the power limit with the load")
    app_sm_clock_mhz: float | None = _column("applications clock of the SMs")
    app_mem_clock_mhz: float | None = _column("applications clock of the memory")
    pcie_gen: int | None = _column("PCIe generation of the link as it is now")
    pcie_width: int | None = _column("PCIe lanes of the link as it is now")
    persistence: bool | None = _column("persistence mode on")
    compute_mode: str | None = _column("who may create a context on the card")
    vbios: str | None = _column("version of the card's VBIOS")
    bar1_mib: float | None = _column("size of BAR1 in MiB")
    # the machine
    cpu_governor: str | None = _column("frequency governor of the CPU")
    cpu_boost: bool | None = _column("whether the CPU may boost")
    smt: bool | None = _column("whether cores run two threads")
    microcode: str | None = _column("microcode revision of the CPU")
    numa_nodes: int | None = _column("NUMA nodes of the machine")
    huge_pages: str | None = _column("transparent huge pages: always, madvise or never")
    load_average_start: float | None = _column("load average of the last minute when the run began")
    neighbours: str | None = _column("another bitwatt or a heavy load, where there was one when the run began")
    container: str | None = _column("container engine, where the run was in one")
    hypervisor: str | None = _column("vendor of the virtual machine, where the run was in one")
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
    mode: str = field(metadata={"doc": "standard, quick, smoke or thorough: how long windows and warm-up are"})
    window_s: float
    launches: int
    work: float
    work_unit: str
    rate_per_s: float = field(metadata={"doc": "work ÷ window_s"})
    tokens_per_s: float | None = _column("modelled: tokens/s of the whole model, LM head on every token")
    block_tokens_per_s: float | None = _column("modelled: the same without the LM head")
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
    cache_share_bound: float | None = _column("most of those bytes that the cache may have served: its size ÷ rotation")
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
    others_cpu_s: float | None = _column("CPU seconds that other processes used in the window, over all cores")
    steal_s: float | None = _column("CPU seconds that the hypervisor gave to others in the window, over all cores")
    cpu_pressure_s: float | None = _column("seconds of the window in which some task waited for a core")
    involuntary_switches: int | None = _column("how often the harness was taken off a core in the window")
    # proof of work
    share_bits: int | None = _column("leading zero bits of a share")
    shares_expected: float | None = _column("hashes ÷ 2^share_bits")
    shares_found: int | None = _column("shares found, each re-hashed by pycryptodome")
    shares_p_value: float | None = _column("Poisson probability of a count that far off")
    # verdict
    steady: bool | None = _column("warm-up reached a steady state; empty: not judged")
    proven: bool | None = _column("whether shares prove at least half of the hashes; empty: shares do not judge this")
    verified: bool = field(metadata={"doc": "the output was checked, and a hashrate is proven by shares"})
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
    """The baseline that the row's net figures were first computed with."""
    reference_energy_j: float | None = None
    """Joules of the same window by another meter (Zeus); None where there was none."""
