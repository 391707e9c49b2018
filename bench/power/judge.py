"""What the samples of a window say about it: faults of the sensor, conditions of the card, throttling. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bench.model import DEVICE_LOST, Energy, Sample, Sensor, Window
from bench.model.throttle import INVALIDATING
from bench.power.spread import last_digit_w

MISSING_SHARE_MAX = 0.1
"""Without a counter, failed reads beyond this share of a window's polls leave its energy unknown."""
GAP_MIN_S = 0.5
"""A stretch without a good sample may last this long, or five polls, or three updates of a slow sensor."""
FROZEN_MIN_S = 1.0
FROZEN_PERIODS = 5
"""A counter that does not change for this many update periods, and this long, is frozen."""
FROZEN_POWER_S = 2.0
FROZEN_POWER_UPDATES = 20
FINE_DIGIT_W = 0.1
"""A reading with digits finer than this is never the same for FROZEN_POWER_UPDATES updates and FROZEN_POWER_S."""
CLOCK_CHANGE_S = 0.3
"""The generic ``hw_slowdown`` bit may also show at a change of clocks [nvml.h]. Conditions are read every 0.24 s, so a
bit that lasts longer than this was seen in two reads, and no change of clocks lasts from one to the next."""
LIMIT_STEP_W = 0.5
"""A power limit that moves by more than this within a window was changed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which readings of a window can be used, and what must be said about them."""

    counter: bool
    power: bool
    warnings: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    """Why the joules of this window cannot be known."""


def plausible(samples: Iterable[Sample], sensor: Sensor) -> list[Sample]:
    """The samples by time; a power above what the card can draw is a failed read."""
    ceiling_w = math.inf if sensor.ceiling_w is None else sensor.ceiling_w
    found = []
    for sample in sorted(samples, key=lambda sample: sample.t_ns):
        if sample.power_w is not None and sample.power_w > ceiling_w:
            error = f"a reading of {sample.power_w:.0f} W is above twice the card's highest limit"
            found.append(replace(sample, power_w=None, counter_j=None, missing=True, error=error))
        else:
            found.append(sample)
    return found


