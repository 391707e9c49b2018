"""Shards into one file: each card once, whatever else lies there; and what is missing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench import storage
from bench.cli.app import call
from bench.fleet import layout, merge
from bench.fleet.layout import Card, Fleet, Node, Status
from bench.model import BenchError
from bench.storage.fleet import FLEET_COLUMNS, read_fleet, read_missing
from tests.support import factory


def shard(folder, node, card, *, state="done", run_id="r1", rows=3, updated="2026-11-24T20:00:00.000Z", slot=0):
    """One card's rows and status, as a worker leaves them."""
    place = layout.card_folder(folder, node, card)
    place.mkdir(parents=True, exist_ok=True)
    records = [replace(each, run_id=run_id, host=node, device_uuid=card) for each in factory.run(factory.CARD_A, rows)]
    (place / f"{run_id}.csv").write_text(storage.to_csv(records))
    watts = tuple(700.0 + number for number in range(len(records)))
    status = Status(node, card, slot, state, updated, "together", csv=f"{run_id}.csv", rows=len(records))
    layout.write(place / layout.STATUS, replace(status, neighbours_power_w=watts))
    return records


def node(folder, name, *cards):
    found = tuple(Card(card, slot, "cuda", "X") for slot, card in enumerate(cards))
    layout.write(folder / name / layout.NODE, Node(name, found, "together", "2026-11-24T20:00:00.000Z"))


@pytest.fixture
def two_nodes(tmp_path):
    folder = tmp_path / "fleet"
    for name in ("n1", "n2"):
        node(folder, name, f"GPU-{name}-a", f"GPU-{name}-b")
        for slot, card in enumerate("ab"):
            shard(folder, name, f"GPU-{name}-{card}", run_id=f"{name}{card}", slot=slot)
    return folder


def test_every_row_is_there_once_with_node_card_and_slot(two_nodes, tmp_path):
    found = merge.merge([two_nodes], tmp_path / "f.parquet")
    assert (found.cards, found.nodes, found.missing) == (4, 2, ())
    frame = read_fleet(tmp_path / "f.parquet")
    assert len(frame) == found.rows
    counts = frame.groupby(["node", "card", "slot"], observed=True).size().to_dict()
    assert set(counts) == {(n, f"GPU-{n}-{c}", slot) for n in ("n1", "n2") for slot, c in enumerate("ab")}
    assert len(set(counts.values())) == 1
    assert (frame["card"].astype(str) == frame["device_uuid"].astype(str)).all()
    one = frame[frame["card"] == "GPU-n1-a"]
    assert one["neighbours_power_w"].tolist() == [700.0 + number for number in range(len(one))]
    assert frame["together"].all()


def test_parquet_holds_what_reading_the_shards_gives(two_nodes, tmp_path):
    merge.merge([two_nodes], tmp_path / "f.parquet")
    frame = read_fleet(tmp_path / "f.parquet")
    shards = storage.read(sorted(two_nodes.glob("*/*/*.csv")))
    for name in storage.NAMES:
        assert frame[name].dtype == shards[name].dtype or name in shards.select_dtypes("category"), name
        assert frame[name].astype(object).where(frame[name].notna(), None).tolist() == (
            shards[name].astype(object).where(shards[name].notna(), None).tolist()
        )


def test_csv_holds_the_same_and_compare_reads_it(two_nodes, tmp_path, capsys):
    merge.merge([two_nodes], tmp_path / "f.parquet")
    merge.merge([two_nodes], tmp_path / "f.csv")
    header = (tmp_path / "f.csv").read_text().splitlines()[0].replace('"', "").split(",")
    assert header == [*(each.name for each in FLEET_COLUMNS), *storage.NAMES]
    notes = []
    frame = storage.read([tmp_path / "f.csv"], note=notes.append)
    assert notes == []
    assert frame["energy_j"].tolist() == read_fleet(tmp_path / "f.parquet")["energy_j"].tolist()


def test_copies_and_cut_attempts_are_left_out_with_a_sentence(two_nodes, tmp_path):
    copy = tmp_path / "copy"
    shard(copy, "n1", "GPU-n1-a", run_id="n1a")
    shard(copy, "n2", "GPU-n2-a", run_id="later", updated="2026-11-24T21:00:00.000Z", rows=5)
    place = layout.card_folder(two_nodes, "n2", "GPU-n2-b")
    (place / "cut.csv").write_bytes((place / "n2b.csv").read_bytes())
    notes = []
    found = merge.merge([two_nodes, copy], tmp_path / "f.parquet", notes.append)
    assert found.cards == 4
    frame = read_fleet(tmp_path / "f.parquet")
    assert set(frame["run_id"].astype(str)) == {"n1a", "n1b", "later", "n2b"}
    assert len(notes) == 2
    assert notes[0].startswith("2 shards are left out, each of a card that is there once already")
    assert notes[1].startswith("1 shard is left out, each of an attempt that was cut short or failed")


