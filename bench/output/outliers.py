"""Cards to pull: as a table, as one JSON verdict per node, and as metrics for Prometheus. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.model.text import counted
from bench.output.document import Document, Grid
from bench.output.exposition import metric
from bench.output.format import digits, quantity

if TYPE_CHECKING:
    from bench.analysis.explain import Effect
    from bench.analysis.outliers import Flag, Found, NodeVerdict, Suspect

_STATES = ("healthy", "degraded", "failed")


def outliers(found: Found) -> Document:
    """The cards to pull, the gravest first, and what holds for whole racks, slots, nodes or drivers."""
    cells = tuple(
        (
            item.node or "?",
            item.card or "all",
            "" if item.slot is None else str(item.slot),
            item.model or "",
            _STATES[item.code],
            item.cause,
            "; ".join(reason(flag) for flag in _worst(item)),
        )
        for item in found.suspects
    )
    header = ("node", "card", "slot", "model", "state", "cause", "reasons")
    styles = tuple("red" if item.code == 2 else "yellow" for item in found.suspects)
    grids = (Grid(header, cells, frozenset({2}), styles, "cards to pull", drop=(3, 2)),) if cells else ()
    return Document(
        grids,
        [row for item in found.suspects for row in _rows(item)],
        notes=tuple(effect_sentence(effect) for effect in found.effects),
        notes_are_results=True,
        conclusion=_conclusion(found),
    )


def _worst(item: Suspect) -> list[Flag]:
    """Of each kind the first flag, which is the worst."""
    return [next(flag for flag in item.flags if flag.kind == kind) for kind in item.kinds]


def _conclusion(found: Found) -> str:
    own = [item for item in found.suspects if item.cause == "card"]
    parts = [f"{found.judged} of {counted(found.cards, 'card')} judged", f"{len(own)} to pull"]
    if len(own) < len(found.suspects):
        parts.append(f"{len(found.suspects) - len(own)} explained by their node, rack or slot")
    text = f"{', '.join(parts)}; false-discovery rate {found.false_discovery_rate:.1%}."
    if found.judged < found.cards:
        text += f" {found.cards - found.judged} not judged: no sound row, or too few cards like them."
    return text


def _rows(item: Suspect) -> Iterable[Mapping[str, Any]]:
    for flag in item.flags:
        yield {
            "node": item.node or None,
            "card": item.card or None,
            "slot": item.slot,
            "rack": item.rack,
            "model": item.model,
            "driver": item.driver,
            "power_limit_w": item.power_limit_w,
            "state": _STATES[item.code],
            "cause": item.cause,
            **asdict(flag),
            "reason": reason(flag),
        }


def reason(flag: Flag) -> str:
    """``slow: 7.600 GH/s in sha256d scan, −5.0% from the median of 240 cards (bound 2.0%)``."""
    match flag.kind:
        case "slow" | "thirsty":
            meter = "" if flag.meter_error is None else f"; its meter is good to ±{flag.meter_error:.1%}"
            value = _joules(flag) if flag.kind == "thirsty" else quantity(flag.value, flag.unit)
            return (
                f"{flag.kind}: {value} in {flag.task}, {_signed(flag.deviation)} from the median of "
                f"{flag.cohort} cards (bound {flag.bound or 0:.1%}{meter})"
            )
        case "hot":
            return (
                f"hot: {flag.value or 0:.0f} °C in {flag.task}, {flag.deviation or 0:+.1f} °C from the median of "
                f"{flag.cohort} cards (bound {flag.bound or 0:.1f} °C)"
            )
        case "unstable":
            usual = f"{flag.median or 0:.1%} is usual"
            return f"unstable: its windows of {flag.task} scatter by {flag.value or 0:.1%}, and {usual}"
        case "throttled":
            return f"throttled for {flag.value or 0:.0%} of the time" + (f": {flag.detail}" if flag.detail else "")
        case "wrong":
            return f"wrong output in {counted(int(flag.value or 0), 'row')}"
        case "unsound":
            return "no sound row" + (f": {flag.detail}" if flag.detail else "")
        case _:
            return f"not measured: {flag.detail or 'no reason known'}"


def _joules(flag: Flag) -> str:
    """Joules per unit of work as they are usually stated: ``88.1 J/TH``, ``1.04 pJ/FLOP``."""
    work = flag.unit.removeprefix("J/")
    unit = {"hash": "J/TH", "H": "J/TH"}.get(work, f"pJ/{work}")
    return f"{digits((flag.value or 0.0) * 1e12)} {unit}"


def _signed(share: float | None) -> str:
    return f"{share or 0.0:+.1%}".replace("-", "−")


def effect_sentence(effect: Effect) -> str:
    """``the whole rack r2: 96 cards are 6.1 °C hotter than the others``."""
    what = {
        "slow": f"{abs(effect.deviation):.1%} slower than",
        "thirsty": f"at {abs(effect.deviation):.1%} more joules per unit of work than",
        "hot": f"{effect.deviation:.1f} °C hotter than",
    }[effect.kind]
    if effect.factor == "driver":
        return f"driver {effect.level}: {effect.cards} cards ({effect.model}) are {what} those with other drivers"
    return f"the whole {effect.factor} {effect.level}: {effect.cards} cards are {what} the others"


# ---- for machines ----------------------------------------------------------------------------------------------------


def verdict(node: NodeVerdict) -> str:
    """One node's verdict as a line of JSON."""
    reasons = [effect_sentence(effect) for effect in node.effects]
    reasons += [f"{item.card or 'node'}: {reason(flag)}" for item in node.suspects for flag in item.flags]
    return json.dumps(
        {
            "node": node.node,
            "verdict": node.code,
            "state": _STATES[node.code],
            "cards": node.cards,
            "reason": "; ".join(reasons),
            "suspects": [
                {
                    "card": item.card or None,
                    "slot": item.slot,
                    "state": _STATES[item.code],
                    "kinds": list(item.kinds),
                    "cause": item.cause,
                    "flags": [asdict(flag) for flag in item.flags],
                }
                for item in node.suspects
            ],
        },
        ensure_ascii=False,
        allow_nan=False,
    )


def prometheus(found: Found, nodes: Sequence[NodeVerdict], now_s: float | None = None) -> str:
    """The verdicts in Prometheus' text format, for the node exporter's textfile collector.

    Args:
        found: the fleet.
        nodes: those to write: one for a file on the node itself, all for a file of the fleet.
        now_s: Unix time of the judgement; default: now.
    """
    seconds = time.time() if now_s is None else now_s
    verdicts = [({"node": node.node}, float(node.code)) for node in nodes]
    flags = [
        (
            {"node": node.node, "card": item.card, "slot": "" if item.slot is None else str(item.slot)}
            | {"kind": kind, "cause": item.cause},
            1.0,
        )
        for node in nodes
        for item in node.suspects
        for kind in item.kinds
    ]
    return "".join(
        (
            metric("bitwatt_node_verdict", "0 healthy, 1 degraded, 2 failed.", verdicts),
            metric("bitwatt_card_outlier", "1 for each reason to pull a card.", flags),
            metric("bitwatt_cards_judged", "Cards of the fleet that were compared.", [({}, float(found.judged))]),
            metric("bitwatt_judged_timestamp_seconds", "Unix time of the judgement.", [({}, seconds)]),
        )
    )
