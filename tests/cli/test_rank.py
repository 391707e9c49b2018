"""``bitwatt reference build`` and ``bitwatt rank``, through files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from bench.cli.app import call
from bench.model import BenchError
from tests.support import factory, fleets


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    faults = {(node, 0): 1 + node / 100 for node in range(10)}
    return fleets.write(tmp_path_factory.mktemp("fleet") / "f.parquet", fleets.records(10, 1, faults))


@pytest.fixture
def reference(fleet, tmp_path, capsys):
    path = tmp_path / "ref.csv"
    assert call(["reference", "build", str(fleet), "-o", str(path)]) == 0
    assert "10 cards (10 of Example GPU A)" in capsys.readouterr().err
    return path


def mine(tmp_path, card=factory.CARD_A):
    faster = replace(card, hash_per_s=1.055 * card.hash_per_s, flop_per_s=1.055 * card.flop_per_s)
    return factory.write(tmp_path / "mine.csv", factory.run(faster, 5, rate_sd=1e-4))


def ranked(capsys, *tokens):
    code = call(["rank", *map(str, tokens)])
    return code, capsys.readouterr().out


def test_a_card_is_ranked_in_a_reference_and_in_a_fleet_alike(reference, fleet, tmp_path, capsys):
    code, text = ranked(capsys, mine(tmp_path), "--reference", reference)
    assert code == 0
    assert "This Example GPU A is at p60 of 10" in text
    assert "p60 of 10 [60, 60]" in text
    both = [ranked(capsys, mine(tmp_path), "--reference", path, "--format", "json")[1] for path in (reference, fleet)]
    first, second = (json.loads(text) for text in both)
    assert [row["percentile"] for row in first] == [row["percentile"] for row in second]
    assert {row["figure"] for row in first} == {"rate_per_s", "work_per_j", "power_mean_w", "temperature_max_c"}


def test_what_cannot_be_ranked_is_said_and_ends_with_3(reference, tmp_path, capsys):
    code, text = ranked(capsys, mine(tmp_path, factory.CARD_B), "--reference", reference)
    assert code == 3
    assert "not ranked, no card of this model in the reference" in text


def test_what_is_not_a_reference_is_refused(reference, tmp_path, capsys):
    own = mine(tmp_path)
    with reference.open() as stream:
        rows = list(csv.reader(stream))
    damaged = tmp_path / "damaged.csv"
    for cell in ("x", "inf"):
        rows[2][rows[0].index("rate_per_s")] = cell
        damaged.write_text("\n".join(",".join(row) for row in rows))
        with pytest.raises(BenchError, match="rate_per_s has a cell that is not a number"):
            ranked(capsys, own, "--reference", damaged)
    with pytest.raises(BenchError, match="is not a reference"):
        ranked(capsys, own, "--reference", own)
    for text in ("", '"'):
        damaged.write_text(text)
        with pytest.raises(BenchError, match=r"cannot read|is not a reference"):
            ranked(capsys, own, "--reference", damaged)
    with pytest.raises(BenchError, match="cannot read"):
        ranked(capsys, own, "--reference", tmp_path / "none.csv")
