"""Pictures of the plots by a browser, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess

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


@pytest.fixture
def page_and_browser(tmp_path):
    """A page with one plot, and a browser that writes a picture of 200 KB, or as much of it as there is room for."""
    page = tmp_path / "page.html"
    page.write_text('<div data-figure="pick" style="height:500px"></div>')
    picture = tmp_path / "picture"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200_000) + b"IEND\xaeB`\x82")
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\nfor word; do case "$word" in --screenshot=*) '
        f'cat {picture} > "${{word#--screenshot=}}";; esac; done\n'
    )
    browser.chmod(0o755)
    return page, browser


def test_a_whole_picture_is_kept_and_a_cut_one_is_an_error_of_the_disk(tmp_path, page_and_browser):
    page, browser = page_and_browser
    (target,) = report.png(page, tmp_path / "out", browser=str(browser))
    assert target.stat().st_size > 200_000
    for cut in (b"", b"\x89PNG\r\n\x1a\nand no end"):
        (tmp_path / "picture").write_bytes(cut)
        with pytest.raises(BenchError, match="was not written whole") as caught:
            report.png(page, tmp_path / "out", browser=str(browser))
        assert caught.value.exit_code == 74
        assert not target.exists(), "no empty picture is left behind"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_picture_on_a_full_disk_is_an_error(tmp_path, page_and_browser):
    page, browser = page_and_browser
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)], check=False)
    if mounted.returncode:
        pytest.skip("mount is not permitted here")
    try:
        with pytest.raises(BenchError, match=r"not written whole \(0 MiB are free there\)") as caught:
            report.png(page, full / "out", browser=str(browser))
        assert caught.value.exit_code == 74
        assert list((full / "out").iterdir()) == []
    finally:
        subprocess.run(["umount", str(full)], check=True)
