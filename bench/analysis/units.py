"""Rows of a fleet → one row per card and task: rate, joules per unit of work, temperature, each with its error.

Everything is done on whole columns: a fleet of 80,000 cards has 640,000 rows. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.analysis.estimate import reduce
from bench.analysis.groups import TASK
from bench.model import TaskKey

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

COHORT = ("device_name", "power_limit_w", "power_profiles")
"""Cards that agree in these, and in the driver, are expected to do the same."""
KEY = (
    *(*COHORT, "driver", *TASK),
    *("mode", "implementation", "native", "precision", "options", "work_unit", "method_version", "energy_scope"),
)
"""A series: one task of one cohort."""

READ = (
    *("node", "card", "slot", "device_kind", *KEY),
    *("rate_per_s", "work_per_j", "energy_j", "energy_uncertainty_j", "sensor_uncertainty_j"),
    *("temperature_max_c", "window_s", "throttle_s", "throttle_reasons"),
    *("verified", "proven", "valid", "invalid_reasons"),
)

PRIOR_WINDOWS = 10.0
"""The usual scatter of the cohort's windows counts as much as so many windows of the card itself: three windows show
little of a card's own."""


def units(frame: pd.DataFrame, racks: Mapping[str, str]) -> pd.DataFrame:
    """One row per card and task.

    Args:
        frame: rows with :data:`READ`.
        racks: node → label of its rack.

    Returns:
        The columns of :data:`KEY` and ``node``, ``card``, ``slot``, ``rack``, ``task`` (its label); ``card_number``,
        ``cohort_number``, ``series`` and ``wide_series`` (the same over all drivers); ``cohort``, the number of cards
        of the series; ``windows``, ``sound`` and ``rows``; ``rate`` and ``joules`` (per unit of work), both logarithms,
        with ``rate_half`` and ``joules_half``, 95% half-widths; ``temperature`` in °C; ``variance`` of the windows' log
        rates, ``usual_variance`` of the series, ``scatter``; ``window_s``, ``throttle_s``, ``wrong`` rows,
        ``meter_error``, ``throttle_reasons``, ``invalid_reasons``.
    """
    import numpy as np
    import pandas as pd

    series = _numbers(frame, KEY)
    card = _numbers(frame, ("node", "card"))
    unit, which = pd.factorize(series * (int(card.max()) + 1) + card)
    count = len(which)
    first = np.full(count, len(frame), dtype=np.int64)
    np.minimum.at(first, unit, np.arange(len(frame)))
    table = frame.iloc[first][["node", "card", "slot", *KEY]].reset_index(drop=True)
    table["series"], table["card_number"] = series[first], card[first]
    table["cohort_number"] = _numbers(table, (*COHORT, "driver"))
    table["wide_series"] = _numbers(table, [name for name in KEY if name != "driver"])
    table["rack"] = table["node"].astype(str).map(racks) if racks else None
    table["task"] = _labels(table)

    sound = (frame["valid"] & frame["verified"]).to_numpy(dtype=bool)
    # too few shares to prove a hashrate is no fault of the card
    unproven = (frame["proven"] == False).fillna(False).to_numpy(dtype=bool)  # noqa: E712
    wrong = ~frame["verified"].to_numpy(dtype=bool) & ~unproven

    def total(weights: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(unit, weights=np.nan_to_num(weights.astype(float)), minlength=count).astype(np.float64)

    table["rows"], table["sound"], table["wrong"] = np.bincount(unit, minlength=count), total(sound), total(wrong)
    for name in ("window_s", "throttle_s"):
        table[name] = total(frame[name].to_numpy(dtype=float))
    _rates(table, frame["rate_per_s"].to_numpy(dtype=float), sound, unit)
    _joules(table, frame, sound, unit)
    hot = frame["temperature_max_c"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["temperature"] = total(hot) / total(~np.isnan(hot))
    for name in ("throttle_reasons", "invalid_reasons"):
        texts = frame[name].astype(object)
        held = texts.notna().to_numpy()
        by_unit = pd.Series(texts[held].to_numpy(), index=unit[held], dtype=object).groupby(level=0)
        table[name] = by_unit.first().reindex(range(count))
    table["cohort"] = table["rate"].groupby(table["series"]).transform("count")
    return table


def _numbers(frame: pd.DataFrame, names: Any) -> NDArray[np.int64]:
    """Rows that agree in all columns get one number."""
    groups = frame.groupby(list(names), dropna=False, sort=False, observed=True)
    numbers: NDArray[Any] = groups.ngroup().to_numpy(dtype="int64")
    return numbers


def _labels(table: pd.DataFrame) -> Any:
    """Each row's task in words."""
    numbers = _numbers(table, TASK)
    firsts = table.drop_duplicates(list(TASK))[list(TASK)].astype(object)
    plain = firsts.where(firsts.notna(), None).to_dict("records")
    names = {number: TaskKey.of(row).label for number, row in zip(numbers[firsts.index], plain, strict=True)}
    import pandas as pd

    return pd.Categorical(pd.Series(numbers).map(names))


def _rates(table: pd.DataFrame, rates: NDArray[np.float64], sound: NDArray[np.bool_], unit: NDArray[np.int64]) -> None:
    """The trimmed mean of the logarithms, and its 95% half-width from the windows' scatter."""
    import numpy as np

    usable = sound & (rates > 0)
    mean, half, variance, usual = _estimate(np.log(rates[usable]), unit[usable], table["series"].to_numpy())
    table["windows"] = np.bincount(unit[usable], minlength=len(table))
    table["rate"], table["rate_half"], table["variance"], table["usual_variance"] = mean, half, variance, usual
    table["scatter"] = np.sqrt(variance)


def _joules(table: pd.DataFrame, frame: pd.DataFrame, sound: NDArray[np.bool_], unit: NDArray[np.int64]) -> None:
    import numpy as np

    per_joule, joules = frame["work_per_j"].to_numpy(dtype=float), frame["energy_j"].to_numpy(dtype=float)
    usable = sound & (per_joule > 0) & (joules > 0)
    inside, count = unit[usable], len(table)
    mean, half, _, _ = _estimate(-np.log(per_joule[usable]), inside, table["series"].to_numpy())
    windows = np.bincount(inside, minlength=count).astype(np.float64)
    errors = np.nan_to_num(frame["energy_uncertainty_j"].to_numpy(dtype=float)[usable] / joules[usable])
    meter = frame["sensor_uncertainty_j"].to_numpy(dtype=float)[usable] / joules[usable]
    with np.errstate(divide="ignore", invalid="ignore"):
        window_half = np.sqrt(np.bincount(inside, weights=errors**2, minlength=count)) / windows
        table["meter_error"] = np.bincount(inside, weights=meter, minlength=count) / windows
    table["joules"], table["joules_half"] = mean, np.fmax(half, window_half)


def _estimate(
    logs: NDArray[np.float64], unit: NDArray[np.int64], series: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Of each unit: the trimmed mean, its 95% half-width, the windows' variance, and the usual one of its series.

    The variance behind the half-width is the card's own shrunk to the usual one of its series (Smyth 2004), which a
    few windows of one card could not show.
    """
    import numpy as np
    import pandas as pd
    from scipy.special import stdtrit

    count = len(series)
    windows = np.bincount(unit, minlength=count)
    mean = reduce(logs, unit, count).mean
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.bincount(unit, weights=logs, minlength=count) / windows
        squares = np.bincount(unit, weights=(logs - plain[unit]) ** 2, minlength=count)
        freedom = windows - 1.0
        variance = np.where(freedom > 0, squares / freedom, np.nan)
        # the median of χ²/d lies below 1 (Wilson and Hilferty 1931)
        level = variance / (1 - 2 / (9 * np.maximum(freedom, 1.0))) ** 3
        usual = pd.Series(level).groupby(series).transform("median").to_numpy()
        shrunk = (PRIOR_WINDOWS * usual + np.nan_to_num(squares)) / (PRIOR_WINDOWS + np.maximum(freedom, 0.0))
        half = stdtrit(PRIOR_WINDOWS + np.maximum(freedom, 0.0), 0.975) * np.sqrt(shrunk / windows)
    mean = np.where(windows > 0, mean, np.nan)
    return mean, half, variance, usual
