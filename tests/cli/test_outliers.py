"""``bitwatt outliers``: cards to pull, verdicts of nodes, exit codes, metrics."""

from __future__ import annotations

import json
import re

import pytest

from bench.cli.app import call
from bench.model import BenchError
from bench.storage.fleet import read_fleet
from bench.storage.fleet_rows import read_rows
from tests.support import fleets


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """4 nodes of 4 cards; one is 20% slow, one at a third of its rate, one was not measured."""
    frame = fleets.records(faults={(1, 2): 0.8, (2, 0): 0.33})
    missing = [{"node": "n3", "card": "GPU-3-9", "reason": "cut short after 1 row"}]
    return fleets.write(tmp_path_factory.mktemp("fleet") / "f.parquet", frame, missing)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return fleets.write(tmp_path_factory.mktemp("fleet") / "f.csv", fleets.records())


def out(capsys, *tokens):
    code = call(["outliers", *map(str, tokens)])
    return code, capsys.readouterr().out


def test_the_table_names_the_cards_with_reasons_and_the_exit_code_says_so(slow, capsys):
    code, text = out(capsys, slow, "--format", "markdown")
    assert code == 1
    assert re.search(r"n2 \| GPU-2-0 .* failed \| card \| slow: 2\.6\d\d GH/s in sha256d scan, −6\d\.\d% from", text)
    assert re.search(r"n1 \| GPU-1-2 .* degraded \| card \| slow: .*, −\d\d\.\d% from the median of 16 cards", text)
    assert "not measured: cut short after 1 row" in text
    _, text = out(capsys, slow)
    assert "16 of 16 cards judged, 3 to pull; false-discovery rate 5.0%." in " ".join(text.split())


def test_json_and_csv_hold_every_figure(slow, capsys):
    _, text = out(capsys, slow, "--format", "json")
    rows = [row for row in json.loads(text) if row["card"] == "GPU-1-2"]
    assert {(row["kind"], row["task"]) for row in rows} >= {("slow", "sha256d scan"), ("thirsty", "sha256d scan")}
    one = next(row for row in rows if row["kind"] == "slow")
    assert one["value"] / one["median"] == pytest.approx(1 + one["deviation"])
    assert (one["cohort"], one["state"], one["cause"], one["slot"]) == (16, "degraded", "card", 2)
    assert one["p_adjusted"] < 0.05
    _, text = out(capsys, slow, "--format", "csv")
    assert text.splitlines()[0].startswith("node,card,slot,rack,model,driver,power_limit_w,state,cause,kind")


def test_a_sound_fleet_ends_with_0_also_from_csv(sound, capsys):
    code, text = out(capsys, sound)
    assert code == 0
    assert text.strip() == "16 of 16 cards judged, 0 to pull; false-discovery rate 5.0%."


@pytest.mark.parametrize(("node", "code", "state"), [("n0", 0, "healthy"), ("n1", 1, "degraded"), ("n2", 2, "failed")])
def test_the_verdict_of_a_node_is_one_line_of_json_and_its_exit_code(slow, capsys, node, code, state):
    ended, text = out(capsys, slow, "--node", node)
    assert ended == code
    assert text.count("\n") == 1
    found = json.loads(text)
    assert (found["node"], found["verdict"], found["state"], found["cards"]) == (node, code, state, 4)
    assert bool(found["reason"]) == bool(code)


def test_what_is_not_known_of_a_node_is_never_a_failed_node(slow, tmp_path, capsys):
    for tokens in ((slow, "--node", "n9"), (tmp_path / "none.parquet", "--node", "n1")):
        with pytest.raises(BenchError) as caught:
            out(capsys, *tokens)
        assert caught.value.exit_code == 3


def test_one_verdict_per_node_and_metrics_for_prometheus(slow, tmp_path, capsys):
    out(capsys, slow, "--verdicts", tmp_path / "v.jsonl", "--prometheus", tmp_path / "b.prom")
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert {line["node"]: line["verdict"] for line in lines} == {"n0": 0, "n1": 1, "n2": 2, "n3": 2}
    text = (tmp_path / "b.prom").read_text()
    assert 'bitwatt_node_verdict{node="n1"} 1\n' in text
    assert 'bitwatt_card_outlier{node="n1",card="GPU-1-2",slot="2",kind="slow",cause="card"} 1\n' in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="([^"\\\n]|\\.)*",?)+\})? [0-9.e+]+', line), line
    out(capsys, slow, "--node", "n0", "--prometheus", tmp_path / "b.prom")
    assert "n1" not in (tmp_path / "b.prom").read_text()


def test_labels_are_escaped_for_prometheus():
    from bench.output.exposition import metric

    assert metric("m", "Text.", [({"a": 'q"\\\n'}, 1.0)]).splitlines()[-1] == r'm{a="q\"\\\n"} 1'


def test_racks_come_from_a_file(tmp_path, capsys):
    hot = fleets.records(8, 4)
    hot.loc[hot["node"].isin(["n2", "n3"]), "temperature_max_c"] += 15
    path = fleets.write(tmp_path / "f.parquet", hot)
    racks = tmp_path / "racks.csv"
    racks.write_text("".join(f"n{n},r{n // 2}\n" for n in range(8)))
    code, text = out(capsys, path, "--racks", racks)
    assert code == 1
    assert "the whole rack r1: 8 cards are 15.0 °C hotter than the others" in " ".join(text.split())
    racks.write_text("n1\n")
    with pytest.raises(BenchError, match="not a node and a rack"):
        out(capsys, path, "--racks", racks)
    with pytest.raises(BenchError, match="cannot read"):
        out(capsys, path, "--racks", tmp_path / "none.csv")


def test_parquet_and_csv_of_one_fleet_give_the_same_rows(tmp_path):
    frame = fleets.records(2, 2)
    paths = [fleets.write(tmp_path / name, frame) for name in ("f.parquet", "f.csv")]
    first, second = (read_rows([path]).drop(columns=["file", "line"]) for path in paths)
    assert list(first.columns) == list(read_fleet(paths[0]).columns)
    for name in first:
        assert first[name].astype(object).where(first[name].notna(), None).tolist() == (
            second[name].astype(object).where(second[name].notna(), None).tolist()
        ), name
    both = read_rows(paths, ["node", "card", "slot", "rate_per_s"])
    assert len(both) == 2 * len(frame)
    assert both["node"].dtype == "category"


def test_plain_results_are_of_their_host_and_uuid(tmp_path):
    from tests.support import factory

    path = factory.write(tmp_path / "a.csv", factory.run(factory.CARD_CPU, 2, workloads=(factory.sha256d,)))
    rows = read_rows([path])
    assert rows[["node", "card", "slot"]].drop_duplicates().to_numpy().tolist() == [["example-host", "cpu0", 0]]
