"""Pictures of three pages of the documentation at 1440 and 390 pixels: ``python -m tests.support.doc_pictures``.

Needs Chromium, and the site that ``make docs`` builds.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.support.chromium import Chromium
from tests.support.doc_blocks import ROOT

PAGES = {"index": "index.html", "tutorial": "tutorial.html", "columns": "reference/columns.html"}
SIZES = {1440: 900, 390: 844}


def take(site: Path, target: Path, browser: str) -> list[str]:
    """Write the pictures; names of those whose page is wider than the window."""
    wide = []
    with tempfile.TemporaryDirectory() as profile:
        chromium = Chromium(browser, Path(profile))
        for name, page in PAGES.items():
            for width, height in SIZES.items():
                chromium.size(width, height, mobile=width < 600)
                chromium.open((site / page).as_uri())
                if chromium.js("document.documentElement.scrollWidth > innerWidth"):
                    wide.append(f"{name}-{width}")
                chromium.screenshot(target / f"docs-{name}-{width}.png", whole=False)
        chromium.close()
    return wide


if __name__ == "__main__":
    found = shutil.which("chromium")
    if found is None:
        raise SystemExit("chromium is not installed")
    print(take(ROOT / "docs/_build/html", ROOT / "docs/img", found) or "no page is wider than its window")
