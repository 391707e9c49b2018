"""Capital worked backwards: what a rate, a price or a margin must be for the figures to come out at nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench import storage
from bench.analysis import economics
from bench.analysis.economics import Inputs, Range, capital, site
from bench.analysis.economics.capital import Project
from tests.support import factory

PRICES = economics.read_prices(economics.example_path())
STILL = Inputs(
    hashprice=42.0, hash_th_per_s=200.0, pool_fee=0.0, uptime=1.0, mine_w=3500.0, host_power_mining=0.0, pue_mining=1.0,
    electricity=0.05, idle_w=0.0, sensor_gain=1.0, psu_efficiency=1.0, pue_ai=1.0, host_power_ai=0.0, ai_w=1000.0,
    ai_extra=0.0, ai_uptime=1.0, market_fee=0.0, utilisation=0.5, rent=1.0, machine_price=3000.0, building=1e6,
    machine_life=5.0, building_life=20.0, discount_rate=0.1,
)  # fmt: skip
"""Nothing grows, decays or waits."""


def constant(margin: float, kw: float = 3.5) -> Project:
    return Project(lambda _i, _year: margin, lambda _i: kw, capital.fixed_prices)


def test_the_outlay_is_the_machine_and_its_share_of_the_building() -> None:
    """3.5 kW of a building at 1 M$/MW."""
    assert capital.outlay(STILL, constant(1.0)) == pytest.approx(3000 + 3500)


def test_present_value_of_a_margin_is_an_annuity() -> None:
    """A dollar an hour for five years, each year's at its middle, and three quarters of the building at the end."""
    annuity = 8760 * (1 - 1.1**-5) / 0.1 * 1.1**0.5
    expected = annuity + 0.75 * 3500 / 1.1**5 - 6500
    assert capital.npv(STILL, constant(1.0)) == pytest.approx(expected)


def test_half_a_year_of_life_is_half_a_margin() -> None:
    whole, less = (sum(flow for _when, flow in capital.flows(replace(STILL, machine_life=life), constant(1.0))[:-1])
                   for life in (5.0, 4.5))  # fmt: skip
    assert (whole, less) == pytest.approx((5 * 8760, 4.5 * 8760))


@pytest.mark.parametrize("delay", [0.0, 2.5])
def test_the_rate_of_return_put_back_leaves_nothing(delay: float) -> None:
    i = replace(STILL, delay=delay)
    rate = capital.irr(i, constant(0.4))
    assert abs(capital.npv(replace(i, discount_rate=rate), constant(0.4))) < 1e-6
    assert capital.npv(replace(i, discount_rate=rate + 0.01), constant(0.4)) < 0


def test_the_machine_price_at_which_nothing_is_left() -> None:
    """The net present value is what a machine may cost more, while there is no delay."""
    i = replace(STILL, machine_price=3000.0 + capital.npv(STILL, constant(0.4)))
    assert capital.npv(i, constant(0.4)) == pytest.approx(0.0, abs=1e-9)


def test_payback_is_when_the_margins_have_paid_for_it() -> None:
    """6500 $ at 0.4 $/h: 16,250 hours, and the building's wait before them."""
    assert capital.payback(STILL, constant(0.4)) == pytest.approx(6500 / 0.4 / 8760)
    assert capital.payback(replace(STILL, delay=1.5), constant(0.4)) == pytest.approx(1.5 + 6500 / 0.4 / 8760)
    assert capital.payback(STILL, constant(0.0)) == np.inf


def test_what_is_lost_is_lost() -> None:
    assert capital.irr(replace(STILL, building_life=5.0), constant(-1.0)) == pytest.approx(-1.0, abs=1e-5)


def test_a_year_that_would_lose_money_is_spent_switched_off() -> None:
    assert capital.npv(STILL, constant(-1.0)) == capital.npv(STILL, constant(0.0))


def test_hashprice_falls_by_decay_growth_and_halvings() -> None:
    i = replace(STILL, hashprice_decay=0.1, difficulty_growth=0.25, halving=1.9)
    found = [capital.mining_prices(i, year).hashprice for year in range(7)]
    for year, halved in enumerate((1.0, 0.95, 0.5, 0.5, 0.5, 0.475, 0.25)):
        assert found[year] == pytest.approx(42 * (0.9 / 1.25) ** (year + 0.5) * halved), year
    # nobody waits for a halving that has passed while the building went up
    assert capital.subsidy(replace(i, delay=2.0), 0) == pytest.approx(0.5)
    assert capital.subsidy(STILL, 30) == 1.0


