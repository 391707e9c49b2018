"""One self-contained HTML page from result rows: works offline and on a phone, asks nothing of any network.

    frame = store.read(paths)                                     # all columns
    result = compare.compare(frame)                               # any baseline; published.lay(result) if asked for
    sidecars = [store.read_sidecar(p) for p in … if p.exists()]   # beside the CSVs; may be empty
    outlook = economics.evaluate(economics.cards(frame), economics.read_prices(prices_path))
    html = report.render(frame, result, sidecars, outlook=outlook)   # pure: the whole page as text
    store.write_atomically(Path("page.html"), html)
    report.png(Path("page.html"), Path("pictures"))               # each plot as a picture, through a browser

The page is drawn in the reader's browser by Plotly, which is carried inside it. Every figure on it is
``bench.analysis``'s; published figures are grey, labelled, and in no statistic. A content security policy in the
page forbids every request, and all text from results is escaped when it is written (:mod:`bench.report.markup`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.analysis.compare import Result, compare
from bench.analysis.economics import Outlook
from bench.model import BenchError
from bench.report import figures, money, page, words
from bench.report.entries import Entry, collect
from bench.report.markup import Html, el, escape, join, raw, script_json, script_text
from bench.report.pictures import png
from bench.report.timeline import Sidecar, over_time, runs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["png", "render"]

_HERE = Path(__file__).resolve().parent

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
        frame: rows as :func:`bench.storage.store.read` gives them, all columns.
        result: what :func:`bench.analysis.compare.compare` found in the same rows, published figures laid or not.
        sidecars: as :func:`bench.storage.store.read_sidecar` gives them; matched to rows by the CSV beside them.
        outlook: what :func:`bench.analysis.economics.evaluate` found for the same rows; None: no money on the page.
        title: the page's heading.

    Raises:
        BenchError: Plotly is not installed.
    """
    plotly = _plotly()
    entries = collect(frame, result)
    chosen = words.headline(entries)
    pick = figures.pick(entries)
    rates = [found for unit in ("hash", "FLOP") if (found := figures.rates(entries, unit, result.published))]
    timed = runs(frame, sidecars)
    time = over_time(timed)
    roof = figures.roofline(entries, result.published)
    sweep = figures.frontier(entries)
    bill = None if outlook is None else money.chart(outlook)
    drawn = [item for item in (pick, *rates, time, roof, sweep, bill) if item is not None]

    sections = [
        page.section(
            "pick",
            "Hashes and tokens for the same watts",
            el("div", *(page.tile(item) for item in words.tiles(entries, chosen)), class_="tiles"),
            page.figure(pick) if pick else page.note(_no_pick(chosen)),
            page.words(words.summary(*_at_lead(frame, result, entries, chosen), frame, chosen)),
        ),
        page.section(
            "rates",
            "Every workload on every card",
            *(map(page.figure, rates) if rates else [page.note("No valid window is here, so there is no rate.")]),
            page.lines_table(entries, result),
            page.means_table(result),
            page.published_table(result),
        ),
        page.section(
            "time",
            "Over time",
            *([page.figure(time), page.windows_table(timed)] if time else [page.note(_NO_SAMPLES)]),
        ),
        page.section("roof", "Roofline", page.figure(roof) if roof else page.note(_NO_ROOF)),
        page.section("sweep", "Power sweep", page.figure(sweep) if sweep else page.note(_NO_SWEEP)),
        page.section("cash", "Money", *(money.section(outlook) if outlook else [page.note(_NO_PRICES)])),
        page.section("checks", "Verification and validity", page.verification(frame)),
        page.section("settings", "Setting of each run", page.settings(frame)),
    ]
    links = [
        ("pick", "Pick"),
        ("rates", "Workloads"),
        ("time", "Over time"),
        ("roof", "Roofline"),
        ("sweep", "Power sweep"),
        ("cash", "Money"),
        ("checks", "Verification"),
        ("settings", "Settings"),
    ]
    data: dict[str, Any] = {"figures": {item.id: _plain(item) for item in drawn}}
    if outlook is not None and bill is not None:
        data["money"] = money.data(outlook, {entry.card: entry.series for entry in entries})
    return _whole(title, frame, links, sections, data, plotly)


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


_NO_SAMPLES = (
    "No samples are drawn: the sidecars (.samples.jsonl) that a run writes beside its CSV were not found beside these. "
    "Keep them together to see rate, watts and clocks over time."
)
_NO_ROOF = "No row states an arithmetic intensity, so there is no roofline. The transformer workload writes it."
_NO_PRICES = "No price file was given, so there is no money on this page."
_NO_SWEEP = (
    "No card has rows at several power limits, so there is no frontier. Measure the same card at two limits or more."
)


def _no_pick(chosen: words.Headline) -> str:
    missing = [name for name, task in (("mining", chosen.mining), ("AI", chosen.ai)) if task is None]
    if missing:
        return f"No valid {' and no '.join(missing)} row is here, so hashes cannot be set against tokens."
    return "No card ran both mining and AI at one setting, so hashes cannot be set against tokens."


def _plain(item: figures.Figure) -> dict[str, Any]:
    return {
        "title": item.title,
        "views": [
            {"name": view.name, "data": view.data, "layout": view.layout, "height": view.height} for view in item.views
        ],
    }


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise BenchError("the report page needs Plotly, which is not installed", "pip install 'bitwatt[report]'") from (
            None
        )
    return str(get_plotlyjs())


def _whole(
    title: str,
    frame: pd.DataFrame,
    links: Sequence[tuple[str, str]],
    sections: Sequence[Html],
    data: dict[str, Any],
    plotly: str,
) -> str:
    read = {name: (_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")}
    days = sorted({str(time)[:10] for time in frame["started_utc"].unique()})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    measured = f"Measured {when}, UTC. Page by bitwatt {__version__}."
    theme = el("button", "◐ auto", type="button", id="theme", aria_label="Theme: automatic. Change it.")
    header = el(
        "header",
        el("a", "Skip to the figures", href="#pick", class_="skip"),
        el("div", el("p", "bitwatt · behind every bit stands a watt", class_="brand"), theme, class_="bar"),
        el("h1", title),
        el("p", measured, class_="note"),
        el("nav", *(el("a", text, href=f"#{id_}") for id_, text in links), aria_label="Sections"),
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="generator", content=f"bitwatt {__version__}"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", raw(read["page.css"])),
    )
    body = el(
        "body",
        header,
        el("noscript", page.note("The plots need JavaScript; every figure also stands in the tables below.")),
        el("main", *sections),
        el("footer", page.note("Self-contained: nothing on this page was fetched, and nothing is sent anywhere.")),
        el("script", script_json(data), type="application/json", id="data"),
        el("script", script_text(plotly)),
        el("script", script_text(read["page.js"])),
    )
    return str(join(raw("<!doctype html>\n"), el("html", head, raw("\n"), body, lang="en"), escape("\n")))
