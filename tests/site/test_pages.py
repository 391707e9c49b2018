"""The site's pages: which there are, where their links lead, and what they say."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import site, storage
from bench.analysis import compare, economics
from bench.model import BenchError
from bench.report.entries import collect, interval_text
from bench.report.history import card_runs
from tests.support.factory import CARD_A, CARD_B, run, sha256d, write
from tests.support.page import HOSTILE, Page
from tests.support.pages import broken_links

PRICES = economics.read_prices(economics.example_path())


def text(files: dict[str, bytes], name: str) -> str:
    return files[name].decode()


def test_there_is_a_page_for_each_card_and_for_each_pair_with_a_task_in_common(files):
    cards = {
        "cards/example-gpu-a.html",
        "cards/example-gpu-b.html",
        "cards/example-cpu-c.html",
        "cards/example-gpu-d.html",
    }
    assert {name for name in files if name.startswith("cards/")} == cards
    assert len([name for name in files if name.startswith("compare/")]) == 6
    about = json.loads(files["data/site.json"])
    assert {card["page"] for card in about["cards"]} == cards
    assert all(card["simulated"] for card in about["cards"])


def test_cards_without_a_common_task_have_no_comparison(tmp_path):
    other = replace(CARD_B, name="Example GPU F")
    write(tmp_path / "a.csv", run(CARD_A, 3, workloads=(sha256d,)))
    write(tmp_path / "b.csv", [replace(record, workload="scrypt") for record in run(other, 3, workloads=(sha256d,))])
    files = site.pages(storage.expand([tmp_path]), PRICES)
    assert not [name for name in files if name.startswith("compare/")]
    assert "Comparisons" not in Page(text(files, "index.html")).headings


def test_every_link_leads_to_a_file_of_the_site(public):
    assert broken_links(public) == []


@pytest.mark.parametrize(
    "address",
    ["missing.html", "/index.html", "https://x.example/", "../outside.html", "cards/example-gpu-a.html#nowhere"],
)
def test_the_check_of_links_sees_one_that_leads_nowhere(public, tmp_path, files, address):
    folder = tmp_path / "public"
    site.publish(folder, {**files, "bad.html": f'<a href="{address}">x</a>'.encode()})
    (tmp_path / "outside.html").touch()
    assert broken_links(folder) == [f"bad.html: {address}"]


def test_the_csvs_and_their_evidence_are_offered_as_they_were_contributed(files, results):
    for path in results.iterdir():
        assert files[f"data/{path.name}"] == path.read_bytes()
    rows = list(csv.DictReader(io.StringIO(files["data/results.csv"].decode())))
    assert {row["device_name"] for row in rows} >= {"Example GPU A", "Example GPU D"}
    assert len(json.loads(files["data/results.json"])) == len(rows)


def test_a_comparison_gives_compares_figures_and_verdicts(files, results):
    frame = storage.read([results])
    both = frame[frame["device_name"].isin(["Example GPU A", "Example GPU D"])]
    result = compare.compare(both, "Example GPU A")
    found = next(
        item
        for item in result.comparisons
        if item.key["device_name"] == "Example GPU D" and item.metric == "work_per_j"
    )
    seen = Page(text(files, "compare/example-gpu-a-vs-example-gpu-d.html"))
    assert interval_text(found) in seen.visible
    assert f"{found.ratio:.3f}×" in seen.visible
    assert "The two side by side" in seen.headings


def test_a_card_measured_again_has_its_history_and_compares_verdict(files, results):
    frame = storage.read([results])
    first, second = card_runs(frame, "Example GPU B")
    assert (first.label, second.label) == ("2026-01-01, 999.99", "2026-03-01, 1000.10")
    item = second.entries["sha256d"].metrics["rate_per_s"]
    assert item.ratio == pytest.approx(1.03, rel=0.01)
    seen = Page(text(files, "cards/example-gpu-b.html"))
    assert "History by driver and date" in seen.headings
    assert f"{second.entries['sha256d'].metrics['work_per_j'].ratio:.3f}×" in seen.visible
    assert card_runs(frame, "Example GPU D") == []
    assert "History by driver and date" not in Page(text(files, "cards/example-gpu-d.html")).headings


def test_made_up_cards_are_called_so_and_real_ones_are_not(files, tmp_path):
    for name in ("index.html", "cards/example-gpu-a.html", "compare/example-gpu-a-vs-example-gpu-d.html"):
        assert "Simulated: the cards named “Example …” do not exist" in Page(text(files, name)).visible
    write(tmp_path / "a.csv", run(replace(CARD_A, name="NVIDIA H100"), 3))
    real = site.pages([tmp_path / "a.csv"], PRICES)
    assert "Simulated" not in text(real, "index.html")
    assert '"simulated": false' in text(real, "data/site.json")


def test_names_make_files_that_cannot_leave_the_folder_or_meet(tmp_path):
    names = ["../../etc/passwd", "A/B", "a b", HOSTILE, "显卡", "测试"]
    for number, name in enumerate(names):
        write(
            tmp_path / f"{number}.csv", run(replace(CARD_A, name=name, uuid=f"GPU-{number}"), 2, workloads=(sha256d,))
        )
    files = site.pages(storage.expand([tmp_path]), PRICES)
    cards = sorted(name for name in files if name.startswith("cards/"))
    assert cards[:3] == ["cards/a-b-2.html", "cards/a-b.html", "cards/card-2.html"]
    assert len(cards) == len(names)
    assert not [name for name in files if ".." in name or name.startswith("/")]
    site.publish(tmp_path / "public", files)
    assert broken_links(tmp_path / "public") == []
    assert Page(text(files, "index.html")).handlers == []


def test_two_files_of_one_name_are_both_offered(tmp_path):
    for number, folder in enumerate(("x", "y")):
        (tmp_path / folder).mkdir()
        card = replace(CARD_A, name=f"Example GPU {number}", uuid=f"GPU-{number}")
        write(tmp_path / folder / "results.csv", run(card, 2, workloads=(sha256d,)))
    files = site.pages([tmp_path / "x/results.csv", tmp_path / "y/results.csv"], PRICES)
    assert files["data/results-2.csv"] == (tmp_path / "x/results.csv").read_bytes()
    assert files["data/results-3.csv"] == (tmp_path / "y/results.csv").read_bytes()


def test_a_stream_is_refused(tmp_path):
    with pytest.raises(BenchError, match="cannot be made from a stream"):
        site.pages([Path("-")], PRICES)


def test_the_leaderboard_leads_to_the_cards_and_shows_their_figures(files, results):
    frame = storage.read([results])
    entries = collect(frame, compare.compare(frame))
    index = text(files, "index.html")
    assert '<a href="cards/example-gpu-d.html">' in index
    (entry,) = [entry for entry in entries if entry.card == "Example GPU D"]
    assert interval_text(entry.metrics["work_per_j"]).partition(" [")[0] in Page(index).visible
