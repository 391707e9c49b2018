"""Money: the formulas worked backwards, bounds against brute force, and price files that must be refused."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import output as outputs
from bench import storage
from bench.analysis import economics
from bench.analysis.economics import Box, Inputs, Range
from bench.model import BenchError
from tests.support import factory

CARD = Inputs(
    hashprice=42.0,
    hash_th_per_s=0.008,
    uptime=0.97,
    pool_fee=0.01,
    rent=2.35,
    utilisation=0.65,
    market_fee=0.15,
    ai_extra=0.2,
    ai_uptime=0.99,
    electricity=0.06,
    pue_mining=1.1,
    pue_ai=1.3,
    mine_w=640.0,
    ai_w=690.0,
    idle_w=80.0,
    sensor_gain=1.0,
    host_power_mining=112.0,
    host_power_ai=250.0,
    psu_efficiency=0.94,
)
BARE = replace(CARD, pue_mining=1.0, pool_fee=0.0, host_power_mining=0.0, psu_efficiency=1.0)
"""A miner whose watts are its own and nobody else's."""


def written(to: outputs.Format, found: economics.Outlook) -> str:
    (text,) = outputs.render(outputs.economics(found), to)
    assert isinstance(text, str)
    return text


# ---------------------------------------------------------------------------------------------------------------------
# formulas, backwards


def test_mining_gross_per_mwh_is_hashprice_over_efficiency() -> None:
    """H/(0.024·η): at 50 $/PH/s/day and 20 J/TH one MWh earns 50/0.48 $."""
    watts_per_th = 20.0
    machine = replace(BARE, hashprice=50.0, hash_th_per_s=1.0, mine_w=watts_per_th)
    assert economics.mining_gross_per_mwh(machine) == pytest.approx(50.0 / (0.024 * watts_per_th))


def test_mining_from_first_principles() -> None:
    """A PH/s for a day earns the hashprice, by definition; a kW for an hour costs the tariff."""
    whole = replace(BARE, hash_th_per_s=1000.0, uptime=1.0, mine_w=17_500.0)
    assert 24 * economics.mining_revenue(whole) == pytest.approx(42.0)
    assert economics.mining_net(whole) == pytest.approx(42.0 / 24 - 17.5 * 0.06)


def test_the_letters_of_the_method() -> None:
    i = CARD
    mine_kw, idle_mining_kw = ((watts + 112.0) / 0.94 / 1000 for watts in (640.0, 80.0))
    ai_kw, idle_ai_kw = ((watts + 250.0) / 0.94 / 1000 for watts in (690.0, 80.0))
    busy = i.utilisation * i.ai_uptime
    ai = i.rent * busy * (1 - i.market_fee)
    ai -= i.pue_ai * i.electricity * (busy * ai_kw + (1 - busy) * idle_ai_kw) + i.ai_extra
    mine = i.hashprice * i.hash_th_per_s * i.uptime * (1 - i.pool_fee) / 24000
    mine -= i.pue_mining * i.electricity * (i.uptime * mine_kw + (1 - i.uptime) * idle_mining_kw)
    assert economics.ai_net(i) == pytest.approx(ai)
    assert economics.mining_net(i) == pytest.approx(mine)
    assert economics.advantage(i) == pytest.approx(ai - mine)


def test_a_sensor_that_reads_low_does_so_under_every_load() -> None:
    """One gain for all three watts; the host is not read by it."""
    more = replace(CARD, sensor_gain=1.05)
    kw = (0.05 * 640.0) / 0.94 / 1000
    assert more.mine_kw - CARD.mine_kw == pytest.approx(kw)
    assert more.ai_kw - CARD.ai_kw == pytest.approx(kw * 690 / 640)
    assert more.idle_ai_kw - CARD.idle_ai_kw == pytest.approx(kw * 80 / 640)


INPUT_OF = {
    "rent": ("rent", economics.advantage),
    "electricity": ("electricity", economics.advantage),
    "utilisation": ("utilisation", economics.advantage),
    "hashprice": ("hashprice", economics.advantage),
    "mining_power": ("electricity", economics.mining_net),
    "ai_power": ("electricity", economics.ai_net),
}

