"""``compare`` and ``economics`` on a real terminal: every line fits it, stderr's sentences too, and no word is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support import factory, report_sample
from tests.support.terminal import drawn, screen


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    found = {cards: tmp_path_factory.mktemp(f"cards{cards}") for cards in (1, 3, 40)}
    factory.write(found[1] / "one.csv", factory.run())
    report_sample.study(found[3])
    report_sample.many(found[40], 40, repeats=3)
    return found


NOTE = "Not shown at this width: A wider terminal or --format csv shows all"


def words(lines: list[str]) -> list[str]:
    return " ".join(lines).replace("─", "").split()


@pytest.mark.parametrize(("cards", "most"), [(1, 20), (3, 60), (40, 60)])
def test_compare_fits_every_width(folders: dict[int, Path], cards: int, most: int) -> None:
    whole = words(drawn(screen("bench.cli.app", ["compare", str(folders[cards])], 1000)))
    for width in (80, 100, 120, 200):
        lines = drawn(screen("bench.cli.app", ["compare", str(folders[cards])], width))
        assert max(map(cell_len, lines)) <= width
        assert len(lines) <= most
        cut = {word.rstrip(";.") for word in words(lines)} - {word.rstrip(";.") for word in whole} - set(NOTE.split())
        assert not cut


def test_economics_fits_every_width(folders: dict[int, Path]) -> None:
    for width in (80, 200):
        lines = drawn(screen("bench.cli.app", ["economics", str(folders[3])], width))
        assert max(map(cell_len, lines)) <= width
        assert any(line.startswith("Switch off") for line in lines[:5])
