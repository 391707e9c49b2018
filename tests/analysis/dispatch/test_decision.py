"""From measured rows, prices and series to a decision; rules files; what a stranger gets wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bench import storage
from bench.analysis import dispatch, economics
from bench.model import BenchError
from bench.model.series import Series
from tests.support import report_sample

RENT = '\n[[rent]]\ncard = "Example GPU A"\nunit = "USD/GPU/h"\nvalue = 2.0\nsource = "made up"\n'
HOURS = 24 * 14


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory):
    return storage.read(report_sample.study(tmp_path_factory.mktemp("study")), dispatch.COLUMNS)


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> economics.Prices:
    path = tmp_path_factory.mktemp("prices") / "prices.toml"
    path.write_text(economics.example_path().read_text() + RENT)
    return economics.read_prices(path)


def series(values, unit: str = "USD/kWh") -> Series:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return Series([begin + timedelta(hours=at) for at in range(len(values))], list(values), unit, 1.0)


def power(seed: int = 1) -> Series:
    return series(np.random.default_rng(seed).normal(0.06, 0.05, HOURS))


def test_a_cards_sweep_gives_the_modes_to_choose_from(rows, prices) -> None:
    fleets, rent, notes = dispatch.fleets(rows, prices, {"GPU A": 100, "": 2}, ai="decode")
    assert rent == 2.0
    a = next(fleet for fleet in fleets if fleet.name == "Example GPU A")
    assert a.cards == 100
    assert {fleet.cards for fleet in fleets if fleet is not a} == {2}
    modes = {mode.name: mode for mode in a.modes}
    assert {"mine", "rent", "idle", "off"} <= set(modes)
    assert any(name.startswith(("mine at", "rent at")) for name in modes)
    assert modes["rent"].rent_share == pytest.approx(1.0)
    assert all(mode.kw > modes["idle"].kw for mode in a.modes if mode.use in ("mine", "rent"))
    assert any("no rent" in note for note in notes)


def test_the_decision_and_its_parts_agree(rows, prices) -> None:
    fleets, rent, _ = dispatch.fleets(rows, prices, {"": 50}, ai="decode")
    year = dispatch.year(power(), prices, rent, dispatch.RuleFile(), more={"co2": series(np.full(HOURS, 0.4))})
    found = dispatch.decide(fleets, year, dispatch.Rules(min_run_h={"rent": 6}, start_cost={"rent": 0.5}))
    names = [policy.name for policy in found.policies]
    assert names[:2] == ["perfect foresight", "day ahead"]
    assert set(names[2:]) == {"always mine", "always rent", "always off"}
    best = found.best.accounts.net
    assert all(policy.accounts.net <= best + 1e-6 for policy in found.policies)
    assert found.value_lost >= 0
    assert len(year.days) == 14
    for policy in found.policies:
        assert policy.co2_kg == pytest.approx(policy.accounts.kw.sum() * 0.4)
        assert sum(mode.kwh for mode in policy.accounts.by_mode.values()) == pytest.approx(policy.accounts.kw.sum())


def test_asics_stand_beside_the_cards(prices) -> None:
    fleet = dispatch.asics(prices.asic, 1000, prices)
    year = dispatch.year(power(), prices, 0.0, dispatch.RuleFile())
    found = dispatch.decide([fleet], year, dispatch.Rules())
    pays = year.steps.hash_income * fleet.modes[0].hash_th_per_s > year.steps.power * fleet.modes[0].kw
    assert (found.best.schedule.cards[:, 0] > 500).tolist() == pays.tolist()


def test_every_physical_card_decides_for_itself(rows, prices) -> None:
    frame = rows[rows["device_name"] == "Example GPU A"].copy()
    other = frame.copy()
    other["device_uuid"] = "GPU-thirsty"
    for column in ("power_mean_w", "energy_j"):
        other[column] = other[column] * 1.3
    other["work_per_j"] = other["work_per_j"] / 1.3
    import pandas as pd

    both = pd.concat([frame, other], ignore_index=True)
    fleets, _, _ = dispatch.fleets(both, prices, {}, ai="decode", by_card=True)
    assert [fleet.name for fleet in fleets] == ["Example GPU A, class 1 of 2", "Example GPU A, class 2 of 2"]
    draws = [next(mode.kw for mode in fleet.modes if mode.name == "rent") for fleet in fleets]
    assert draws[1] > 1.2 * draws[0]


@pytest.mark.parametrize(
    ("counts", "says"), [({"H900": 4.0}, "no card is named 'H900'"), ({"": 1.0, "zz": 2.0}, "no card is named 'zz'")]
)
def test_a_count_for_no_card(rows, prices, counts, says) -> None:
    with pytest.raises(BenchError, match=says):
        dispatch.fleets(rows, prices, counts)


def test_a_series_must_cover_the_prices_of_power(prices) -> None:
    with pytest.raises(BenchError, match=r"demand series .* does not cover"):
        dispatch.year(power(), prices, 1.0, dispatch.RuleFile(), more={"demand": series(np.ones(5), "share")})


def test_rules_are_read_and_become_steps(tmp_path: Path, prices) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        "[site]\nlimit_kw = 100.0\nblock_kw = 50.0\nsell_fee = 2.0\n[min_run_h]\nrent = 4\n"
        "[demand_charge]\nper_kw = 3.0\nhours = [1, 2]\nmonths = [1]\n"
        "[[event]]\nstart = 2026-01-01T05:00:00+00:00\nend = 2026-01-01T07:00:00+00:00\npay = 400.0\n"
        "baseline_kw = 90.0\nmax_kw = 20.0\n"
    )
    file = dispatch.read_rules(path)
    rules = file.rules()
    assert (rules.site_kw, rules.block_kw, rules.sell_fee, rules.min_run_h) == (100, 50, 0.002, {"rent": 4})
    steps = dispatch.year(power(), prices, 1.0, file, zone="Europe/Berlin").steps
    assert np.flatnonzero(steps.peak)[:3].tolist() == [0, 1, 24]
    assert np.flatnonzero(steps.event).tolist() == np.flatnonzero(np.isfinite(steps.cap_kw)).tolist() == [5, 6]
    assert (steps.event[5], steps.event_kw, steps.cap_kw[5]) == (0.4, 90.0, 20.0)


def test_the_example_of_rules_is_valid() -> None:
    assert dispatch.read_rules(dispatch.example_path()).min_run_h == {"mine": 1, "rent": 4}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[sites]\n", "sites"),
        ("[site]\nlimit = 3.0\n", "limit"),
        ("[site]\nlimit_kw = 'x'\n", "limit_kw"),
        ("[start_cost]\nidle = 1.0\n", "idle"),
        ("[contract]\nshare = 2.0\n", "from 0 to 1"),
        ("[min_run_h]\nrent = 9000\n", "two weeks"),
        ("[demand_charge]\nhours = [24]\n", "0 to 23"),
        ("[[event]]\nstart = 2026-01-01T05:00:00\nend = 2026-01-01T06:00:00\n", "offset"),
        ("[[event]]\nstart = 2026-01-01T05:00:00Z\nend = 2026-01-01T04:00:00Z\n", "after it starts"),
        ("not toml", "TOML"),
    ],
)
def test_wrong_rules_are_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=says):
        dispatch.read_rules(path)
