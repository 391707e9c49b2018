"""The sections that only the site has: links to comparisons, two cards next to each other, and downloads. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.analysis.metrics import METRICS
from bench.output.format import MISSING
from bench.report.language import N_, _
from bench.report.section import Block, Content, Note, Section, Study
from bench.report.side_by_side import figure_rows, setting_rows
from bench.report.table import Cell, table

if TYPE_CHECKING:
    from bench.site.pages import Contribution


def comparisons(pairs: Mapping[tuple[str, str], str]) -> Section:
    """Links to the pages of pairs."""

    def build(_study: Study) -> Content | None:
        rows: list[list[str | Cell]] = [[Cell(one, href=address), other] for (one, other), address in pairs.items()]
        header = (_("Baseline"), _("Card"))
        found = table(_("Pairs of cards that ran a task in common"), header, rows, id="pairs-board")
        return Content([found]) if rows else None

    return Section("pairs", N_("Comparisons"), N_("Comparisons"), build)


def pair(one: str, other: str) -> Section:
    """Two cards: the settings that differ first, then every figure of both with its ratio and verdict."""

    def build(study: Study) -> Content:
        settings = setting_rows(study.result, other)
        names = list(dict.fromkeys(entry.task for entry in study.entries))
        figures = [
            [
                f"{names[task]}: {_(METRICS[metric].heading)}",
                *(role, mine, theirs, ratio or MISSING),
                verdict if ratio or not reason else f"{verdict}: {reason}",
            ]
            for task, metric, role, mine, theirs, ratio, verdict, reason in figure_rows(study.result, one, other, names)
        ]
        baseline = _("{card} (baseline)", card=one)
        blocks: list[Block] = [Note(_("The two were measured with the same settings."))]
        if settings:
            title = _("Settings that differ: read these first")
            blocks = [table(title, (_("Setting that differs"), baseline, other), settings)]
        caption = _(
            "Stock: at the default power limit; best: the setting of a sweep with the most work per joule. The ratio "
            "is that of these two figures."
        )
        header = (_("Figure"), _("Setting"), baseline, other, _("Ratio"), _("Verdict"))
        return Content([*blocks, table(caption, header, figures)])

    return Section("pair", N_("Side by side"), N_("The two side by side"), build)


def downloads(contributions: Sequence[Contribution], *, up: str = "", everything: bool = False) -> Section:
    """The CSVs as they were contributed, with the evidence behind their rows."""

    def build(_study: Study) -> Content:
        rows = [
            [
                Cell(item.name, href=f"{up}data/{item.name}"),
                ", ".join(item.cards),
                item.days,
                str(item.rows),
                MISSING if item.sidecar is None else Cell(item.sidecar_name, href=f"{up}data/{item.sidecar_name}"),
            ]
            for item in contributions
        ]
        if everything:
            for name, what in (
                ("results.csv", _("every figure and verdict of this page")),
                ("results.json", _("every figure and verdict of this page")),
                ("site.json", _("the pages of this site")),
            ):
                rows.append([Cell(name, href=f"{up}data/{name}"), what, "", "", ""])
        header = (_("File"), _("Cards"), _("Days"), _("Rows"), _("Evidence"))
        text = _("Check them yourself: bitwatt verify FILE.csv recomputes the shares and the joules from the evidence.")
        return Content([table(_("Result files, as they were contributed"), header, rows, numeric={3}), Note(text)])

    return Section("files", N_("Data"), N_("Data"), build)
