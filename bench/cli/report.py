"""``bitwatt report``: the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bench.cli import streams
from bench.cli.compare import with_published
from bench.cli.options import Results

if TYPE_CHECKING:
    import pandas as pd


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
    from bench import report
    from bench.storage.fleet_rows import read_results

    write_page(
        output,
        read_results(files),
        files,
        prices,
        baseline=baseline,
        published=published,
        title=title or report.TITLE,
        language=lang,
    )
    if png is not None:
        for picture in report.png(output, png):
            streams.say(f"wrote {picture}")


def write_page(
    output: Path,
    frame: pd.DataFrame,
    files: Results,
    prices: Path | None,
    *,
    baseline: str | None = None,
    published: str | None = None,
    **more: Any,
) -> None:
    """Write the page of the rows that were read from these files; ``more`` goes to :func:`bench.report.render`."""
    from bench import report, storage
    from bench.analysis import compare, economics

    outlook = economics.evaluate(economics.cards(frame), economics.read_prices(prices or economics.example_path()))
    result = with_published(compare.compare(frame, baseline=baseline), published)
    evidence = [storage.sidecar_path(path) for path in storage.expand(files)]
    sidecars = [storage.read_sidecar(path) for path in evidence if path.exists()]
    storage.write_atomically(output, report.render(frame, result, sidecars, outlook=outlook, **more))
    streams.say(f"wrote {output}")