amount = st.floats(0.01, 100.0)
share = st.floats(0.02, 0.98)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(economics.BREAK_EVENS)),
    money=st.tuples(amount, amount, amount, amount),
    shares=st.tuples(share, share, share, share, share),
    kw=st.tuples(amount, amount, amount, amount, amount),
    pue=st.tuples(st.floats(1.0, 2.0), st.floats(1.0, 2.0)),
    ai_extra=st.floats(-1.0, 5.0),
)
def test_a_break_even_put_back_leaves_nothing(
    name: str,
    money: tuple[float, ...],
    shares: tuple[float, ...],
    kw: tuple[float, ...],
    pue: tuple[float, float],
    ai_extra: float,
) -> None:
    i = Inputs(
        hashprice=money[0], hash_th_per_s=money[1], rent=money[2], electricity=money[3] / 100,
        uptime=shares[0], pool_fee=shares[1], utilisation=shares[2], market_fee=shares[3],
        mine_w=kw[0] * 1000, ai_w=kw[1] * 1000, idle_w=kw[2] * 1000, pue_mining=pue[0], pue_ai=pue[1],
        host_power_mining=kw[3] * 1000, host_power_ai=kw[4] * 1000, sensor_gain=1.02, psu_efficiency=0.95,
        ai_uptime=shares[4], ai_extra=ai_extra,
    )  # fmt: skip
    above, below = economics.BREAK_EVENS[name][2](i)
    value = economics.break_even(name, i)
    if abs(below) < 1e-6:
        return
    field, result = INPUT_OF[name]
    at = replace(i, **{field: value})
    size = abs(above) + abs(economics.ai_net(at)) + abs(economics.mining_net(at)) + 1.0
    assert abs(result(at)) < 1e-8 * size


def test_which_way_each_break_even_points() -> None:
    """The sentences beside the figures: above this rent and utilisation AI wins, above this hashprice mining does."""
    for name, sign in (("rent", 1), ("utilisation", 1), ("hashprice", -1)):
        value = economics.break_even(name, CARD)
        assert value is not None
        more = replace(CARD, **{name: value * 1.01})
        assert math.copysign(1, economics.advantage(more)) == sign, name
    for name, net in (("mining_power", economics.mining_net), ("ai_power", economics.ai_net)):
        value = economics.break_even(name, CARD)
        assert value is not None
        assert net(replace(CARD, electricity=value * 1.01)) < 0 < net(replace(CARD, electricity=value * 0.99))


def test_there_may_be_no_break_even() -> None:
    assert economics.break_even("hashprice", replace(CARD, hash_th_per_s=0.0)) is None
    # a utilisation above one: no utilisation is enough
    high = economics.break_even("utilisation", replace(CARD, hash_th_per_s=5000.0))
    assert high is not None
    assert high > 1


def test_mining_when_idle() -> None:
    """An ASIC-like card gains by it what it earns in the unrented share; a GPU loses power for nothing."""
    good = replace(CARD, hash_th_per_s=100.0)
    hours = (1 - good.utilisation) * good.uptime
    earned = 42.0 * 100.0 * 0.99 / 24000
    assert economics.idle_mining_gain(good) == pytest.approx(hours * (earned - 0.06 * 1.3 * (0.64 - 0.08) / 0.94))
    assert economics.idle_mining_gain(CARD) < 0
    assert economics.idle_mining_gain(replace(good, utilisation=1.0)) == 0


# ---------------------------------------------------------------------------------------------------------------------
# ranges


OPERATION = [entry.name for entry in fields(Inputs) if isinstance(getattr(CARD, entry.name), float)]
SHARES = {"uptime": Range(0.8, 0.9, 1.0), "ai_uptime": Range(0.8, 0.9, 1.0), "psu_efficiency": Range(0.85, 0.94, 1.0)}


def wide(factor: float = 1.3) -> dict[str, Range]:
    names = [name for name in OPERATION if getattr(CARD, name)]
    return {
        name: Range(getattr(CARD, name) / factor, getattr(CARD, name), getattr(CARD, name) * factor) for name in names
    } | SHARES


def inside(ranges: dict[str, Range], count: int = 200_000) -> Inputs:
    random = np.random.default_rng(5)
    drawn = {name: random.uniform(part.low, part.high, count) for name, part in ranges.items()}
    return replace(CARD, **drawn)


