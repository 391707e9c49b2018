"""The site in headless Chromium, from disk: no error, no request but for the page, links that work, both themes."""

from __future__ import annotations

import pytest

from bench import site, storage
from bench.analysis import economics
from tests.support.chromium import violations
from tests.support.pages import broken_links

PAGES = ["index.html", "cards/example-gpu-b.html", "compare/example-gpu-a-vs-example-gpu-b.html"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_opens_without_an_error_a_request_or_an_overflow(browser, public, name, width):
    browser.messages.clear()
    browser.requests.clear()
    browser.size(width, 844, mobile=width < 600)
    browser.open((public / name).as_uri())
    assert browser.js("document.documentElement.dataset.ready") == "true"
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.messages == []
    assert browser.requests == [(public / name).as_uri()]


def test_a_reader_gets_from_the_leaderboard_to_a_card_and_a_comparison_and_back(browser, public):
    def follow(selector: str) -> str:
        address = browser.js(f"document.querySelector({selector!r}).href")
        browser.open(address)
        return browser.js("document.querySelector('h1').textContent")

    browser.size(1280, 900)
    browser.open((public / "index.html").as_uri())
    assert follow("#cards-board tbody a[href$='gpu-d.html']") == "Example GPU D"
    assert follow("#pairs-board tbody a") == "Example GPU A and Example GPU D"
    assert follow("nav a[href$='index.html']") == "What each watt does: mining and AI on the same card"


def test_the_site_in_chinese_is_chinese_also_where_its_script_writes(browser, results, tmp_path):
    files = site.pages(storage.expand([results]), economics.read_prices(economics.example_path()), language="zh")
    site.publish(tmp_path, files)
    assert broken_links(tmp_path) == []
    browser.messages.clear()
    browser.size(1280, 900)
    browser.open((tmp_path / "index.html").as_uri())
    assert browser.js("document.documentElement.lang") == "zh"
    assert browser.js("document.getElementById('theme').textContent") == "◐ 自动"
    heads = browser.js("[...document.querySelectorAll('#compare-figures thead th')].map(e => e.textContent)")
    assert heads[0] == "指标"
    assert heads[-2:] == ["比值", "判定"]
    assert "功率计共耗" in browser.js("document.getElementById('budget-drawn').textContent")
    assert browser.messages == []
    assert violations(browser) == []


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(browser, public, dark):
    browser.size(1280, 900, dark=dark)
    for name in PAGES:
        browser.open((public / name).as_uri())
        assert violations(browser) == [], name
