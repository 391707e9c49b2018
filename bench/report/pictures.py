"""The page's plots as PNG files, drawn by a Chromium that is already on the machine.

The page can show one figure alone (``page.html#only=pick``); a headless browser photographs that. So a picture is
what the page shows, and no second plotting library has to agree with the first. Kaleido also needs a browser.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.model import EXIT_IO, BenchError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")

_WIDTH = 1000
_AROUND = 180
"""Pixels for a plot's title and its note."""
_FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=2"),
    *("--virtual-time-budget=8000", "--disable-dev-shm-usage"),
)


def find_browser() -> str | None:
    """The browser that ``BITWATT_BROWSER`` names, else the first of :data:`BROWSERS` on the path."""
    named = os.environ.get("BITWATT_BROWSER")
    return shutil.which(named) if named else next((path for name in BROWSERS if (path := shutil.which(name))), None)


def png(
    page: Path,
    folder: Path,
    *,
    only: Sequence[str] = (),
    browser: str | None = None,
    timeout_s: float = 60.0,
) -> list[Path]:
    """Write each plot of ``page`` (or ``only`` some, by name) to ``folder`` as ``<figure>.png``, 2000 pixels wide.

    Returns the paths, in page order.

    Raises:
        BenchError: no browser, a page without plots, or a browser that draws nothing.
    """
    browser = browser or find_browser()
    if browser is None:
        raise BenchError(
            "pictures need Chromium or Chrome, and none was found",
            "install it (Debian: apt-get install chromium), name it in BITWATT_BROWSER, or save single plots with the "
            "page's own buttons",
        )
    found = re.findall(r'data-figure="([a-z-]+)"[^>]*style="height:(\d+)px"', page.read_text(encoding="utf-8"))
    names = {name: int(height) + _AROUND for name, height in found}
    if not names:
        raise BenchError(f"{page} contains no plot", "give CSVs with at least one valid window")
    unknown = [name for name in only if name not in names]
    if unknown:
        raise BenchError(f"{page} holds no plot named {unknown[0]!r}", f"choose from {', '.join(names)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot make {folder} ({error.strerror})", "choose another folder") from error
    return [
        _one(page, name, height, folder / f"{name}.png", browser, timeout_s)
        for name, height in names.items()
        if name in only or not only
    ]


def _one(page: Path, name: str, height: int, target: Path, browser: str, timeout_s: float) -> Path:
    target.unlink(missing_ok=True)
    # root has no sandbox to enter; elsewhere it stays on
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="bitwatt-browser-", ignore_cleanup_errors=True) as profile:
        command = [
            *(browser, *_FLAGS, *sandbox, f"--user-data-dir={profile}", f"--window-size={_WIDTH},{height}"),
            *(f"--screenshot={target.resolve()}", f"{page.resolve().as_uri()}#only={name}&height={height}"),
        ]
        try:
            # the command is ours; the browser is the user's own
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise BenchError(
                f"{browser} produced no image of {name} within {timeout_s:.0f} s", "try again on an idle machine"
            ) from None
        except OSError as error:
            raise BenchError(
                f"cannot start {browser} ({error.strerror})", "name a working browser in BITWATT_BROWSER"
            ) from error
    if not target.is_file():
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchError(f"{browser} produced no image of {name} ({said})", "name another browser in BITWATT_BROWSER")
    if not _whole(target):
        free_mib = shutil.disk_usage(target.parent).free >> 20
        target.unlink()
        raise BenchError(
            f"the image {target} was not written whole ({free_mib} MiB are free there)",
            "free some space, or choose another folder",
            exit_code=EXIT_IO,
        )
    return target


def _whole(picture: Path) -> bool:
    """Whether a PNG has its first and its last bytes: on a full disk a browser leaves an empty or a cut file."""
    raw = picture.read_bytes()
    return raw.startswith(b"\x89PNG\r\n\x1a\n") and raw.endswith(b"IEND\xaeB`\x82")
