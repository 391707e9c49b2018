"""A sidecar from a stranger is read or refused in a sentence, whatever is in it; never an internal error."""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import storage
from bench.audit import recompute, verify
from bench.model import BenchError, Record
from bench.model.sidecar import decode
from bench.workloads.hashing import proof
from tests.support.evidence import write_full

PATH = Path("a.samples.jsonl")
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 10**9, 2**63 - 1, 2**63, 2**70, 0.5, -0.5, 1e-308, 1e300, -1e300, "", "x", "1", "\x1b[2J",
    [], [[]], {}, {"a": 1}, ["x"], "0" * 152, "inf",
)  # fmt: skip


def places(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, as the keys that lead to it."""
    if path:
        yield path
    entries = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, value in entries:
        yield from places(value, (*path, key))


def edited(item: Any, path: tuple[Any, ...], value: Any) -> Any:
    item = copy.deepcopy(item)
    inner = item
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return item


def judge(raw: bytes, records: list[Record]) -> None:
    """All that is done with a sidecar; warnings are errors here, so that an overflow is one, too."""
    try:
        sidecar = decode(io.BytesIO(raw), PATH)
    except BenchError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = recompute.figures(sidecar)
        recompute.to_csv(rows)
        for difference in recompute.differences(rows, records):
            assert str(difference)
        for note in sidecar.windows:
            verify.against_sidecar(PATH, records[0], note)
        shares = {note.row: note.audit.shares for note in sidecar.windows if note.audit is not None}
        for claim in proof.claims(records, shares):
            assert str(claim)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Record]]:
    """The lines of a sound sidecar, as JSON values, and its rows."""
    path = write_full(tmp_path_factory.mktemp("sound"))
    return list(map(json.loads, path.read_text().splitlines())), storage.read_records(path.with_name("a.csv"))


def test_the_sound_one_is_read(sound: tuple[list[Any], list[Record]]) -> None:
    lines, records = sound
    raw = "\n".join(map(json.dumps, lines)).encode() + b"\n"
    assert len(decode(io.BytesIO(raw), PATH).windows) == 2
    judge(raw, records)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere(sound: tuple[list[Any], list[Record]], data: st.DataObject) -> None:
    lines, records = sound
    for _ in range(data.draw(st.integers(1, 2))):
        number = data.draw(st.integers(0, len(lines) - 1))
        path = data.draw(st.sampled_from(list(places(lines[number]))))
        value = data.draw(st.sampled_from(ODD))
        lines = [*lines[:number], edited(lines[number], path, value), *lines[number + 1 :]]
    judge("\n".join(map(json.dumps, lines)).encode() + b"\n", records)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), cut=st.integers(0, 30), put=st.binary(max_size=8))
def test_any_bytes_anywhere(sound: tuple[list[Any], list[Record]], at: float, cut: int, put: bytes) -> None:
    lines, records = sound
    raw = "\n".join(map(json.dumps, lines)).encode() + b"\n"
    where = int(at * len(raw))
    judge(raw[:where] + put + raw[where + cut :], records)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 200_000, "not a bitwatt sidecar"),
        ('{"kind":' * 200_000, "not a bitwatt sidecar"),
        ("1e999", "not a bitwatt sidecar"),
        ("\udcff", "not a bitwatt sidecar"),
    ],
    ids=["lists", "objects", "infinite", "bytes"],
)
def test_a_first_line_that_is_something_else(text: str, says: str) -> None:
    with pytest.raises(BenchError, match=says):
        decode(io.BytesIO(text.encode("utf-8", "surrogateescape")), PATH)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("end_ns", 0, "it ends at 0 ns"),
        ("start_ns", -5, "start_ns is -5"),
        ("work", 1e300, "work is 1e[+]300"),
        ("samples", [{"t_ns": 5}, {"t_ns": 5}], "a sample at 5 ns follows one at 5 ns"),
        ("samples", [{"t_ns": 5, "power_w": 1e300}], "power_w is 1e[+]300"),
        ("audit", {"ok": True, "nonces": {"00": [1]}}, "hex text of a header"),
        ("audit", {"ok": True, "nonces": {"00" * 76: [2**32]}}, "not a nonce of 32 bits"),
        ("audit", {"ok": True, "share_bits": 4096}, "share_bits is 4096"),
    ],
)
def test_what_no_run_writes_is_named(sound: tuple[list[Any], list[Record]], name: str, value: Any, says: str) -> None:
    lines, _ = sound
    number = next(n for n, line in enumerate(lines) if line["kind"] == "window")
    lines = [*lines[:number], {**lines[number], name: value}, *lines[number + 1 :]]
    with pytest.raises(BenchError, match=f"line {number + 1}: damaged.*{says}"):
        decode(io.BytesIO("\n".join(map(json.dumps, lines)).encode() + b"\n"), PATH)


def test_a_line_without_end_is_refused() -> None:
    """Standing for a file of any size: the stream is asked for no more than the longest line."""

    class Endless(io.RawIOBase):
        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 1 << 27
            return b"x" * size

    with pytest.raises(BenchError, match="line 1: longer than 64 MiB"):
        decode(Endless(), PATH)  # type: ignore[arg-type]
