"""Which cards of a fleet are slow, hot, thirsty, throttled or unstable compared with cards like them. Pure.

    found = find(frame)                                 # rows as `bitwatt merge` writes them
    [(card.node, card.card, card.kinds, card.cause) for card in found.suspects]

Cards of one model, power limit, power profile and driver form a *cohort*; each task is judged on its own. A card's
figure is compared with the cohort's median, and its distance with a bound: the greatest of ``deviations`` robust
standard deviations of the cohort (1.4826 × the median absolute deviation), a floor below which a difference does not
matter, and the 95% half-width of the card's own figure. Median and MAD hardly move with a few bad cards, so a bad card
hides neither itself nor another.

Among tens of thousands of cards some are far off by chance. So each distance also has a p-value, adjusted for the tests
of the card (Bonferroni) and over all cards (Benjamini and Hochberg 1995). A card is flagged where it is beyond the
bound *and* its adjusted p-value is at most the stated false-discovery rate: the expected share of cards among the
flagged ones that are like the others.

What is counted rather than estimated needs no statistics: seconds under a throttle reason, wrong output, no sound row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.analysis.explain import Effect, cause, driver_effects, effects, majorities
from bench.analysis.units import READ, units
from bench.model import BenchError
from bench.model.throttle import INVALIDATING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

COLUMNS = READ
"""The columns that :func:`find` reads."""

FALSE_DISCOVERY_RATE = 0.05
DEVIATIONS = 3.0
LEAST_CARDS = 5
"""A cohort of fewer cards shows no spread, and its cards are not judged."""
THROTTLED_SHARE = 0.01
"""Share of the measured time under a throttle reason from which a card counts as throttled."""
FAILED_SHARE = 0.3
"""A card that is slower than its cohort by this share counts as failed."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure that cards are judged by."""

    kind: str
    column: str
    """Of :func:`bench.analysis.units.units`."""
    floor: float
    """Distance below which a difference does not matter: a difference of logarithms, or °C."""
    resolution: float
    """Least standard deviation that is believed: sensors round."""
    sign: float
    """Direction that is bad."""


MEASURES = (
    Measure("slow", "rate", 0.02, 0.001, -1.0),
    Measure("thirsty", "joules", 0.03, 0.001, 1.0),
    Measure("hot", "temperature", 5.0, 0.5, 1.0),
)
UNSTABLE_FLOOR = 0.01
"""Standard deviation of a card's windows, relative to their mean, below which it is not called unstable."""

HEALTHY, DEGRADED, FAILED = 0, 1, 2
STATES = ("healthy", "degraded", "failed")


@dataclass(frozen=True, slots=True)
class Flag:
    """One reason to look at a card."""

    kind: str
    """``slow``, ``hot``, ``thirsty``, ``unstable``, ``throttled``, ``wrong`` (output), ``unsound`` or ``missing``."""
    task: str = ""
    """Empty where it concerns all tasks."""
    value: float | None = None
    """The card's figure: work/s, joules per unit of work, °C, standard deviation of its windows relative to their mean,
    share of the time."""
    median: float | None = None
    """Of the cohort."""
    unit: str = ""
    deviation: float | None = None
    """Value ÷ median − 1; °C for ``hot``."""
    bound: float | None = None
    """What the deviation was compared with, likewise."""
    p_adjusted: float | None = None
    """Least false-discovery rate at which the card would have this flag."""
    cohort: int | None = None
    """Cards that it was compared with, itself included."""
    meter_error: float | None = None
    """95% half-width of the power meter's own error, relative; for ``thirsty``."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A card with its flags, the gravest first."""

    node: str
    card: str
    slot: int | None
    rack: str | None
    model: str | None
    driver: str | None
    power_limit_w: float | None
    code: int
    """:data:`DEGRADED` or :data:`FAILED`."""
    cause: str
    """``card``, or what else explains its flags: ``node n7``, ``rack r2``, ``slot 3``."""
    flags: tuple[Flag, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(flag.kind for flag in self.flags))


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What a scheduler has to know of one node."""

    node: str
    code: int
    """0 healthy, 1 degraded, 2 failed."""
    cards: int
    suspects: tuple[Suspect, ...] = ()
    effects: tuple[Effect, ...] = ()
    """What holds for the whole node."""


@dataclass(frozen=True, slots=True)
class Found:
    """What :func:`find` found in a fleet."""

    suspects: tuple[Suspect, ...]
    """The gravest first."""
    nodes: tuple[NodeVerdict, ...]
    """Every node, by name."""
    effects: tuple[Effect, ...]
    """Racks, slots, nodes and drivers that differ as a whole."""
    cards: int
    judged: int
    """Cards in a cohort that is large enough."""
    false_discovery_rate: float
    units: pd.DataFrame
    """A row per card and task with its distances from the cohort's medians: ``slow``, ``thirsty``, ``hot``."""


