"""A sensor's own properties from what it read under a square load of known times. Pure.

    found = examine(samples, load)
    found["duty"]                      # Estimate(value=0.25, half_width=0.02, unit="", note="")

The reading published at time t is taken for the mean power of [t − delay − aperture, t − delay], averaged over the last
n such readings; which aperture, delay and n fit best is found by least squares over all updates at once. Each
half-width (95%) comes from leaving out one eighth of the time after the other (jackknife).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.model import BenchError, Sample
from bench.model.sensor_test import PROPERTIES, Estimate
from bench.power.spread import last_digit_w

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_UPDATES = 40
GROUPS = 8
"""Parts of the time that are left out in turn."""
STUDENT_T = 2.36
"""Student's t(7) at 95%."""
LONGEST_AVERAGE_S = 1.5
LONGEST_DELAY_S = 0.6
COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75)
"""Numbers of updates that a reading may average over."""
MANY = 12
"""Averages over more updates than this are searched coarsely, by :data:`COARSE_UPDATES` of the updates."""
COARSE_UPDATES = 500
REFINED = 5
"""How many of the coarse candidates are refined."""
LEAST_RISE = 5.0
"""The load must move the reading by this many times the scatter that remains."""
LEAST_STEP_W = 2.0
UNSURE_DUTY = 0.4
"""A duty cycle with a wider half-width than this is not seen."""
POOR_FIT = 0.9
COUNTER_STEPS_J = (1.0, 0.1, 0.01, 0.001, 1e-6)

FIX_LOAD = "stop other work on the device, or choose a heavier --workload"
FIX_SAMPLES = "give more --seconds"


@dataclass(frozen=True, slots=True)
class Load:
    """When the device worked: ``busy`` holds (start, end) in seconds of the samples' clock, oldest first.

    ``blocks`` are the times at which the pattern changes; the power level may drift from one block to the next.
    """

    busy: tuple[tuple[float, float], ...]
    blocks: tuple[float, ...]
    poll_s: float
    """Interval of the polls."""

    def busy_seconds(self) -> Callable[[Array], Array]:
        """Seconds of work up to each of the given times."""
        import numpy as np

        edges = np.array(self.busy, dtype=float).ravel()
        done = np.concatenate(([0.0], np.cumsum(np.diff(edges) * (np.arange(len(edges) - 1) % 2 == 0))))
        return lambda times_s: np.interp(times_s, edges, done)


def examine(samples: Sequence[Sample], load: Load) -> dict[str, Estimate]:
    """Every property of the sensor, by the names of :data:`PROPERTIES`.

    Args:
        samples: polled faster than the sensor updates, while ``load`` ran.
        load: when the device worked.

    Raises:
        BenchError: there are too few updates, or the load does not move the reading.
    """
    good = [sample for sample in samples if not sample.missing]
    found = {name: Estimate(None, unit=unit) for name, (_, unit) in PROPERTIES.items()}
    readings = [(sample.t_ns / 1e9, sample.power_w) for sample in good if sample.power_w is not None]
    counts = [(sample.t_ns / 1e9, sample.counter_j) for sample in good if sample.counter_j is not None]
    if not readings and not counts:
        raise BenchError("the sensor gave no readings at all", "see bitwatt doctor")
    if readings:
        found |= _examine_power(readings, load)
    else:
        note = "the source has an energy counter only"
        found |= {name: Estimate(None, note=note) for name in PROPERTIES if not name.startswith("counter")}
    if counts:
        found |= _examine_counter(counts, load)
    else:
        found |= {
            name: Estimate(None, note="the source has no energy counter")
            for name in PROPERTIES
            if name.startswith("counter")
        }
    return {
        name: Estimate(found[name].value, found[name].half_width, unit, found[name].note)
        for name, (_, unit) in PROPERTIES.items()
    }


# ---------------------------------------------------------------------------------------------------------------------
# updates


