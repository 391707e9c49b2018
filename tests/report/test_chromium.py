"""The report page in headless Chromium: it fits, asks nothing of a network, says nothing on the console, obeys keys."""

from __future__ import annotations

import math
import shutil
import struct
from dataclasses import replace

import pytest

from bench import report, storage
from bench.analysis import compare, economics
from bench.report import money
from tests.support.chromium import Chromium
from tests.support.factory import CARD_A, CARD_B, run, write
from tests.support.page import HOSTILE
from tests.support.report_sample import outlook

BROWSER = shutil.which("chromium")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def starts(page_file):
    """The scenario that each card's sliders start from, as Python has it."""
    return money.starts(outlook(storage.read(sorted(page_file.parent.glob("*.csv")))))


def wide_elements(browser: Chromium) -> list[str]:
    """Elements that reach beyond the window and stand in no box of their own that scrolls."""
    return browser.js(
        """[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .plot, .skip")
            && e.getBoundingClientRect().right > innerWidth + 1 && e.getClientRects().length)
            .map(e => e.tagName + "." + e.className)"""
    )


def cut_texts(browser: Chromium) -> list[str]:
    """Texts of plots that reach beyond their plot's sides."""
    return browser.js(
        """[...document.querySelectorAll(".plot")].flatMap(p => { const box = p.getBoundingClientRect();
            return [...p.querySelectorAll("text")].filter(t => t.textContent && t.getBoundingClientRect().width)
                .map(t => [t.textContent, t.getBoundingClientRect()])
                .filter(([, r]) => r.left < box.left - 1 || r.right > box.right + 1).map(([text]) => text) })"""
    )


