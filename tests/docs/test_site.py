"""The documentation site builds without a warning, and its inner links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.doc_blocks import ROOT
from tests.support.pages import broken_links

pytest.importorskip("sphinx")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def dead_links(folder: Path) -> list[str]:
    """Links within the site that lead nowhere; those to other sites are for ``make linkcheck``."""
    return [found for found in broken_links(folder) if "://" not in found]


@pytest.mark.slow
def test_the_site_builds_strictly_and_no_link_is_dead(tmp_path):
    done = build(ROOT / "docs", tmp_path / "html")
    assert done.returncode == 0, done.stderr
    assert dead_links(tmp_path / "html") == []
    listed = re.findall(r"\]\(([\w/-]+\.html)\)", (tmp_path / "html/llms.txt").read_text())
    assert len(listed) > 10
    assert [name for name in listed if not (tmp_path / "html" / name).exists()] == []


@pytest.mark.slow
def test_a_dead_link_ends_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "docs/_ext", tmp_path / "docs/_ext")
    shutil.copy(ROOT / "docs/conf.py", tmp_path / "docs/conf.py")
    (tmp_path / "docs/llms.txt").write_text("")
    (tmp_path / "docs/index.md").write_text("# A\n\n[b](none.md)\n")
    done = build(tmp_path / "docs", tmp_path / "html")
    assert done.returncode != 0
    assert "none.md" in done.stderr


def test_dead_targets_and_anchors_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<p id="x"><a href="#x"><a href="#y"><a href="b.html"><img src="https://c">')
    assert dead_links(tmp_path) == ["a.html: #y", "a.html: b.html"]