def find(
    frame: pd.DataFrame,
    *,
    racks: Mapping[str, str] | None = None,
    missing: Sequence[Mapping[str, str]] = (),
    false_discovery_rate: float = FALSE_DISCOVERY_RATE,
    deviations: float = DEVIATIONS,
) -> Found:
    """Judge every card of a fleet.

    Args:
        frame: rows with :data:`COLUMNS`, as :func:`bench.storage.fleet_rows.read_rows` gives them.
        racks: node → label of its rack.
        missing: cards that were to be measured and were not, with ``node``, ``card`` (empty: all) and ``reason``.
        false_discovery_rate: expected share of wrong ones among the flagged cards.
        deviations: robust standard deviations from the median that a flag needs at least.

    Raises:
        BenchError: there is no row, or an argument is out of range.
    """
    if not len(frame):
        raise BenchError("the fleet has no rows", "merge its shards first: bitwatt merge DIR -o FLEET.parquet")
    if not 0 < false_discovery_rate < 1 or not deviations > 0:
        raise BenchError("the false-discovery rate must be between 0 and 1, and deviations above 0", "correct them")
    table = units(frame, racks or {})
    tests = [_test(table, measure, deviations) for measure in MEASURES] + [_unstable(table, deviations)]
    adjusted = _adjusted([test.p for test in tests], table["card_number"].to_numpy())
    for test, measure in zip(tests, MEASURES, strict=False):
        table[measure.kind] = test.distance
        table[f"{measure.kind}_z"] = test.distance / test.scale
    known = [*effects(table, MEASURES, false_discovery_rate), *driver_effects(table, MEASURES, false_discovery_rate)]
    flags, distances = _flagged(table, tests, adjusted, false_discovery_rate)
    first = table.drop_duplicates("card_number").set_index("card_number")
    counted = _counted(table, first)
    for number, more in counted.items():
        flags[number] += more
    whole = majorities(first, {number: [flag.kind for flag in more] for number, more in counted.items()})
    cards: dict[Any, Any] = first.loc[list(flags)].to_dict("index")
    suspects = [_suspect(cards[number], own, distances[number], known, whole) for number, own in flags.items()]
    suspects += [_absent(each, racks or {}) for each in missing]
    suspects.sort(key=_gravity)
    judged = table.loc[(table["cohort"] >= LEAST_CARDS) & table["rate"].notna(), "card_number"].nunique()
    return Found(
        suspects=tuple(suspects),
        nodes=tuple(_nodes(first, suspects, known)),
        effects=tuple(known),
        cards=len(first),
        judged=int(judged),
        false_discovery_rate=false_discovery_rate,
        units=table,
    )


# ---- distances and their chance --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Test:
    """One figure of every unit: its distance in the bad direction, and what that is compared with."""

    kind: str
    column: str
    sign: float
    distance: NDArray[np.float64]
    bound: NDArray[np.float64]
    scale: NDArray[np.float64]
    centre: NDArray[np.float64]
    p: NDArray[np.float64]
    """One-sided; NaN where it is not judged."""


def _test(table: pd.DataFrame, measure: Measure, deviations: float) -> _Test:
    import numpy as np
    from scipy import stats

    values, series = table[measure.column], table["series"]
    centre = values.groupby(series).transform("median").to_numpy()
    away = (values - centre).abs()
    count = values.groupby(series).transform("count").to_numpy(dtype=float)
    # without n/(n − 0.8) the MAD of few values is too small (Croux and Rousseeuw 1992)
    spread = 1.4826 * away.groupby(series).transform("median").to_numpy() * count / np.maximum(count - 0.8, 0.2)
    half = table.get(f"{measure.column}_half", 0.0 * values).fillna(0.0).to_numpy()
    scale = np.maximum(np.maximum(spread, half / 1.96), measure.resolution)
    distance = measure.sign * (values.to_numpy() - centre)
    bound = np.maximum(np.maximum(deviations * spread, half), measure.floor)
    # a MAD of n normal values is known about as well as a standard deviation of half as many
    p = stats.t.sf(distance / scale, np.maximum((count - 1) / 2, 1.0))
    p[(count < LEAST_CARDS) | np.isnan(distance)] = np.nan
    return _Test(measure.kind, measure.column, measure.sign, distance, bound, scale, centre, p)


