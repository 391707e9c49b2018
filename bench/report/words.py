"""What the CSVs say, in plain words. Pure; verdicts are :mod:`bench.analysis.compare`'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.compare import Result
from bench.model import Comparison
from bench.output.format import figures
from bench.report.entries import Entry, best, interval_text, swept, tasks
from bench.report.language import N_, _, phrase, plural
from bench.report.section import Study

if TYPE_CHECKING:
    import pandas as pd

MOST_CARDS = 12


@dataclass(frozen=True, slots=True)
class Headline:
    """The mining and the AI task that the page leads with, and the metric for each."""

    mining: str | None
    ai: str | None
    metered: bool

    @property
    def metrics(self) -> tuple[str, str]:
        return ("work_per_j", "tokens_per_j") if self.metered else ("rate_per_s", "tokens_per_s")


def headline(entries: Sequence[Entry]) -> Headline:
    """The tasks that most cards share, by joules where any card has them, else by rates."""
    for metered in (True, False):
        chosen = Headline(None, None, metered)
        mining, ai = tasks(entries, "hash", chosen.metrics[0]), tasks(entries, "FLOP", chosen.metrics[1])
        if mining or ai:
            return Headline(mining[0] if mining else None, ai[0] if ai else None, metered)
    return Headline(None, None, metered=False)


def lead(entries: Sequence[Entry], card: str, task: str | None, metric: str) -> Entry | None:
    """The line of a card that stands for its task."""
    return best([entry for entry in entries if entry.card == card and entry.task == task], metric)


def no_pick(chosen: Headline) -> str:
    """Why hashes cannot be compared with tokens."""
    if chosen.mining is None and chosen.ai is None:
        return _("No valid mining and no valid AI row is here, so hashes cannot be compared with tokens.")
    if chosen.mining is None:
        return _("No valid mining row is here, so hashes cannot be compared with tokens.")
    if chosen.ai is None:
        return _("No valid AI row is here, so hashes cannot be compared with tokens.")
    return _("No card ran both mining and AI at one setting, so hashes cannot be compared with tokens.")


def _scope(entry: Entry) -> str:
    return str(entry.key["energy_scope"] or _("unknown"))


def summary(study: Study, chosen: Headline) -> list[str]:
    """Sentences: what is here, what was read, who leads and by how much, and what to be careful of."""
    return [
        _coverage(study.entries, study.frame),
        *_meters(study.entries),
        *_leads(study.entries, study.result, chosen),
        *_cautions(study.entries, study.frame),
    ]


def listed(names: Sequence[str], most: int = 6) -> str:
    """``A, B and C``; beyond ``most`` names, how many more there are."""
    shown = list(names)[:most]
    more = len(names) - len(shown)
    comma = _(", ")
    if more:
        return _("{names} and {count} more", names=comma.join(shown), count=more)
    return _(" and ").join([comma.join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _coverage(entries: Sequence[Entry], frame: pd.DataFrame) -> str:
    bad = len(frame) - int((frame["valid"] & frame["verified"]).sum())
    counts = (
        plural("{count} card", "{count} cards", len({entry.card for entry in entries})),
        plural("{count} run", "{count} runs", frame["run_id"].nunique()),
        plural("{count} window", "{count} windows", len(frame)),
    )
    text = _(", ").join(counts)
    if not bad:
        return _("{counts}; every window is verified and valid.", counts=text)
    lost = plural(
        "{count} of them is not valid or not verified, is listed below and in no figure.",
        "{count} of them are not valid or not verified, are listed below and in no figure.",
        bad,
    )
    return _("{counts}; {lost}", counts=text, lost=lost)


def _meters(entries: Sequence[Entry]) -> list[str]:
    read: dict[tuple[str, str], dict[str, None]] = {}
    without: dict[str, None] = {}
    for entry in entries:
        if entry.figure("power_mean_w") is None:
            if entry.figure("rate_per_s") is not None:
                without[entry.card] = None
        else:
            read.setdefault((str(entry.key["energy_source"]), _scope(entry)), {})[entry.card] = None
    found = []
    if read:
        parts = [
            _("assumed, not measured, for {cards}", cards=listed(list(cards)))
            if source == "assumed"
            else _("measured at the scope “{scope}” for {cards}", scope=scope, cards=listed(list(cards)))
            for (source, scope), cards in read.items()
        ]
        found.append(_("Power is {parts}.", parts="; ".join(parts)))
    if without:
        some = any(card in held for held in read.values() for card in without)
        text = (
            _("No power was read for some workloads of {cards}: there are rates, and no joules.")
            if some
            else _("No power was read for {cards}: there are rates, and no joules.")
        )
        found.append(text.format(cards=listed(list(without))))
    if len({scope for _source, scope in read}) > 1:
        found.append(_("Different scopes cover different parts of a machine, so their joules cannot be compared."))
    return found


_WORDS = {
    "work_per_j": N_("hashes per joule"),
    "rate_per_s": N_("hashes per second"),
    "tokens_per_j": N_("modelled tokens per joule"),
    "tokens_per_s": N_("modelled tokens per second"),
}


def _leads(entries: Sequence[Entry], result: Result, chosen: Headline) -> list[str]:
    parts = list(zip((chosen.mining, chosen.ai), chosen.metrics, strict=True))
    cards = list(dict.fromkeys(entry.card for entry in entries))
    if result.baseline is None or result.subject != "device_name":
        return [text for card in cards[:MOST_CARDS] if (text := _alone(entries, card, chosen))]
    found = []
    refused: dict[str, dict[str, None]] = {}
    for card in [name for name in cards if name != result.baseline][:MOST_CARDS]:
        verdicts = []
        for task, metric in parts:
            entry = lead(entries, card, task, metric)
            if entry is None:
                continue
            item = entry.metrics[metric]
            if item.ratio is None:
                refused.setdefault(item.reason or item.verdict, {})[card] = None
            else:
                found.append(_against(card, result.baseline, item, metric, entry.task))
            verdicts.append(item.verdict)
            tuned = swept(entries, entry, metric)
            if tuned is not None and tuned.metrics[metric].ratio is not None:
                name = _("{card} at its best setting ({setting})", card=card, setting=tuned.setting)
                found.append(_against(name, result.baseline, tuned.metrics[metric], metric, entry.task))
        found += _both(card, result.baseline, verdicts)
    for reason, names in refused.items():
        found.append(
            _(
                "{cards} cannot be compared with {baseline}: {reason}.",
                cards=listed(list(names)),
                baseline=result.baseline,
                reason=phrase(reason),
            )
        )
    return found


def _alone(entries: Sequence[Entry], card: str, chosen: Headline) -> str | None:
    """What one card's figures mean, turned round: joules per unit of work, or the rates."""
    mining = lead(entries, card, chosen.mining, chosen.metrics[0])
    ai = lead(entries, card, chosen.ai, chosen.metrics[1])
    said = []
    for entry, metric in ((mining, chosen.metrics[0]), (ai, chosen.metrics[1])):
        if entry is None:
            continue
        value = entry.metrics[metric].value or 0
        if metric == "work_per_j":
            said.append(_("a terahash costs {joules} J", joules=figures(1e12 / value)))
        elif metric == "tokens_per_j":
            said.append(_("a modelled token costs {joules} J ({task})", joules=figures(1 / value), task=entry.task))
        else:
            said.append(_("{figure} of {task}", figure=interval_text(entry.metrics[metric]), task=entry.task))
    return _("On {card}, {costs}.", card=card, costs=listed(said)) if said else None


