"""The page in another language: the catalogue is complete, nothing is left out of it, and no figure changes."""

from __future__ import annotations

import re
from gettext import NullTranslations
from html import unescape
from pathlib import Path

import pytest

from bench import __version__, report
from bench.analysis import published
from bench.model import BenchError
from bench.report import extract, language
from bench.report.language import _, catalogue, languages, phrase, speaking
from bench.report.section import Content, Note, Section
from bench.report.sections import SECTIONS
from tests.support.page import Page
from tests.support.report_sample import decision, outlook

OTHERS = [name for name in languages() if name != "en"]


def named(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def texts(message) -> list[tuple[str, str]]:
    """(English, translation) of a message and its plural."""
    ids, strings = (item if isinstance(item, tuple) else (item,) for item in (message.id, message.string))
    return [(ids[-1], text) for text in strings]


@pytest.mark.parametrize("name", OTHERS)
def test_the_catalogue_has_each_text_of_the_code_and_no_other(name):
    held, wanted = ({item.id for item in found if item.id} for found in (catalogue(name), extract.messages()))
    assert held == wanted, "run python -m bench.report.extract"
    for message in catalogue(name):
        for english, text in texts(message) if message.id else ():
            assert text or english == " ", f"not translated: {english}"
            assert not message.fuzzy
            assert named(text) == named(english), english


def test_the_check_sees_a_new_text_and_one_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "zh.po").write_text('msgid ""\nmsgstr ""\n\nmsgid "Gone"\nmsgstr "没了"\n')
    monkeypatch.setattr(language, "LOCALE", tmp_path)
    found = {item.id: item.string for item in extract.update("zh") if item.id}
    assert "Gone" not in found
    assert not found["Answer"]


def test_texts_inside_f_strings_and_plurals_are_found():
    ids = {item.id for item in extract.messages()}
    assert {"between runs", "verified", ("{count} card", "{count} cards")} <= ids


def rendered(sample, **more) -> str:
    frame, result, sidecars = sample
    with_published = published.with_published(result, ["H100 SXM"])
    return report.render(frame, with_published, sidecars, outlook=outlook(frame), decision=decision(frame), **more)


class Marked(NullTranslations):
    """Replaces every text that goes through the catalogue by signs, and leaves its values as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, int] = {}

    def gettext(self, message: str) -> str:
        if not re.search(r"[A-Za-z]", message):
            return message
        number = self.numbers.setdefault(message, len(self.numbers))  # texts stay different from one another
        return f"⟦{number}⟧" + " ".join(re.findall(r"\{\w+\}", message))

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.gettext(many)


DATA = re.compile(
    r"""\b[kMGTPE]?(?:hash|H|FLOP|J|W|Wh|B|byte|tokens|TH)(?:/(?:s|J|TH|token|byte))?\b
    | \b(?:MHz|GiB|UTC|MWh?|USD|CUDA|PUE|CPU|GPU|SVG|PNG|CSV|bitwatt)\b
    | \b(?:sha256d|gemm|decode|prefill|scan|llama3-8b|bf16|[bs]\d+|Example\ (?:GPU|CPU)\ \w|example-[\w.-]+)\b
    """,
    re.VERBOSE,
)
"""Units, tasks, and names of cards and files."""


def words_left(html: str, recorded: set[str]) -> set[str]:
    """English words that are shown and are neither a text of the catalogue, nor a name, a unit or a recorded value."""
    found = set()
    for text in shown(html, attributes=True):
        rest = text
        for value in sorted(recorded, key=len, reverse=True):
            if value in rest:
                rest = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", " ", rest)
        found |= set(re.findall(r"[A-Za-z]{3,}", DATA.sub(" ", rest)))
    return found


def shown(html: str, *, attributes: bool = False) -> list[str]:
    """The texts of a page, one for each element or part of one, and of attributes that are read out or shown."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", html.partition("<body>")[2], flags=re.DOTALL)
    read = re.findall(r' (?:aria-label|title|placeholder)="([^"]+)"', body) if attributes else []
    return [unescape(text).strip() for text in (*read, *re.findall(r">([^<]+)<", body)) if text.strip()]


def test_no_text_of_the_page_is_kept_from_the_catalogue(sample, monkeypatch):
    """With every translatable text taken away, only data is left."""
    marked = Marked()
    monkeypatch.setattr(language, "translations", lambda _name: marked)
    frame, result, _sidecars = sample
    recorded = {str(value) for name in frame.columns for value in frame[name].dropna().unique()}
    recorded |= {part.strip() for value in recorded for part in value.split(";")}
    recorded |= {Path(value).name for value in recorded if value.endswith(".csv")}
    prices = outlook(frame).prices
    recorded |= {"Europe/Berlin", __version__}
    recorded |= {text for asic in prices.asics for text in (asic.name, asic.source)}
    named = [*prices.rents, *prices.card_prices, *((item.name, item.price) for item in prices.contracts)]
    recorded |= {text for name, price in named for text in (name, price.source)}
    recorded |= {price.source for price in prices.items.values()}
    recorded |= {asic.price.source for asic in prices.asics if asic.price is not None}
    for item in published.with_published(result, ["H100 SXM"]).published:
        recorded |= {str(item.reason), str(item.key["device_name"]), str(item.key["published_metric"])}
    assert words_left(rendered(sample), recorded) == set()
    unmarked = Section("mine", "⟦⟧", "⟦⟧", lambda study: Content([Note("Nobody marked this.")]))
    assert words_left(rendered(sample, sections=(*SECTIONS, unmarked)), recorded) == {"Nobody", "marked", "this"}


@pytest.mark.parametrize("name", OTHERS)
def test_the_page_is_in_its_language_and_each_figure_stays_as_it_is(sample, name):
    english, other = rendered(sample), rendered(sample, language=name)
    assert f'<html lang="{name}">' in other
    here, there = Page(english), Page(other)
    assert here.ids == there.ids
    assert len(here.headings) == len(there.headings)
    assert not set(here.headings) & set(there.headings) - {"Roofline"}
    assert figures(english) == figures(other)


def figures(html: str) -> list[str]:
    """Every number that the page shows, and each with its unit where it has one."""
    unit = r"(?: [kMGTPE]?(?:H|FLOP|J|W|tokens)(?:/[sJTH]+)?\b)?"
    return sorted(re.findall(r"\d+(?:[.,]\d+)*" + unit, "\n".join(shown(html))))


def test_a_sentence_of_another_package_is_translated_with_its_values():
    with speaking("zh"):
        assert phrase("the baseline did not run this task; give fewer files") == "基准没有跑过该任务；请减少文件"
        assert "±3.0%" in phrase("within the sensors' errors (±5.0% and ±3.0%)")
        whole = "ranges take every input at its worst or at its best; they are not 95% intervals"
        assert phrase(f"{whole}; give fewer files") == f"{_(whole)}；请减少文件"
        assert phrase("counter frozen for 3.0 s") == "counter frozen for 3.0 s"
    assert phrase("the baseline did not run this task") == "the baseline did not run this task"


def test_the_language_ends_with_the_page():
    with pytest.raises(RuntimeError), speaking("zh"):
        raise RuntimeError
    assert _("Answer") == "Answer"


def test_an_unknown_language_is_one_sentence(sample):
    with pytest.raises(BenchError, match="not available in 'xx'"):
        rendered(sample, language="xx")
