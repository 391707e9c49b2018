"""``bitwatt site`` and ``bitwatt report --lang`` from the command line."""

from __future__ import annotations

import pytest

from bench.cli.app import call
from bench.model import BenchError
from tests.support.factory import CARD_A, CARD_B, run, sha256d, write


@pytest.fixture
def two(tmp_path):
    for card in (CARD_A, CARD_B):
        write(tmp_path / f"{card.name[-1]}.csv", run(card, 2, workloads=(sha256d,)))
    return tmp_path


def test_it_writes_a_site_and_says_what_it_did(two, tmp_path, capsys):
    public = tmp_path / "public"
    assert call(["site", str(two), "-o", str(public)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"wrote 10 files to {public}; 0 were up to date" in said.err
    (public / "cards/example-gpu-b.html").write_text("mine now")
    call(["site", str(two / "A.csv"), "-o", str(public)])
    said = capsys.readouterr().err
    assert "removed 2 files of an earlier site" in said
    assert "cards/example-gpu-b.html is no longer part of the site, but was changed by hand" in said
    assert (public / "cards/example-gpu-b.html").read_text() == "mine now"


@pytest.mark.parametrize("command", ["site", "report"])
def test_a_language_is_chosen_by_name(two, tmp_path, command):
    target = tmp_path / "out"
    call([command, str(two / "A.csv"), "-o", str(target), "--lang", "zh"])
    page = target / "index.html" if command == "site" else target
    assert '<html lang="zh">' in page.read_text()
    with pytest.raises(BenchError, match="not available in 'fr'"):
        call([command, str(two / "A.csv"), "-o", str(target), "--lang", "fr"])
