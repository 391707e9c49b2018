"""The first screen: which card mines best, which does AI best, and what to do with it. Pure.

Whether a difference is real is :mod:`bench.analysis.compare`'s to say: the best card is compared with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.compare import compare
from bench.analysis.economics import CardOutlook, Outlook
from bench.output.format import figures, interval, quantity
from bench.report.entries import Entry, interval_text
from bench.report.pick import tasks

if TYPE_CHECKING:
    import pandas as pd

_MODES = ("standard", "quick", "smoke")


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, its answer in a few words, and what supports it."""

    question: str
    answer: str
    figure: str = ""
    notes: tuple[str, ...] = ()


def answers(frame: pd.DataFrame, entries: Sequence[Entry], outlook: Outlook | None) -> list[Answer]:
    """Mining, then the leading AI tasks, then money; a question without any figure is left out."""
    found = [_mining(frame, entries, outlook)]
    found += [
        _best(frame, entries, f"{_title(entries, 'Best at AI', 'AI')}: {task}", task, _metric(entries, task))
        for task in ai_tasks(entries)
    ]
    if outlook is not None:
        found.append(_money(outlook))
    return [item for item in found if item is not None]


def _title(entries: Sequence[Entry], several: str, one: str) -> str:
    """With one card nothing is the best."""
    return one if len({entry.card for entry in entries}) == 1 else several


def ai_tasks(entries: Sequence[Entry]) -> list[str]:
    """Decode and prefill where they were measured, else the task that leads."""
    ranked = tasks(entries, "FLOP", "tokens_per_j") or tasks(entries, "FLOP", "tokens_per_s")
    phases = {entry.task: str(entry.key["phase"]) for entry in entries}
    by_phase: dict[str, list[str]] = {}
    for task in ranked:
        by_phase.setdefault(phases[task], []).append(task)
    chosen = [by_phase[phase][0] for phase in ("decode", "prefill") if by_phase.get(phase)]
    return chosen or ranked[:1]


def _metric(entries: Sequence[Entry], task: str) -> str:
    per_joule = any(entry.task == task and entry.figure("tokens_per_j") for entry in entries)
    return "tokens_per_j" if per_joule else "tokens_per_s"


def leaders(entries: Sequence[Entry], task: str, metric: str) -> list[Entry]:
    """Each card's best setting of a task, the best card first; short windows count only where there are no others."""
    best: dict[str, Entry] = {}
    for entry in entries:
        if entry.task == task and entry.figure(metric) is not None:
            other = best.get(entry.card)
            if other is None or _worth(entry, metric) > _worth(other, metric):
                best[entry.card] = entry
    return sorted(best.values(), key=lambda entry: _worth(entry, metric), reverse=True)


def _worth(entry: Entry, metric: str) -> tuple[int, float]:
    mode = str(entry.key["mode"])
    return -(_MODES.index(mode) if mode in _MODES else len(_MODES)), entry.metrics[metric].value or 0.0


def _mining(frame: pd.DataFrame, entries: Sequence[Entry], outlook: Outlook | None) -> Answer | None:
    for metric in ("work_per_j", "rate_per_s"):
        ranked = tasks(entries, "hash", metric)
        if not ranked:
            continue
        found = _best(frame, entries, f"{_title(entries, 'Best miner', 'Mining')} ({ranked[0]})", ranked[0], metric)
        if found is None or outlook is None or ranked[0] != "sha256d":
            return found
        asic = outlook.prices.asic
        value = 1e12 / asic.j_per_th if metric == "work_per_j" else asic.hash_th_per_s * 1e12
        note = f"For scale, an ASIC ({asic.name}): {quantity(value, 'hash/J' if metric == 'work_per_j' else 'hash/s')}."
        return Answer(found.question, found.answer, found.figure, (*found.notes, note))
    return None


