"""The site in headless Chromium, from disk: no error, no request but for the page, links that work, both themes."""

from __future__ import annotations

import pytest

from tests.support.chromium import violations

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


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(browser, public, dark):
    browser.size(1280, 900, dark=dark)
    for name in PAGES:
        browser.open((public / name).as_uri())
        assert violations(browser) == [], name
