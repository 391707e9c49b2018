"""The first screen: which card mines best, which does AI best, and what to do with it. Pure.

The cards' stock settings are compared, as everywhere; the best setting of a sweep is a second, named figure. Whether a
difference is real is :mod:`bench.analysis.compare`'s to say: the best card is compared with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.compare import compare
from bench.analysis.economics import CardOutlook, Outlook, decision
from bench.analysis.settings import POOLED_ONLY_IF_EQUAL
from bench.output.format import figures, interval, quantity
from bench.report.entries import Entry, interval_text, leaders, swept, tasks
from bench.report.language import N_, _, phrase
from bench.report.section import Content, Section, Study

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, its answer in a few words, and what supports it."""

    question: str
    answer: str
    figure: str = ""
    notes: tuple[str, ...] = ()


_APART = tuple(name for name in POOLED_ONLY_IF_EQUAL if name != "implementation")
"""Settings of a whole run; what implements a task is the task's own."""


def answers(frame: pd.DataFrame, entries: Sequence[Entry], outlook: Outlook | None) -> list[Answer]:
    """Mining, then the leading AI tasks, then money; a question without any figure is left out."""
    alone = len({entry.card for entry in entries}) == 1  # with one card nothing is the best
    found = [_mining(frame, entries, outlook, _("Mining ({task})") if alone else _("Best miner ({task})"))]
    title = _("AI: {task}") if alone else _("Best at AI: {task}")
    found += [
        _best(frame, entries, title.format(task=task), task, _metric(entries, task)) for task in ai_tasks(entries)
    ]
    if outlook is not None:
        found.append(_money(outlook))
    return [item for item in found if item is not None]


def _build(study: Study) -> Content | None:
    found = answers(study.frame, study.entries, study.outlook)
    return Content(values=found) if found else None


SECTION = Section("answer", N_("Answer"), N_("The answer"), _build, template="answer.html")


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


def _mining(frame: pd.DataFrame, entries: Sequence[Entry], outlook: Outlook | None, title: str) -> Answer | None:
    for metric in ("work_per_j", "rate_per_s"):
        ranked = tasks(entries, "hash", metric)
        if not ranked:
            continue
        found = _best(frame, entries, title.format(task=ranked[0]), ranked[0], metric)
        if found is None or outlook is None or ranked[0] != "sha256d":
            return found
        asic = outlook.prices.asic
        value = 1e12 / asic.j_per_th if metric == "work_per_j" else asic.hash_th_per_s * 1e12
        figure = quantity(value, "hash/J" if metric == "work_per_j" else "hash/s")
        note = _("For scale, an ASIC ({name}): {figure}.", name=asic.name, figure=figure)
        return Answer(found.question, found.answer, found.figure, (*found.notes, note))
    return None


def _best(frame: pd.DataFrame, entries: Sequence[Entry], question: str, task: str, metric: str) -> Answer | None:
    ranked = leaders(entries, task, metric)
    if not ranked:
        return None
    first = ranked[0]
    answer, notes = first.card, [_setting(first)]
    if len(ranked) > 1:
        second = ranked[1]
        verdict, reason = _against(frame, first, second, metric)
        names = {"card": second.card, "figure": interval_text(second.metrics[metric])}
        if verdict in ("faster", "slower", "better", "worse"):
            notes.append(_("{card} follows with {figure}.", **names))
        else:
            same = verdict == "same"
            why = _("the same within 1%") if same else phrase(reason or "their intervals overlap")
            answer = (_("Same: {card} leads") if same else _("Cannot tell: {card} leads")).format(card=first.card)
            notes.append(_("Against {card} ({figure}): {why}.", why=why, **names))
    else:
        share = first.means.get("mfu")
        notes.append(_("{share} of the card's stated peak.", share=f"{share:.0%}") if share else "")
        if len({entry.card for entry in entries}) > 1:
            notes.append(_("No other card has a figure for this task."))
    notes.append(_tuned(entries, first, task, metric))
    return Answer(question, answer, interval_text(first.metrics[metric]), tuple(note for note in notes if note))


def _setting(entry: Entry) -> str:
    limit = entry.key["power_limit_w"]
    stock = entry.metrics["rate_per_s"].role in (None, "stock")
    if entry.setting:
        return (_("Stock setting: {setting}.") if stock else _("At {setting}.")).format(setting=entry.setting)
    return _("At a power limit of {watts} W.", watts=figures(limit)) if limit else ""


def _tuned(entries: Sequence[Entry], stock: Entry, task: str, metric: str) -> str:
    """The card that leads when each swept card is at its best setting, where that is not ``stock`` itself."""
    first = leaders(entries, task, metric, of_a_sweep=True)[0]
    if first is stock or swept(entries, first, metric) is not None:
        return ""
    names = {"setting": first.setting, "figure": interval_text(first.metrics[metric])}
    if first.card == stock.card:
        return _("At its best setting ({setting}): {figure}.", **names)
    return _("With each card at its best setting, {card} leads ({setting}): {figure}.", card=first.card, **names)


def _against(frame: pd.DataFrame, first: Entry, second: Entry, metric: str) -> tuple[str, str | None]:
    """Compare's verdict on the two, and its reason, over the rows of these two settings alone."""
    keep = frame["valid"] & False
    for entry in (first, second):
        rows = frame["device_name"].astype(str) == entry.card
        for name in _APART:
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
        groups.setdefault(decision(item), []).append(item)
    decided = {name: items for name, items in groups.items() if any(item.verdict.shares for item in items)}
    if not decided:
        return None
    notes = []
    for name, items in decided.items():
        best = max(items, key=_net)
        net = _net_text(best, outlook.prices.currency)
        who = best.card.name
        if len(items) > 1:
            who = _("{count} cards; the highest net: {card}", count=len(items), card=who)
        text = _("{card}: {net}", card=who, net=net) if net else who
        notes.append(text if len(decided) == 1 else f"{_(name)}: {text}")
    answer = _(next(iter(decided))) if len(decided) == 1 else _("It depends on the card")
    as_of = _(
        "At the price file of {day}, before capital; change the prices under Money.",
        day=outlook.prices.as_of.isoformat(),
    )
    return Answer(_("Mine, rent out or switch off?"), answer, "", (*notes, as_of))


def _net(item: CardOutlook) -> float:
    return max((side.net_per_h.likely or 0.0 for side in (item.mining, item.ai) if side is not None), default=0.0)


def _net_text(item: CardOutlook, currency: str) -> str:
    parts = [
        f"{name} {interval(side.net_per_h.likely, side.net_per_h.low, side.net_per_h.high, 3)}"
        for name, side in ((_("mining"), item.mining), (_("AI"), item.ai))
        if side is not None
    ]
    return f"{_(' and ').join(parts)} {currency}/h".replace("-", "−") if parts else ""
