"""One self-contained HTML page from result rows: works offline and on a phone, makes no network request.

    frame = store.read(paths)                                        # all columns
    result = compare.compare(frame)                                  # any baseline, with published figures or without
    sidecars = [store.read_sidecar(p) for p in … if p.exists()]      # may be empty
    outlook = economics.evaluate(economics.cards(frame), economics.read_prices(prices_path))
    html = report.render(frame, result, sidecars, outlook=outlook)   # pure: the whole page as text
    store.write_atomically(Path("page.html"), html)
    report.png(Path("page.html"), Path("pictures"))                  # each plot as a picture, through a browser

Every figure on the page comes from ``bench.analysis``; published figures are grey, labelled, and in no statistic. A
content security policy in the page forbids every request, and the templates escape all text (:mod:`bench.report.html`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.analysis.compare import Result, compare
from bench.analysis.economics import Outlook
from bench.model.sidecar import Sidecar
from bench.report import (
    answers,
    checks,
    html,
    leaderboard,
    money,
    money_tables,
    pick,
    rates,
    roofline,
    settings,
    side_by_side,
    sweep,
    tables,
    timeline,
    words,
)
from bench.report.entries import Entry, collect
from bench.report.pictures import png
from bench.report.runs import runs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["png", "render"]

_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def render(
    frame: pd.DataFrame,
    result: Result,
    sidecars: Sequence[Sidecar] = (),
    *,
    outlook: Outlook | None = None,
    title: str = "What each watt does: mining and AI on the same card",
) -> str:
    """The whole page.

    Args:
        frame: rows as :func:`bench.storage.read` gives them, all columns.
        result: what :func:`bench.analysis.compare.compare` found in the same rows, with published figures or without.
        sidecars: as :func:`bench.storage.read_sidecar` gives them; matched to rows by the CSV's name.
        outlook: what :func:`bench.analysis.economics.evaluate` found for the same rows; None: no money on the page.
        title: the page's heading.

    """
    entries = collect(frame, result)
    chosen = words.headline(entries)
    timed = runs(frame, sidecars)
    ready = [] if outlook is None else money.starts(outlook)
    drawn = {
        "pick": pick.draw(entries),
        "mining": rates.draw(entries, "hash", result.published),
        "ai": rates.draw(entries, "FLOP", result.published),
        "time": timeline.draw(timed),
        "roof": roofline.draw(entries, result.published),
        "sweep": sweep.draw(entries),
        "money": None if outlook is None else money.chart(outlook, ready),
    }
    data: dict[str, Any] = {
        "cards": words.listed(list(dict.fromkeys(entry.card for entry in entries))),
        "source": f"measured {_dates(frame)}, bitwatt {__version__}",
    }
    if outlook is not None and ready:
        data["money"] = money.data(outlook, ready, {entry.card: entry.series for entry in entries})
    data["compare"] = side_by_side.side_by_side(frame, result, entries)
    data["budget"] = side_by_side.budget(entries)
    answered = answers.answers(frame, entries, outlook)
    board = leaderboard.leaderboard(entries, outlook)
    present = {
        *("pick", "rates", "checks", "settings"),
        *(("answer",) if answered else ()),
        *(("cards",) if board is not None else ()),
        *(("power",) if data["budget"] else ()),
        *(("compare",) if data["compare"] else ()),
        *(("cash",) if outlook is not None else ()),
        *(id_ for id_ in ("time", "roof", "sweep") if drawn[id_] is not None),
    }
    return html.render(
        "page.html",
        policy=_POLICY,
        version=__version__,
        title=title,
        when=_dates(frame),
        links=_links(present),
        answers=answered,
        cards=board,
        has_budget="power" in present,
        has_pairs="compare" in present,
        only_baseline=(data["compare"] or {}).get("only", ""),
        absent=[text for id_, text in _ABSENT.items() if id_ not in present],
        figures=drawn,
        no_pick=words.no_pick(chosen),
        summary=words.summary(*_at_lead(frame, result, entries, chosen), frame, chosen),
        results=tables.results_table(entries, result),
        means=tables.means_table(result),
        published=tables.published_table(result),
        windows=tables.windows_table(timed),
        money=None if outlook is None else money_tables.section(outlook, ready, drawn["money"]),
        checks=checks.section(frame),
        settings=settings.settings_table(frame),
        style=html.own_text("page.css"),
        data=html.script_json(data),
        script=html.scripts(),
    )


_SECTIONS = {
    "answer": "Answer",
    "cards": "Cards",
    "pick": "Hashes and tokens",
    "power": "Power budget",
    "compare": "Side by side",
    "rates": "Workloads",
    "time": "Over time",
    "roof": "Roofline",
    "sweep": "Power sweep",
    "cash": "Money",
    "checks": "Verification",
    "settings": "Settings",
}
"""Section → its name in the page's navigation."""

_ABSENT = {
    "time": "Rate and power over time (no sidecar, .samples.jsonl, is next to these CSVs; a run writes it).",
    "roof": "A roofline (no row states an arithmetic intensity).",
    "sweep": "A power sweep (no card was measured at two power limits or more).",
    "cash": "Money (no price file was given).",
}
"""Section → why it is not on the page."""


def _links(present: Collection[str]) -> list[tuple[str, str]]:
    return [(id_, name) for id_, name in _SECTIONS.items() if id_ in present]


def _at_lead(
    frame: pd.DataFrame, result: Result, entries: list[Entry], chosen: words.Headline
) -> tuple[list[Entry], Result]:
    """The same comparison over each card's leading setting alone, where a sweep gives a card several.

    compare refuses to choose between a baseline's settings; the page leads with one for each card, and says which.
    """
    held = ("power_limit_w", "sm_clock_lock_mhz")
    settings = {tuple(entry.key[name] for name in ("device_name", *held)) for entry in entries}
    if result.baseline is None or len(settings) == len({entry.card for entry in entries}):
        return entries, result
    keep = frame["valid"] & False
    for card in dict.fromkeys(entry.card for entry in entries):
        lead = words.lead(entries, card, chosen.mining, chosen.metrics[0]) or words.lead(
            entries, card, chosen.ai, chosen.metrics[1]
        )
        rows = frame["device_name"].astype(str) == card
        for name in held if lead is not None else ():
            value = lead.key[name]  # type: ignore[union-attr]
            rows &= frame[name].isna() if value is None else frame[name] == value
        keep |= rows
    part = frame[keep.to_numpy(dtype=bool)]
    alone = compare(part, result.baseline, result.by)
    return collect(part, alone), alone


def _dates(frame: pd.DataFrame) -> str:
    days = sorted({str(time)[:10] for time in frame["started_utc"].unique()})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
