"""What a card was measured to do as a miner and as an AI card: the measured side of the economics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.compare import COLUMNS as COMPARE_COLUMNS
from bench.analysis.compare import compare
from bench.analysis.economics.range import ONE, Range
from bench.model import BenchError, Comparison

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: tuple[str, ...] = tuple(dict.fromkeys([*COMPARE_COLUMNS, "idle_power_w"]))
"""The columns that :func:`cards` reads, in addition to ``file`` and ``line``."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a card was measured to do.

    Ranges hold the 95% intervals; idle watts are the least, mean and greatest baseline. The sensor's own uncertainty is
    apart, for it is the same error in all three watts.
    """

    name: str
    hash_per_s: Range | None
    mine_w: Range | None
    ai_task: str | None
    ai_per_s: Range | None
    """FLOP/s of ``ai_task``."""
    tokens_per_s: Range | None
    """Of the whole model, modelled from one block."""
    ai_w: Range | None
    idle_w: Range | None
    scope: str | None
    """What the watts cover; at ``wall`` the host is in them already."""
    sensor_gain: Range = ONE
    """True watts ÷ watts read."""
    reasons: tuple[str, ...] = ()
    """What is missing, and why."""

    @property
    def j_per_th(self) -> float | None:
        """Joules per terahash at the card's own meter."""
        if self.hash_per_s is None or self.mine_w is None or not self.hash_per_s.likely:
            return None
        return None if self.mine_w.likely is None else self.mine_w.likely / (self.hash_per_s.likely / 1e12)


def cards(frame: pd.DataFrame, ai: str | None = None) -> list[Card]:
    """The cards in a frame, each with its mining and its AI figures.

    Args:
        frame: rows with at least :data:`COLUMNS`, ``file`` and ``line``.
        ai: words of the AI task to use, such as ``decode`` or ``llama3-8b bf16``; default: the transformer task that
            draws the most power, so that AI's power bill is not flattered.

    A card measured at several settings is given by its stock setting; ``reasons`` names the best one of a sweep, and
    what a card lacks.

    Raises:
        BenchError: no rows, or no transformer task matches ``ai``.
    """
    result = compare(frame, metrics=("rate_per_s", "power_mean_w", "work_per_j", "tokens_per_s"))
    usable = [held for held in result.groups() if held["rate_per_s"].value is not None]
    words = (ai or "").split()
    if words and not any(_is_ai(held) and _has_words(held, words) for held in usable):
        tasks = dict.fromkeys(held["rate_per_s"].task.label for held in usable if _is_ai(held))
        raise BenchError(f"no transformer task here matches {ai!r}", f"choose from {'; '.join(tasks) or 'none'}")
    valid = frame[frame["valid"] & frame["verified"]]
    return [_card(name, usable, words, valid) for name in dict.fromkeys(result.subjects)]


def _is_ai(held: Mapping[str, Comparison]) -> bool:
    key = held["rate_per_s"].key
    return bool(key["workload"] == "transformer" and key["product"] is None)


def _has_words(held: Mapping[str, Comparison], words: Sequence[str]) -> bool:
    return set(words) <= set(held["rate_per_s"].task.label.split())


def _card(name: str, groups: Sequence[Mapping[str, Comparison]], words: Sequence[str], valid: pd.DataFrame) -> Card:
    own = [held for held in groups if held["rate_per_s"].key["device_name"] == name]
    mining_groups = [held for held in own if held["rate_per_s"].key["workload"] == "sha256d"]
    ai_groups = [held for held in own if _is_ai(held) and _has_words(held, words)]
    mining_group = _first(mining_groups, "work_per_j")
    ai_group = _first(ai_groups, "power_mean_w")
    rows = valid[valid["device_name"].astype(object) == name]
    reasons = _settings(mining_groups, mining_group)
    if mining_group is None:
        reasons.append("sha256d was not measured")
    if ai_group is None:
        reasons.append("no transformer task was measured")
    watts = [_spread(held, "power_mean_w") for held in (mining_group, ai_group)]
    if any(held is not None and watt is None for held, watt in zip((mining_group, ai_group), watts, strict=True)):
        reasons.append("no watts were read")
    if (rows["energy_method"].astype(object) == "assumed").any():
        reasons.append("watts are assumed, not measured")
    idle = rows["idle_power_w"].dropna()
    if idle.empty:
        reasons.append("no idle power was read")
    scopes = rows["energy_scope"].dropna().astype(str).unique().tolist()
    return Card(
        name=name,
        hash_per_s=_spread(mining_group, "rate_per_s"),
        mine_w=watts[0],
        ai_task=None if ai_group is None else ai_group["rate_per_s"].task.label,
        ai_per_s=_spread(ai_group, "rate_per_s"),
        tokens_per_s=_spread(ai_group, "tokens_per_s"),
        ai_w=watts[1],
        idle_w=None if idle.empty else Range(float(idle.min()), float(idle.mean()), float(idle.max())),
        scope=scopes[0] if len(scopes) == 1 else None,
        sensor_gain=_sensor_gain(rows),
        reasons=tuple(reasons),
    )


def _first(groups: Sequence[Mapping[str, Comparison]], metric: str) -> Mapping[str, Comparison] | None:
    """The stock setting's group with the highest ``metric``, then the highest rate; another setting's if need be."""

    def worth(held: Mapping[str, Comparison]) -> tuple[float, ...]:
        rank = ("other", "best", "stock").index(held["rate_per_s"].role or "other")
        return rank, _likely(held, metric), _likely(held, "rate_per_s")

    return max(groups, key=worth, default=None)


def _settings(groups: Sequence[Mapping[str, Comparison]], used: Mapping[str, Comparison] | None) -> list[str]:
    """The best setting of a power sweep as a second, named figure; and a setting in use that is not the stock one."""
    if used is None:
        return []
    said = []
    if used["rate_per_s"].role != "stock":
        said.append(f"sha256d was not measured at the stock setting; used: {_setting(used)}")
    for held in groups:
        per_joule = held.get("work_per_j")
        if held is not used and per_joule is not None and per_joule.role == "best" and per_joule.value:
            said.append(f"mining at its best setting, {_setting(held)}, takes {1e12 / per_joule.value:,.0f} J/TH")
    return said


def _setting(held: Mapping[str, Comparison]) -> str:
    key = held["rate_per_s"].key
    limit, clock = key["power_limit_w"], key["sm_clock_lock_mhz"]
    parts = [f"{limit:g} W limit"] if limit is not None else []
    return ", ".join([*parts, *([f"locked at {clock:g} MHz"] if clock is not None else [])]) or "unknown"


def _likely(held: Mapping[str, Comparison], metric: str) -> float:
    value = held[metric].value if metric in held else None
    return 0.0 if value is None else value


def _spread(held: Mapping[str, Comparison] | None, metric: str) -> Range | None:
    line = None if held is None else held.get(metric)
    if line is None or line.value is None:
        return None
    return Range(
        line.value if line.low is None else line.low, line.value, line.value if line.high is None else line.high
    )


def _sensor_gain(rows: pd.DataFrame) -> Range:
    """The sensor's uncertainty as a factor on all that it read: the largest of any window."""
    share = float((rows["sensor_uncertainty_j"] / rows["energy_j"]).fillna(0.0).max()) if len(rows) else 0.0
    share = min(share, 1.0) if share > 0 else 0.0
    return Range(1 - share, 1.0, 1 + share)
