"""``make bench`` on a box of several GPUs: all of them at once, one table, one CSV, one page."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import fleet
from tests.support.paths import ROOT


@pytest.mark.slow
def test_make_bench_measures_every_card_of_a_box(library, plan, tmp_path):
    out = tmp_path / "results"
    env = fleet.environment(library, FAKE_NVML_SCRIPT=fleet.script(tmp_path / "script", 1, 2))
    command = ["make", "-o", "setup", "bench", "GPUS=2", "DEVICE=cuda", f"OUT={out}", f"BITWATT={fleet.COMMAND}"]
    done = subprocess.run(
        [*command, f"ARGS=--plan {plan}"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (merged,) = out.glob("*.csv")
    rows = fleet.rows(merged)
    assert sorted({(row["card"], row["slot"]) for row in rows}) == [(fleet.uuid(1), "0"), (fleet.uuid(2), "1")]
    assert len(rows) == 8
    assert "fake one" in done.stdout
    assert (out / "report.html").exists()
