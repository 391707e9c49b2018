"""Pictures of the plots by a browser, and what is said where there is none."""

from __future__ import annotations

import pytest

from bench import report
from bench.model import BenchError


def test_pictures_without_a_browser_say_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BITWATT_BROWSER", raising=False)
    with pytest.raises(BenchError, match="Chromium") as caught:
        report.png(tmp_path / "page.html", tmp_path)
    assert "BITWATT_BROWSER" in caught.value.fix


def test_a_browser_that_draws_nothing_is_an_error(tmp_path):
    page_file = tmp_path / "page.html"
    page_file.write_text('<div data-figure="pick" style="height:500px"></div>')
    mute = tmp_path / "browser"
    mute.write_text("#!/bin/sh\necho it broke >&2\n")
    mute.chmod(0o755)
    with pytest.raises(BenchError, match="produced no image of pick \\(it broke\\)"):
        report.png(page_file, tmp_path / "out", browser=str(mute))
    page_file.write_text("<p>no plot</p>")
    with pytest.raises(BenchError, match="contains no plot"):
        report.png(page_file, tmp_path / "out", browser=str(mute))