FORMULAS = (
    economics.mining_net,
    economics.ai_net,
    economics.advantage,
    economics.idle_mining_gain,
    lambda i: economics.ai_net(i) / economics.ai_kwh(i),
    lambda i: economics.mining_net(i) / economics.mining_kwh(i),
)


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_scenario_inside_lies_beyond_the_bounds(formula: Any) -> None:
    ranges = wide(1.2)
    found, values = Box(ranges).over(formula), formula(inside(ranges))
    assert found.low <= values.min() <= found.likely <= values.max() <= found.high  # type: ignore[operator]
    assert found.low <= found.low95 <= found.likely <= found.high95 <= found.high  # type: ignore[operator]


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_bounds_are_those_of_every_corner(formula: Any) -> None:
    """By brute force, for six inputs at a time; the axes of the box must not mix them up."""
    for names in (OPERATION[:6], OPERATION[6:12], OPERATION[12:18]):
        ranges = wide(1.2)
        some = {name: ranges[name] if name in names else Range.of(getattr(CARD, name)) for name in OPERATION}
        corners = itertools.product(*((some[name].low, some[name].high) for name in names))
        values = [formula(replace(CARD, **dict(zip(names, corner, strict=True)))) for corner in corners]
        found = Box(some).over(formula)
        assert (found.low, found.high) == pytest.approx((min(values), max(values)), rel=1e-12)


def test_the_breakevens_bounds_hold_too() -> None:
    ranges = wide(1.2)
    box, drawn = Box(ranges), inside(ranges)
    for name in ("rent", "utilisation", "hashprice", "mining_power", "ai_power"):
        bounds = box.break_even(name)
        above, below = economics.BREAK_EVENS[name][2](drawn)
        assert bounds.low <= (above / below).min() <= (above / below).max() <= bounds.high  # type: ignore[operator]


def test_common_inputs_vary_in_common() -> None:
    """A gain that all watts share cancels where both uses draw the same; three independent errors would not."""
    same = {name: Range.of(getattr(CARD, name)) for name in OPERATION}
    same |= {name: Range.of(500.0) for name in ("mine_w", "ai_w", "idle_w", "host_power_mining", "host_power_ai")}
    same |= {"pue_mining": Range.of(1.2), "pue_ai": Range.of(1.2)}
    sure = Box(same).over(economics.advantage).likely
    for name in ("sensor_gain", "psu_efficiency"):
        found = Box({**same, name: Range(0.8, 0.94, 1.0)}).over(economics.advantage)
        assert (found.low, found.high) == pytest.approx((sure, sure))
    apart = Box({**same, "ai_w": Range(400.0, 500.0, 600.0)}).over(economics.advantage)
    assert apart.low < sure < apart.high  # type: ignore[operator]


def test_the_interval_is_that_of_a_triangle() -> None:
    """Of one input the quantiles are known: a triangle's cumulative distribution, turned around."""
    only = {name: Range.of(getattr(CARD, name)) for name in OPERATION} | {"rent": Range(1.0, 2.0, 4.0)}
    found = Box(only).over(lambda i: i.rent)
    low, high = 1 + math.sqrt(0.025 * 3 * 1), 4 - math.sqrt(0.025 * 3 * 2)
    assert (found.low95, found.high95) == pytest.approx((low, high), abs=0.01)


def test_swings_say_what_each_input_alone_does_and_the_largest_comes_first() -> None:
    swings = Box(wide(1.2)).swings(economics.advantage)
    assert [swing.size for swing in swings] == sorted((swing.size for swing in swings), reverse=True)
    rent = next(swing for swing in swings if swing.name == "rent")
    assert rent.at_high == pytest.approx(economics.advantage(replace(CARD, rent=2.35 * 1.2)), rel=0.2)
    assert swings[0].name == "rent"


def test_a_search_finds_the_corner_that_bounds_a_monotone_result() -> None:
    box = Box(wide(1.2))
    found, exact = box.search(economics.ai_net), box.over(economics.ai_net)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-12)


def test_a_break_even_whose_denominator_changes_sign_has_no_bounds() -> None:
    """More power for mining in one corner, less in another: the break-even tariff runs through infinity."""
    found = Box(wide()).break_even("electricity")
    assert found.low is None
    assert found.high is None


