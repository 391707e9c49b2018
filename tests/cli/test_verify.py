"""``bitwatt verify`` and ``recompute`` count in plain English."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import storage
from bench.cli.app import call
from bench.model import Window
from tests.support import factory


@pytest.mark.parametrize(("rows", "says"), [(1, "1 row agrees with its evidence"), (2, "2 rows agree with their")])
def test_one_row_is_no_plural(rows: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with storage.create(tmp_path, "a") as results:
        for repeat in range(1, rows + 1):
            record = factory.gemm(repeat=repeat, metered=False)
            window = Window(0, round(record.window_s * 1e9), record.launches, record.work)
            results.append(record, window=window)
    assert call(["verify", str(results.path)]) == 0
    assert says in capsys.readouterr().out
    results.path.write_text(results.path.read_text().replace("llama3-8b", "llama3-70b"))
    assert call(["verify", str(results.path)]) == 3
    assert ("1 of 1 row does not" if rows == 1 else "2 of 2 rows do not") in capsys.readouterr().err