def judge_samples(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Verdict:
    """Faults of the sensor in a window, and which of its readings they leave usable.

    Args:
        samples: oldest first, plausible ones, with some before and after the window.
        window: the timed stretch.
        sensor: what was read.
    """
    inside = within(samples, window)
    missing = [sample for sample in inside if sample.missing]
    good = [sample for sample in samples if not sample.missing]
    warnings = [sensor.note] if sensor.note else []
    lost = next((sample for sample in missing if (sample.error or "").startswith(DEVICE_LOST)), None)
    if lost is not None:
        reason = f"{lost.error}, {(lost.t_ns - window.start_ns) / 1e9:.1f} s into the window"
        return Verdict(False, False, tuple(warnings), (reason,))
    reset = _reset(good, window, sensor) if sensor.counter else None
    if reset is not None:
        return Verdict(False, False, tuple(warnings), (reset,))
    failed = f"{len(missing)} of {len(inside)} sensor reads failed ({missing[0].error})" if missing else None
    if failed is not None:
        warnings.append(failed)
    gaps_s = _gaps_s([sample.t_ns for sample in good], window)
    most_s = max(GAP_MIN_S, 5 * (sensor.poll_s or 0.0), 3 * (sensor.power_period_s or 0.0))

    counter, power = sensor.counter, any(sample.power_w is not None for sample in good)
    frozen_s = _frozen_counter_s(good, window, sensor) if counter else None
    if frozen_s is not None:
        counter = False
        text = f"the energy counter did not change for {frozen_s:.1f} s (frozen)"
        if not power:
            return Verdict(False, False, tuple(warnings), (text,))
        warnings.append(f"{text}: power samples were integrated")
    if power and not (sensor.counter and sensor.power_field is None):
        frozen_s = _frozen_power_s(good, window, sensor)
        if frozen_s is not None:
            power = False
            text = f"the power reading did not change for {frozen_s:.1f} s (frozen)"
            if not counter:
                return Verdict(False, False, tuple(warnings), (text,))
            warnings.append(text)
    # a counter spans what was missed between its updates; only its edges need samples
    gap_s = max(gaps_s[0], gaps_s[-1]) if counter else max(gaps_s)
    if failed is not None and (gap_s > most_s or (not counter and len(missing) > MISSING_SHARE_MAX * len(inside))):
        return Verdict(False, False, tuple(warnings[:-1] if warnings[-1] == failed else warnings), (failed,))
    if gap_s > most_s:
        return Verdict(False, False, tuple(warnings), (f"the sensor gave no sample for {gap_s:.1f} s of the window",))
    return Verdict(counter, power, tuple(warnings))


def within(samples: Iterable[Sample], window: Window) -> list[Sample]:
    """The samples taken inside the window."""
    return [sample for sample in samples if window.start_ns <= sample.t_ns <= window.end_ns]


def _gaps_s(times_ns: Sequence[int], window: Window) -> list[float]:
    """Intervals between neighbouring times in the window, and between the first and last of them and its edges."""
    marks = [window.start_ns, *(t for t in times_ns if window.start_ns < t < window.end_ns), window.end_ns]
    return [(later - earlier) / 1e9 for earlier, later in pairwise(marks)]


def _reset(good: Sequence[Sample], window: Window, sensor: Sensor) -> str | None:
    """A counter that went backward."""
    reach_ns = 2 * (sensor.counter_period_s or 0.0) * 1e9
    low_ns, high_ns = window.start_ns - reach_ns, window.end_ns + reach_ns
    counts_j = [s.counter_j for s in good if s.counter_j is not None and low_ns <= s.t_ns <= high_ns]
    for earlier_j, later_j in pairwise(counts_j):
        if later_j < earlier_j:
            return (
                f"the energy counter went backward ({earlier_j:.3f} J to {later_j:.3f} J):"
                " the driver was reloaded or the card reset"
            )
    return None


def _longest_same(pairs: Sequence[tuple[int, float]], window: Window) -> tuple[float, float]:
    """The longest time in s inside the window for which successive samples showed one value, and that value."""
    longest_s, value = 0.0, math.nan
    begin_ns: int | None = None
    for earlier, later in pairwise(pairs):
        if later[1] != earlier[1]:
            begin_ns = None
            continue
        begin_ns = max(earlier[0], window.start_ns) if begin_ns is None else begin_ns
        same_s = (min(later[0], window.end_ns) - begin_ns) / 1e9
        if same_s > longest_s:
            longest_s, value = same_s, later[1]
    return longest_s, value


def _frozen_counter_s(good: Sequence[Sample], window: Window, sensor: Sensor) -> float | None:
    counts = [(sample.t_ns, sample.counter_j) for sample in good if sample.counter_j is not None]
    frozen_s, _ = _longest_same(counts, window)
    return frozen_s if frozen_s > max(FROZEN_MIN_S, FROZEN_PERIODS * (sensor.counter_period_s or 0.0)) else None


def _frozen_power_s(good: Sequence[Sample], window: Window, sensor: Sensor) -> float | None:
    """How long a finely resolved reading was the same, where that is longer than a live one can be.

    A reading of few digits may stay the same by itself, and says nothing.
    """
    watts = [(sample.t_ns, sample.power_w) for sample in good if sample.power_w is not None]
    step_w = last_digit_w([value for _, value in watts])
    if step_w >= FINE_DIGIT_W:
        return None
    frozen_s, _ = _longest_same(watts, window)
    update_s = max(sensor.power_period_s or 0.0, sensor.poll_s or 0.0)
    return frozen_s if frozen_s > max(FROZEN_POWER_S, FROZEN_POWER_UPDATES * update_s) else None


# ---------------------------------------------------------------------------------------------------------------------
# conditions


def conditions(samples: Sequence[Sample], window: Window) -> Energy:
    """The window's conditions by its samples, with no joules yet."""
    inside = within(samples, window)
    good = [sample for sample in inside if not sample.missing]

    def present(pick: Callable[[Sample], float | None]) -> list[float]:
        return [value for value in map(pick, good) if value is not None]

    def mean(values: list[float]) -> float | None:
        return math.fsum(values) / len(values) if values else None

    watts = sorted(present(lambda sample: sample.power_w))
    temperatures = present(lambda sample: sample.temperature_c)
    reasons = dict.fromkeys(name for sample in good for name in sample.throttle)
    throttle_s = _throttle_s(good, window)
    for name, _ in _throttle_growth(good):
        reasons.setdefault(name)
    return Energy(
        None,
        None,
        None,
        sample_count=len(inside),
        samples_missing=len(inside) - len(good),
        power_p95_w=watts[math.ceil(0.95 * len(watts)) - 1] if watts else None,
        temperature_start_c=temperatures[0] if temperatures else None,
        temperature_end_c=temperatures[-1] if temperatures else None,
        temperature_max_c=max(temperatures, default=None),
        sm_clock_mhz_mean=mean(present(lambda sample: sample.sm_clock_mhz)),
        mem_clock_mhz_mean=mean(present(lambda sample: sample.mem_clock_mhz)),
        throttle_reasons=tuple(reasons),
        throttle_s=throttle_s,
    )


def _throttle_growth(good: Sequence[Sample]) -> list[tuple[str, float]]:
    """Seconds by which each cumulative counter of an invalidating reason grew between the first and last sample."""
    counted = [dict(sample.throttle_ns) for sample in good if sample.throttle_ns]
    if len(counted) < 2:
        return []
    first, last = counted[0], counted[-1]
    growth = [(name, (last[name] - first[name]) / 1e9) for name in last if name in first and name in INVALIDATING]
    return [(name, seconds) for name, seconds in growth if seconds > 0]


def _held_s(good: Sequence[Sample], window: Window, names: frozenset[str]) -> float:
    """Seconds under any of these reasons, each sample's reasons held until the next sample."""
    held_ns = 0
    for sample, following in zip(good, [*good[1:], None], strict=True):
        if names.intersection(sample.throttle):
            held_ns += (window.end_ns if following is None else following.t_ns) - sample.t_ns
    return held_ns / 1e9


def _throttle_s(good: Sequence[Sample], window: Window) -> float | None:
    """Seconds under a reason that invalidates: by the driver's own counters where it has them, else by samples."""
    if not good:
        return None
    counted_s = max((seconds for _, seconds in _throttle_growth(good)), default=0.0)
    return max(counted_s, _held_s(good, window, INVALIDATING))


def judge_throttling(found: Energy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Warnings, and reasons that make the row invalid although its joules are known.

    ``hw_slowdown`` alone and for a single read is taken for a change of clocks: thermal and power-brake slowdowns
    have bits and cumulative counters of their own.
    """
    active = [name for name in found.throttle_reasons if name in INVALIDATING]
    if not active:
        return (), ()
    seconds = found.throttle_s or 0.0
    if active == ["hw_slowdown"] and seconds < CLOCK_CHANGE_S:
        return (f"hw_slowdown was reported for {seconds:.2f} s, as a change of clocks may be",), ()
    return (), (f"the card was throttled ({', '.join(active)}) for {seconds:.2f} s",)


def judge_limit(samples: Sequence[Sample], window: Window) -> tuple[str, ...]:
    """The reason why a window is invalid whose power limit was changed while it ran."""
    limits_w = [sample.power_limit_w for sample in within(samples, window) if sample.power_limit_w is not None]
    for earlier_w, later_w in pairwise(limits_w):
        if abs(later_w - earlier_w) > LIMIT_STEP_W:
            return (f"the power limit changed from {earlier_w:g} W to {later_w:g} W during the window",)
    return ()
