"""The money section: what :mod:`bench.analysis.economics` finds, and what the page's sliders start from. Pure.

The page recomputes with a port of the formulas of ``bench/economics.py`` (``page.js``, under "money"); a test in
Chromium holds the two together. Every cell that the sliders change is filled here first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bench.analysis import economics
from bench.analysis.economics import BREAK_EVENS, Inputs, Outlook, Price, Range, Side
from bench.output.format import figures
from bench.report.figures import Figure, View, axis
from bench.report.markup import NOTHING, Html, el, join, label, table
from bench.report.page import details, figure, note

SLIDERS: Mapping[str, tuple[str, str]] = {
    "electricity": ("Electricity price", "USD/kWh"),
    "utilisation": ("Utilisation: share of the time rented out", "share"),
    "rent": ("Rent of the card while it is rented", "USD/GPU/h"),
    "hashprice": ("Hashprice: what hashes earn", "USD/PH/s/day"),
}
"""Field of Inputs → what the slider is called, and its unit (``USD`` stands for the file's currency)."""

ROWS: Mapping[str, tuple[str, str, int]] = {
    "revenue_per_h": ("Revenue after fees", "USD/h", 4),
    "power_cost_per_h": ("Power", "USD/h", 4),
    "net_per_h": ("Net", "USD/h", 4),
    "net_per_mwh": ("Net per MWh at the site's meter", "USD/MWh", 2),
    "net_per_year": ("Net per year", "USD/year", 0),
}
"""Figure → its name, unit and decimals."""

_DECIMALS = {"rent": 4, "electricity": 4, "utilisation": 4, "hashprice": 2, "mining_power": 4, "ai_power": 4}


def sides(i: Inputs) -> dict[str, dict[str, float]]:
    """The figures of :data:`ROWS` for ``mining`` and ``ai``, by economics' own formulas."""
    found = {}
    for use, revenue, kwh, net in (
        ("mining", economics.mining_revenue, economics.mining_kwh, economics.mining_net),
        ("ai", economics.ai_revenue, economics.ai_kwh, economics.ai_net),
    ):
        energy, hourly = kwh(i), net(i)
        found[use] = {
            "revenue_per_h": revenue(i),
            "power_cost_per_h": i.electricity * energy,
            "net_per_h": hourly,
            "net_per_mwh": hourly / energy * economics.KW_PER_MW if energy else math.nan,
            "net_per_year": hourly * economics.HOURS_PER_YEAR,
        }
    return found


def written(value: float | None, decimals: int) -> str:
    """A figure as the page's script writes it too: thousands apart, a real minus, – where there is none.

    A figure of which one digit at most would be left gets three decimals more.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if 0 < abs(value) < 10.0 ** (1 - decimals):
        decimals += 3
    text = f"{value:,.{decimals}f}".replace("-", "−")
    return text.lstrip("−") if not any(char in "123456789" for char in text) else text


def asic_inputs(outlook: Outlook) -> Inputs:
    """The likely scenario of the ASIC: watts at the wall, nothing rented."""
    asic = outlook.prices.asic
    likely = {name: price.range.likely for name, price in outlook.prices.items.items()}
    names = ("hashprice", "uptime", "pool_fee", "utilisation", "market_fee", "ai_extra", "electricity", "pue")
    return Inputs(
        **{name: likely[name] for name in names},
        hash_th_per_s=asic.hash_th_per_s,
        rent=0.0,
        mine_kw=asic.hash_th_per_s * asic.j_per_th / 1000,
        ai_kw=0.0,
        idle_kw=0.0,
    )


def data(outlook: Outlook, series: Mapping[str, int]) -> dict[str, Any]:
    """What the page's script needs: a scenario per card and the ASIC's."""
    return {
        "currency": outlook.prices.currency,
        # once more for Plotly, which reads a dialect of HTML
        "currency_label": label(outlook.prices.currency),
        "cards": [
            {"name": item.name, "series": series.get(item.name, 0), "inputs": asdict(item.inputs)}
            for item in starts(outlook)
        ],
        "asic": {"name": outlook.prices.asic.name, "inputs": asdict(asic_inputs(outlook))},
        "sliders": list(SLIDERS),
        "decimals": {**{name: row[2] for name, row in ROWS.items()}, **_DECIMALS},
    }


@dataclass(frozen=True, slots=True)
class Start:
    """Where the sliders stand for one card before anyone touches them."""

    name: str
    inputs: Inputs
    rent_known: bool
    """False where the price file has no rent for it, and the rent starts at the break-even."""


def starts(outlook: Outlook) -> list[Start]:
    """The cards that the sliders can serve: all with watts under both loads and at idle, with or without a rent."""
    found = []
    for item in outlook.cards:
        inputs = item.likely
        if inputs is None and outlook.prices.rent(item.card.name) is None:
            free = ("*", Price(Range.of(0.0), f"{outlook.prices.currency}/GPU/h", "none"))
            prices = replace(outlook.prices, rents=(free,))
            inputs = economics.evaluate([item.card], prices).cards[0].likely
            even = None if inputs is None else economics.break_even("rent", inputs)
            inputs = None if inputs is None else replace(inputs, rent=max(0.0, even or 0.0))
        if inputs is not None:
            plain = {name: float(value) for name, value in asdict(inputs).items()}
            found.append(Start(item.card.name, Inputs(**plain), item.likely is not None))
    return found


def chart(outlook: Outlook) -> Figure | None:
    """Net $/h of both uses over one price; the script draws the lines from the sliders' state."""
    if not starts(outlook):
        return None
    views = [
        View(
            f"over {name.partition(':')[0].lower()}",
            [],
            {
                "xaxis": axis(label(f"{name.partition(':')[0]} ({_unit(unit, outlook)})")),
                "yaxis": axis(label(f"Net ({outlook.prices.currency}/h)"), zeroline=True),
                "showlegend": True,
                "over": field,
            },
            400,
        )
        for field, (name, unit) in SLIDERS.items()
    ]
    text = (
        "Solid is mining, dashed is renting out for AI, all else as the sliders stand. The upright line is where the "
        "slider stands now; the diamond is the break-even, where both earn the same."
    )
    return Figure("money", "What the card nets, and where the two uses meet", text, views, "Draw")


def _unit(unit: str, outlook: Outlook) -> str:
    return unit.replace("USD", outlook.prices.currency)


def section(outlook: Outlook) -> list[Html]:
    """The whole section: sliders with what they change, then every card with its ranges, then the notes."""
    prices = outlook.prices
    drawn = chart(outlook)
    ready = starts(outlook)
    lead = note(
        f"Every price is an input of a price file as of {prices.as_of.isoformat()}; nothing was fetched. "
        "Put in your own: the sliders recompute here, in the page. Mining stands at the card's most efficient setting, "
        "AI at the task that draws the most power."
    )
    parts = [lead]
    if drawn:
        parts += [_sliders(outlook, ready), figure(drawn)]
    else:
        parts.append(note("No card has all that money needs (watts under both loads and at idle): see below."))
    parts += [_ranges(outlook), _break_evens(outlook), _site(outlook)]
    said = [f"{line[0].upper()}{line[1:]}." for line in economics.notes(outlook)]
    parts.append(
        el("div", el("h3", "Read with this"), el("ul", *(el("li", line) for line in said)), class_="card words")
    )
    parts.append(_sources(outlook))
    return parts


def _sliders(outlook: Outlook, ready: Sequence[Start]) -> Html:
    likely = ready[0].inputs
    chooser = el(
        "label",
        el("span", "Card "),
        el("select", *(el("option", item.name, value=str(n)) for n, item in enumerate(ready)), id="money-card"),
        for_="money-card",
    )
    reset = el("button", "Back to the price file", type="button", id="money-reset")
    rows = [_slider(field, outlook, getattr(likely, field)) for field in SLIDERS]
    found, asic = sides(likely), sides(asic_inputs(outlook))["mining"]
    columns = (("mining", found["mining"]), ("ai", found["ai"]), ("asic", asic))
    body: list[list[object]] = [
        [
            f"{name} ({_unit(unit, outlook)})",
            *(
                el("output", written(values[key], decimals), data_out=f"{use}.{key}", data_value=repr(values[key]))
                for use, values in columns
            ),
        ]
        for key, (name, unit, decimals) in ROWS.items()
    ]
    header: list[object] = [
        "Figure",
        "Mining",
        "AI, rented out",
        f"{outlook.prices.asic.name}, for scale",
    ]
    free = [item.name for item in ready if not item.rent_known]
    gap = economics.advantage(likely)
    verdict = el("p", verdict_text(gap, outlook.prices.currency), id="money-verdict", class_="verdict", role="status")
    idle = el(
        "p", idle_text(economics.idle_mining_gain(likely), outlook.prices.currency), id="money-idle", class_="note"
    )
    points: list[list[object]] = [
        [
            meaning[0].upper() + meaning[1:],
            el(
                "output",
                written(value := economics.break_even(name, likely), _DECIMALS[name]),
                data_out=f"break_even.{name}",
                data_value="" if value is None else repr(value),
            ),
            _unit(unit, outlook),
        ]
        for name, (unit, meaning, _) in BREAK_EVENS.items()
    ]
    return el(
        "div",
        el(
            "div",
            el("h3", "Your prices"),
            el("div", chooser, reset, class_="controls"),
            class_="bar",
        ),
        el("div", *rows, class_="sliders"),
        verdict,
        idle,
        table(header, body, caption="At these prices, per card", numeric={1, 2, 3}),
        table(["Break-even", "Value", "Unit"], points, caption="Where the balance tips, all else equal", numeric={1}),
        note(f"The price file has no rent for {', '.join(free)}: there the rent starts at the break-even.")
        if free
        else "",
        class_="card",
        id="money-panel",
    )


def verdict_text(advantage: float, currency: str) -> str:
    """Who wins at the likely prices; the page's script writes the same."""
    if advantage == 0:
        return "At these prices both uses earn the same."
    winner, loser = ("Renting out for AI", "mining") if advantage > 0 else ("Mining", "renting out for AI")
    return f"{winner} nets {written(abs(advantage), 4)} {currency}/h more than {loser}."


def idle_text(gain: float, currency: str) -> str:
    """What mining in unrented hours does; the page's script writes the same."""
    if gain > 0:
        return f"Mining in the hours that are not rented adds {written(gain, 4)} {currency}/h."
    return f"Mining in the hours that are not rented loses {written(abs(gain), 4)} {currency}/h: leave the card idle."


def _slider(field: str, outlook: Outlook, value: float) -> Html:
    name, unit = SLIDERS[field]
    low, high = limits(field, outlook)
    shared = {"min": repr(low), "max": repr(high), "step": "any", "value": repr(float(value)), "data_slider": field}
    label_id = f"money-{field}-name"
    return el(
        "div",
        el("label", name, " ", el("small", f"({_unit(unit, outlook)})"), for_=f"money-{field}", id=label_id),
        el("input", type="range", id=f"money-{field}", **shared),
        el("input", type="number", aria_labelledby=label_id, inputmode="decimal", id=f"money-{field}-number", **shared),
        class_="slider",
    )


def limits(field: str, outlook: Outlook) -> tuple[float, float]:
    """Ends of a slider: from nothing (or below, where the file's price is) to well above the file's highest."""
    if field == "utilisation":
        return 0.01, 1.0
    rents = [price.range for _, price in outlook.prices.rents]
    ranges = rents if field == "rent" else [outlook.prices.items[field].range]
    started = [getattr(item.inputs, field) for item in starts(outlook)]
    low = min([item.low or 0.0 for item in ranges] + started)
    high = max([item.high or 0.0 for item in ranges] + started)
    return min(0.0, low), _round_up(high * 2.5) or 1.0


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 0.0
    decade = 10.0 ** math.floor(math.log10(value))
    return next((step * decade for step in (1, 2, 5) if step * decade >= value * 0.999), 10 * decade)


# ---------------------------------------------------------------------------------------------------------------------
# every card, with ranges


def _cell(value: Range | None, decimals: int) -> Html:
    if value is None:
        return join(NOTHING)
    likely = el("span", written(value.likely, decimals), class_="keep")
    if value.low == value.high or value.low is None or value.high is None:
        return likely
    return join(
        likely, el("small", f"({written(value.low, decimals)} to {written(value.high, decimals)})", class_="keep")
    )


def _ranges(outlook: Outlook) -> Html:
    rows: list[list[object]] = []
    verdicts = {"AI": "AI wins", "mining": "mining wins", "cannot tell": "ranges overlap"}
    for item in outlook.cards:
        for use, side in (("mining", item.mining), ("AI, rented out", item.ai)):
            cells = [use, verdicts.get(item.verdict, "a side is missing")]
            rows.append([item.card.name, *(el("span", cell, class_="keep") for cell in cells), *_side_cells(side)])
    rows.append([outlook.prices.asic.name, "mining", "for scale", *_side_cells(outlook.asic)])
    header: list[object] = [
        "Card",
        "Use",
        "Verdict",
        *(f"{name} ({_unit(unit, outlook)})" for name, unit, _ in ROWS.values()),
    ]
    caption = "Every card at the price file's prices: likely, and the worst and best corner of all inputs"
    return table(header, rows, caption=caption, numeric=set(range(3, 3 + len(ROWS))))


def _side_cells(side: Side | None) -> list[Html]:
    held = {entry.name: getattr(side, entry.name) for entry in fields(Side)} if side is not None else {}
    return [_cell(held.get(key), decimals) for key, (_, _, decimals) in ROWS.items()]


def _break_evens(outlook: Outlook) -> Html:
    rows: list[list[object]] = [
        [
            item.card.name,
            meaning[0].upper() + meaning[1:],
            _cell(item.break_evens[name], _DECIMALS[name]),
            _unit(unit, outlook),
        ]
        for item in outlook.cards
        for name, (unit, meaning, _) in BREAK_EVENS.items()
        if name in item.break_evens
    ]
    if not rows:
        return Html("")
    shown = table(["Card", "Break-even", "Value", "Unit"], rows, caption="Break-evens with their ranges", numeric={2})
    return details("Break-evens of every card, with ranges", shown)


def _site(outlook: Outlook) -> Html:
    if not outlook.site or outlook.site_mw is None:
        return Html("")
    rows: list[list[object]] = [
        [
            item.what,
            item.use,
            _cell(item.machines, 0),
            _cell(item.ph_per_s, 2),
            _cell(item.tokens_per_s, 0),
            _cell(item.revenue_per_year, 0),
            _cell(item.net_per_year, 0),
        ]
        for item in outlook.site
    ]
    currency = outlook.prices.currency
    header: list[object] = [
        "Machine",
        "Use",
        "Machines",
        "Hashrate (PH/s)",
        "Modelled tokens per second",
        f"Revenue ({currency}/year)",
        f"Net ({currency}/year)",
    ]
    shown = table(
        header,
        rows,
        caption=f"A site of {figures(outlook.site_mw)} MW at its meter, filled with one machine",
        numeric={2, 3, 4, 5, 6},
    )
    return details(f"A site of {figures(outlook.site_mw)} MW: what each choice yields", shown)


def _sources(outlook: Outlook) -> Html:
    prices = outlook.prices
    rows: list[list[object]] = [
        [name.replace("_", " "), _cell(price.range, 4), _unit(price.unit, outlook), price.source]
        for name, price in [*prices.items.items(), *((f"rent of {card}", price) for card, price in prices.rents)]
    ]
    asic = prices.asic
    rows.append([asic.name, f"{figures(asic.hash_th_per_s)} TH/s, {figures(asic.j_per_th)} J/TH", "", asic.source])
    shown = table(["Input", "Likely (low to high)", "Unit", "Source"], rows, caption="The price file", numeric={1})
    return details(f"The prices, as of {prices.as_of.isoformat()}, with their sources", shown)
