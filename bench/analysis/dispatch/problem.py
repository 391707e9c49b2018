"""The best use of every hour as one linear program, solved to proven optimality by HiGHS (through scipy). Pure.

A site has fleets of like cards. In each step each card of a fleet is in one mode; ``n[t, j]`` cards are in mode
``j``. A fleet is divisible unless the rules count whole cards. What is earned is maximal:

    Σ_t [ Σ_j n·income − buy·price + sell·resale − starts·cost − shortfall·penalty + event·(baseline − P) ]
    − Σ_m charge·peak

subject to the fleet's size, the demand for rented cards, the contract's minimum, the site's limit, minimum run times
and the month's peak. Minimum run times and starts are those of clustered unit commitment: the cards that started within
the last L steps are still at it, ``n ≥ Σ s`` (Palmintier and Webster, IEEE Trans. Power Syst. 29(3), 2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.model import BenchError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

TIME_LIMIT_S = 120.0
NOISE = 1e-7
"""Cards; the solver's zero may be off by less."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One thing a card may do for a step."""

    name: str
    """``mine``, ``rent``, ``rent at 350 W``, ``idle``, ``off``."""
    use: str
    """``mine``, ``rent``, ``idle`` or ``off``: minimum run times and starts are those of a use."""
    kw: float
    """At the site's meter."""
    hash_th_per_s: float = 0.0
    rent_share: float = 0.0
    """Of the stock setting's throughput; the rent is taken to follow it."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Cards of one model."""

    name: str
    cards: float
    modes: tuple[Mode, ...]
    rent_factor: float = 1.0
    """This card's rent ÷ the rent series (which is that of the first card)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What ties the steps together. Money is in the price file's currency."""

    start_cost: Mapping[str, float] = field(default_factory=dict)
    """Use → cost of a start, per card."""
    min_run_h: Mapping[str, float] = field(default_factory=dict)
    """Use → hours that a card stays at it once it has started."""
    contract_share: float = 0.0
    """Share of the cards that may be rented out which a tenant has taken and must be given."""
    shortfall_penalty: float = 0.0
    """Per card and hour that the tenant is not given."""
    site_kw: float | None = None
    block_kw: float = 0.0
    """Power bought in advance, used or not; its price is a fixed cost and does not decide anything."""
    sell_fee: float | None = None
    """Per kWh of the block that is sold back; None: it cannot be sold."""
    demand_charge: float = 0.0
    """Per kW of each month's highest draw in the steps that ``Steps.peak`` marks."""
    whole_cards: bool = False
    """Whether cards are counted one by one; otherwise a fleet is divisible."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What is known of each step; all arrays have one entry a step."""

    hours: float
    """Length of a step."""
    power: Array
    """Price at the meter, per kWh."""
    hash_income: Array
    """Per TH/s and hour, after the pool's fee."""
    rent_income: Array
    """Per card and hour at the stock setting, after the market's fee."""
    demand: Array
    """Share of the cards that may be rented out for which there is a tenant."""
    event: Array
    """Paid per kWh that is not drawn below ``event_kw``; 0 outside events."""
    cap_kw: Array
    """The most that may be drawn; infinite where nothing limits it."""
    peak: Array
    """1 where the draw counts for the demand charge."""
    month: Array
    """Number of the month, from 0."""
    event_kw: float = 0.0
    """The baseline of events."""

    def part(self, first: int, last: int) -> Steps:
        """Steps ``first`` up to ``last``, without it."""
        names = ("power", "hash_income", "rent_income", "demand", "event", "cap_kw", "peak", "month")
        cut: dict[str, Any] = {name: getattr(self, name)[first:last] for name in names}
        return replace(self, **cut)


