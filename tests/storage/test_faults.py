"""Whatever fails or dies while a result is written, each row on disk is whole and has its evidence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import storage
from bench.audit.verify import verify
from tests.support.faults import FAULTS
from tests.support.paths import ROOT


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_leaves_only_rows_that_verify(fault: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.faults", str(tmp_path), fault]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) > 40
    seen = set()
    for folder in folders:
        path = folder / "a.csv"
        if path.exists():
            assert verify([path]).findings == (), folder
            seen.add(len(storage.read_records(path)))
        elif fault != "SIGKILL":
            # a signal right after the sidecar's creation, before anybody holds its descriptor, may leave it empty
            assert not [entry for entry in folder.iterdir() if entry.stat().st_size], folder
        if fault != "SIGKILL":
            assert not list(folder.glob(".*")), folder
    assert seen == {1, 2, 3}
