"""The paths and links that README, CONTRIBUTING, the changelog and docs/ mention exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HISTORY = {"docs/log", "docs/log.md", "docs/_build"}
"""Written on a date, so that the paths in it are those of that date; or built."""
DOCUMENTS = [
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "results/README.md"]
    if not any(path.is_relative_to(ROOT / folder) for folder in HISTORY)
]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead(text: str, folder: Path) -> list[str]:
    """What ``text`` names and does not exist: files in backquotes, link targets, anchors."""
    named = re.findall(r"`((?:bench|docs|kernels|tests|\.ci)/[\w/.-]*)`", text)
    found = [name for name in named if not (ROOT / name).exists()]
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        if target.startswith("http"):
            continue
        if not (folder / name).exists() or (anchor and not name and anchor not in anchors(text)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_and_link_exists(path):
    assert dead(path.read_text(), path.parent) == []


def test_a_dead_path_link_or_anchor_is_found():
    text = "# A b?\n`bench/cli/` `bench/nothing.py` [a](#a-b) [b](#c) [c](README.md) [d](docs/none.md)"
    assert dead(text, ROOT) == ["bench/nothing.py", "#c", "docs/none.md"]