def _unstable(table: pd.DataFrame, deviations: float) -> _Test:
    """The scatter of a card's windows compared with what is usual in its cohort: a χ² test of the variance."""
    import numpy as np
    from scipy import stats

    variance, usual = table["variance"].to_numpy(), table["usual_variance"].to_numpy()
    freedom = np.maximum(table["windows"].to_numpy() - 1.0, 1.0)
    usual = np.maximum(usual, 1e-6)  # no clock is read better than to 0.1%
    p = stats.chi2.sf(freedom * variance / usual, freedom)
    judged = (table["cohort"].to_numpy() >= LEAST_CARDS) & (table["windows"].to_numpy() >= 3)
    p[~judged | np.isnan(variance)] = np.nan
    bound = np.maximum(deviations * np.sqrt(usual), UNSTABLE_FLOOR)
    return _Test("unstable", "scatter", 1.0, np.sqrt(variance), bound, np.sqrt(usual), np.sqrt(usual), p)


def _adjusted(families: Sequence[NDArray[np.float64]], cards: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """The p-values adjusted over all cards: a card with many tests, or with several bad figures, counts once.

    A card's p-value is the least of its tests' times their number (Bonferroni); Benjamini and Hochberg's procedure is
    applied to the cards. What was not judged gets 1.
    """
    import numpy as np
    from scipy import stats

    p, card = np.concatenate(families), np.tile(cards, len(families))
    judged = ~np.isnan(p)
    out = np.ones(len(p))
    if judged.any():
        own = p[judged] * np.bincount(card[judged])[card[judged]]
        least = np.ones(int(cards.max()) + 1)
        np.minimum.at(least, card[judged], own)
        ordered = np.sort(least[np.unique(card[judged])])
        adjusted = np.append(stats.false_discovery_control(ordered), 1.0)
        # a card's other figures lie between cards' p-values: the least rate whose limit they do not exceed
        between = own * len(ordered) / np.maximum(np.searchsorted(ordered, own, side="right"), 1)
        out[judged] = np.minimum(between, adjusted[np.searchsorted(ordered, own)])
    return np.split(out, np.cumsum([len(each) for each in families])[:-1])


# ---- what a card gets ------------------------------------------------------------------------------------------------


def _flagged(
    table: pd.DataFrame, tests: Sequence[_Test], adjusted: Sequence[NDArray[np.float64]], false_discovery_rate: float
) -> tuple[dict[int, list[Flag]], dict[int, dict[str, tuple[float, float]]]]:
    """Card → its flags, and the largest distance of each kind with its bound."""
    flags: dict[int, list[Flag]] = defaultdict(list)
    distances: dict[int, dict[str, tuple[float, float]]] = defaultdict(dict)
    numbers = table["card_number"].to_numpy(dtype="int64")
    for test, q in zip(tests, adjusted, strict=True):
        for row in ((test.distance > test.bound) & (q <= false_discovery_rate)).nonzero()[0].tolist():
            number = int(numbers[row])
            flags[number].append(_flag(table, test, row, float(q[row])))
            far = (float(test.distance[row]), float(test.bound[row]))
            distances[number][test.kind] = max(far, distances[number].get(test.kind, far))
    return flags, distances


def _flag(table: pd.DataFrame, test: _Test, row: int, q: float) -> Flag:
    unit = table.iloc[row]
    value, centre, bound = float(unit[test.column]), float(test.centre[row]), float(test.bound[row])
    flag = Flag(test.kind, str(unit["task"]), value, centre, bound=bound, p_adjusted=q, cohort=int(unit["cohort"]))
    if test.kind == "unstable":
        return replace(flag, deviation=value)
    if test.kind == "hot":
        return replace(flag, unit="°C", deviation=value - centre)
    work, error = str(unit["work_unit"]), float(unit["meter_error"])
    return replace(
        flag,
        value=math.exp(value),
        median=math.exp(centre),
        unit=f"{work}/s" if test.kind == "slow" else f"J/{work}",
        deviation=math.expm1(value - centre),
        bound=abs(math.expm1(test.sign * bound)),
        meter_error=error if test.kind == "thirsty" and math.isfinite(error) else None,
    )


def _counted(table: pd.DataFrame, first: pd.DataFrame) -> dict[int, list[Flag]]:
    """Flags that rest on counts: throttled time, wrong output, and cards without a sound row among cards with some."""
    by_card = table.groupby("card_number")
    sums = by_card[["window_s", "throttle_s", "wrong", "sound", "rows"]].sum()
    half_is_sound = (sums["sound"] > 0).groupby(first["cohort_number"].reindex(sums.index)).transform("mean") > 0.5
    share = sums["throttle_s"] / sums["window_s"]
    found: dict[int, list[Flag]] = defaultdict(list)
    for card in sums.index[sums["wrong"] > 0]:
        found[card].append(Flag("wrong", value=float(sums["wrong"][card]), unit="rows"))
    for card in sums.index[(sums["sound"] == 0) & (sums["wrong"] == 0) & half_is_sound]:
        reasons = table.loc[table["card_number"] == card, "invalid_reasons"].dropna()
        found[card].append(Flag("unsound", value=float(sums["rows"][card]), unit="rows", detail="; ".join(reasons[:1])))
    for card in sums.index[share >= THROTTLED_SHARE]:
        texts = table.loc[table["card_number"] == card, "throttle_reasons"].dropna()
        names = dict.fromkeys(name for text in texts for name in str(text).split(";") if name in INVALIDATING)
        found[card].append(Flag("throttled", value=float(share[card]), bound=THROTTLED_SHARE, detail=", ".join(names)))
    return found


_GRAVEST = ("missing", "wrong", "unsound", "throttled", "slow", "thirsty", "hot", "unstable")
_FATAL = frozenset({"missing", "wrong", "unsound"})


def _suspect(
    card: Mapping[str, Any],
    flags: Sequence[Flag],
    distances: Mapping[str, tuple[float, float]],
    known: Sequence[Effect],
    whole: Mapping[tuple[str, str], str],
) -> Suspect:
    fatal = any(
        flag.kind in _FATAL or (flag.kind == "slow" and (flag.deviation or 0.0) <= -FAILED_SHARE) for flag in flags
    )
    node = str(card["node"])
    place = {"node": node, "rack": _text(card["rack"]), "slot": str(card["slot"])}
    ordered = sorted(flags, key=lambda flag: (_GRAVEST.index(flag.kind), -abs(flag.deviation or 0.0)))
    reasons = [
        cause(place, kind, *distances[kind], known) if kind in distances else whole.get((node, kind), "card")
        for kind in dict.fromkeys(flag.kind for flag in ordered)
    ]
    other = [reason for reason in reasons if reason != "card"]
    return Suspect(
        node=node,
        card=str(card["card"]),
        slot=int(card["slot"]),
        rack=place["rack"],
        model=_text(card["device_name"]),
        driver=_text(card["driver"]),
        power_limit_w=_number(card["power_limit_w"]),
        code=FAILED if fatal else DEGRADED,
        # one flag that nothing else explains is the card's
        cause=other[0] if len(other) == len(reasons) else "card",
        flags=tuple(ordered),
    )


def _absent(each: Mapping[str, str], racks: Mapping[str, str]) -> Suspect:
    node, card = each.get("node", ""), each.get("card", "")
    flag = Flag("missing", detail=each.get("reason", ""))
    cause_ = "card" if card else f"node {node}" if node else "node"
    return Suspect(node, card, None, racks.get(node), None, None, None, FAILED, cause_, (flag,))


def _gravity(suspect: Suspect) -> tuple[Any, ...]:
    worst = suspect.flags[0]
    return (
        -suspect.code,
        suspect.cause != "card",
        _GRAVEST.index(worst.kind),
        -abs(worst.deviation or worst.value or 0.0),
        suspect.node,
        suspect.card,
    )


def _nodes(first: pd.DataFrame, suspects: Sequence[Suspect], known: Sequence[Effect]) -> list[NodeVerdict]:
    counts = first["node"].astype(str).value_counts()
    own: dict[str, list[Suspect]] = defaultdict(list)
    for suspect in suspects:
        if suspect.node:
            own[suspect.node].append(suspect)
    whole: dict[str, list[Effect]] = defaultdict(list)
    for effect in known:
        if effect.factor == "node":
            whole[effect.level].append(effect)
    return [
        NodeVerdict(
            node,
            max([*(item.code for item in own.get(node, ())), DEGRADED if node in whole else HEALTHY]),
            int(counts.get(node, 0)),
            tuple(own.get(node, ())),
            tuple(whole.get(node, ())),
        )
        for node in sorted({*counts.index, *own})
    ]


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
