"""Money: the same card as a miner and as an AI card. Pure; every price is the user's, nothing is fetched.

    prices = economics.read_prices(Path("prices.toml"))      # or economics.example_path()
    cards = economics.cards(frame)                           # measured: hashrate, FLOP/s, tokens/s, watts, idle watts
    outlook = economics.evaluate(cards, prices)              # per card, the ASIC, the site; ranges throughout
    output.render(outlook, "table")                          # with economics.notes(outlook) under the tables

One scenario is an :class:`Inputs` of plain numbers (or numpy arrays), and every formula takes one. They are those of
docs/economics.md, with a letter for each field:

    mining  M = H·h·a·(1−p)/24000 − PUE·c·[a·P_mine + (1−a)·P_idle]                        $/h
    AI      A = R·u·(1−f) − PUE·c·[u·P_ai + (1−u)·P_idle] − ΔK                             $/h
"""

from bench.analysis.economics.box import Box
from bench.analysis.economics.formulas import (
    BREAK_EVENS,
    HOURS_PER_YEAR,
    KW_PER_MW,
    Inputs,
    advantage,
    ai_kwh,
    ai_net,
    ai_revenue,
    break_even,
    idle_mining_gain,
    mining_gross_per_mwh,
    mining_kwh,
    mining_net,
    mining_revenue,
)
from bench.analysis.economics.measured import COLUMNS, Card, cards
from bench.analysis.economics.outlook import CardOutlook, Outlook, Side, SiteChoice, evaluate, wall_kw
from bench.analysis.economics.prices import UNITS, Asic, Price, Prices, example_path, read_prices
from bench.analysis.economics.range import Range
from bench.analysis.economics.words import SENTENCE, flat, notes

__all__ = [
    "BREAK_EVENS",
    "COLUMNS",
    "HOURS_PER_YEAR",
    "KW_PER_MW",
    "SENTENCE",
    "UNITS",
    "Asic",
    "Box",
    "Card",
    "CardOutlook",
    "Inputs",
    "Outlook",
    "Price",
    "Prices",
    "Range",
    "Side",
    "SiteChoice",
    "advantage",
    "ai_kwh",
    "ai_net",
    "ai_revenue",
    "break_even",
    "cards",
    "evaluate",
    "example_path",
    "flat",
    "idle_mining_gain",
    "mining_gross_per_mwh",
    "mining_kwh",
    "mining_net",
    "mining_revenue",
    "notes",
    "read_prices",
    "wall_kw",
]