def test_what_is_missing_is_listed_with_the_reason_and_the_exit_code_says_so(two_nodes, tmp_path, capsys):
    shard(two_nodes, "n1", "GPU-n1-b", state="running", run_id="n1b")
    node(two_nodes, "n3", "GPU-n3-a")
    layout.expect(two_nodes, ["n1", "n2", "n3", "n4"])
    layout.write(two_nodes / layout.FLEET, Fleet("slurm", nodes=5, cards_per_node=2))
    output = tmp_path / "f.parquet"
    assert call(["merge", str(two_nodes), "-o", str(output), "--format", "json"]) == 3
    listed = json.loads(capsys.readouterr().out)
    assert [(each["node"], each["card"]) for each in listed] == [
        ("n1", "GPU-n1-b"),
        ("n3", "GPU-n3-a"),
        ("n4", ""),
        ("", ""),
        ("n3", ""),
    ]
    assert listed[-1]["reason"] == "shows 1 of 2 cards"
    assert read_missing(output) == listed

    # what this folder lacks another one holds
    other = tmp_path / "other"
    shard(other, "n1", "GPU-n1-b", run_id="again")
    shard(other, "n4", "GPU-n4-a", run_id="n4a")
    found = merge.merge([two_nodes, other], output)
    assert [(each.node, each.card) for each in found.missing] == [("n3", "GPU-n3-a"), ("", ""), ("n3", "")]


def test_a_damaged_shard_is_missing_and_the_others_are_kept(two_nodes, tmp_path):
    place = layout.card_folder(two_nodes, "n1", "GPU-n1-a") / "n1a.csv"
    place.write_text(place.read_text()[:-300])
    (layout.card_folder(two_nodes, "n2", "GPU-n2-a") / "n2a.csv").unlink()
    found = merge.merge([two_nodes], tmp_path / "f.parquet")
    assert [each.card for each in found.missing] == ["GPU-n1-a", "GPU-n2-a"]
    assert found.cards == 2
    assert set(read_fleet(tmp_path / "f.parquet")["card"].astype(str)) == {"GPU-n1-b", "GPU-n2-b"}


def test_nothing_is_written_where_a_merge_fails(two_nodes, tmp_path):
    with pytest.raises(BenchError, match=r"neither \.parquet nor \.csv"):
        merge.merge([two_nodes], tmp_path / "f.txt")
    with pytest.raises(BenchError, match="holds no shards"):
        merge.merge([tmp_path], tmp_path / "f.csv")
    status = next(two_nodes.rglob(layout.STATUS))
    status.write_text("{")
    with pytest.raises(BenchError, match="remove the file"):
        merge.merge([two_nodes], tmp_path / "f.csv")
    assert not list(tmp_path.glob("*.csv")) + list(tmp_path.glob(".*"))


def test_what_is_not_a_merged_file_is_refused(tmp_path):
    path = tmp_path / "f.parquet"
    for read in (read_fleet, read_missing):
        with pytest.raises(BenchError, match="no such file"):
            read(path)
    path.write_text("not Parquet")
    for read in (read_fleet, read_missing):
        with pytest.raises(BenchError, match="is not a Parquet file"):
            read(path)
    import pandas as pd

    pd.DataFrame({"node": ["n1"]}).to_parquet(path)
    with pytest.raises(BenchError, match="has no column card"):
        read_fleet(path)


def test_an_older_file_lacks_only_optional_columns(two_nodes, tmp_path):
    import pyarrow.parquet as parquet

    path = tmp_path / "f.parquet"
    merge.merge([two_nodes], path)
    table = parquet.read_table(path)
    parquet.write_table(table.drop_columns(["mfu", "host", "co_tenants", "steady"]), path)
    frame = read_fleet(path)
    assert list(frame.columns) == table.column_names
    assert frame[["mfu", "host", "co_tenants", "steady"]].isna().all(axis=None)
    parquet.write_table(table.drop_columns(["work"]), path)
    with pytest.raises(BenchError, match="has no column work"):
        read_fleet(path)


def test_names_of_nodes_cannot_leave_the_folder(tmp_path):
    for name in ("../x", "/etc", ".", "..", "", "a/b"):
        assert layout.card_folder(tmp_path, name, name).resolve().parent.parent == tmp_path.resolve()