def test_figures_without_spread_stay_figures() -> None:
    found = Box({name: Range.of(getattr(CARD, name)) for name in OPERATION}).over(economics.ai_net)
    assert found.low == found.likely == found.high == pytest.approx(economics.ai_net(CARD))


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("utilisation", {"hash_th_per_s": 5000.0}, "no utilisation is enough"),
        ("utilisation", {"electricity": 0.9, "host_power_mining": 4000.0}, "any utilisation is enough"),
        ("rent", {"electricity": 0.9, "host_power_mining": 4000.0}, "any rent is enough"),
        ("hashprice", {"rent": 0.0}, "any hashprice is enough"),
        ("utilisation", {"rent": 0.01, "hash_th_per_s": 5000.0}, "no utilisation is enough"),
        ("utilisation", {}, None),
        ("electricity", {}, None),
    ],
)
def test_a_break_even_out_of_reach_is_words(name: str, changes: dict[str, float], says: str | None) -> None:
    i = replace(CARD, **changes)
    assert economics.impossible(name, economics.break_even(name, i), i) == says
    if says is not None and name == "utilisation":
        # the words are true at both ends of what is possible
        gaps = [economics.advantage(replace(i, utilisation=at)) for at in (1e-6, 1.0)]
        assert all((gap > 0) == says.startswith("any") for gap in gaps)


# ---------------------------------------------------------------------------------------------------------------------
# price files


def example() -> str:
    return economics.example_path().read_text()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    return path


def test_the_example_is_read_and_dated_and_sourced() -> None:
    prices = economics.read_prices(economics.example_path())
    assert prices.as_of.year >= 2025
    assert set(prices.items) == set(economics.UNITS) - {"pue", "host_power"}
    assert all(price.source for price in prices.items.values())
    assert prices.rent("NVIDIA H100 80GB HBM3").range.likely == 2.35  # type: ignore[union-attr]
    assert prices.rent("Example CPU C") is None
    assert prices.asic.j_per_th == 17.5


def test_units_are_turned(tmp_path: Path) -> None:
    text = example().replace(
        'unit = "USD/kWh" # or USD/MWh\nlow = 0.04\nlikely = 0.06\nhigh = 0.1', 'unit = "USD/MWh"\nvalue = 60'
    )
    text = text.replace(
        'unit = "USD/PH/s/day" # or USD/TH/s/day\nlow = 35.0\nlikely = 42.0\nhigh = 63.0',
        'unit = "USD/TH/s/day"\nvalue = 0.042',
    )
    text = text.replace(
        'unit = "share" # 0.01 = 1%; or %\nlow = 0.0\nlikely = 0.01\nhigh = 0.02',
        'unit = "%"\nlow = 0\nlikely = 1\nhigh = 2',
    )
    same, turned = economics.read_prices(economics.example_path()), economics.read_prices(write(tmp_path, text))
    assert turned.items["electricity"].range.likely == pytest.approx(0.06)
    assert turned.items["hashprice"].range.likely == pytest.approx(42.0)
    assert turned.items["pool_fee"].range == same.items["pool_fee"].range


def test_another_currency_is_carried_through(tmp_path: Path) -> None:
    prices = economics.read_prices(write(tmp_path, example().replace("USD", "EUR")))
    outlook = economics.evaluate(economics.cards(storage.to_frame(factory.run(H100))), prices)
    text = written("markdown", outlook)
    assert "EUR/h" in text
    assert "USD" not in text


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[hashprice]", "[hash_price]", "'hash_price' is unknown"),
        ('"USD/PH/s/day"', '"USD/EH/s/day"', r"\[hashprice\] has the unknown unit 'USD/EH/s/day'"),
        ('"USD/kWh"', '"EUR/kWh"', "unknown unit 'EUR/kWh'"),
        ("low = 35.0", "lowest = 35.0", r"\[hashprice\] has an unknown key 'lowest'"),
        ("low = 35.0\n", "", r"\[hashprice\] has no low"),
        ("low = 35.0", "low = 50.0", "out of order"),
        ("low = 35.0", "low = -1.0", "is outside"),
        ("low = 35.0", 'low = "35"', "must be a number"),
        ("low = 35.0", "low = nan", "must be a number"),
        ("low = 35.0", "low = true", "must be a number"),
        ("likely = 0.65", "likely = 65.0", r"\[utilisation\] is outside"),
        ("low = 1.02", "low = 0.9", r"\[pue_mining\] is outside"),
        ("[pue_mining]", '[pue]\nunit = "ratio"\nvalue = 1.2\nsource = "x"\n[pue_mining]', "has no effect beside"),
        ("[discount_rate]", "[discount]", "'discount' is unknown"),
        ('mode = "reserved"', 'mode = "leased"', "unknown mode 'leased'"),
        ('energy = "tenant"', 'energy = "nobody"', "who pays for it"),
        ("term_years = 10.0", "", "has no term_years"),
        ("cost_share = [0.15, 0.2, 0.25]", "cost_share = [0.25, 0.2, 0.15]", "out of order"),
        ("take_or_pay = 1.0", "take_or_pay = 1.5", "is outside"),
        ('unit = "USD/kW/month"', 'unit = "USD/kW"', "unknown unit 'USD/kW'"),
        ('unit = "USD/TH/s"', 'unit = "USD"', "unknown unit 'USD'"),
        ("format = 1", "format = 2", "format is 2"),
        ("as_of = 2026-05-20", 'as_of = "May"', "as_of must be a date"),
        ("as_of = 2026-05-20", "", "as_of must be a date"),
        ('currency = "USD"', "", "currency is missing"),
        ('card = "H200"', 'card = ""', "has no card"),
        ('source = "assumption: usual pool fees"', 'source = " "', "has no source"),
        ("j_per_th = 17.5", "j_per_th = 0", "figures above 0"),
        ("j_per_th = 17.5", "j_per_gh = 17.5", "exactly its four keys"),
        ("[pool_fee]", "[pool_fee", "is not valid TOML"),
        ('unit = "MW"', 'unit = "GW"', "unknown unit 'GW'"),
    ],
)
def test_a_wrong_price_file_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = example()
    assert old in text
    path = write(tmp_path, text.replace(old, new, 1))
    with pytest.raises(BenchError, match=says) as told:
        economics.read_prices(path)
    assert str(path) in told.value.message
    assert told.value.fix


