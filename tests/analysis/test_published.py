"""Published figures: the list is checked by line, and figures join a comparison under their own name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import storage
from bench.analysis import compare, published
from bench.model import BenchError
from tests.support import factory

HEADER = "card,metric,kind,value,unit,source,note\n"
ROWS = (
    "Old Card,sha256d,measured,2.5,GH/s,a “forum” post,at 200 W\n"
    "Old Card,sha256,measured,5,GH/s,a paper,\n"
    "New Card,bf16_dense,peak,312,TFLOP/s,data sheet,\n"
    "New Card,fp8_dense,peak,624,TFLOP/s,data sheet,\n"
    "New Card,power,limit,400,W,data sheet,\n"
    "New Card,bandwidth,peak,2,TB/s,data sheet,\n"
)


def listed(folder: Path, rows: str = ROWS) -> Path:
    path = folder / "published.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def test_figures_join_a_comparison(tmp_path: Path) -> None:
    result = compare.compare(storage.to_frame(factory.run()))
    found = published.with_published(result, ["all"], listed(tmp_path)).published
    assert [(item.metric, item.unit, item.value) for item in found] == [
        ("rate_per_s", "hash/s", 2.5e9),
        ("rate_per_s", "hash/s", 5e9),
        ("rate_per_s", "FLOP/s", 312e12),  # fp8 was not measured
        ("power", "W", 400.0),
        ("bandwidth", "B/s", 2e12),
    ]
    assert found[0].reason == "a “forum” post; at 200 W"
    assert found[1].reason == "a paper"
    assert {item.verdict for item in found} == {"published"}
    assert (found[0].repeats, found[0].low, found[0].high, found[0].ratio) == (0, None, None, None)
    assert found[0].key == {
        "device_name": "Old Card",
        "workload": "sha256d",
        "phase": None,
        "dtype": None,
        "published_metric": "sha256d",
        "published_kind": "measured",
    }
    assert (found[2].key["workload"], found[2].key["phase"], found[2].key["dtype"]) == ("transformer", "gemm", "bf16")
    assert found[3].key["workload"] is None


def test_only_the_cards_asked_for(tmp_path: Path) -> None:
    result = compare.compare(storage.to_frame(factory.run()))
    path = listed(tmp_path)
    assert published.with_published(result, [], path).published == ()
    assert {item.key["device_name"] for item in published.with_published(result, ["old"], path).published} == {
        "Old Card"
    }
    with pytest.raises(BenchError) as caught:
        published.with_published(result, ["Odd"], path)
    assert caught.value.message == "there are no published figures for a card 'Odd'"
    assert caught.value.fix == "choose from all, Old Card, New Card"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("A,sha256d,measured,0,GH/s,x,\n", "line 8: not a figure with a card, a kind and a source"),
        ("A,sha256d,measured,inf,GH/s,x,\n", "line 8: not a figure"),
        ("A,sha256d,measured,1,GH/s,,\n", "line 8: not a figure"),
        (",sha256d,measured,1,GH/s,x,\n", "line 8: not a figure"),
        ("A,sha256d,guessed,1,GH/s,x,\n", "line 8: not a figure"),
        ("A,sha256d,measured,much,GH/s,x,\n", "line 8: ValueError"),
        ("A,sha256d\n", "line 8: TypeError"),
    ],
)
def test_a_wrong_row_is_named(row: str, says: str, tmp_path: Path) -> None:
    path = listed(tmp_path, ROWS + row)
    with pytest.raises(BenchError, match=says) as caught:
        published.figures(path)
    assert caught.value.message.startswith(str(path))


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        published.figures(tmp_path / "none.csv")
    assert caught.value.message == f"cannot read {tmp_path / 'none.csv'} (No such file or directory)"
    assert caught.value.fix == "check the path and its permissions"