@pytest.mark.parametrize(
    ("width", "dark"),
    [(1280, False), (1280, True), (390, True), (320, False)],
    ids=["desktop-light", "desktop-dark", "phone-dark", "small-phone-light"],
)
def test_it_renders_without_overflow_errors_or_requests(browser, page_file, width, dark):
    browser.messages.clear()
    browser.requests.clear()
    browser.size(width, 844, mobile=width < 600, dark=dark)
    browser.open(page_file.as_uri())
    assert browser.js("document.documentElement.dataset.ready") == "true"
    assert browser.js("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert wide_elements(browser) == []
    plots = browser.js("[...document.querySelectorAll('.plot')].map(p => p.querySelectorAll('.mark, .line').length)")
    assert len(plots) == 10
    assert all(plots)
    assert cut_texts(browser) == []
    assert browser.messages == []
    assert browser.requests == [page_file.as_uri()]


def test_the_checks_would_see_an_error_a_request_and_an_overflow(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<body><div style='width:3000px'>x</div><img src='http://127.0.0.1:9/x.png'>"
        "<script>console.error('told'); setTimeout(() => { throw Error('thrown') })</script>"
    )
    browser.messages.clear()
    browser.requests.clear()
    browser.size(390, 844)
    browser.open(page.as_uri())
    assert browser.js("new Promise(done => setTimeout(() => done(document.documentElement.scrollWidth), 50))") > 390
    assert wide_elements(browser) == ["DIV."]
    assert len(browser.requests) == 2
    assert any("told" in message for message in browser.messages)
    assert any("thrown" in message for message in browser.messages)


def test_the_page_forbids_itself_every_request(shown):
    """Even a script on the page cannot reach out: the policy stops it before a request is made."""
    assert shown.js("fetch('http://127.0.0.1:9/').then(() => 'went out', () => 'stopped')") == "stopped"
    assert any("Content Security Policy" in message for message in shown.messages)


def test_hostile_names_do_nothing_and_are_shown_as_they_stand(browser, tmp_path):
    card = CARD_A.__class__(**{**CARD_A.__dict__, "name": HOSTILE})
    csv = write(tmp_path / "x.csv", [*run(card, 2, host=HOSTILE, warnings=HOSTILE), *run(CARD_B, 2)])
    frame = storage.read([csv])
    page = tmp_path / "page.html"
    page.write_text(report.render(frame, compare.compare(frame), title=HOSTILE), encoding="utf-8")
    browser.messages.clear()
    browser.requests.clear()
    browser.size(1280, 900)
    browser.open(page.as_uri())
    assert browser.js("typeof window.pwned") == "undefined"
    assert browser.js("document.querySelector('h1').textContent") == HOSTILE
    assert browser.js("document.title") == HOSTILE
    # in a plot too: the text is shown, and makes no element
    texts = browser.js("[...document.querySelectorAll('#plot-pick text')].map(t => t.textContent)")
    assert HOSTILE in texts
    assert browser.js("document.querySelectorAll('.plot img, .plot script, .plot b').length") == 0
    assert browser.requests == [page.as_uri()]
    assert browser.messages == []


def test_the_theme_button_overrules_the_system_by_keyboard(shown):
    before = shown.js("getComputedStyle(document.body).backgroundColor")
    shown.js("document.getElementById('theme').focus()")
    shown.key("Enter")  # light
    shown.key("Enter")  # dark
    assert shown.js("document.documentElement.dataset.theme") == "dark"
    assert shown.js("getComputedStyle(document.body).backgroundColor") != before
    paper = shown.js("getComputedStyle(document.querySelector('#pick-figure')).backgroundColor")
    assert paper == "rgb(23, 31, 41)"
    mark = shown.js("getComputedStyle(document.querySelector('#plot-pick .mark.s0')).fill")
    assert mark == "rgb(111, 182, 255)"
    shown.key("Enter")  # automatic again
    assert shown.js("document.documentElement.dataset.theme") == "light"


def test_every_control_is_reached_by_tab_in_the_order_of_the_page(shown):
    wanted = shown.js(
        """[...document.querySelectorAll('a[href], button, select, input, summary, [tabindex="0"]')]
            .filter(e => e.checkVisibility({ contentVisibilityAuto: true })).length"""
    )
    seen: list[float] = []
    names: list[str] = []
    for _ in range(wanted):
        shown.key("Tab")
        place = shown.js(
            """(() => { const e = document.activeElement; if (e === document.body) return null;
                const all = [...document.querySelectorAll("*")];
                const by = document.getElementById(e.getAttribute("aria-labelledby"));
                const name = e.getAttribute("aria-label") || (by || e.labels && e.labels[0] || e).textContent;
                return [all.indexOf(e), name.trim(), getComputedStyle(e).outlineStyle]; })()"""
        )
        if place is None:
            break
        seen.append(place[0])
        names.append(place[1])
        assert place[2] != "none", f"no visible focus on {place[1]}"
    assert len(seen) >= wanted
    assert seen == sorted(seen)
    assert all(names)
    assert "Skip to the figures" in names[0]


def test_a_chooser_changes_what_is_drawn(shown):
    title = "document.querySelector('#plot-rates-flop .xtitle').textContent"
    assert shown.js(title) == "Work per joule (TFLOP/J), log scale"
    shown.js("document.getElementById('rates-flop-view').focus()")
    shown.js(
        """(() => { const s = document.getElementById("rates-flop-view");
            s.value = [...s.options].find(o => o.text.startsWith("Rate")).value;
            s.dispatchEvent(new Event("change")); })()"""
    )
    assert shown.js(title) == "Rate (TFLOP/s), log scale"
    assert shown.messages == []


def test_quiet_rows_can_be_hidden(shown):
    visible = "[...document.querySelectorAll('#checks-table tbody tr')].filter(r => r.offsetHeight).length"
    assert shown.js(visible) == 54
    shown.js("document.getElementById('only-flagged').click()")
    assert shown.js(visible) == 2


def test_turning_a_phone_redraws_the_plot_in_its_other_shape(browser, page_file):
    browser.size(390, 844, mobile=True)
    browser.open(page_file.as_uri())
    names = "[...document.querySelectorAll('#plot-pick .name')].filter(e => e.checkVisibility()).length"
    assert browser.js(names) == 0
    browser.size(844, 390, mobile=True)
    assert browser.js(f"new Promise(done => setTimeout(() => done({names}), 400))") > 0
    assert browser.js("document.documentElement.scrollWidth") <= 844


@pytest.mark.parametrize("name", ["pick", "over-time", "money"])
def test_a_figure_alone_fills_the_window_with_its_titles_in_place(browser, page_file, name):
    browser.messages.clear()
    browser.size(1000, 640)
    browser.open("about:blank")  # a change of the fragment alone would not load the page anew
    browser.open(f"{page_file.as_uri()}#only={name}")
    shown = browser.js("[...document.querySelectorAll('.plot')].filter(p => p.offsetHeight).map(p => p.dataset.figure)")
    assert shown == [name]
    title, axis, side, plot = browser.js(
        f"""["figcaption", ".xtitle", ".ytitle", ".plot"].map(s => document.querySelector("#{name}-figure " + s))
            .map(e => e.getBoundingClientRect()).map(r => ({{top: r.top, bottom: r.bottom, left: r.left}}))"""
    )
    ticks = browser.js(
        f"""Math.max(...[...document.querySelectorAll("#{name}-figure .xtick")]
            .map(t => t.getBoundingClientRect().bottom))"""
    )
    assert axis["top"] >= ticks - 1, "the axis' title stands below its ticks"
    assert side["left"] >= plot["left"] - 1
    assert cut_texts(browser) == []
    assert title["bottom"] <= 640
    assert browser.messages == []


def test_pictures_are_written_by_the_browser(page_file, tmp_path):
    paths = report.png(page_file, tmp_path / "pictures", only=("pick",))
    assert [path.name for path in paths] == ["pick.png"]
    header = paths[0].read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    assert (width, height) == (2000, 2 * (500 + 180))


# ---------------------------------------------------------------------------------------------------------------------
# money: the page's figures are those of Python's formulas


def shown_figures(browser: Chromium) -> dict[str, tuple[str, float | None]]:
    """Every figure that the sliders change: its text, and the number behind it."""
    cells = browser.js(
        "[...document.querySelectorAll('[data-out]')].map(o => [o.dataset.out, o.textContent, o.dataset.value])"
    )
    return {name: (text, float(value) if value else None) for name, text, value in cells}


def expected_figures(inputs: economics.Inputs, prices: economics.Prices) -> dict[str, tuple[str, float | None]]:
    """The same by Python's formulas alone."""
    asic = economics.asic_box(prices.asic, prices).likely
    asic = replace(asic, electricity=inputs.electricity, hashprice=inputs.hashprice)
    sides = money.sides(inputs) | {"asic": money.sides(asic)["mining"]}
    decimals = {name: row[2] for name, row in money.ROWS.items()}
    wanted = {
        f"{use}.{name}": (money.written(value, decimals[name]), None if math.isnan(value) else value)
        for use, values in sides.items()
        for name, value in values.items()
    }
    for name in economics.BREAK_EVENS:
        value = economics.break_even(name, inputs)
        known = value is not None and not math.isnan(value)
        wanted[f"break_even.{name}"] = (money.break_even_text(name, value, inputs), value if known else None)
    return wanted


def agree(browser: Chromium, inputs: economics.Inputs) -> None:
    found = shown_figures(browser)
    wanted = expected_figures(inputs, economics.read_prices(economics.example_path()))
    assert set(found) == set(wanted)
    for name, (text, value) in wanted.items():
        assert found[name][0] == text, name
        assert found[name][1] == (None if value is None else pytest.approx(value, rel=1e-12, abs=1e-15)), name
    assert browser.js("document.getElementById('money-verdict').textContent") == money.verdict_text(inputs, "USD")
    assert browser.js("document.getElementById('money-idle').textContent") == money.idle_text(
        economics.idle_mining_gain(inputs), "USD"
    )


def slide(browser: Chromium, field: str, value: float) -> float:
    """Move a slider as a hand does; the value at which it came to stand."""
    return float(
        browser.js(
            f"""(() => {{ const s = document.getElementById("money-{field}"); s.value = {value!r};
                s.dispatchEvent(new Event("input", {{ bubbles: true }})); return s.value; }})()"""
        )
    )


@pytest.fixture
def priced(browser, page_file):
    """The page with its first card's sliders as the price file has them; opened anew only if it is not open."""
    if browser.js("location.href") != page_file.as_uri():
        browser.size(1280, 900)
        browser.open(page_file.as_uri())
    browser.messages.clear()
    browser.js(
        """(() => { document.getElementById("money-card").value = "0";
            document.getElementById("money-reset").click(); })()"""
    )
    return browser


def test_before_a_slider_moves_the_figures_are_pythons(priced, starts):
    agree(priced, starts[0].inputs)


@pytest.mark.parametrize(
    "moved",
    [
        {"electricity": 0.1234},
        {"electricity": 0.0},
        {"utilisation": 0.01},
        {"utilisation": 1.0},
        {"rent": 0.05},
        {"hashprice": 120.0},
        {"hashprice": 0.0},
        {"rent": 0.0, "electricity": 0.3},
        {"rent": 0.0, "electricity": 0.0},
        {"electricity": 0.31, "utilisation": 0.37, "rent": 4.2, "hashprice": 17.5},
    ],
    ids=lambda moved: ",".join(f"{name}={value}" for name, value in moved.items()),
)
def test_after_a_slider_moves_the_figures_are_pythons(priced, starts, moved):
    before = shown_figures(priced)
    stood = {field: slide(priced, field, value) for field, value in moved.items()}
    assert stood == pytest.approx(moved)
    agree(priced, replace(starts[0].inputs, **stood))
    assert shown_figures(priced) != before
    assert priced.messages == []


def test_a_wrong_formula_would_be_noticed(priced, starts):
    slide(priced, "electricity", 0.2)
    with pytest.raises(AssertionError):
        agree(priced, replace(starts[0].inputs, electricity=0.2001))


def test_a_slider_obeys_the_keyboard_and_its_number_follows(priced, starts):
    priced.js("document.getElementById('money-rent').focus()")
    priced.key("ArrowRight")
    value = float(priced.js("document.getElementById('money-rent').value"))
    assert value > starts[0].inputs.rent
    assert float(priced.js("document.getElementById('money-rent-number').value")) == value
    agree(priced, replace(starts[0].inputs, rent=value))
    priced.key("Home")
    agree(priced, replace(starts[0].inputs, rent=0.0))
    priced.js("document.getElementById('money-reset').click()")
    agree(priced, starts[0].inputs)


def test_a_typed_price_counts_and_an_empty_field_does_not(priced, starts):
    typed = """(() => {{ const n = document.getElementById("money-electricity-number"); n.value = "{value}";
        n.dispatchEvent(new Event("input", {{ bubbles: true }})); }})()"""
    priced.js(typed.format(value="0.0875"))
    assert float(priced.js("document.getElementById('money-electricity').value")) == 0.0875
    agree(priced, replace(starts[0].inputs, electricity=0.0875))
    priced.js(typed.format(value=""))
    agree(priced, replace(starts[0].inputs, electricity=0.0875))


def test_each_card_has_its_own_scenario_and_a_missing_rent_is_asked_for(priced, starts):
    assert [item.rent_known for item in starts] == [True, True, False]
    for number, start in enumerate(starts):
        priced.js(
            f"""(() => {{ const s = document.getElementById("money-card"); s.value = "{number}";
                s.dispatchEvent(new Event("change")); }})()"""
        )
        agree(priced, start.inputs)
    assert priced.js("document.getElementById('money-rent-number').value") == ""
    assert "Enter the card's rent" in priced.js("document.getElementById('money-verdict').textContent")
    assert slide(priced, "rent", 1.25) == 1.25
    agree(priced, replace(starts[2].inputs, rent=1.25))
    assert priced.messages == []


def test_the_chart_follows_the_sliders(priced, starts):
    value = slide(priced, "hashprice", 100.0)
    lines = (
        "new Promise(done => setTimeout(() => "
        "done(JSON.parse(document.getElementById('plot-money').dataset.lines)), 200))"
    )
    mining, ai = priced.js(lines)[:2]
    inputs = replace(starts[0].inputs, hashprice=value)
    for place, price in ((0, 0.0), (60, float(priced.js("document.getElementById('money-electricity').max")))):
        at = replace(inputs, electricity=price)
        assert mining[place] == pytest.approx(economics.mining_net(at), rel=1e-12)
        assert ai[place] == pytest.approx(economics.ai_net(at), rel=1e-12)
