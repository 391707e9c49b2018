"""CPU packages through a powercap tree of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.model import BenchError
from bench.power.rapl import RaplReader, find_packages, open_reader

RANGE = 262_143_328_850


def zone(root: Path, folder: str, name: str, energy_uj: int, range_uj: int = RANGE) -> Path:
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return path


def names(root: Path) -> list[str]:
    return [found.name for found in find_packages(root)]


def test_packages_only(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    zone(tmp_path, "intel-rapl:1", "package-1", 9_000_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:0:1", "dram", 5)
    zone(tmp_path, "intel-rapl:2", "psys", 50)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5)
    assert names(tmp_path) == ["package-0", "package-1"]


def test_mirrored_dies_count_once_and_different_dies_both(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0-die-0", 1_000_000_000)
    zone(tmp_path, "intel-rapl:1", "package-0-die-1", 1_000_100_000)
    zone(tmp_path, "intel-rapl:2", "package-1-die-0", 1_000_000_000)
    assert names(tmp_path) == ["package-0-die-0", "package-1-die-0"]
    zone(tmp_path, "intel-rapl:3", "package-1-die-1", 7_000_000_000)
    assert names(tmp_path) == ["package-0-die-0", "package-1-die-0", "package-1-die-1"]


def test_sum_of_packages_and_wrap(tmp_path: Path) -> None:
    one = zone(tmp_path, "intel-rapl:0", "package-0", RANGE - 1_000_000)
    two = zone(tmp_path, "intel-rapl:1", "package-1", 10_000_000)
    reader = RaplReader(tmp_path)
    first = reader.read()
    (one / "energy_uj").write_text("2000000\n")  # 1 J to the end of the range, 2 J after it
    (two / "energy_uj").write_text("15000000\n")
    second = reader.read()
    assert first.counter_j is not None
    assert second.counter_j is not None
    assert second.counter_j - first.counter_j == pytest.approx(8.0)
    assert second.power_w == pytest.approx(8.0 / ((second.t_ns - first.t_ns) / 1e9))
    assert reader.sensor.sensor_id == "package-0 package-1"
    assert reader.sensor.power_field is None


def test_a_failed_read_is_an_error_and_no_number(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 5)
    reader = RaplReader(tmp_path)
    (path / "energy_uj").write_text("")
    reading = reader.read()
    assert reading.error is not None
    assert reading.counter_j is None
    assert reading.power_w is None


def test_permission_denied_says_how_to_grant_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 5)
    read_text = Path.read_text

    def denied(self: Path, *arguments: object, **options: object) -> str:
        if self == path / "energy_uj":  # mode bits do not stop a root user, who may run these tests
            raise PermissionError(13, "Permission denied", str(self))
        return read_text(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(BenchError, match="root only") as error:
        open_reader(str(tmp_path))
    assert "chmod" in error.value.fix


def test_no_powercap(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no package zone"):
        open_reader(str(tmp_path / "absent"))
