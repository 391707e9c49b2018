"""One self-contained HTML page from result rows: works offline and on a phone, makes no network request.

    frame = store.read(paths)                                        # all columns
    result = compare.compare(frame)                                  # any baseline, with published figures or without
    sidecars = [store.read_sidecar(p) for p in … if p.exists()]      # may be empty
    outlook = economics.evaluate(economics.cards(frame), economics.read_prices(prices_path))
    html = report.render(frame, result, sidecars, outlook=outlook)   # pure: the whole page as text
    store.write_atomically(Path("page.html"), html)
    report.png(Path("page.html"), Path("pictures"))                  # each plot as a picture, through a browser

The page is a list of sections (:mod:`bench.report.sections`). Every figure on it comes from ``bench.analysis``;
published figures are grey, labelled, and in no statistic. A
content security policy in the page forbids every request, and the templates escape all text (:mod:`bench.report.html`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.analysis.compare import Result
from bench.analysis.dispatch import Decision
from bench.analysis.economics import Outlook
from bench.model.sidecar import Sidecar
from bench.report import html
from bench.report.entries import collect
from bench.report.language import N_, _, script_words, speaking
from bench.report.pictures import png
from bench.report.runs import runs
from bench.report.section import Section, Study
from bench.report.sections import SECTIONS
from bench.report.words import listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TITLE", "png", "render"]

TITLE = N_("What each watt does: mining and AI on the same card")

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
    decision: Decision | None = None,
    title: str = TITLE,
    language: str = "en",
    sections: Sequence[Section] = SECTIONS,
    links: Sequence[tuple[str, str]] = (),
    hrefs: Mapping[str, str] | None = None,
    notice: str = "",
) -> str:
    """The whole page.

    Args:
        frame: rows as :func:`bench.storage.read` gives them, all columns.
        result: what :func:`bench.analysis.compare.compare` found in the same rows, with published figures or without.
        sidecars: as :func:`bench.storage.read_sidecar` gives them; matched to rows by the CSV's name.
        outlook: what :func:`bench.analysis.economics.evaluate` found for the same rows; None: no money on the page.
        decision: what :func:`bench.analysis.dispatch.decide` found; None: no schedule on the page.
        title: the page's heading.
        language: ``en``, or a catalogue of ``locale/``.
        sections: what the page shows; those without anything to show are left out.
        links: names and addresses of other pages, for a page that is part of a site.
        hrefs: card → address of its own page.
        notice: a sentence in a box above everything.

    Raises:
        BenchError: no such language.

    """
    with speaking(language):
        study = Study(frame, result, collect(frame, result), runs(frame, sidecars), outlook, decision, hrefs or {})
        filled = [(section, content) for section in sections if (content := section.build(study)) is not None]
        shown = {section.id for section, _content in filled}
        data: dict[str, Any] = {
            "cards": listed(study.cards),
            "source": _("measured {days}, bitwatt {version}", days=_dates(frame), version=__version__),
            "words": script_words(),
        }
        for _section, content in filled:
            data.update(content.data)
        return html.render(
            "page.html",
            language=language,
            policy=_POLICY,
            version=__version__,
            title=_(title),
            when=_dates(frame),
            sections=filled,
            links=links,
            notice=notice,
            absent=[_(item.absent) for item in sections if item.absent and item.id not in shown],
            style=html.own_text("page.css"),
            data=html.script_json(data),
            script=html.scripts([section.script for section, _content in filled if section.script]),
        )


def _dates(frame: pd.DataFrame) -> str:
    days = sorted({str(time)[:10] for time in frame["started_utc"].unique()})
    return days[0] if len(days) == 1 else _("{low} to {high}", low=days[0], high=days[-1])
