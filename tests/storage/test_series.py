"""Hourly figures in the formats that people have; what is repaired is said, what is not certain is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.model import BenchError
from bench.storage import read_series

USD = {"USD/kWh": 1.0, "USD/MWh": 1e-3}
EUR = {"EUR/kWh": 1.0, "EUR/MWh": 1e-3}


def write(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text, encoding="utf-8")
    return path


def hours(*values: float, head: str = "time,price [USD/MWh]", day: str = "2026-01-01") -> str:
    return "\n".join([head, *(f"{day}T{at:02d}:00Z,{value}" for at, value in enumerate(values))])


def test_times_with_an_offset(tmp_path: Path) -> None:
    found = read_series(write(tmp_path, hours(50, -10, 0)), USD)
    assert found.values == pytest.approx([0.05, -0.01, 0.0])
    assert (found.unit, found.step_h, found.notes) == ("USD/kWh", 1.0, ())
    assert str(found.start[0]) == "2026-01-01 00:00:00+00:00"


def test_quarter_hours_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    text = "Zeit;x\n".replace("Zeit", "timestamp") + "\n".join(f"2026-01-01T00:{m:02d}+01:00;{v}" for m, v in
                                                              ((0, "1,5"), (15, "2,5"), (30, "3")))  # fmt: skip
    found = read_series(write(tmp_path, text), EUR, unit="EUR/MWh")
    assert found.values == pytest.approx([0.0015, 0.0025, 0.003])
    assert found.step_h == 0.25
    assert str(found.start[0]) == "2025-12-31 23:00:00+00:00"


def test_entsoe(tmp_path: Path) -> None:
    """Clocks go back: the hour from 02:00 is there twice, in the order of the file."""
    rows = [("25.10.2026", hour) for hour in (0, 1, 2, 2, 3)]
    text = "MTU (CET/CEST),Day-ahead Price [EUR/MWh],Currency,BZN|DE-LU\n" + "\n".join(
        f"{day} {hour:02d}:00 - {day} {hour + 1:02d}:00,{at}.5,EUR,," for at, (day, hour) in enumerate(rows)
    )
    found = read_series(write(tmp_path, text), EUR)
    assert [str(moment)[11:13] for moment in found.start] == ["22", "23", "00", "01", "02"]
    assert found.values == pytest.approx([0.0005, 0.0015, 0.0025, 0.0035, 0.0045])
    assert "repeats" in found.notes[0]


def test_ercot(tmp_path: Path) -> None:
    text = "Delivery Date,Hour Ending,Repeated Hour Flag,Settlement Point,Settlement Point Price\n" + "\n".join(
        f"01/02/2026,{hour:02d}:00,N,{point},{price}"
        for hour in (1, 2, 24)[:2]
        for point, price in (("HB_WEST", 20 + hour), ("HB_NORTH", 30 + hour))
    )
    path = write(tmp_path, text)
    with pytest.raises(BenchError, match="2 settlement points") as error:
        read_series(path, USD)
    assert "HB_NORTH, HB_WEST" in error.value.fix
    found = read_series(path, USD, column="HB_WEST")
    assert found.values == pytest.approx([0.021, 0.022])
    assert str(found.start[0]) == "2026-01-02 06:00:00+00:00"


def test_the_zone_of_an_export_is_its_own(tmp_path: Path) -> None:
    """The site's time zone does not move the hours of an export from another one."""
    text = "MTU ({}),Day-ahead Price [EUR/MWh]\n01.07.2026 00:00 - 01.07.2026 01:00,1\n01.07.2026 01:00 - x,2\n"
    for named, zone, first in (
        ("CET/CEST", "Europe/Brussels", "2026-06-30 22:00:00+00:00"),
        ("WET/WEST", "Europe/Lisbon", "2026-06-30 23:00:00+00:00"),
        ("EET/EEST", "Europe/Helsinki", "2026-06-30 21:00:00+00:00"),
        ("UTC", "UTC", "2026-07-01 00:00:00+00:00"),
    ):
        found = read_series(write(tmp_path, text.format(named)), EUR, zone="America/Chicago")
        assert (found.zone, str(found.start[0])) == (zone, first)
    with pytest.raises(BenchError, match="times in MSK"):
        read_series(write(tmp_path, text.format("MSK")), EUR)


