"""What a site should do in each hour: mine, rent out, slow down, idle, switch off or sell its power back. Pure.

    power = storage.read_series(Path("prices.csv"), dispatch.POWER_UNITS)
    fleets, rent, notes = dispatch.fleets(frame, prices, {"H100": 512})
    year = dispatch.year(power, prices, rent, dispatch.RuleFile())
    decision = dispatch.decide(fleets, year, rules)       # perfect foresight, day ahead, and one mode all year

Rates, watts and power-limit frontiers are measured; prices and rules are the user's; nothing is fetched.
"""

from bench.analysis.dispatch.accounts import Accounts, ModeAccount, account
from bench.analysis.dispatch.decision import Decision, Policy, decide
from bench.analysis.dispatch.fleet import COLUMNS, asics, fleets
from bench.analysis.dispatch.problem import Fleet, Mode, Rules, Schedule, Steps, solve
from bench.analysis.dispatch.rolling import day_ahead
from bench.analysis.dispatch.rules import DemandCharge, RuleFile, Year, example_path, read_rules, year
from bench.analysis.dispatch.units import units

__all__ = [
    "COLUMNS",
    "Accounts",
    "Decision",
    "DemandCharge",
    "Fleet",
    "Mode",
    "ModeAccount",
    "Policy",
    "RuleFile",
    "Rules",
    "Schedule",
    "Steps",
    "Year",
    "account",
    "asics",
    "day_ahead",
    "decide",
    "example_path",
    "fleets",
    "read_rules",
    "solve",
    "units",
    "year",
]