def without(name: str) -> str:
    start = example().index(f"[{name}]")
    rest = example()[start + 1 :]
    return example()[:start] + rest[rest.index("\n[") + 1 :]


NEEDED = [name for name, table in economics.OPERATION.items() if not isinstance(table.default, float)]


@pytest.mark.parametrize("name", [name for name in NEEDED if name not in ("pue", "host_power")])
def test_every_table_is_needed(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match=rf"\[{name}\] is missing"):
        economics.read_prices(write(tmp_path, without(name)))


@pytest.mark.parametrize("name", [name for name, table in economics.CAPITAL.items() if table.default is None])
def test_capital_is_whole_or_absent(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match=rf"capital also needs \[{name}\]"):
        economics.read_prices(write(tmp_path, without(name)))


def test_an_old_price_file_means_the_same_for_both_uses() -> None:
    """One PUE and one host power for both, no uptime of AI, no capital: as files were until now."""
    old = economics.read_prices(Path(__file__).parents[2] / "support" / "prices_of_old.toml")
    assert old.range("pue_mining") == old.range("pue_ai") == Range(1.05, 1.3, 1.58)
    assert old.range("host_power_ai") == Range(60.0, 120.0, 200.0)
    assert old.range("ai_uptime") == Range.of(1.0)
    assert not old.has_capital
    found = economics.evaluate(economics.cards(storage.to_frame(factory.run(H100))), old)
    assert all(choice.npv is None for choice in found.site)
    assert any("has no capital" in note for note in economics.notes(found))


