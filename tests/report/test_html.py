"""Escaping: no text becomes markup or script."""

from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from bench.report import html
from bench.report.table import Cell, Row, Table, table
from tests.support.page import HOSTILE, Page

HOSTILE_TABLE = Table(
    HOSTILE,
    [HOSTILE, HOSTILE],
    [
        Row([HOSTILE]),
        Row([HOSTILE, Cell(HOSTILE, HOSTILE, HOSTILE)], class_=HOSTILE, title=HOSTILE),
        Row([HOSTILE, Cell(HOSTILE, out=HOSTILE, value=HOSTILE)]),
    ],
    class_=HOSTILE,
    id=HOSTILE,
    more=HOSTILE,
)


def written(item: Table) -> str:
    macro = html._environment().from_string("{% import 'macros.html' as page %}{{ page.table(item) }}")
    return macro.render(item=item)


def test_a_table_of_hostile_texts_is_text_in_every_place():
    text = written(HOSTILE_TABLE)
    seen = Page(text)
    assert (seen.scripts, seen.handlers, seen.fetching) == (0, [], [])
    assert seen.visible.count(HOSTILE) == 11
    assert set(re.findall(r"<(\w+)", text)) <= {
        *("div", "table", "caption", "span", "thead", "tr", "th", "tbody", "td", "small", "output", "p")
    }


def test_the_check_would_notice_a_text_that_is_not_escaped():
    assert Page(html._environment().from_string("<p>{{ text|safe }}</p>").render(text=HOSTILE)).handlers == ["onerror"]


def test_no_template_marks_a_value_as_safe():
    for name in html._environment().list_templates():
        source, _, _ = html._environment().loader.get_source(html._environment(), name)
        for marked in re.findall(r"\S+(?=\s*\|\s*safe)", source):
            assert marked.endswith("'"), f"{name}: only a literal may be marked safe, not {marked}"
        assert "autoescape" not in source


def test_a_value_that_was_not_given_is_an_error():
    with pytest.raises(UndefinedError):
        html.render("page.html")


def test_script_texts_cannot_end_their_element():
    assert html.script_json({"a": "</script><!--\u2028"}) == '{"a":"\\u003c/script\\u003e\\u003c!--\\u2028"}'
    assert "</script" not in html.script_text("var a = '</script>';")
    with pytest.raises(ValueError, match="JSON"):
        html.script_json(float("nan"))


def test_a_lean_table_keeps_its_numeric_columns_and_says_what_it_leaves_out():
    found = table(
        "x",
        ("a", "b", "c", "d"),
        [["1", "2", "–", "4"]] * 700,
        numeric={1, 2, 3},
        more="{count} more things.",
        lean=True,
    )
    assert found.header == ["a", "b", "d"]
    assert found.numeric == {1, 2}
    assert found.more == "100 more things."
