"""The names that ``import bench`` offers, and that it loads nothing heavy for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bench
from tests.support import factory


def test_import_loads_nothing_heavy_and_names_what_there_is():
    program = "import sys, bench; print(*(n for n in ('torch', 'pandas', 'numpy', 'cyclopts') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert all(hasattr(bench, name) for name in bench.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        bench.nothing  # noqa: B018


def test_files_are_read_and_compared(tmp_path):
    path = factory.write(tmp_path / "a.csv", [*factory.run(factory.CARD_A, 3), *factory.run(factory.CARD_B, 3)])
    result = bench.compare(bench.read([str(path)]), baseline=factory.CARD_A.name)
    assert result.baseline == factory.CARD_A.name


def test_run_measures_as_the_command_line_does(tmp_path):
    from bench.measure.plan import OutputOptions, SelectionOptions
    from bench.measure.timing import TimingOptions

    plan = bench.RunPlan(
        selection=SelectionOptions(device="cpu", workload=("sha256d",)),
        timing=TimingOptions(smoke=True, window_s=0.5),
        output=OutputOptions(out=tmp_path),
    )
    (record,) = bench.run(plan)
    assert (record.workload, record.mode, record.verified) == ("sha256d", "smoke", True)
    assert len(bench.read([tmp_path])) == 1