def test_rent_decays_and_utilisation_grows() -> None:
    i = replace(STILL, rent_decay=0.2, ramp=2.0, delay=1.0)
    years = [capital.ai_prices(i, year) for year in range(3)]
    assert [year.rent for year in years] == pytest.approx([0.8**1.5, 0.8**2.5, 0.8**3.5])
    # a straight line over two years is a quarter full in the first, three quarters in the second
    assert [year.utilisation for year in years] == pytest.approx([0.125, 0.375, 0.5])
    assert capital.ai_prices(STILL, 0).utilisation == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("i", "figure"),
    [(STILL, capital.npv), (STILL, capital.irr), (STILL, capital.payback)],
    ids=["npv", "irr", "payback"],
)
def test_arrays_give_what_numbers_give(i: Inputs, figure: Any) -> None:
    lives = np.array([2.0, 3.7, 5.0, 9.2])
    project = site.MINING.project
    grown = replace(i, hashprice_decay=0.1, halving=1.0, delay=0.5)
    found = figure(replace(grown, machine_life=lives), project)
    assert found == pytest.approx([float(figure(replace(grown, machine_life=life), project)) for life in lives])


def test_a_reserved_card_is_paid_for_whether_used_or_not() -> None:
    i = replace(STILL, contract_price=1.5, take_or_pay=1.0, term=1.5)
    assert economics.formulas.reserved_revenue(i) == 1.5
    assert economics.formulas.reserved_revenue(replace(i, take_or_pay=0.2)) == 0.75
    margins = [site.RESERVED.project.margin(i, float(year)) for year in range(3)]
    reserved, market = economics.formulas.reserved_net(i), economics.ai_net(i)
    assert margins == pytest.approx([reserved, (reserved + market) / 2, market])


def test_published_contracts_come_out_at_what_was_published() -> None:
    """Total ÷ (years × MW × 8760 h), and the whole sum back from the price file's monthly price."""
    wanted = {"TeraWulf": (3.7e9, 10, 200, 211), "Core": (8.7e9, 12, 500, 166), "IREN": (9.7e9, 5, 200, 1107)}
    for word, (total, years, mw, per_mwh) in wanted.items():
        contract = next(item for item in PRICES.contracts if word in item.name)
        monthly = contract.price.range.likely or 0.0
        assert contract.term.likely == years
        assert monthly * 12 * years * mw * 1000 == pytest.approx(total, rel=2e-3)
        i = replace(STILL, contract_price=monthly)
        assert economics.formulas.hosting_revenue(i) * 1000 == pytest.approx(per_mwh, abs=0.6)


def test_who_pays_the_energy_makes_its_price_matter_or_not() -> None:
    for contract in (item for item in PRICES.contracts if item.mode == "hosting"):
        dear = {**PRICES.items, "electricity": replace(PRICES.items["electricity"], range=Range.of(1.0))}
        now, then = (
            next(site.hosting_choices(contract, prices, 10.0)) for prices in (PRICES, replace(PRICES, items=dear))
        )
        assert (now.net_per_year.likely == then.net_per_year.likely) == contract.tenant_pays_energy


def test_ten_megawatts_of_h100_no_longer_look_free() -> None:
    """The margin stands beside a capital several times as large, and the value has both in it."""
    cards = economics.cards(storage.to_frame(factory.run(replace(factory.CARD_A, name="NVIDIA H100 80GB HBM3"))))
    found = economics.evaluate(cards, PRICES, 10.0)
    choice = next(item for item in found.site if item.use == "AI" and item.building == "new")
    assert choice.capital is not None
    assert choice.npv is not None
    assert choice.capital.likely > 4 * choice.net_per_year.likely  # type: ignore[operator]
    cards_alone = (choice.machines.likely or 0.0) * 37_000
    assert choice.capital.likely - cards_alone == pytest.approx(11.7e6 * 10 / 1.3, rel=0.01)  # type: ignore[operator]
    assert choice.npv.low <= choice.npv.low95 <= choice.npv.likely  # type: ignore[operator]
    notes = " ".join(economics.notes(found))
    assert "an operating margin is before capital" in notes
    assert "cannot tell what to build" in notes


def test_what_has_no_price_has_no_capital_and_says_so() -> None:
    cards = economics.cards(storage.to_frame(factory.run(factory.CARD_A)))
    found = economics.evaluate(cards, replace(PRICES, card_prices=()), 10.0)
    assert all(item.npv is None for item in found.site if item.what == factory.CARD_A.name)
    assert f"{factory.CARD_A.name}: the price file does not say what it costs to buy" in economics.notes(found)


def test_no_draw_of_the_value_lies_beyond_what_the_search_found() -> None:
    for asic in PRICES.asics:
        choice = site.asic_choice(asic, PRICES, 10.0)
        assert choice.npv is not None
        assert choice.npv.low <= choice.npv.low95 <= choice.npv.high95 <= choice.npv.high  # type: ignore[operator]