def test_no_such_price_file(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file"):
        economics.read_prices(tmp_path / "none.toml")


# ---------------------------------------------------------------------------------------------------------------------
# from measured rows to an outlook

H100 = replace(factory.CARD_A, name="Example H100 A")
PRICES = economics.read_prices(economics.example_path())


def outlook(records: list[Any], **how: Any) -> economics.Outlook:
    return economics.evaluate(economics.cards(storage.to_frame(records)), PRICES, **how)


def test_a_card_is_what_was_measured() -> None:
    (card,) = economics.cards(storage.to_frame(factory.run(H100)))
    assert card.hash_per_s.likely == pytest.approx(8e9, rel=0.01)  # type: ignore[union-attr]
    assert card.j_per_th == pytest.approx(640 / 8e-3, rel=0.01)
    assert card.ai_task == "transformer gemm llama3-8b bf16 b1 s8192"
    assert card.idle_w == Range(75.0, 75.0, 75.0)
    # the sensor's 5% are apart from the spread of the repeats
    assert card.mine_w.high / card.mine_w.likely == pytest.approx(1.0, abs=0.02)  # type: ignore[union-attr]
    assert (card.sensor_gain.low, card.sensor_gain.high) == pytest.approx((0.95, 1.05))
    assert card.reasons == ()


def test_the_wall_has_the_hosts_share_unless_the_watts_are_the_walls() -> None:
    at_card = outlook(factory.run(H100)).cards[0].likely
    at_wall = outlook([replace(record, energy_scope="wall") for record in factory.run(H100)]).cards[0].likely
    assert at_card is not None
    assert at_wall is not None
    assert at_card.mine_kw == pytest.approx((at_wall.mine_kw * 1000 + 200) / 0.94 / 1000)
    assert at_card.ai_kw == pytest.approx((at_wall.ai_kw * 1000 + 290) / 0.94 / 1000)


def test_eight_cards_and_their_server_draw_what_was_measured() -> None:
    """8.4 kW at the wall for eight H100 at 700 W: the example's likely host power is what is left, to 2%."""
    likely = PRICES.range("host_power_ai").likely or 0.0
    assert 8 * (700 + likely) / (PRICES.range("psu_efficiency").likely or 1.0) == pytest.approx(8400, rel=0.02)


def test_the_ai_task_can_be_chosen_and_is_the_hungriest_by_default() -> None:
    decode = [
        replace(record, phase="decode", power_mean_w=300.0, rate_per_s=1e12)
        for record in factory.run(H100, workloads=[factory.gemm])
    ]
    frame = storage.to_frame([*factory.run(H100), *decode])
    assert "gemm" in str(economics.cards(frame)[0].ai_task)
    (card,) = economics.cards(frame, ai="decode bf16")
    assert "decode" in str(card.ai_task)
    assert card.ai_w.likely == pytest.approx(300.0)  # type: ignore[union-attr]
    with pytest.raises(BenchError, match="no transformer task here matches 'train'"):
        economics.cards(frame, ai="train")


def test_a_line_without_watts_is_no_better_miner_than_one_with() -> None:
    unread = [replace(r, power_limit_w=1.0) for r in factory.run(H100, metered=False, workloads=[factory.sha256d])]
    (card,) = economics.cards(storage.to_frame([*unread, *factory.run(H100)]))
    assert card.mine_w is not None


def test_mining_and_ai_stand_side_by_side_with_the_asic() -> None:
    found = outlook(factory.run(H100))
    (card,) = found.cards
    assert card.mining is not None
    assert card.ai is not None
    assert card.likely is not None
    assert card.ai.net_per_h.likely == pytest.approx(economics.ai_net(card.likely))
    assert card.advantage_per_h.likely == pytest.approx(card.ai.net_per_h.likely - card.mining.net_per_h.likely)  # type: ignore[union-attr]
    assert card.ai.net_per_year.likely == pytest.approx(card.ai.net_per_h.likely * 8760)  # type: ignore[operator]
    per_mwh = card.ai.net_per_h.likely / (economics.ai_kwh(card.likely) / 1000)  # type: ignore[operator]
    assert card.ai.net_per_mwh.likely == pytest.approx(per_mwh)
    assert card.asic_factor == pytest.approx(80_000 / 17.5, rel=0.01)
    assert set(card.break_evens) == set(economics.BREAK_EVENS)
    assert found.asic.revenue_per_h.likely == pytest.approx(42 * 200 * 0.98 * 0.99 / 24000)


def test_verdicts_follow_the_bounds() -> None:
    sure = {name: replace(price, range=Range.of(price.range.likely or 0.0)) for name, price in PRICES.items.items()}
    fixed = replace(PRICES, items=sure, site_mw=None)
    cards = economics.cards(storage.to_frame(factory.run(H100)))

    def decided(rent: Range, electricity: float = 0.06) -> economics.CardOutlook:
        items = {**sure, "electricity": replace(sure["electricity"], range=Range.of(electricity))}
        rents = (("*", replace(PRICES.rents[0][1], range=rent)),)
        return economics.evaluate(cards, replace(fixed, items=items, rents=rents)).cards[0]

    assert decided(Range.of(2.0)).verdict.kind == "rent"
    assert decided(Range.of(0.0)).verdict.kind == "off"
    assert decided(Range.of(0.0), electricity=-0.1).verdict.kind == "mine", "whoever is paid for power uses it"
    torn = decided(Range(0.0, 0.3, 2.0))
    assert torn.verdict.kind == "cannot tell"
    assert economics.decision(torn) == "Cannot tell whether to rent out for AI or switch off"
    assert torn.verdict.shares["rent"] + torn.verdict.shares["off"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("records", "mining", "ai", "reason"),
    [
        (factory.run(H100, workloads=[factory.sha256d]), True, False, "no transformer task"),
        (factory.run(H100, workloads=[factory.gemm]), False, True, "sha256d was not measured"),
        (factory.run(H100, metered=False), False, False, "no watts were read"),
        (factory.run(H100, idle_power_w=None), False, False, "no idle power"),
        (factory.run(factory.CARD_B), True, False, "has no rent for it"),
        (factory.run(H100, energy_method="assumed"), True, True, "assumed, not measured"),
    ],
)
def test_what_is_missing_is_said_and_never_zero(records: list[Any], mining: bool, ai: bool, reason: str) -> None:
    (card,) = outlook(records).cards
    assert (card.mining is not None, card.ai is not None) == (mining, ai)
    assert any(reason in said for said in card.reasons)
    if not (mining and ai):
        assert card.advantage_per_h is None
        assert card.verdict.kind in ("unknown", "off")
        assert not set(card.break_evens) & {"rent", "electricity", "utilisation", "hashprice"}


def test_invalid_rows_earn_nothing() -> None:
    wild = replace(factory.sha256d(H100, 9, factor=100.0), valid=False, invalid_reasons="x", idle_power_w=1.0)
    with_wild = economics.cards(storage.to_frame([*factory.run(H100), wild]))
    assert with_wild == economics.cards(storage.to_frame(factory.run(H100)))


def test_a_site_full_of_each() -> None:
    found = outlook(factory.run(H100), site_mw=13.0)
    by_use = {(choice.what, choice.use): choice for choice in found.site}
    asic = by_use["S21-class ASIC", "mining"]
    assert asic.machines.likely == math.floor(13_000 / (1.05 * 3.5))
    assert asic.ph_per_s.likely == pytest.approx(13_000 / (1.05 * 3.5) * 0.2)  # type: ignore[union-attr]
    ai = by_use["Example H100 A", "AI"]
    likely = found.cards[0].likely
    assert likely is not None
    machines = 13_000 / (1.3 * likely.ai_kw)
    assert ai.machines.likely == math.floor(machines)
    assert ai.net_per_year.likely == pytest.approx(machines * economics.ai_net(likely) * 8760)
    assert ai.tokens_per_s.likely == pytest.approx(machines * 700e12 / 1.5e10, rel=0.01)  # type: ignore[union-attr]
    # twice the megawatts hold twice the money
    double = outlook(factory.run(H100), site_mw=26.0)
    for one, two in zip(found.site, double.site, strict=True):
        for name in ("net_per_year", "capital", "npv"):
            assert getattr(two, name).likely == pytest.approx(2 * getattr(one, name).likely), (one.what, name)
    with pytest.raises(BenchError, match="cannot have"):
        outlook(factory.run(H100), site_mw=0.0)


def test_every_table_says_that_an_asic_wins() -> None:
    found = outlook(factory.run(H100))
    text = written("markdown", found)
    assert economics.SENTENCE in text
    assert "S21-class ASIC" in text
    assert "4,5" in text
    # also where nothing could be reckoned
    bare = written("markdown", outlook(factory.run(H100, metered=False)))
    assert economics.SENTENCE in bare
    assert "S21-class ASIC" in bare


def test_flat_rows_name_their_units() -> None:
    items = json.loads(written("json", outlook(factory.run(H100))))
    assert len({tuple(item) for item in items}) == 1
    assert all(item["unit"] for item in items)
    assert {item["unit"] for item in items} >= {"USD/h", "USD/MWh", "USD/GPU/year", "USD/PH/s/day", "share"}
    assert (
        written("csv", outlook(factory.run(H100))).splitlines()[0]
        == "what,use,figure,unit,low,likely,high,low95,high95"
    )


def test_a_loser_is_switched_off() -> None:
    dear = {**PRICES.items, "electricity": replace(PRICES.items["electricity"], range=Range.of(9.0))}
    prices = replace(PRICES, items=dear, site_mw=None)
    found = economics.evaluate(economics.cards(storage.to_frame(factory.run(H100))), prices)
    assert economics.decision(found.cards[0]) == "Switch off: both uses lose money"


def test_economics_loads_no_gpu_stack() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, bench.analysis.economics; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert not {"torch", "cupy", "pandas", "scipy"} & set(done.stdout.split())
