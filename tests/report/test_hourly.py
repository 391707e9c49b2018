"""The section "Hour by hour": its figures are those of the CLI and of JSON, its plots those of the schedule."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench import output, report
from bench.output.economics import amount
from bench.report import hourly
from bench.report.language import speaking
from tests.support.page import Page
from tests.support.report_sample import decision, outlook


@pytest.fixture(scope="module")
def decided(sample):
    return decision(sample[0])


def cells(html: str, caption: str) -> list[list[str]]:
    """The rows of the table with this caption."""
    body = html.partition(f"<caption><span>{caption}</span></caption>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body.partition("<tbody>")[2], re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in rows]


def test_the_tables_of_the_page_are_those_of_the_terminal_and_of_json(html, decided):
    shown = output.dispatch(decided)
    captions = (
        "What each way to run the site earns",
        "What the cards do, day ahead",
        "Power drawn at least for so much of the time",
    )
    for grid, caption in zip(shown.grids, captions, strict=True):
        assert cells(html, caption) == [list(row) for row in grid.rows], caption
    value = {(row["policy"], row["what"], row["figure"]): row["value"] for row in shown.rows}
    length = value["all", None, "length"]

    def in_a_year(*key: str | None) -> str:
        return amount(value[key] * 8760 / length)

    policies = cells(html, captions[0])
    assert {row[0] for row in policies} >= {"perfect foresight", "day ahead", "always off"}
    for name, net, income, power, *_more in policies:
        wanted = [in_a_year(name, None, figure) for figure in ("net", "income", "power_cost")]
        assert [net, income, power] == wanted
    for name, _share, hours, _energy, income in cells(html, captions[1]):
        assert [hours, income] == [in_a_year("day ahead", name, figure) for figure in ("card hours", "income")]
    assert f"this site earns {policies[1][1]} USD a year before fixed costs" in Page(html).visible


def test_the_weeks_picture_adds_up_to_the_schedule(decided):
    drawn = hourly.drawn_kw(decided, 24, 192)
    assert len(drawn) > 1
    assert sum(drawn.values()) == pytest.approx(decided.day_ahead.accounts.kw[24:192])
    energy = [float(kw.sum()) for kw in drawn.values()]
    assert energy == sorted(energy, reverse=True)


def test_many_modes_are_added_up_in_the_last_panel(decided, monkeypatch):
    monkeypatch.setattr(hourly, "MOST_PANELS", 1)
    drawn = hourly.drawn_kw(decided, 0, 168)
    assert list(drawn)[1:] == ["other modes"]
    assert sum(drawn.values()) == pytest.approx(decided.day_ahead.accounts.kw[:168])


def test_the_weeks_are_those_the_names_say_and_the_price_is_per_mwh(decided):
    figure = hourly.week_figure(decided)
    assert figure is not None
    dearest = next(view for view in figure.views if "dearest" in view.name)
    days = [*decided.year.days, len(decided.year.start)]
    means = {
        str(decided.year.start[days[at]].date()): decided.year.steps.power[days[at] : days[at + 7]].mean()
        for at in range(0, len(days) - 7, 7)
    }
    assert dearest.name.startswith(max(means, key=lambda day: means[day]))
    price = dearest.data[-1]
    assert price["name"] == "Price of power (USD/MWh)"
    assert np.mean(price["y"]) == pytest.approx(1000 * max(means.values()), abs=0.01)


def test_the_curve_is_marked_at_the_points_of_the_table(decided):
    marked = [trace for trace in hourly.duration_figure(decided).views[0].data if trace["mode"] == "markers"]
    for trace, policy in zip(marked, decided.policies, strict=False):
        ordered = sorted(policy.accounts.kw, reverse=True)
        assert trace["y"][0] == ordered[0]
        assert trace["y"][-1] == ordered[-1]
        assert trace["y"] == sorted(trace["y"], reverse=True)


def test_without_a_schedule_there_is_no_section_and_a_reason(sample):
    frame, result, sidecars = sample
    page = Page(report.render(frame, result, sidecars, outlook=outlook(frame)))
    assert "hours" not in page.ids
    assert "Hour by hour (no prices of power over time were given" in page.visible


def test_modes_are_named_in_the_pages_language(decided):
    with speaking("zh"):
        names = hourly.drawn_kw(decided, 0, 168)
    assert "Example GPU A：出租" in names
    assert not [name for name in names if re.search(r"\b(?:rent|mine)\b", name)]
