"""Pictures of the page for the documentation, and how large and quick it is: of cards that do not exist.

python -m tests.support.page_study FOLDER    # writes FOLDER/*.png and prints a Markdown table of figures
"""

from __future__ import annotations

import base64
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench import report, site, storage
from bench.analysis import compare, economics, published
from tests.support.chromium import Chromium
from tests.support.factory import CARD_A, run, sha256d
from tests.support.report_sample import decode, dense, many, outlook, study, write_run
from tests.support.simulated import simulated

_SET = "(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('{event}')) }})(document.getElementById('{id}'))"
INTERACTIONS = {
    "theme": "document.getElementById('theme').click()",
    "sort": "document.querySelector('#cards-board thead button').click()",
    "search": _SET.format(id="cards-board-search", value="GPU", event="input"),
    "view": _SET.format(id="rates-hash-view", value="1", event="change"),
    "budget": _SET.format(id="budget", value="1", event="input"),
    "price": _SET.format(id="money-electricity", value="0.2", event="input"),
    "compare": _SET.format(id="compare-baseline", value="0", event="change"),
}
_TIMED = "(() => {{ const t = performance.now(); {}; document.body.offsetHeight; return performance.now() - t }})()"
_GO_TO = "document.documentElement.style.scrollBehavior = 'auto'; document.querySelector('{}').scrollIntoView()"


def page(folder: Path, paths: list[Path], name: str, title: str, language: str = "en") -> Path:
    """The page of some CSVs."""
    frame = storage.read(paths)
    result = published.with_published(compare.compare(frame), ["H100 SXM"])
    sidecars = [storage.read_sidecar(path) for path in map(storage.sidecar_path, paths) if path.exists()]
    target = folder / f"{name}.html"
    html = report.render(frame, result, sidecars, outlook=outlook(frame), title=title, language=language)
    target.write_text(html, encoding="utf-8")
    return target


def figures(browser: Chromium, path: Path) -> str:
    """One row: size, load, heap, elements, and the median of seven for each interaction."""
    browser.size(1440, 900)
    loads = []
    for _ in range(5):
        browser.open("about:blank")
        began = time.perf_counter()
        browser.open(path.as_uri())
        browser.js("document.body.offsetHeight")
        loads.append(time.perf_counter() - began)
    browser.send("HeapProfiler.collectGarbage")
    heap = browser.send("Runtime.getHeapUsage")["usedSize"]
    elements = browser.js("document.querySelectorAll('*').length")
    took = {}
    for name, action in INTERACTIONS.items():
        code = _TIMED.format(action)
        try:
            took[name] = statistics.median(browser.js(code) for _ in range(7))
        except RuntimeError:
            continue  # one card has nothing to compare
    times = ", ".join(f"{name} {value:.0f}" for name, value in took.items())
    size = path.stat().st_size / 1e6
    return f"{size:.2f} MB | {statistics.median(loads):.2f} s | {heap / 1e6:.1f} MB | {elements:,} | {times} ms"


def picture(
    browser: Chromium, path: Path, target: Path, width: int, height: int, *, at: str = "", dark: bool = False
) -> None:
    """What the window shows, from the element ``at``."""
    browser.size(width, height, mobile=width < 600, dark=dark)
    browser.open("about:blank")
    browser.open(path.as_uri())
    if at:
        browser.js(_GO_TO.format(at))
    browser.screenshot(target, whole=False)


def printed(browser: Chromium, path: Path, target: Path, at: str = "") -> None:
    """A sheet of A4 as the print style lays it out."""
    browser.send("Emulation.setEmulatedMedia", media="print")
    browser.send("Emulation.setDeviceMetricsOverride", width=794, height=1123, deviceScaleFactor=1, mobile=False)
    browser.open("about:blank")
    browser.open(path.as_uri())
    if at:
        browser.js(_GO_TO.format(at))
    data = browser.send("Page.captureScreenshot", format="png")["data"]
    target.write_bytes(base64.b64decode(data))
    browser.send("Emulation.setEmulatedMedia", media="")


def main(target: Path) -> None:
    """All pictures and the table."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "one").mkdir()
        three_csv = study(folder)
        one_csv = write_run(folder / "one", "one", CARD_A, run(CARD_A, 4, workloads=(sha256d, dense, decode)))
        title = "Example: {} that do not exist"
        one = page(folder, [one_csv], "one", "Example: a card that does not exist")
        three = page(folder, three_csv, "three", title.format("three cards"))
        forty = page(folder, [many(folder)], "forty", title.format("forty cards"))
        chinese = page(folder, three_csv, "chinese", "示例：三张并不存在的卡", "zh")
        (folder / "simulated").mkdir()
        pages = site.pages(simulated(folder / "simulated"), economics.read_prices(economics.example_path()))
        site.publish(folder / "site", pages)
        browser = Chromium(shutil.which("chromium") or "chromium", folder / "profile")
        picture(browser, three, target / "report-desktop-light.png", 1440, 1560)
        picture(browser, three, target / "report-desktop-dark.png", 1440, 1200, dark=True)
        picture(browser, three, target / "report-tablet.png", 768, 1100)
        picture(browser, three, target / "report-phone-dark.png", 390, 844, dark=True)
        picture(browser, three, target / "report-time.png", 1440, 900, at="#time")
        picture(browser, three, target / "report-money.png", 1440, 900, at="#cash")
        picture(browser, chinese, target / "report-chinese.png", 1440, 900)
        picture(browser, forty, target / "report-forty.png", 1440, 1200)
        picture(browser, forty, target / "report-forty-phone.png", 390, 844)
        picture(browser, folder / "site/index.html", target / "site.png", 1440, 900)
        picture(
            browser, folder / "site/cards/example-gpu-b.html", target / "site-history.png", 1440, 700, at="#history"
        )
        printed(browser, three, target / "report-print.png")
        printed(browser, forty, target / "report-forty-print.png", at="#rates")
        print("| cards | page | load | JS heap | elements | interactions, median of seven |\n|---|---|---|---|---|---|")
        for what, path in (("1", one), ("3", three), ("40", forty)):
            print(f"| {what} | {figures(browser, path)} |")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
