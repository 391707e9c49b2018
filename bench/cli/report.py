"""``bitwatt report``: the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import streams
from bench.cli.compare import with_published
from bench.cli.options import Results


def report(
    files: Results,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("report.html"),
    baseline: str | None = None,
    published: str | None = None,
    png: Path | None = None,
    prices: Path | None = None,
    title: str | None = None,
    lang: str = "en",
) -> None:
    """Write one self-contained page that works offline and on a phone.

    Parameters
    ----------
    files
        Result CSVs, folders of them, or a fleet that `bitwatt merge` wrote.
    output
        The page to write.
    baseline
        The card that ratios refer to.
    published
        Also show published figures: 'measured' (of the cards at hand), card names, or 'all'.
    png
        Also write each plot as an image to this folder.
    prices
        Your prices (TOML) for the money section; default: the dated example.
    title
        The page's heading.
    lang
        Language of the page: 'en' or 'zh'.
    """
    from bench import report, storage
    from bench.analysis import compare, economics
    from bench.storage.fleet_rows import read_results

    frame = read_results(files)
    outlook = economics.evaluate(economics.cards(frame), economics.read_prices(prices or economics.example_path()))
    result = with_published(compare.compare(frame, baseline=baseline), published)
    evidence = [storage.sidecar_path(path) for path in storage.expand(files)]
    sidecars = [storage.read_sidecar(path) for path in evidence if path.exists()]
    html = report.render(frame, result, sidecars, outlook=outlook, title=title or report.TITLE, language=lang)
    storage.write_atomically(output, html)
    streams.say(f"wrote {output}")
    if png is not None:
        for picture in report.png(output, png):
            streams.say(f"wrote {picture}")
