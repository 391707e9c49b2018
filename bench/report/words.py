"""What the CSVs say, in plain words. Pure; verdicts are :mod:`bench.analysis.compare`'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.compare import Result
from bench.model import Comparison
from bench.output.format import figures
from bench.report.entries import Entry, best, interval_text
from bench.report.pick import tasks

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
    missing = [name for name, task in (("mining", chosen.mining), ("AI", chosen.ai)) if task is None]
    if missing:
        return f"No valid {' and no '.join(missing)} row is here, so hashes cannot be compared with tokens."
    return "No card ran both mining and AI at one setting, so hashes cannot be compared with tokens."


def _scope(entry: Entry) -> str:
    return str(entry.key["energy_scope"] or "unknown")


def summary(entries: Sequence[Entry], result: Result, frame: pd.DataFrame, chosen: Headline) -> list[str]:
    """Sentences: what is here, what was read, who leads and by how much, and what to be careful of."""
    return [
        _coverage(entries, frame),
        *_meters(entries),
        *_leads(entries, result, chosen),
        *_cautions(entries, frame),
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """``A, B and C``; beyond ``most`` names, how many more there are."""
    shown = list(names)[:most]
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _coverage(entries: Sequence[Entry], frame: pd.DataFrame) -> str:
    cards = len({entry.card for entry in entries})
    good = int((frame["valid"] & frame["verified"]).sum())
    bad = len(frame) - good
    text = f"{_count(cards, 'card')}, {_count(frame['run_id'].nunique(), 'run')}, {_count(len(frame), 'window')}"
    if not bad:
        return f"{text}; every window is verified and valid."
    are = "is" if bad == 1 else "are"
    return f"{text}; {bad:,} of them {are} not valid or not verified, {are} listed below and in no figure."


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
            ("assumed, not measured," if source == "assumed" else f"measured at the scope “{scope}”")
            + f" for {listed(list(cards))}"
            for (source, scope), cards in read.items()
        ]
        found.append(f"Power is {'; '.join(parts)}.")
    if without:
        some = "some workloads of " if any(card in held for held in read.values() for card in without) else ""
        found.append(f"No power was read for {some}{listed(list(without))}: there are rates, and no joules.")
    if len({scope for _, scope in read}) > 1:
        found.append("Different scopes cover different parts of a machine, so their joules cannot be compared.")
    return found


_WORDS = {
    "work_per_j": ("hashes per joule", "mining"),
    "rate_per_s": ("hashes per second", "mining"),
    "tokens_per_j": ("modelled tokens per joule", "AI"),
    "tokens_per_s": ("modelled tokens per second", "AI"),
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
                found.append(_against(card, result.baseline, item, _WORDS[metric][0], entry.task))
            verdicts.append(item.verdict)
            found += _best_setting(entries, entry, metric, result.baseline)
        found += _both(card, result.baseline, verdicts)
    for reason, names in refused.items():
        found.append(f"{listed(list(names))} cannot be compared with {result.baseline}: {reason}.")
    return found


def _best_setting(entries: Sequence[Entry], stock: Entry, metric: str, baseline: str) -> list[str]:
    """The best setting of a card's power sweep, as a second figure."""
    found = []
    for entry in entries:
        item = entry.figure(metric)
        if entry.card == stock.card and entry.task == stock.task and item is not None and item.role == "best":
            if item is stock.metrics[metric] or item.ratio is None:
                continue
            setting = f"{entry.card} at its best setting ({entry.setting})"
            found.append(_against(setting, baseline, item, _WORDS[metric][0], entry.task))
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
            said.append(f"a terahash costs {figures(1e12 / value)} J")
        elif metric == "tokens_per_j":
            said.append(f"a modelled token costs {figures(1 / value)} J ({entry.task})")
        else:
            said.append(f"{interval_text(entry.metrics[metric])} of {entry.task}")
    return f"On {card}, {listed(said)}." if said else None


def _against(card: str, baseline: str, item: Comparison, what: str, task: str) -> str:
    where = f"In {what} ({task}), "
    times = f"{card} does {_times(item.ratio or 0)} times what {baseline} does"
    if item.ratio_low is not None and item.ratio_high is not None:
        times += f" ({_times(item.ratio_low)} to {_times(item.ratio_high)})"
    match item.verdict:
        case "faster" | "better":
            return f"{where}{times}: {item.verdict}."
        case "slower" | "worse":
            return f"{where}{times}: {item.verdict}."
        case "same":
            return f"{where}{times}: the same within 1%."
        case _:
            return f"{where}{times}; the difference is not resolved: {item.reason}."


def _times(ratio: float) -> str:
    """A ratio with two decimals, or three figures where it is far from one."""
    return f"{ratio:.2f}" if 0.1 <= ratio < 100 else figures(ratio, 3)


def _both(card: str, baseline: str, verdicts: Sequence[str]) -> list[str]:
    up, down = {"faster", "better"}, {"slower", "worse"}
    if len(verdicts) != 2 or not all(verdict in up | down for verdict in verdicts):
        return []
    mining, ai = verdicts
    if mining in up and ai in up:
        return [f"So {card} does more of both."]
    if mining in down and ai in down:
        return [f"So {baseline} does more of both."]
    miner, ai_card = (card, baseline) if mining in up else (baseline, card)
    return [f"So {miner} is the better miner of the two and {ai_card} the better at AI."]


def _cautions(entries: Sequence[Entry], frame: pd.DataFrame) -> list[str]:
    found = []
    short = [mode for mode in ("quick", "smoke") if (frame["mode"] == mode).any()]
    if short:
        found.append(f"Some windows were measured in {listed(short)} mode, which is too short for a verdict.")
    unsteady = int((frame["steady"] == False).fillna(False).sum())  # noqa: E712 - missing is not unsteady
    if unsteady:
        found.append(f"{_count(unsteady, 'window')} began before rate, power and temperature were steady.")
    dirty = int((frame["dirty"] == True).fillna(False).sum())  # noqa: E712
    if dirty:
        found.append(f"{_count(dirty, 'window')} came from code with uncommitted changes.")
    emulated = dict.fromkeys(f"{entry.key['dtype']} on {entry.card}" for entry in entries if not entry.key["native"])
    if emulated:
        found.append(f"Emulated by the device, not native: {listed(list(emulated))}.")
    portable = dict.fromkeys(
        entry.card for entry in entries if entry.key["implementation_class"] == "torch-portable" and entry.metrics
    )
    if portable:
        found.append(f"{listed(list(portable))} mined with the portable loop, which is not the device's best.")
    return found
