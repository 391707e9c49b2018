"""How figures are written: SI prefixes, symbols, significant figures. Pure."""

from __future__ import annotations

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SYMBOLS = {"hash": "H", "FLOP": "FLOP"}


def scaled(value: float, unit: str) -> str:
    """A value with four figures and an SI prefix: ``scaled(1.2344e9, "H/s")`` is ``1.234 GH/s``."""
    for factor, prefix in _PREFIXES:
        # 999.96e6 would print as 1000 M
        if abs(value) >= factor * 0.99995:
            return f"{figures(value / factor)} {prefix}{unit}"
    return f"{figures(value)} {unit}"


def figures(value: float, count: int = 4) -> str:
    """A value with ``count`` significant figures and no exponent where a reader can do without."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 10**count * 10:
        text = f"{value:.{count}g}"
        return text if "e" not in text else f"{value:.0f}"
    return f"{value:.{count - 1}e}"


def symbol(work_unit: str) -> str:
    """The symbol of a ``work_unit``: ``H`` for hashes, ``FLOP`` for floating-point operations."""
    return _SYMBOLS.get(work_unit, work_unit)