@dataclass(frozen=True, slots=True)
class Past:
    """What the steps before the first one bind."""

    cards: Array
    """[groups] cards at each use in the step before."""
    starts: Array
    """[steps, groups] starts before the first step, the latest last."""
    peaks: Mapping[int, float] = field(default_factory=dict)
    """Month → its highest draw so far, kW."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The best schedule."""

    cards: Array
    """[steps, modes] cards in each mode; the modes of all fleets one after the other."""
    starts: Array
    """[steps, groups] starts of each fleet and use that :func:`groups` lists."""
    gap: float
    """Share by which a better one may exist: 0 is proven optimal."""


def modes(fleets: Sequence[Fleet]) -> list[tuple[int, Mode]]:
    """(fleet's number, mode) of each column of a schedule."""
    return [(number, mode) for number, fleet in enumerate(fleets) for mode in fleet.modes]


def groups(fleets: Sequence[Fleet], rules: Rules) -> list[tuple[int, str]]:
    """(fleet's number, use) of every use whose starts matter."""
    tied = [use for use in ("mine", "rent") if rules.start_cost.get(use) or rules.min_run_h.get(use)]
    return [
        (number, use)
        for number, fleet in enumerate(fleets)
        for use in tied
        if any(mode.use == use for mode in fleet.modes)
    ]


def incomes(fleets: Sequence[Fleet], steps: Steps) -> Array:
    """[steps, modes] what a card in each mode earns in each step, before power."""
    import numpy as np

    columns = [
        steps.hash_income * mode.hash_th_per_s + steps.rent_income * mode.rent_share * fleets[number].rent_factor
        for number, mode in modes(fleets)
    ]
    return np.stack(columns, axis=1) * steps.hours


def draws(fleets: Sequence[Fleet]) -> Array:
    """[modes] kW of a card in each mode."""
    import numpy as np

    return np.array([mode.kw for _, mode in modes(fleets)])


def power_prices(steps: Steps, rules: Rules) -> tuple[Array, Array]:
    """(price, resale) per kWh of what is drawn beyond the block, and of what of the block is left."""
    import numpy as np

    buy = steps.power
    resale = np.minimum(0.0, buy) if rules.sell_fee is None else buy - rules.sell_fee
    return buy, resale


def rentable(fleets: Sequence[Fleet]) -> float:
    """The cards that may be rented out."""
    return sum(fleet.cards for fleet in fleets if any(mode.use == "rent" for mode in fleet.modes))


def let(fleets: Sequence[Fleet], steps: Steps, rules: Rules) -> Array:
    """[steps] the most cards for which there is a tenant."""
    import numpy as np

    wanted = np.maximum(steps.demand, rules.contract_share) * rentable(fleets)
    return np.floor(wanted + 1e-9) if rules.whole_cards else wanted


def rent_of(fleets: Sequence[Fleet]) -> float:
    """The highest share of the rent series that any card earns: what an unlet card is charged."""
    return max((fleets[number].rent_factor * mode.rent_share for number, mode in modes(fleets)), default=0.0)