@pytest.mark.parametrize("date", ["{:02d}.02.2026", "{:02d}/02/2026"])
def test_a_date_that_begins_with_the_day(date: str, tmp_path: Path) -> None:
    rows = [f"{date.format(day)} {hour:02d}:00,1" for day in range(1, 15) for hour in range(24)]
    found = read_series(write(tmp_path, "\n".join(["time,p [EUR/MWh]", *rows])), EUR, zone="UTC")
    assert [str(found.start[at])[:13] for at in (0, -1)] == ["2026-02-01 00", "2026-02-14 23"]


@pytest.mark.parametrize("hour", ["0", "25", "x", "", "²"])
def test_an_ercot_hour_is_from_1_to_24(hour: str, tmp_path: Path) -> None:
    text = f"Delivery Date,Hour Ending,Settlement Point Price\n01/02/2026,01:00,1\n01/02/2026,{hour},2\n"
    with pytest.raises(BenchError, match=r"line 3: hour .* not ERCOT's"):
        read_series(write(tmp_path, text), USD)


def test_what_is_certain_is_repaired_and_said(tmp_path: Path) -> None:
    lines = hours(1, 2, 3, 4, 5, 6).splitlines()
    found = read_series(write(tmp_path, "\n".join([*lines[:3], lines[2], *lines[4:], lines[1]])), USD)
    assert found.values == pytest.approx([0.001, 0.002, 0.003, 0.004, 0.005, 0.006])
    said = "; ".join(found.notes)
    for words in ("order of time", "duplicates were dropped", "1 missing step was filled"):
        assert words in said


def test_a_local_time_needs_its_zone(tmp_path: Path) -> None:
    path = write(tmp_path, "time,p [EUR/MWh]\n2026-07-01 00:00,1\n2026-07-01 01:00,2\n")
    with pytest.raises(BenchError, match="without a time zone"):
        read_series(path, EUR)
    assert str(read_series(path, EUR, zone="Europe/Berlin").start[0]) == "2026-06-30 22:00:00+00:00"
    with pytest.raises(BenchError, match="'Mars/Olympus' is not a time zone"):
        read_series(path, EUR, zone="Mars/Olympus")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (hours(1, 2, head="time,price"), "does not say the unit"),
        (hours(1, 2, head="time,price [EUR/MWh]"), "is in EUR/MWh"),
        (hours(1, 2, head="time,price [USD/GWh]"), "is in USD/GWh"),
        (hours(1, 2).replace(",2", ",x"), "line 3: 'x' is not a figure"),
        (hours(1, 2).replace(",2", ",nan"), "line 3: 'nan' is not a figure"),
        (hours(1, 2) + "\n2026-01-01T01:00Z,3", "line 4: a second figure"),
        (hours(1, 2, 3) + "\n2026-01-01T02:30Z,3", "overlaps the one before it"),
        (hours(1, 2) + "\n2026-01-01T09:00Z,3", "has a gap of 8 h"),
        (hours(1, 2) + "\nsoon,3", "some times have an offset, others none"),
        ("time,p [USD/MWh]\nsoonZ,1\nlaterZ,2\n", "'soonZ' is not a time"),
        ("time,p [USD/MWh]\n2026-01-01T00:00Z,1\n", "one time only"),
        ("time,p [USD/MWh]\n", "no rows"),
        ("price [USD/MWh],x\n1,2\n", "no column of times"),
        ("time,a,b\n2026-01-01T00:00Z,1,2\n", "2 columns of figures"),
        ("time,p [USD/MWh]\n2026-01-01T00:00Z\n", "line 2 is cut off"),
        ("MTU (UTC),Load\n01.01.2026 00:00 - 01.01.2026 01:00,1\n", "without prices"),
    ],
)
def test_what_is_not_certain_is_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as error:
        read_series(write(tmp_path, text), USD)
    assert says in error.value.message
    assert error.value.fix


def test_an_hour_that_does_not_exist(tmp_path: Path) -> None:
    text = "time,p [EUR/MWh]\n2026-03-29 01:00,1\n2026-03-29 02:00,2\n"
    with pytest.raises(BenchError, match=r"line 3: .* does not exist in Europe/Berlin"):
        read_series(write(tmp_path, text), EUR, zone="Europe/Berlin")
