"""The schedule against brute force, against a threshold, and against the operator who knows one day at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.dispatch import Fleet, Mode, Rules, Schedule, Steps, account, day_ahead, solve
from bench.model import BenchError

MINE = Mode("mine", "mine", 1.0, hash_th_per_s=50.0)
RENT = Mode("rent", "rent", 1.2, rent_share=1.0)
SLOW = Mode("rent at 350 W", "rent", 0.7, rent_share=0.8)
IDLE, OFF = Mode("idle", "idle", 0.1), Mode("off", "off", 0.0)


def steps(count: int, seed: int = 1, **given: object) -> Steps:
    draw = np.random.default_rng(seed)
    known = {
        "power": draw.normal(0.08, 0.08, count),
        "hash_income": np.full(count, 0.0016) * draw.uniform(0.5, 2.0, count),
        "rent_income": draw.uniform(0.0, 0.4, count),
        "demand": draw.choice([0.0, 0.5, 1.0], count),
        "event": np.zeros(count),
        "cap_kw": np.full(count, np.inf),
        "peak": np.ones(count),
        "month": np.arange(count) // max(1, count // 2),
    }
    return Steps(1.0, **{**known, **given})


def earned(fleet: Fleet, known: Steps, rules: Rules, choice: list[list[int]]) -> float | None:
    """Money of a schedule that gives each card's mode in each step; None where it breaks a rule. From the text of the
    rules alone."""
    cards, count = int(fleet.cards), len(known.power)
    money, highest = 0.0, dict.fromkeys(known.month.tolist(), 0.0)
    kw = [sum(fleet.modes[at].kw for at in row) for row in choice]
    for t, row in enumerate(choice):
        used = [fleet.modes[at] for at in row]
        rented = sum(mode.use == "rent" for mode in used)
        without = max(0, rented - int(max(known.demand[t], rules.contract_share) * cards + 1e-9))
        money += sum(m.hash_th_per_s * known.hash_income[t] + m.rent_share * known.rent_income[t] for m in used)
        if without and not rules.min_run_h.get("rent"):
            return None
        money -= without * known.rent_income[t] * max(m.rent_share for m in fleet.modes)
        money -= rules.shortfall_penalty * max(0.0, rules.contract_share * cards - rented)
        money += known.event[t] * (known.event_kw - kw[t])
        over = kw[t] - rules.block_kw
        price = known.power[t]
        left = min(0.0, price) if rules.sell_fee is None else price - rules.sell_fee
        money -= over * price if over > 0 else over * left
        if kw[t] > min(known.cap_kw[t], rules.site_kw or np.inf) + 1e-9:
            return None
        if known.peak[t]:
            highest[known.month[t]] = max(highest[known.month[t]], kw[t])
        for use in ("mine", "rent"):
            now = [sum(fleet.modes[at].use == use for at in r) for r in choice]
            begun = [max(0, now[s] - now[s - 1]) if s else 0 for s in range(count)]
            money -= rules.start_cost.get(use, 0.0) * begun[t]
            length = int(rules.min_run_h.get(use, 0))
            if length > 1 and now[t] < sum(begun[max(0, t - length + 1) : t + 1]):
                return None
    return money - rules.demand_charge * sum(highest.values())


def brute_force(fleet: Fleet, known: Steps, rules: Rules) -> float:
    rows = [list(row) for row in itertools.combinations_with_replacement(range(len(fleet.modes)), int(fleet.cards))]
    found = (earned(fleet, known, rules, list(choice)) for choice in itertools.product(rows, repeat=len(known.power)))
    return max(money for money in found if money is not None)


RULES = {
    "none": Rules(),
    "starts": Rules(start_cost={"mine": 0.02, "rent": 0.1}),
    "run times": Rules(min_run_h={"rent": 3, "mine": 2}),
    "contract": Rules(contract_share=0.5, shortfall_penalty=0.15),
    "site": Rules(site_kw=1.3),
    "block": Rules(block_kw=1.5),
    "block sold back": Rules(block_kw=1.5, sell_fee=0.01),
    "demand charge": Rules(demand_charge=0.1),
    "all": Rules({"rent": 0.05}, {"rent": 2}, 0.5, 0.1, 2.0, 1.0, 0.005, 0.05),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_no_schedule_of_one_card_earns_more(rules: Rules, seed: int) -> None:
    fleet = Fleet("card", 1, (MINE, RENT, SLOW, OFF))
    known = steps(6, seed)
    rules = replace(rules, whole_cards=True)
    best = solve([fleet], known, rules)
    assert best.gap == 0
    assert account([fleet], known, rules, best).net == pytest.approx(brute_force(fleet, known, rules))


@pytest.mark.parametrize(
    "rules", [RULES["none"], RULES["run times"], RULES["contract"]], ids=["none", "run", "contract"]
)
def test_no_schedule_of_two_cards_earns_more(rules: Rules) -> None:
    fleet = Fleet("card", 2, (MINE, RENT, OFF))
    known = steps(5, 7, event=np.array([0, 0.3, 0, 0, 0]), event_kw=2.4)
    rules = replace(rules, whole_cards=True)
    best = solve([fleet], known, rules)
    assert account([fleet], known, rules, best).net == pytest.approx(brute_force(fleet, known, rules))


def test_without_rules_each_hour_takes_the_mode_that_earns_the_most() -> None:
    fleet = Fleet("card", 1000, (MINE, RENT, SLOW, IDLE, OFF))
    known = steps(500, demand=np.ones(500))
    each = np.stack(
        [
            known.hash_income * mode.hash_th_per_s + known.rent_income * mode.rent_share - known.power * mode.kw
            for mode in fleet.modes
        ]
    )
    best = solve([fleet], known, Rules())
    assert (best.cards.argmax(axis=1) == each.argmax(axis=0)).all()
    assert account([fleet], known, Rules(), best).net == pytest.approx(1000 * each.max(axis=0).sum())


def test_a_negative_price_is_worth_the_hungriest_mode_and_never_an_endless_purchase() -> None:
    fleet = Fleet("card", 100, (MINE, RENT, OFF))
    known = steps(4, power=np.full(4, -0.05), hash_income=np.zeros(4), rent_income=np.zeros(4), demand=np.ones(4))
    for rules in (Rules(), Rules(block_kw=50.0), Rules(block_kw=50.0, sell_fee=0.0)):
        best = solve([fleet], known, rules)
        assert best.cards[:, 1] == pytest.approx(100)
        assert account([fleet], known, rules, best).kw == pytest.approx(120)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("cards", [3, 1000], ids=["whole cards", "a divisible fleet"])
def test_one_day_at_a_time_never_earns_more(rules: Rules, cards: int) -> None:
    site_kw = None if rules.site_kw is None else 1000 * rules.site_kw
    rules = replace(rules, site_kw=site_kw, whole_cards=cards == 3)
    fleet = Fleet("card", cards, (MINE, RENT, SLOW, IDLE, OFF))
    known = steps(24 * 10, 3)
    best = account([fleet], known, rules, solve([fleet], known, rules))
    daily = day_ahead([fleet], known, rules, range(0, 240, 24))
    assert daily.cards.sum(axis=1) == pytest.approx(cards)
    assert account([fleet], known, rules, daily).net <= best.net + 1e-6 * max(1.0, abs(best.net))
    if rules in (Rules(), Rules(whole_cards=True)):
        assert account([fleet], known, rules, daily).net == pytest.approx(best.net)


def test_what_started_yesterday_is_kept_on_today() -> None:
    """Rent pays in the last hour of the first day only, and must then go on for four hours."""
    fleet = Fleet("card", 10.0, (RENT, OFF))
    rent = np.zeros(48)
    rent[23] = 5.0
    power = np.where(np.arange(48) < 23, 1.0, 0.01)
    power[22] = 3.0
    known = steps(48, power=power, rent_income=rent, demand=np.ones(48))
    daily = day_ahead([fleet], known, Rules(min_run_h={"rent": 4}), [0, 24])
    assert daily.cards[22:28, 0].tolist() == pytest.approx([0, 10, 10, 10, 10, 0])


@pytest.mark.parametrize("run_h", [6, 30])
def test_a_limit_that_the_grid_announced_does_not_meet_a_run_that_may_not_end(run_h: int) -> None:
    """Rent pays late on the first day, but the site must draw nothing in the first hours of the next."""
    fleet = Fleet("card", 10.0, (RENT, OFF))
    count = 96
    cap = np.full(count, np.inf)
    cap[[24, 25]] = 0.0
    income = np.where(np.arange(count) >= 22, 5.0, 0.0)
    power = np.where(np.arange(count) < 22, 0.5, 0.1)
    known = steps(count, power=power, rent_income=income, demand=np.ones(count), cap_kw=cap)
    rules = Rules(min_run_h={"rent": run_h})
    daily = day_ahead([fleet], known, rules, range(0, count, 24))
    assert daily.cards[24:26, 0] == pytest.approx(0)
    assert daily.cards[26:, 0] == pytest.approx(10)
    best = account([fleet], known, rules, solve([fleet], known, rules))
    assert account([fleet], known, rules, daily).net <= best.net + 1e-9


def test_a_demand_charge_that_pays_over_the_month_pays_from_its_first_day() -> None:
    """One hour a day counts; mining in it earns 0.5 a kW: less than the charge in two days, more in thirty."""
    fleet = Fleet("card", 10.0, (MINE, OFF))
    count = 24 * 30
    peak = (np.arange(count) % 24 == 18).astype(float)
    given = {"power": np.full(count, 0.1), "hash_income": np.full(count, 0.6 / 50), "month": np.zeros(count, dtype=int)}
    known = steps(count, peak=peak, **given)
    rules = Rules(demand_charge=10.0)
    daily = day_ahead([fleet], known, rules, range(0, count, 24))
    best = account([fleet], known, rules, solve([fleet], known, rules))
    assert account([fleet], known, rules, daily).net == pytest.approx(best.net)
    dear = Rules(demand_charge=16.0)
    assert day_ahead([fleet], known, dear, range(0, count, 24)).cards[peak > 0, 0] == pytest.approx(0)


def test_cards_of_one_model_that_take_more_power_go_off_first() -> None:
    good, thirsty = (Fleet(name, 10.0, (replace(RENT, kw=kw), OFF)) for name, kw in (("good", 1.0), ("thirsty", 1.3)))
    known = steps(2, power=np.full(2, 0.1), rent_income=np.full(2, 0.4), demand=np.full(2, 0.5))
    best = solve([good, thirsty], known, Rules())
    assert best.cards[:, 0] == pytest.approx(10)
    assert best.cards[:, 2] == pytest.approx(0)


def test_rules_that_nothing_fits_are_one_sentence() -> None:
    fleet = Fleet("card", 5, (MINE, IDLE))
    with pytest.raises(BenchError, match="no schedule fits these rules"):
        solve([fleet], steps(3), Rules(site_kw=0.1))


def test_the_accounts_see_a_schedule_that_is_not_the_best() -> None:
    fleet, known = Fleet("card", 1, (MINE, OFF)), steps(8)
    best = solve([fleet], known, Rules())
    other = Schedule(1 - best.cards, best.starts, 0.0)
    assert account([fleet], known, Rules(), other).net < account([fleet], known, Rules(), best).net
