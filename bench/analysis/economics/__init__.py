"""Money: the same card as a miner and as an AI card. Pure; every price is the user's, nothing is fetched.

    prices = economics.read_prices(Path("prices.toml"))      # or economics.example_path()
    cards = economics.cards(frame)                           # measured: hashrate, FLOP/s, tokens/s, watts, idle watts
    outlook = economics.evaluate(cards, prices)              # per card, the ASICs, the site; ranges throughout
    output.render(outlook, "table")                          # with economics.notes(outlook) under the tables

One scenario is an :class:`Inputs` of plain numbers (or numpy arrays), and every formula takes one. They are those of
docs/economics.md, with a letter for each field:

    mining  M = H·h·a·(1−p)/24000 − PUE·c·[a·P_mine + (1−a)·P_idle]                        $/h
    AI      A = R·b·(1−f) − PUE·c·[b·P_ai + (1−b)·P_idle] − ΔK,  b = u·a_ai                $/h
"""

from bench.analysis.economics.box import Box, Swing
from bench.analysis.economics.formulas import (
    BREAK_EVENS,
    HOURS_PER_YEAR,
    KW_PER_MW,
    POSSIBLE,
    Inputs,
    advantage,
    ai_kwh,
    ai_net,
    ai_revenue,
    break_even,
    idle_mining_gain,
    impossible,
    mining_gross_per_mwh,
    mining_kwh,
    mining_net,
    mining_revenue,
)
from bench.analysis.economics.measured import COLUMNS, Card, cards
from bench.analysis.economics.outlook import CardOutlook, Outlook, Side, evaluate
from bench.analysis.economics.prices import Asic, Contract, Price, Prices, example_path, read_prices
from bench.analysis.economics.range import Range
from bench.analysis.economics.scenario import asic_box, meter_kw
from bench.analysis.economics.site import SiteChoice
from bench.analysis.economics.units import CAPITAL, OPERATION, UNITS
from bench.analysis.economics.verdict import USES, Verdict, decide
from bench.analysis.economics.words import (
    DECISIONS,
    INPUT_WORDS,
    SENTENCE,
    best_choice,
    decision,
    flat,
    input_name,
    notes,
    swing_texts,
)

__all__ = [
    "BREAK_EVENS",
    "CAPITAL",
    "COLUMNS",
    "DECISIONS",
    "HOURS_PER_YEAR",
    "INPUT_WORDS",
    "KW_PER_MW",
    "OPERATION",
    "POSSIBLE",
    "SENTENCE",
    "UNITS",
    "USES",
    "Asic",
    "Box",
    "Card",
    "CardOutlook",
    "Contract",
    "Inputs",
    "Outlook",
    "Price",
    "Prices",
    "Range",
    "Side",
    "SiteChoice",
    "Swing",
    "Verdict",
    "advantage",
    "ai_kwh",
    "ai_net",
    "ai_revenue",
    "asic_box",
    "best_choice",
    "break_even",
    "cards",
    "decide",
    "decision",
    "evaluate",
    "example_path",
    "flat",
    "idle_mining_gain",
    "impossible",
    "input_name",
    "meter_kw",
    "mining_gross_per_mwh",
    "mining_kwh",
    "mining_net",
    "mining_revenue",
    "notes",
    "read_prices",
    "swing_texts",
]
