"""What the money section computes: the scenario that each card's sliders start from, and its figures. Pure.

The page recomputes with a port of the formulas of :mod:`bench.analysis.economics` (``scripts/money.js``); a test
in Chromium compares the two. Every cell that the sliders change is filled here first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.analysis import economics
from bench.analysis.economics import Inputs, Outlook
from bench.output.format import MISSING
from bench.report.figure import Figure, View, axis
from bench.report.language import N_, _, sentence

SLIDERS: Mapping[str, tuple[str, str]] = {
    "electricity": (N_("Electricity price"), "USD/kWh"),
    "utilisation": (N_("Utilisation: share of the time rented out"), N_("share")),
    "rent": (N_("Rent of the card while it is rented"), "USD/GPU/h"),
    "hashprice": (N_("Hashprice: what hashes earn"), "USD/PH/s/day"),
}
"""Field of Inputs → what the slider is called, and its unit (``USD`` stands for the file's currency)."""

ROWS: Mapping[str, tuple[str, str, int]] = {
    "revenue_per_h": (N_("Revenue after fees"), "USD/h", 4),
    "power_cost_per_h": (N_("Power cost"), "USD/h", 4),
    "net_per_h": (N_("Net"), "USD/h", 4),
    "net_per_mwh": (N_("Net per MWh at the site's meter"), "USD/MWh", 2),
    "net_per_year": (N_("Net per year"), "USD/year", 0),
}
"""Figure → its name, unit and decimals."""

MOST_SWINGS = 10
"""Inputs that the picture of what decides shows."""

DECIMALS = {"rent": 4, "electricity": 4, "utilisation": 4, "hashprice": 2, "mining_power": 4, "ai_power": 4}


def sides(i: Inputs) -> dict[str, dict[str, float]]:
    """The figures of :data:`ROWS` for ``mining`` and ``ai``, by economics' own formulas; NaN without a rent."""
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
        return MISSING
    if 0 < abs(value) < 10.0 ** (1 - decimals):
        decimals += 3
    text = f"{value:,.{decimals}f}".replace("-", "−")
    return text.lstrip("−") if not any(char in "123456789" for char in text) else text


def exact(value: float | None) -> str:
    """The number behind a cell; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else repr(value)


def break_even_text(name: str, value: float | None, i: Inputs) -> str:
    """A break-even as the page's script writes it too: in words where it lies outside what is possible."""
    words = economics.impossible(name, value, i)
    return written(value, DECIMALS[name]) if words is None else _(words)


def asic_inputs(outlook: Outlook) -> Inputs:
    """The likely scenario of the ASIC: watts at the wall, nothing rented."""
    return economics.asic_box(outlook.prices.asic, outlook.prices).likely


def data(outlook: Outlook, ready: Sequence[Start], series: Mapping[str, int]) -> dict[str, Any]:
    """What the page's script needs: a scenario per card and the ASIC's."""
    return {
        "currency": outlook.prices.currency,
        "cards": [
            {"name": item.name, "series": series.get(item.name, 0), "inputs": _plain(item.inputs)} for item in ready
        ],
        "asic": {"name": outlook.prices.asic.name, "inputs": _plain(asic_inputs(outlook))},
        "sliders": list(SLIDERS),
        "over": [{"field": field, "title": axis_title(field, outlook)} for field in SLIDERS],
        "decimals": {**{name: row[2] for name, row in ROWS.items()}, **DECIMALS},
    }


def _plain(i: Inputs) -> dict[str, float | None]:
    """For JSON, which has no NaN; the script reads None as one."""
    return {name: None if math.isnan(value) else float(value) for name, value in asdict(i).items()}


@dataclass(frozen=True, slots=True)
class Start:
    """Where the sliders stand for one card before anyone touches them."""

    name: str
    inputs: Inputs
    """The rent is NaN where the price file has none: the reader is asked for it."""

    @property
    def rent_known(self) -> bool:
        """Whether there is a rent."""
        return not math.isnan(self.inputs.rent)


def starts(outlook: Outlook) -> list[Start]:
    """The cards that the sliders can serve: all with watts under both loads and at idle, with or without a rent."""
    found = []
    for item in outlook.cards:
        if item.likely is not None:
            plain = {name: float(value) for name, value in asdict(item.likely).items()}
            if outlook.prices.rent(item.card.name) is None:
                plain["rent"] = math.nan
            found.append(Start(item.card.name, Inputs(**plain)))
    return found


def chart(outlook: Outlook, ready: Sequence[Start]) -> Figure | None:
    """Net $/h of both uses over one price, for the first card; the script draws it again when a slider moves."""
    if not ready:
        return None
    views = [
        View(
            _("over {price}", price=slider_name(field)),
            _lines(field, outlook, ready),
            {
                "xaxis": axis(axis_title(field, outlook), range=list(limits(field, outlook, ready))),
                "yaxis": axis(_("Net ({currency}/h)", currency=outlook.prices.currency)),
            },
            400,
        )
        for field in SLIDERS
    ]
    text = _(
        "Solid is mining, dashed is renting out for AI, with everything else as the sliders are set. The vertical line "
        "is the slider's present value; the diamond is the break-even, where both earn the same."
    )
    return Figure("money", _("Net income of each use, and where they are equal"), text, views, _("Draw"))


def axis_title(field: str, outlook: Outlook) -> str:
    """The name of a price with its unit."""
    return f"{sentence(slider_name(field))} ({in_currency(SLIDERS[field][1], outlook)})"


def slider_name(field: str) -> str:
    """A price in a word or two."""
    return {
        "electricity": _("electricity price"),
        "utilisation": _("utilisation"),
        "rent": _("rent of the card while it is rented"),
        "hashprice": _("hashprice"),
    }[field]


def _lines(field: str, outlook: Outlook, ready: Sequence[Start]) -> list[dict[str, Any]]:
    low, high = limits(field, outlook, ready)
    inputs = ready[0].inputs
    xs = [low + (high - low) * step / 60 for step in range(61)]
    return [
        {
            "series": 0,
            "mode": "lines",
            "name": name,
            "x": xs,
            "y": [_or_none(net(replace(inputs, **{field: x}))) for x in xs],
            "line": {"dash": dash, "width": 2.5},
        }
        for name, net, dash in (
            (_("mining"), economics.mining_net, "solid"),
            (_("AI, rented out"), economics.ai_net, "dash"),
        )
    ]


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def tornado(outlook: Outlook, series: Mapping[str, int]) -> Figure | None:
    """What each input alone does to the difference of both uses; a view per card."""
    views = []
    for item in outlook.cards:
        swings = item.swings[:MOST_SWINGS][::-1]
        if not swings or item.advantage_per_h is None:
            continue
        likely, colour = item.advantage_per_h.likely or 0.0, series.get(item.card.name, 0)
        ends = [end for swing in swings for end in (swing.at_low, swing.at_high)]
        margin = (max(ends) - min(ends)) * 0.05
        names = [sentence(_(economics.input_name(swing.name))) for swing in swings]
        bars = [
            {
                **{"type": "rect", "x0": min(swing.at_low, swing.at_high), "x1": max(swing.at_low, swing.at_high)},
                **{"y0": at - 0.3, "y1": at + 0.1, "series": colour, "opacity": 0.55},
            }
            for at, swing in enumerate(swings)
        ]
        title = _("AI beats mining by ({currency}/h)", currency=outlook.prices.currency)
        layout = {
            "xaxis": axis(title, range=[min(0.0, *ends) - margin, max(0.0, *ends) + margin]),
            "yaxis": axis(
                "", rows=True, range=[-0.6, len(swings) - 0.4], tickvals=list(range(len(swings))), ticktext=names
            ),
            "shapes": bars,
        }
        line = {
            **{"series": colour, "mode": "lines", "name": _("at the likely prices")},
            **{"x": [likely, likely], "y": [-0.6, len(swings) - 0.4], "line": {"dash": "dot", "width": 2}},
        }
        views.append(View(item.card.name, [line], layout, 90 + 34 * len(swings)))
    text = _(
        "Each bar takes one input from its lowest to its highest value, the others staying at their likely ones. The "
        "dotted line is the likely difference; where a bar crosses zero, that input alone decides."
    )
    return Figure("tornado", _("Which input decides"), text, views, _("Card")) if views else None


def in_currency(unit: str, outlook: Outlook) -> str:
    """A unit with the price file's currency in place of ``USD``."""
    return _(unit).replace("USD", outlook.prices.currency)


def verdict_text(i: Inputs, currency: str) -> str:
    """What is best at one set of prices; the page's script writes the same."""
    if math.isnan(i.rent):
        return _("Enter the card's rent: the price file has none.")
    advantage = economics.advantage(i)
    if economics.mining_net(i) < 0 and economics.ai_net(i) < 0:
        return _("Switch it off: at these prices both uses lose money.")
    if advantage == 0:
        return _("At these prices both uses earn the same.")
    amount = f"{written(abs(advantage), 4)} {currency}/h"
    if advantage > 0:
        return _("Renting out for AI nets {amount} more than mining.", amount=amount)
    return _("Mining nets {amount} more than renting out for AI.", amount=amount)


def idle_text(gain: float, currency: str) -> str:
    """What mining in unrented hours does; the page's script writes the same."""
    amount = f"{written(abs(gain), 4)} {currency}/h"
    if gain > 0:
        return _("Mining in the hours that are not rented adds {amount}.", amount=amount)
    return _("Mining in the hours that are not rented loses {amount}: leave the card idle.", amount=amount)


def limits(field: str, outlook: Outlook, ready: Sequence[Start]) -> tuple[float, float]:
    """Ends of a slider: from nothing (or below, where the file's price is) to well above the file's highest."""
    if field == "utilisation":
        return 0.01, 1.0
    rents = [price.range for _card, price in outlook.prices.rents]
    ranges = rents if field == "rent" else [outlook.prices.items[field].range]
    started = [value for item in ready if math.isfinite(value := getattr(item.inputs, field))]
    low = min([0.0, *(item.low or 0.0 for item in ranges), *started])
    high = max([0.0, *(item.high or 0.0 for item in ranges), *started])
    return low, round_up(high * 2.5) or 10.0


def round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 0.0
    decade = 10.0 ** math.floor(math.log10(value))
    return next((step * decade for step in (1, 2, 5) if step * decade >= value * 0.999), 10 * decade)
