"""The sidecar: what is written is read back, and what is damaged is refused by line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import storage
from bench.model import BenchError, CardState, Device, Share
from bench.model.sidecar import AuditNote, IdleNote, Note, SensorNote
from tests.support import factory
from tests.support.evidence import AUDIT, SAMPLES, SENSOR, WINDOW, write_sidecar


def test_an_infinite_residual_is_kept_as_text(tmp_path: Path) -> None:
    wrong = replace(AUDIT, ok=False, reasons=("wrong",), details={"residual": float("inf"), "other": float("nan")})
    with storage.create(tmp_path, "x") as results:
        results.append(factory.sha256d(), window=WINDOW, audit=wrong)
    (note,) = storage.read_sidecar(results.sidecar).windows
    assert note.audit is not None
    assert note.audit.details == {"residual": "inf", "other": "nan"}


def test_the_sidecar_gives_back_what_was_put_in(tmp_path: Path) -> None:
    sidecar = storage.read_sidecar(write_sidecar(tmp_path))
    assert sidecar.plan == {"device": "cuda:0", "timing": {"repeats": 3}}
    assert sidecar.sensors == (
        SensorNote(0, SENSOR, CardState(power_limit_w=700.0, mig=False), Device("cuda", 0, "Example GPU A")),
    )
    assert sidecar.idles == (IdleNote(0, "before", 5, 6, SAMPLES), IdleNote(0, "after", 7, 8, SAMPLES))
    first, second = sidecar.windows
    assert (first.row, first.window, first.samples, first.sensor) == (1, WINDOW, SAMPLES, 0)
    assert first.audit == AuditNote.of(AUDIT)
    assert first.audit.shares == AUDIT.shares
    assert (second.row, second.window, second.samples, second.audit) == (2, WINDOW, (), None)
    for note, record in zip(sidecar.windows, (factory.sha256d(), factory.gemm()), strict=True):
        assert {name: note.columns.get(name) for name in storage.NAMES} == asdict(record)
    assert sidecar.notes == (Note("warm-up", {"rates": [0.1, 0.2]}),)
    assert not sidecar.torn


def test_a_share_whose_header_ends_in_another_nonce_is_not_written() -> None:
    with pytest.raises(ValueError, match="ends in another nonce"):
        AuditNote.of(replace(AUDIT, shares=(Share("00" * 80, 7),)))


def test_a_sidecar_cut_anywhere_in_its_last_line_is_readable(tmp_path: Path) -> None:
    path = write_sidecar(tmp_path)
    raw = path.read_bytes()
    start = raw.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start + 1, len(raw) - 1, 7):
        path.write_bytes(raw[:cut])
        sidecar = storage.read_sidecar(path)
        assert sidecar.torn
        assert len(sidecar.idles) == 1
    path.write_bytes(raw[:-1])
    assert len(storage.read_sidecar(path).idles) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (2, "{"),
        (3, ""),
        (4, '{"kind":"window","row":1}'),
        (3, '{"kind":"mystery"}'),
        (3, "[]"),
        (2, '{"kind":"idle","sensor":0,"when":"before","start_ns":1,"end_ns":2,"samples":[]}'),
        (2, '{"kind":"sensor","number":0,"sensor":{"surprise":1},"card_state":null,"device":null}'),
    ],
)
def test_damage_inside_a_sidecar_is_refused_by_line(tmp_path: Path, line: int, text: str) -> None:
    path = write_sidecar(tmp_path)
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(BenchError, match=f"line {line}: damaged"):
        storage.read_sidecar(path)


def test_a_newer_or_foreign_sidecar_is_refused(tmp_path: Path) -> None:
    path = write_sidecar(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(lines[0]), "sidecar_version": 99}), *lines[1:]]) + "\n")
    with pytest.raises(BenchError, match="sidecar_version 99 is newer"):
        storage.read_sidecar(path)
    path.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(BenchError, match="not a bitwatt sidecar"):
        storage.read_sidecar(path)
    path.write_text("")
    with pytest.raises(BenchError):
        storage.read_sidecar(path)
    with pytest.raises(BenchError, match="no such file"):
        storage.read_sidecar(tmp_path / "none.samples.jsonl")