def solve(fleets: Sequence[Fleet], steps: Steps, rules: Rules, past: Past | None = None) -> Schedule:
    """The schedule that earns the most.

    Args:
        fleets: what there is.
        steps: what each step brings.
        rules: what ties the steps together.
        past: the steps before the first; None: every use may begin freely.

    Raises:
        BenchError: no schedule fits the rules, or the solver gave up.
    """
    import numpy as np
    from scipy import optimize, sparse

    program = _Program(len(steps.power))
    columns, tied = modes(fleets), groups(fleets, rules)
    count = program.count
    whole = rules.whole_cards
    kw, buy, resale = draws(fleets), *power_prices(steps, rules)
    split = rules.block_kw > 0
    event = steps.event * steps.hours
    income = incomes(fleets, steps) - np.outer(event, kw)
    if not split:
        income = income - np.outer(buy * steps.hours, kw)
    cards = program.add(-income, 0.0, np.array([fleets[number].cards for number, _ in columns]), whole=whole)
    starts = program.add(
        np.tile([rules.start_cost.get(use, 0.0) for _, use in tied], (count, 1)),
        0.0,
        np.array([fleets[number].cards for number, _ in tied]),
    )
    for number, fleet in enumerate(fleets):
        own = [place for place, (owner, _) in enumerate(columns) if owner == number]
        program.rows([(cards[:, own], 1.0)], fleet.cards, fleet.cards)
    rented = [place for place, (_, mode) in enumerate(columns) if mode.use == "rent"]
    total = rentable(fleets)
    if rented:
        # Cards that must stay rented out (a minimum run time) while no tenant is there earn nothing.
        unlet = program.add(
            (rent_of(fleets) * steps.rent_income * steps.hours)[:, None], 0.0, total * bool(rules.min_run_h.get("rent"))
        )
        program.rows([(cards[:, rented], 1.0), (unlet, -1.0)], -np.inf, let(fleets, steps, rules))
    if rules.contract_share > 0:
        short = program.add(np.full((count, 1), rules.shortfall_penalty * steps.hours), 0.0, total)
        program.rows([(cards[:, rented], 1.0), (short, 1.0)], rules.contract_share * total, np.inf)
    most = np.minimum(steps.cap_kw, np.inf if rules.site_kw is None else rules.site_kw)
    if np.isfinite(most).any():
        program.rows([(cards, kw)], -np.inf, most)
    if split:
        bought = program.add((buy * steps.hours)[:, None], 0.0, np.inf)
        sold = program.add((-resale * steps.hours)[:, None], 0.0, rules.block_kw)
        program.rows([(cards, kw), (bought, -1.0), (sold, 1.0)], rules.block_kw, rules.block_kw)
    if rules.demand_charge:
        _peaks(program, cards, kw, steps, rules, past)
    _run_times(program, (cards, starts), columns, tied, steps.hours, rules, past)
    done = optimize.milp(
        program.cost(),
        integrality=program.integrality(),
        bounds=program.bounds(),
        constraints=program.constraints(sparse, optimize),
        options={"time_limit": TIME_LIMIT_S, "mip_rel_gap": 0.0},
    )
    if done.x is None:
        raise BenchError(
            "no schedule fits these rules" if done.status == 2 else f"the solver found no schedule ({done.message})",
            "relax the site's limit, the contract's minimum or the minimum run times",
        )
    gap = float(done.mip_gap) if whole and done.mip_gap is not None else float(done.status != 0)
    found = np.where(np.abs(done.x) < NOISE, 0.0, done.x)
    return Schedule(found[cards], found[starts] if tied else np.zeros((count, 0)), gap)


def _peaks(program: _Program, cards: Any, kw: Array, steps: Steps, rules: Rules, past: Past | None) -> None:
    """One highest draw a month, at least that of the steps which count."""
    import numpy as np

    months = np.unique(steps.month[steps.peak > 0]).astype(int)
    so_far = np.array([0.0 if past is None else past.peaks.get(int(month), 0.0) for month in months])
    peaks = program.add(np.full((1, len(months)), rules.demand_charge), so_far, np.inf)
    for place, month in enumerate(months):
        steps_of = np.flatnonzero((steps.month == month) & (steps.peak > 0))
        highest = np.repeat(peaks[:, [place]], len(steps_of), axis=0)
        program.rows([(cards[steps_of], kw), (highest, -1.0)], -np.inf, 0.0)