def _updates(polls: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """Times (midway between the two polls that saw it) and values of each change."""
    import numpy as np

    times, values = np.array(polls, dtype=float).T
    changed = np.flatnonzero(np.diff(values) != 0)
    return (times[changed] + times[changed + 1]) / 2, values[changed + 1]


def _period(times_s: Array, poll_s: float) -> Estimate:
    """Update period from times of change; an update that repeats its value makes an interval a multiple."""
    import numpy as np

    intervals = np.diff(times_s)
    if len(intervals) < 4:
        return Estimate(None, note="it changed fewer than five times")
    guess = float(np.quantile(intervals, 0.25))
    if guess < 2 * poll_s:
        return Estimate(None, note=f"shorter than two polls of {poll_s * 1000:.0f} ms")
    for _ in range(3):
        multiples = np.round(intervals / guess)
        kept = (multiples >= 1) & (multiples <= 20)
        guess = float(intervals[kept].sum() / multiples[kept].sum())
    spread_s = max(float(np.std(intervals[kept] - multiples[kept] * guess)), poll_s / math.sqrt(6))
    return Estimate(guess, 2 * spread_s / math.sqrt(float(multiples[kept].sum())))


# ---------------------------------------------------------------------------------------------------------------------
# the power reading


class _Fit:
    """Least squares of all updates against the load as a sensor with (aperture, delay) would show it."""

    def __init__(self, times_s: Array, values: Array, load: Load, period_s: float) -> None:
        import numpy as np

        self.times_s, self.values, self.period_s = times_s, values, period_s
        self.busy = load.busy_seconds()
        self.block = np.searchsorted(np.array(load.blocks), times_s)
        self.group = (np.arange(len(times_s)) * GROUPS) // len(times_s)

    def shown(self, count: int, aperture_s: float, delay_s: float) -> Array:
        """Share of the load in each reading, 0 to 1."""
        ends_s = self.times_s - delay_s
        total = 0.0 * ends_s
        for back in range(count):
            end_s = ends_s - back * self.period_s
            total += self.busy(end_s) - self.busy(end_s - aperture_s)
        result: Array = total / (count * aperture_s)
        return result

    def level(self, shown: Array, kept: Array) -> tuple[float, float]:
        """Watts of the load, and the sum of squares that remains. Each block has a base of its own."""
        import numpy as np

        x, y = shown[kept], self.values[kept]
        members = self.block[kept]
        size = np.bincount(members).astype(float)
        size[size == 0] = 1
        x = x - (np.bincount(members, x) / size)[members]
        y = y - (np.bincount(members, y) / size)[members]
        power = float(x @ x)
        watts = max(0.0, float(x @ y) / power) if power > 0 else 0.0
        rest = y - watts * x
        return watts, float(rest @ rest)

    def remainder(self, count: int, point: Sequence[float], kept: Array) -> float:
        aperture_s, delay_s = point
        if not 0.02 * self.period_s <= aperture_s <= 1.02 * self.period_s or not -0.1 < delay_s < LONGEST_DELAY_S:
            return math.inf
        return self.level(self.shown(count, aperture_s, delay_s), kept)[1]

    def refined(self, count: int, start: Sequence[float], kept: Array) -> tuple[list[float], float]:
        """The best (aperture, delay) near ``start``, and what remains."""
        from scipy.optimize import minimize

        step = 0.1 * self.period_s
        low, high = 0.05 * self.period_s, self.period_s
        first = [min(max(start[0], low), high), start[1]]
        turned = first[0] - step if first[0] + step > high else first[0] + step
        simplex = [first, [turned, first[1]], [first[0], first[1] + step / 2]]
        options = {"initial_simplex": simplex, "xatol": 1e-4 * self.period_s, "fatol": 1e-9, "maxiter": 120}
        best = minimize(lambda point: self.remainder(count, point, kept), first, method="Nelder-Mead", options=options)
        return [float(value) for value in best.x], float(best.fun)

    def best(self) -> tuple[int, list[float], float]:
        """Readings averaged, (aperture, delay), and what remains."""
        import numpy as np

        everything = np.ones(len(self.times_s), dtype=bool)
        some = np.arange(len(self.times_s)) % max(1, len(self.times_s) // COARSE_UPDATES) == 0
        tried: list[tuple[float, int, float, float]] = []
        delays_s = np.arange(0.0, min(LONGEST_DELAY_S, 0.3 + 2 * self.period_s), max(0.25 * self.period_s, 0.02))
        for count in COUNTS:
            if count > 1 and count * self.period_s > LONGEST_AVERAGE_S:
                break
            coarse = [
                (self.remainder(count, (share * self.period_s, delay_s), some), count, share * self.period_s, delay_s)
                for share in ((0.1, 0.25, 0.5, 0.75, 1.0) if count <= MANY else (0.5, 1.0))
                for delay_s in delays_s
            ]
            tried += sorted(coarse)[:2]
        found: list[tuple[float, int, list[float]]] = []
        for _, count, aperture_s, delay_s in sorted(tried)[:REFINED]:
            point, rest = self.refined(count, (aperture_s, float(delay_s)), everything)
            found.append((rest, count, point))
        rest, count, point = min(found)
        return count, point, rest

    def half_widths(self, count: int, point: Sequence[float]) -> list[float]:
        """95% half-widths of aperture, delay and watts."""
        import numpy as np

        parts = []
        for group in range(GROUPS):
            kept = self.group != group
            (aperture_s, delay_s), _ = self.refined(count, point, kept)
            watts, _ = self.level(self.shown(count, aperture_s, delay_s), kept)
            parts.append((aperture_s, delay_s, watts))
        left_out = np.array(parts)
        spread = np.sqrt((GROUPS - 1) / GROUPS * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
        return [STUDENT_T * float(value) for value in spread]


def _examine_power(polls: Sequence[tuple[float, float]], load: Load) -> dict[str, Estimate]:
    import numpy as np

    times_s, values = _updates(polls)
    readings = [watts for _, watts in polls]
    digit = last_digit_w(readings)
    found = {
        "last_digit_w": Estimate(digit, 0.0) if digit else Estimate(None, note="finer than 1 mW"),
        "noise_w": _noise(times_s, values, load),
    }
    if len(times_s) < LEAST_UPDATES:
        moved_w = max(readings) - min(readings)
        if len(polls) >= 5 * LEAST_UPDATES and moved_w < LEAST_STEP_W:
            raise BenchError(f"the load moves the reading by {moved_w:.3g} W only", FIX_LOAD)
        raise BenchError(f"the reading changed {len(times_s)} times, {LEAST_UPDATES} are needed", FIX_SAMPLES)
    period = _period(times_s, load.poll_s)
    if period.value is None:
        return found | {"update_period_s": period}
    fit = _Fit(times_s, values, load, period.value)
    count, (aperture_s, delay_s), rest = fit.best()
    watts, _ = fit.level(fit.shown(count, aperture_s, delay_s), np.ones(len(values), dtype=bool))
    scatter_w = math.sqrt(rest / max(1, len(values) - 4))
    if watts < max(LEAST_STEP_W, LEAST_RISE * scatter_w / math.sqrt(len(values))) or watts < scatter_w:
        raise BenchError(f"the load moves the reading by {watts:.3g} W, among {scatter_w:.3g} W of scatter", FIX_LOAD)
    aperture_half_s, delay_half_s, watts_half = fit.half_widths(count, (aperture_s, delay_s))
    floor_s = load.poll_s / 4
    duty, duty_half = aperture_s / period.value, math.hypot(aperture_half_s, floor_s) / period.value
    rises_s = _rise(times_s, values, load)
    total = fit.level(np.zeros(len(values)), np.ones(len(values), dtype=bool))[1]
    explained = 1 - rest / total if total > 0 else 0.0
    note = "" if explained >= POOR_FIT else "the readings follow no boxcar average: duty and delay are doubtful"
    averaging = (
        Estimate(count * period.value, max(period.value, count * (period.half_width or 0.0)))
        if count > 1
        else Estimate(None, note="a reading covers no more than its own update period")
    )
    return found | {
        "update_period_s": period,
        "averaging_s": averaging,
        "duty": Estimate(min(duty, 1.0), duty_half)
        if duty_half <= UNSURE_DUTY
        else Estimate(None, note="this load does not show it"),
        "delay_s": Estimate(delay_s, math.hypot(delay_half_s, load.poll_s / 2)),
        "rise_s": rises_s,
        "step_w": Estimate(watts, watts_half),
        "fit": Estimate(explained, note=note),
    }


def _long_steps(load: Load) -> list[tuple[float, float, float]]:
    """(end of the work before, start, end) of the stretches of work that idle time and work around make long."""
    longest_s = max(end_s - start_s for start_s, end_s in load.busy)
    found = []
    before_s = -math.inf
    for start_s, end_s in load.busy:
        if end_s - start_s >= 0.5 * longest_s and start_s - before_s >= 0.3 * longest_s:
            found.append((before_s, start_s, end_s))
        before_s = end_s
    return found


def _noise(times_s: Array, values: Array, load: Load) -> Estimate:
    """Scatter of neighbouring readings in the second half of the longest stretch of work."""
    import numpy as np

    start_s, end_s = max(load.busy, key=lambda span: span[1] - span[0])
    inside = values[(times_s > (start_s + end_s) / 2) & (times_s < end_s)]
    if len(inside) < 6:
        return Estimate(None, note="too few readings change under a steady load")
    scatter_w = float(np.sqrt(np.mean(np.diff(inside) ** 2) / 2))
    return Estimate(scatter_w, 2 * scatter_w / math.sqrt(len(inside) - 1))


def _rise(times_s: Array, values: Array, load: Load) -> Estimate:
    """Time from 10% to 90% of a step, from all long steps laid over each other."""
    import numpy as np
    from scipy.optimize import isotonic_regression

    after: list[Array] = []
    shares: list[Array] = []
    for before_s, start_s, end_s in _long_steps(load):
        low_w = values[(times_s > max(before_s, start_s - 0.3 * (end_s - start_s))) & (times_s <= start_s)]
        high_w = values[(times_s > start_s + 0.8 * (end_s - start_s)) & (times_s <= end_s)]
        if len(low_w) == 0 or len(high_w) == 0 or np.median(high_w) <= np.median(low_w):
            continue
        inside = (times_s > start_s - 0.1) & (times_s <= end_s)
        after.append(times_s[inside] - start_s)
        shares.append((values[inside] - np.median(low_w)) / (np.median(high_w) - np.median(low_w)))
    if len(after) < 2:
        return Estimate(None, note="fewer than two long steps were seen")
    order = np.argsort(np.concatenate(after))
    at_s = np.concatenate(after)[order]
    smooth = isotonic_regression(np.concatenate(shares)[order]).x
    crossings = []
    for share in (0.1, 0.9):
        above = int(np.searchsorted(smooth, share))
        if not 0 < above < len(at_s):
            return Estimate(None, note="the reading does not settle within a step")
        crossings.append((at_s[above - 1], at_s[above]))
    (low_from, low_to), (high_from, high_to) = crossings
    value = (high_from + high_to) / 2 - (low_from + low_to) / 2
    half = math.hypot(high_to - high_from, low_to - low_from) / 2 + load.poll_s
    if value <= half:
        return Estimate(None, note=f"shorter than {value + half:.2g} s")
    return Estimate(float(value), float(half))


# ---------------------------------------------------------------------------------------------------------------------
# the counter


def _examine_counter(polls: Sequence[tuple[float, float]], load: Load) -> dict[str, Estimate]:
    times_s, joules = _updates(polls)
    first_j = polls[0][1]
    found = {"counter_tick_j": Estimate(None, note="finer than 1 µJ")}
    for step_j in COUNTER_STEPS_J:
        if all(abs(value / step_j - round(value / step_j)) < 1e-4 for _, value in polls):
            found["counter_tick_j"] = Estimate(step_j, 0.0)
            break
    if len(times_s) < LEAST_UPDATES:
        note = f"the counter changed {len(times_s)} times, {LEAST_UPDATES} are needed"
        return found | {"counter_period_s": Estimate(None, note=note), "counter_delay_s": Estimate(None, note=note)}
    return found | {
        "counter_period_s": _period(times_s, load.poll_s),
        "counter_delay_s": _counter_delay(times_s, joules - first_j, load),
    }


def _counter_delay(times_s: Array, joules: Array, load: Load) -> Estimate:
    """The delay at which the load's own time best explains the joules counted: base + base power × t + load × work."""
    import numpy as np

    busy = load.busy_seconds()
    group = (np.arange(len(times_s)) * GROUPS) // len(times_s)
    block = np.searchsorted(np.array(load.blocks), times_s)
    base = np.column_stack([(block == number) * part for number in np.unique(block) for part in (1.0, times_s)])
    delays_s = np.arange(-0.05, LONGEST_DELAY_S, 0.005)

    def remainders(kept: Array) -> tuple[Array, float]:
        q, _ = np.linalg.qr(base[kept])
        y = joules[kept] - q @ (q.T @ joules[kept])
        work = np.column_stack([busy(times_s[kept] - delay_s) for delay_s in delays_s])
        work -= q @ (q.T @ work)
        power = (work**2).sum(axis=0)
        along = y @ work
        return float(y @ y) - along**2 / power, float((along / power).max())

    def delay(kept: Array) -> float:
        rest, _ = remainders(kept)
        at = int(np.argmin(rest))
        if not 0 < at < len(rest) - 1:
            return math.nan
        before, here, after = rest[at - 1 : at + 2]
        bend = before - 2 * here + after
        return float(delays_s[at] + (0.5 * (before - after) / bend * 0.005 if bend > 0 else 0.0))

    everything = np.ones(len(times_s), dtype=bool)
    _, watts = remainders(everything)
    value = delay(everything)
    if math.isnan(value) or watts < LEAST_STEP_W:
        return Estimate(None, note="the load does not move the counter")
    parts = np.array([delay(group != number) for number in range(GROUPS)])
    if np.isnan(parts).any():
        return Estimate(None, note="the counter does not follow the load")
    half_s = STUDENT_T * math.sqrt((GROUPS - 1) / GROUPS * float(((parts - parts.mean()) ** 2).sum()))
    return Estimate(value, math.hypot(half_s, load.poll_s / 2))
