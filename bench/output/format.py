"""How figures are written: SI prefixes, significant digits, intervals, missing values. Pure; used by every output.

The formats of a whole result (table, JSON, CSV, Markdown) are in :mod:`bench.output.formats`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "–"
"""A missing figure; never 0."""

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SMALL_PREFIXES = (*_PREFIXES, (1e-3, "m"), (1e-6, "µ"))
_SYMBOLS = {"hash": "H"}


def quantity(value: float | None, unit: str, count: int = 4) -> str:
    """A figure with its unit and an SI prefix: ``quantity(8.0655e9, "hash/s")`` is ``8.066 GH/s``."""
    if value is None or not math.isfinite(value):
        return MISSING
    factor, text = scale([float(f"{value:.{count - 1}e}")], unit)
    return f"{digits(value / factor, count)} {text}"


def scale(values: Iterable[float], unit: str) -> tuple[float, str]:
    """A factor and the unit with its SI prefix, so that the largest of ``values`` ÷ factor is between 1 and 1000.

    Watts, seconds and shares keep their plain unit. Tokens are counted in ones up to a million: ``ktokens`` is no
    usual unit, and ``mtokens`` would be read as millions.
    """
    largest = max(map(abs, values), default=0.0)
    work = unit.partition("/")[0]
    prefixes: tuple[tuple[float, str], ...] = ((1.0, ""),)
    if work in ("hash", "H", "FLOP"):
        prefixes = _SMALL_PREFIXES
    elif work == "B":
        prefixes = _PREFIXES
    elif work == "tokens":
        prefixes = tuple(pair for pair in _PREFIXES if pair[1] != "k")
    fitting = ((factor, sign) for factor, sign in prefixes if largest >= factor)
    factor, sign = next(fitting, prefixes[-1]) if largest else (1.0, "")
    return factor, sign + symbol(unit)


def symbol(unit: str) -> str:
    """A unit as it is printed: ``hash/J`` is ``H/J``; other units are unchanged."""
    work, slash, per = unit.partition("/")
    return f"{_SYMBOLS.get(work, work)}{slash}{per}"


def digits(value: float, count: int = 4) -> str:
    """A figure with exactly ``count`` significant digits: ``8.000``, ``12350``.

    For measured figures. Never in the form 1e+05, but ``9.3e-08`` for what is below a millionth.
    """
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.{max(1, count - 2)}e}"
    value = float(f"{value:.{count - 1}e}")  # 0.99996 has one digit before the point once it is rounded
    after = count - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, after)}f}"


def figures(value: float, count: int = 4) -> str:
    """A figure with at most ``count`` significant digits and no trailing zeros: ``700``, ``0.25``.

    For settings, which are exact.
    """
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 10**count * 10:
        text = f"{value:.{count}g}"
        return text if "e" not in text else f"{value:.0f}"
    return f"{value:.{count - 1}e}"


def plus_minus(value: float | None, low: float | None, high: float | None) -> str:
    """Half the width of an interval relative to its value, ``±0.4%``; empty without an interval."""
    if value is None or low is None or high is None or not value:
        return ""
    share = (high - low) / 2 / value
    return f"±{share:.1%}" if share < 10 else "±>1000%"


def interval(value: float | None, low: float | None, high: float | None, count: int = 4) -> str:
    """``1.716 [1.703, 1.729]``; without the brackets where there is no interval; missing is a dash."""
    if value is None:
        return MISSING
    text = digits(value, count)
    if low is None or high is None:
        return text
    after = len(text.partition(".")[2])
    return f"{text} [{low:.{after}f}, {high:.{after}f}]"
