"""Results of cards that do not exist, for the site that CI builds: ``python -m tests.support.simulated FOLDER``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tests.support.factory import CARD_B, run, sha256d
from tests.support.report_sample import decode, dense, study, write_run

CARD_D = replace(
    CARD_B, name="Example GPU D", uuid="GPU-d", hash_per_s=6.1e9, hash_w=410.0, flop_w=440.0, limit_w=450.0
)


def simulated(folder: Path) -> list[Path]:
    """The made-up study, the second card again after two months with a new driver, and a third GPU."""
    paths = study(folder)
    faster = replace(CARD_B, hash_per_s=CARD_B.hash_per_s * 1.03)
    later = {"run_id": "20260301T000000Z-example", "driver": "1000.10", "harness_version": "0.2.0"}
    again = [
        replace(record, started_utc=record.started_utc.replace("2026-01-01", "2026-03-01"))
        for record in run(faster, 4, seed=5, workloads=(sha256d, dense, decode), **later)
    ]
    paths.append(write_run(folder, "example-b-new-driver", CARD_B, again))
    paths.append(write_run(folder, "example-d", CARD_D, run(CARD_D, 4, seed=6, workloads=(sha256d,))))
    return paths


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for path in simulated(target):
        print(path)