def _best(frame: pd.DataFrame, entries: Sequence[Entry], question: str, task: str, metric: str) -> Answer | None:
    ranked = leaders(entries, task, metric)
    if not ranked:
        return None
    first = ranked[0]
    notes = [f"At {first.setting}." if first.setting else _limit(first)]
    if len(ranked) == 1:
        others = "" if len({entry.card for entry in entries}) == 1 else " No other card has a figure for this task."
        share = first.means.get("mfu")
        notes.append((f"{share:.0%} of the card's stated peak." if share else "") + others)
        return Answer(question, first.card, interval_text(first.metrics[metric]), _said(notes))
    second = ranked[1]
    verdict, reason = _against(frame, first, second, metric)
    then = f"{second.card} follows with {interval_text(second.metrics[metric])}."
    if verdict in ("faster", "slower", "better", "worse"):
        return Answer(question, first.card, interval_text(first.metrics[metric]), _said([*notes, then]))
    why = "the same within 1%" if verdict == "same" else reason or "their intervals overlap"
    answer = "Same" if verdict == "same" else "Cannot tell"
    notes.append(f"Against {second.card} ({interval_text(second.metrics[metric])}): {why}.")
    return Answer(question, f"{answer}: {first.card} leads", interval_text(first.metrics[metric]), _said(notes))


def _said(notes: Sequence[str]) -> tuple[str, ...]:
    return tuple(note.strip() for note in notes if note.strip())


def _limit(entry: Entry) -> str:
    limit = entry.key["power_limit_w"]
    return f"At a power limit of {figures(limit)} W." if limit else ""


def _against(frame: pd.DataFrame, first: Entry, second: Entry, metric: str) -> tuple[str, str | None]:
    """Compare's verdict on the two, and its reason, over the rows of these two settings alone."""
    keep = frame["valid"] & False
    for entry in (first, second):
        rows = frame["device_name"].astype(str) == entry.card
        for name in ("power_limit_w", "sm_clock_lock_mhz"):
            value = entry.key[name]
            rows &= frame[name].isna() if value is None else frame[name] == value
        keep |= rows
    result = compare(frame[keep.to_numpy(dtype=bool)], first.card)
    for item in result.comparisons:
        same = all(item.key[name] == second.key[name] for name in second.key if name in item.key)
        if same and item.metric == metric:
            return item.verdict, item.reason
    return "cannot tell", None


def _money(outlook: Outlook) -> Answer | None:
    groups: dict[str, list[CardOutlook]] = {}
    for item in outlook.cards:
        groups.setdefault(_decision(item), []).append(item)
    decided = {name: items for name, items in groups.items() if name}
    if not decided:
        return None
    currency = outlook.prices.currency
    notes = []
    for name, items in decided.items():
        best = max(items, key=_net)
        net = _net_text(best, currency)
        who = best.card.name if len(items) == 1 else f"{len(items)} cards; the highest net: {best.card.name}"
        notes.append(f"{name}: {who}" + (f", {net}." if net else "."))
    answer = next(iter(decided)) if len(decided) == 1 else "It depends on the card"
    as_of = f"At the price file of {outlook.prices.as_of.isoformat()}; change the prices under Money."
    return Answer("Mine, rent out or switch off?", answer, "", (*notes, as_of))


def _decision(item: CardOutlook) -> str:
    """What to do with a card, by the whole range of its prices where that decides."""
    sides = [side for side in (item.mining, item.ai) if side is not None]
    if not sides or item.verdict not in ("AI", "mining", "cannot tell"):
        return ""
    if all((side.net_per_h.high or side.net_per_h.likely or 0) < 0 for side in sides):
        return "Switch off"
    return {"AI": "Rent out for AI", "mining": "Mine"}.get(item.verdict, "Cannot tell")


def _net(item: CardOutlook) -> float:
    return max((side.net_per_h.likely or 0.0 for side in (item.mining, item.ai) if side is not None), default=0.0)


def _net_text(item: CardOutlook, currency: str) -> str:
    parts = [
        f"{name} {interval(side.net_per_h.likely, side.net_per_h.low, side.net_per_h.high, 3)}"
        for name, side in (("mining", item.mining), ("AI", item.ai))
        if side is not None
    ]
    return f"{' and '.join(parts)} {currency}/h".replace("-", "−") if parts else ""
