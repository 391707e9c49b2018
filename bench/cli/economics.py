"""``bitwatt economics``: what each card earns at mining and at AI."""

from __future__ import annotations

from pathlib import Path

from bench.cli import streams
from bench.cli.options import FormatOption, Results


def economics(
    files: Results | None = None,
    /,
    *,
    prices: Path | None = None,
    ai: str | None = None,
    site_mw: float | None = None,
    print_prices: bool = False,
    all: bool = False,  # noqa: A002 - the flag's name
    format: FormatOption = "table",  # noqa: A002 - the flag's name
) -> None:
    """Convert results to money: each card mining and doing AI, break-evens, and a whole site of either.

    Parameters
    ----------
    files
        Result CSVs, or folders of them.
    prices
        Your prices (TOML); default: the dated example that comes with bitwatt.
    ai
        The AI task to sell, by some of its words, such as 'decode' or 'llama3-8b bf16'.
    site_mw
        Power of the site at its meter, in MW.
    print_prices
        Print the price file to start from.
    all
        Show every card in the tables, not only those with the highest net where there are many.
    format
        Format of the tables on stdout.
    """
    from bench import output, storage
    from bench.analysis import economics

    source = prices or economics.example_path()
    if print_prices:
        streams.put(source.read_text(encoding="utf-8"))
        return
    known = economics.read_prices(source)
    if prices is None:
        streams.warn(
            f"these are the example prices of {known.as_of}; give your own with --prices (start from --print-prices)"
        )
    outlook = economics.evaluate(economics.cards(storage.read(files or [], economics.COLUMNS), ai), known, site_mw)
    streams.show(output.economics(outlook, every=all), format)
