"""Mine, rent or switch off: the one rule, for tables, pages and sentences alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.analysis.economics.box import Box
from bench.analysis.economics.formulas import advantage, ai_net, mining_net
from bench.analysis.economics.range import Range

USES = ("mine", "rent", "off")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a card."""

    kind: str
    """``mine``, ``rent``, ``off``, ``cannot tell`` (ranges overlap) or ``unknown`` (a side is missing and the other may
    pay)."""
    open: tuple[str, ...] = ()
    """Those of :data:`USES` that are the best one somewhere in the ranges."""
    likely: str | None = None
    """The best of the open ones at the likely prices."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of the draws, the share in which each of :data:`USES` is the best; empty where a side is missing."""


def decide(mining: Range | None, ai: Range | None, gap: Range | None) -> Verdict:
    """The verdict from the bounds of both uses' net and of their difference.

    A use is out where it loses money for certain, or is worse than the other one for certain; switching off is out
    where some use earns money for certain. One left decides; several mean that nobody can tell. Where a side is
    missing, the other one can only show that it is better switched off than used.

    Args:
        mining: net of mining; None: not known.
        ai: net of AI work; None: not known.
        gap: by which AI beats mining, of common inputs; None where a side is missing.
    """
    nets = {"mine": mining, "rent": ai}
    known = {use: net for use, net in nets.items() if net is not None}
    if not known:
        return Verdict("unknown")
    left = {use for use, net in known.items() if _number(net.high) >= 0}
    if gap is not None:
        left -= {"mine"} if _number(gap.low) > 0 else set()
        left -= {"rent"} if _number(gap.high) < 0 else set()
    if not any(_number(net.low) > 0 for net in known.values()):
        left.add("off")
    worth = {"off": 0.0, **{use: _number(net.likely) for use, net in known.items()}}
    remaining = tuple(use for use in USES if use in left)
    likely = max(remaining, key=lambda use: worth[use])
    if len(known) < 2:
        return Verdict("off" if remaining == ("off",) else "unknown", remaining, likely)
    return Verdict(remaining[0] if len(remaining) == 1 else "cannot tell", remaining, likely)


def with_shares(verdict: Verdict, box: Box) -> Verdict:
    """The verdict with the share of the draws in which each use is the best."""
    import numpy as np

    drawn = box.draws
    gap = np.asarray(advantage(drawn), dtype=float)
    mine, rent = (mining_net(drawn) > 0) & (gap <= 0), (ai_net(drawn) > 0) & (gap > 0)
    found = {"mine": float(np.mean(mine)), "rent": float(np.mean(rent)), "off": float(np.mean(~mine & ~rent))}
    return replace(verdict, shares=found)


def _number(value: float | None) -> float:
    return 0.0 if value is None else value
