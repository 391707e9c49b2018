"""Fleets from measured rows: each card's settings become the modes that it may be in. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.analysis.compare import COLUMNS as COMPARE_COLUMNS
from bench.analysis.compare import compare
from bench.analysis.dispatch.problem import Fleet, Mode
from bench.analysis.economics import COLUMNS as MONEY_COLUMNS
from bench.analysis.economics import Asic, Card, Prices, cards, meter_kw
from bench.model import BenchError, Comparison

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: tuple[str, ...] = tuple(dict.fromkeys([*MONEY_COLUMNS, *COMPARE_COLUMNS, "device_uuid", "work_per_j"]))
"""The columns that :func:`fleets` reads, in addition to ``file`` and ``line``."""
CLASSES = 8
"""Cards of a merged fleet are put in so many classes by work per joule, so that the thirsty ones can go off first."""
CLASS = ", class "
OFF = Mode("off", "off", 0.0)


def fleets(
    frame: pd.DataFrame,
    prices: Prices,
    counts: Mapping[str, float],
    *,
    ai: str | None = None,
    by_card: bool = False,
) -> tuple[list[Fleet], float, list[str]]:
    """Fleets of the measured cards.

    Args:
        frame: rows with :data:`COLUMNS`, ``file`` and ``line``; watts are needed.
        prices: rents, host power, supply efficiency and PUE (their likely figures).
        counts: name of a card, or a part of it → how many there are; ``""`` stands for every card.
        ai: words of the AI task that is sold.
        by_card: let each physical card, or each of :data:`CLASSES` classes of them, decide for itself; ``counts`` must
            then be empty.

    Returns:
        The fleets, the rent of the first one per card and hour, and what had to be left out.

    Raises:
        BenchError: no card has watts, a count names no card, or no card can do anything.
    """
    if by_card:
        if counts:
            raise BenchError("--fleet counts the cards in the files; --cards cannot change that", "leave one out")
        frame, counts = _classes(frame)
    measured = cards(frame, ai)
    groups = compare(frame, metrics=("rate_per_s", "power_mean_w")).groups()
    found, rents, notes = [], [], []
    unused = set(counts) - {""}
    for card in measured:
        name = next((part for part in counts if part and part.lower() in card.name.lower()), "")
        unused.discard(name)
        rent = prices.rent(card.name.partition(CLASS)[0])
        modes = [*_modes(card, groups, prices, rented=rent is not None), OFF]
        if rent is None:
            notes.append(f"{card.name}: the price file has no rent for it, so it is never rented out")
        if len(modes) < 3:
            reasons = "; ".join(card.reasons) or "nothing was measured"
            notes.append(f"{card.name} is left out: {reasons}")
            continue
        rents.append(0.0 if rent is None or rent.range.likely is None else rent.range.likely)
        found.append(Fleet(card.name, counts.get(name, 1.0), tuple(modes)))
    if unused:
        shown = ", ".join(card.name for card in measured)
        raise BenchError(f"no card is named {sorted(unused)[0]!r}", f"use (a part of) {shown}")
    if not found:
        raise BenchError(f"no card here can be scheduled ({'; '.join(notes)})", "measure with a power sensor, idle too")
    first = next((rent for rent in rents if rent), 0.0)
    scaled = [
        Fleet(fleet.name, fleet.cards, fleet.modes, rent / first if first else 0.0)
        for fleet, rent in zip(found, rents, strict=True)
    ]
    return scaled, first, notes


def asics(asic: Asic, count: float, prices: Prices) -> Fleet:
    """A fleet of miners, which are at work or off."""
    kw = asic.hash_th_per_s * asic.j_per_th / 1000 * (prices.range("pue_mining").likely or 1.0)
    return Fleet(asic.name, count, (Mode("mine", "mine", kw, hash_th_per_s=asic.hash_th_per_s), OFF), 0.0)


def _modes(card: Card, groups: Sequence[Mapping[str, Comparison]], prices: Prices, *, rented: bool) -> list[Mode]:
    """Every measured setting of both uses, and idle."""
    own = [held for held in groups if held["rate_per_s"].key["device_name"] == card.name]
    mining = [held for held in own if held["rate_per_s"].key["workload"] == "sha256d"]
    sold = [held for held in own if card.ai_task is not None and held["rate_per_s"].task.label == card.ai_task]
    found: list[Mode] = []
    uses = [("mine", mining, 0.0)]
    if rented and card.ai_per_s is not None and card.ai_per_s.likely:
        uses.append(("rent", sold, card.ai_per_s.likely))
    for use, held_groups, stock in uses:
        for held in held_groups:
            rate, watts = held["rate_per_s"].value, held["power_mean_w"].value
            if rate is None or watts is None:
                continue
            kw = meter_kw(watts, card, prices, "mining" if use == "mine" else "ai")
            name = use if held["rate_per_s"].role == "stock" else f"{use} at {_setting(held)}"
            if use == "mine":
                found.append(Mode(name, use, kw, hash_th_per_s=rate / 1e12))
            else:
                found.append(Mode(name, use, kw, rent_share=rate / stock))
    if card.idle_w is not None and card.idle_w.likely is not None:
        kept = "ai" if rented else "mining"
        found.append(Mode("idle", "idle", meter_kw(card.idle_w.likely, card, prices, kept)))
    return found


def _setting(held: Mapping[str, Comparison]) -> str:
    key = held["rate_per_s"].key
    limit, clock = key["power_limit_w"], key["sm_clock_lock_mhz"]
    parts = [f"{limit:g} W"] if limit is not None else []
    parts += [f"{clock:g} MHz"] if clock is not None else []
    return ", ".join(parts) or f"another setting ({key['implementation']})"


def _classes(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """The frame with each physical card, or each class of cards alike in work per joule, as a card of its own."""
    frame = frame.copy()
    names = frame["device_name"].astype(str)
    counts: dict[str, float] = {}
    good = frame[frame["valid"] & frame["verified"] & frame["work_per_j"].notna()]
    for model in names.unique().tolist():
        rows = good[good["device_name"].astype(str) == model]
        if rows.empty:
            continue
        task = [column for column in ("workload", "phase", "shape", "dtype") if column in rows]
        uuid = rows["device_uuid"].astype(str)
        of_task = rows["work_per_j"] / rows.groupby(task, dropna=False, observed=True)["work_per_j"].transform("median")
        worth = of_task.groupby(uuid).mean().sort_values(ascending=False)
        number = min(CLASSES, len(worth))
        places = enumerate(worth.index)
        label = {each: f"{model}{CLASS}{1 + at * number // len(worth)} of {number}" for at, each in places}
        own = frame["device_name"].astype(str) == model
        names = names.where(~own, frame["device_uuid"].astype(str).map(label).fillna(model))
        counts |= {part: float(size) for part, size in Counter(label.values()).items()}
    frame["device_name"] = names.astype("category")
    return frame, counts