def _against(card: str, baseline: str, item: Comparison, metric: str, task: str) -> str:
    bounds = ""
    if item.ratio_low is not None and item.ratio_high is not None:
        between = _("{low} to {high}", low=_times(item.ratio_low), high=_times(item.ratio_high))
        bounds = f" ({between})"
    if item.verdict in ("faster", "better", "slower", "worse"):
        verdict = _(item.verdict)
    elif item.verdict == "same":
        verdict = _("the same within 1%")
    else:
        verdict = _("the difference is not resolved: {reason}", reason=phrase(item.reason or ""))
    return _(
        "In {figure} ({task}), {card} does {ratio} times what {baseline} does{bounds}: {verdict}.",
        figure=_(_WORDS[metric]),
        task=task,
        card=card,
        ratio=_times(item.ratio or 0),
        baseline=baseline,
        bounds=bounds,
        verdict=verdict,
    )


def _times(ratio: float) -> str:
    """A ratio with two decimals, or three figures where it is far from one."""
    return f"{ratio:.2f}" if 0.1 <= ratio < 100 else figures(ratio, 3)


def _both(card: str, baseline: str, verdicts: Sequence[str]) -> list[str]:
    up, down = {"faster", "better"}, {"slower", "worse"}
    if len(verdicts) != 2 or not all(verdict in up | down for verdict in verdicts):
        return []
    mining, ai = verdicts
    if (mining in up) == (ai in up):
        return [_("So {card} does more of both.", card=card if mining in up else baseline)]
    miner, ai_card = (card, baseline) if mining in up else (baseline, card)
    return [_("So {miner} is the better miner of the two and {ai} the better at AI.", miner=miner, ai=ai_card)]


def _cautions(entries: Sequence[Entry], frame: pd.DataFrame) -> list[str]:
    found = []
    short = [_(mode) for mode in (N_("quick"), N_("smoke")) if (frame["mode"] == mode).any()]
    if short:
        text = _("Some windows were measured in {modes} mode, which is too short for a verdict.", modes=listed(short))
        found.append(text)
    unsteady = int((frame["steady"] == False).fillna(False).sum())  # noqa: E712 - missing is not unsteady
    if unsteady:
        found.append(
            plural(
                "{count} window began before rate, power and temperature were steady.",
                "{count} windows began before rate, power and temperature were steady.",
                unsteady,
            )
        )
    dirty = int((frame["dirty"] == True).fillna(False).sum())  # noqa: E712
    if dirty:
        found.append(
            plural(
                "{count} window came from code with uncommitted changes.",
                "{count} windows came from code with uncommitted changes.",
                dirty,
            )
        )
    emulated = dict.fromkeys(
        _("{type} on {card}", type=entry.key["dtype"], card=entry.card) for entry in entries if not entry.key["native"]
    )
    if emulated:
        found.append(_("Emulated by the device, not native: {cases}.", cases=listed(list(emulated))))
    portable = dict.fromkeys(
        entry.card for entry in entries if entry.key["implementation_class"] == "torch-portable" and entry.metrics
    )
    if portable:
        text = _("{cards} mined with the portable loop, which is not the device's best.", cards=listed(list(portable)))
        found.append(text)
    return found