def _run_times(
    program: _Program,
    variables: tuple[Any, Any],
    columns: Sequence[tuple[int, Mode]],
    tied: Sequence[tuple[int, str]],
    hours: float,
    rules: Rules,
    past: Past | None,
) -> None:
    """``starts ≥ now − before``, and what started within the minimum run time is still at it."""
    import numpy as np

    cards, starts = variables
    count = program.count
    for place, (number, use) in enumerate(tied):
        own = [j for j, (owner, mode) in enumerate(columns) if owner == number and mode.use == use]
        program.rows([(starts[1:, [place]], 1.0), (cards[1:, own], -1.0), (cards[:-1, own], 1.0)], 0.0, np.inf)
        if past is not None:
            program.rows([(starts[:1, [place]], 1.0), (cards[:1, own], -1.0)], -past.cards[place], np.inf)
        steps = round(rules.min_run_h.get(use, 0.0) / hours)
        if steps < 2:
            continue
        rows = np.arange(count)[:, None] - np.arange(steps)[None, :]
        terms = []
        for back in range(steps):
            valid = np.flatnonzero(rows[:, back] >= 0)
            terms.append((valid, starts[valid - back, place]))
        before = np.zeros(count)
        if past is not None:
            for back in range(1, steps):
                if back <= len(past.starts):
                    before[: steps - back] += past.starts[-back, place]
        program.sums(cards[:, own], terms, before)


class _Program:
    """A linear program put together by blocks of variables; every block is [rows, columns] of variable numbers."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._size = 0
        self._height = 0
        self._costs: list[Any] = []
        self._low: list[Any] = []
        self._high: list[Any] = []
        self._whole: list[Any] = []
        self._entries: list[tuple[Any, Any, Any]] = []
        self._least: list[Any] = []
        self._most: list[Any] = []

    def add(self, cost: Any, low: Any, high: Any, *, whole: bool = False) -> Any:
        """A block of variables with these costs [rows, columns] and bounds."""
        import numpy as np

        numbers = np.arange(self._size, self._size + cost.size).reshape(cost.shape)
        self._size += cost.size
        self._costs.append(cost.ravel())
        self._low.append(np.broadcast_to(low, cost.shape).ravel())
        self._high.append(np.broadcast_to(high, cost.shape).ravel())
        self._whole.append(np.full(cost.size, int(whole)))
        return numbers

    def rows(self, terms: Sequence[tuple[Any, Any]], least: Any, most: Any) -> None:
        """A constraint for each row: least ≤ Σ over terms of (variables [rows, columns] · factor) ≤ most."""
        import numpy as np

        count = len(terms[0][0])
        numbers = np.arange(self._height, self._height + count)
        for variables, factor in terms:
            self._entries.append(
                (
                    np.repeat(numbers, variables.shape[1]),
                    variables.ravel(),
                    np.broadcast_to(factor, variables.shape).ravel(),
                )
            )
        self._close(count, least, most)

    def sums(self, cards: Any, terms: Sequence[tuple[Any, Any]], before: Any) -> None:
        """A constraint for each step: Σ cards − Σ starts ≥ ``before``; a term is (steps, variables)."""
        import numpy as np

        count = len(cards)
        numbers = np.arange(self._height, self._height + count)
        self._entries.append((np.repeat(numbers, cards.shape[1]), cards.ravel(), np.ones(cards.size)))
        for steps, variables in terms:
            self._entries.append((numbers[steps], variables, np.full(len(variables), -1.0)))
        self._close(count, before, np.inf)

    def _close(self, count: int, least: Any, most: Any) -> None:
        import numpy as np

        self._least.append(np.broadcast_to(least, count))
        self._most.append(np.broadcast_to(most, count))
        self._height += count

    def cost(self) -> Any:
        import numpy as np

        return np.concatenate(self._costs)

    def integrality(self) -> Any:
        import numpy as np

        return np.concatenate(self._whole)

    def bounds(self) -> Any:
        import numpy as np
        from scipy.optimize import Bounds

        return Bounds(np.concatenate(self._low), np.concatenate(self._high))

    def constraints(self, sparse: Any, optimize: Any) -> Any:
        import numpy as np

        rows, columns, factors = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        matrix = sparse.csr_array((factors, (rows, columns)), shape=(self._height, self._size))
        return optimize.LinearConstraint(matrix, np.concatenate(self._least), np.concatenate(self._most))
