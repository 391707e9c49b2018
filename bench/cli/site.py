"""``bitwatt site``: a static site of many cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import streams
from bench.cli.options import Results


def site(
    files: Results,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("public"),
    prices: Path | None = None,
    title: str | None = None,
    lang: str = "en",
) -> None:
    """Write a static site: a leaderboard, a page for each card, a page for each pair of cards, and the data.

    All links are relative, so the folder works from disk or at any address. Only files that an earlier
    'bitwatt site' wrote are replaced or removed.

    Parameters
    ----------
    files
        Result CSVs, or folders of them.
    output
        The folder to write.
    prices
        Your prices (TOML) for the money sections; default: the dated example.
    title
        Heading of the first page.
    lang
        Language of the pages: 'en' or 'zh'.
    """
    from bench import site, storage
    from bench.analysis import economics

    pages = site.pages(
        storage.expand(files),
        economics.read_prices(prices or economics.example_path()),
        title=title,
        language=lang,
    )
    done = site.publish(output, pages)
    streams.say(f"wrote {done.written} files to {output}; {done.unchanged} were up to date")
    if done.removed:
        streams.say(f"removed {len(done.removed)} files of an earlier site")
    for name in done.kept:
        streams.say(f"note: {output / name} is no longer part of the site, but was changed by hand and is left there")
