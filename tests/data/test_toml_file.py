"""TOML files of a user: each mistake is one sentence, and none takes long."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis.economics import example_path, read_prices
from bench.data.toml_file import read_toml
from bench.measure import plan
from bench.model import BenchError, Sensor
from bench.power.calibration import calibrated
from bench.workloads.transformer import shapes

PRICES = example_path().read_text(encoding="utf-8")
POINTS = "points = [[60.2, 58.1], [151.0, 149.5], [298.7, 301.2]]\n"
SENSOR = Sensor("nvml", "gpu")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 100_000, "nests too deeply"),
        ("a = " + "{a = " * 40_000, "nests too deeply"),
        (".".join("a" * 100_000) + " = 1", "a key of more than 16 parts"),
        (" . ".join("1" * 50_000) + " = 1", "a key of more than 16 parts"),
        ("[" + ".".join(['"a"'] * 40_000) + "]", "a key of more than 16 parts"),
        ("x = 1\n" * 100_000, "larger than 256 KiB"),
        ("a = " + "9" * 5_000, "is not valid TOML"),
        ("a = 1e308", "a number beyond 1e[+]30"),
        ("a = [{b = -1e40}]", "a number beyond 1e[+]30"),
        ("\x1b]0;title\x07", r"is not valid TOML"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_would_take_long_or_overflow_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    start = time.monotonic()
    with pytest.raises(BenchError, match=says) as caught:
        read_toml(path, "plan", "correct it")
    assert time.monotonic() - start < 5
    assert str(caught.value).isprintable()


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        'source = "a.b.c.d.e.f.g of www.example.org"\npoints = [' + "[1.5, 2.5], " * 200 + "]\n[a.b.c]\nd = 1\n"
    )
    assert read_toml(path, "plan", "correct it")["a"] == {"b": {"c": {"d": 1}}}
    with pytest.raises(BenchError, match="cannot read the plan"):
        read_toml(tmp_path / "none", "plan", "correct it")


def calibrate(path: Path) -> Sensor:
    return calibrated(SENSOR, path)


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (read_prices, PRICES.replace('unit = "ratio"', "unit = []"), "unknown unit"),
        (read_prices, PRICES.replace("low = ", "low = 1e308 # ", 1), "a number beyond"),
        (read_prices, PRICES + "\n[asic]\nname = 'x'\nsource = 'x'\nhash_th_per_s = 1e-30\nj_per_th = 1.0\n", "asic"),
        (calibrate, "points = [[60.0, 58.1], [60.0, 59.0], [60.0, 60.1]]", "cannot be fitted"),
        (calibrate, "points = [[60.0, 58.1], [90.0, 58.1], [120.0, 58.1]]", "do not rise"),
        (calibrate, "points = [[60.0], []]", "cannot be fitted"),
        (calibrate, "points = 3", "cannot be fitted"),
        (calibrate, "gain_uncertainty = -0.1", "an uncertainty must be within"),
        (calibrate, "offset_uncertainty_w = 1e9", "an uncertainty must be within"),
        (calibrate, "gain = 1e-20", "gain must be within"),
    ],
)  # fmt: skip
def test_a_wrong_figure_is_named(read: Callable[[Path], Any], text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=says):
        read(path)


ODD = ("[]", "{}", "true", "-1", "0", "1e-300", "1e29", "nan", "inf", '""', '"x"', "[[]]", "[[1.0, 1.0]]", "1979-05-27")
READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "prices": (read_prices, PRICES),
    "points": (calibrate, POINTS),
    "gain": (calibrate, "gain = 1.02\noffset_w = -3.1\ngain_uncertainty = 0.005\noffset_uncertainty_w = 1.0\n"),
    "plan": (plan.read, '[selection]\nworkload = ["sha256d"]\n[timing]\nrepeats = 3\nwindow_s = 5.0\n'),
    "shape": (shapes._read, (shapes.SHAPES_DIR / "llama3-8b.toml").read_text(encoding="utf-8")),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_is_read_or_refused(name: str, tmp_path: Path, data: st.DataObject) -> None:
    read, sound = READERS[name]
    lines = sound.splitlines()
    at = data.draw(st.sampled_from([n for n, line in enumerate(lines) if "=" in line and not line.startswith("#")]))
    key = lines[at].partition("=")[0]
    value = data.draw(st.sampled_from(ODD) | st.floats().map(repr) | st.integers().map(str))
    path = tmp_path / "a.toml"
    path.write_text("\n".join([*lines[:at], f"{key}= {value}", *lines[at + 1 :]]))
    try:
        read(path)
    except BenchError:
        return
