"""The pages of the site and the data next to them, as relative path → content. Reads the CSVs, writes nothing."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import output, report, storage
from bench.analysis import compare, economics
from bench.analysis.economics import Prices
from bench.model import BenchError
from bench.model.sidecar import Sidecar
from bench.report import answers, pick
from bench.report.language import N_, _, speaking
from bench.report.section import Section
from bench.report.sections import SECTIONS
from bench.site.sections import comparisons, downloads, pair
from bench.storage.files import is_stream, read_bytes

if TYPE_CHECKING:
    import pandas as pd

SIMULATED = N_(
    "Simulated: the cards named “Example …” do not exist and their figures are made up, to show what a page holds."
)
_OF_MANY = ("answer", "cards", "pick", "power", "compare", "rates", "cash")
"""Sections of the first page; those about single runs are on the cards' own pages."""
_OF_ONE = ("answer", "rates", "history", "time", "roof", "latency", "sweep", "cash", "checks", "settings")


@dataclass(frozen=True, slots=True)
class Contribution:
    """One CSV of the collection."""

    path: Path
    name: str
    """Its name in the site's ``data/``."""
    cards: tuple[str, ...]
    rows: int
    days: str
    sidecar: Path | None

    @property
    def sidecar_name(self) -> str:
        """The sidecar's name in ``data/``."""
        return storage.sidecar_path(Path(self.name)).name


@dataclass(frozen=True, slots=True)
class Site:
    """What every page is made from."""

    frame: pd.DataFrame
    prices: Prices
    language: str
    contributions: Sequence[Contribution]
    cards: Mapping[str, str]
    """Card → its page, relative to the site."""
    pairs: Mapping[tuple[str, str], str]


def pages(paths: Sequence[Path], prices: Prices, *, title: str | None = None, language: str = "en") -> dict[str, bytes]:
    """The whole site.

    Raises:
        BenchError: a CSV or a sidecar cannot be read, or there is no such language.
    """
    if any(is_stream(path) for path in paths):
        raise BenchError("a site cannot be made from a stream, because it publishes the files", "give result CSVs")
    frame = storage.read(paths)
    site = _site(frame, paths, prices, language)
    with speaking(language):
        result = compare.compare(frame)
        files = {"index.html": _index(site, result, title or report.TITLE)}
        for card, address in site.cards.items():
            files[address] = _card(site, card)
        for (one, other), address in site.pairs.items():
            files[address] = _pair(site, one, other)
    texts = {name: text.encode() for name, text in files.items()}
    for item in site.contributions:
        texts[f"data/{item.name}"] = read_bytes(item.path)
        if item.sidecar is not None:
            texts[f"data/{item.sidecar_name}"] = read_bytes(item.sidecar)
    document = output.comparison(result)
    for kind, name in (("csv", "data/results.csv"), ("json", "data/results.json")):
        texts[name] = "".join(str(part) for part in output.render(document, kind)).encode()  # type: ignore[arg-type]
    texts["data/site.json"] = (json.dumps(_about(site), indent=1, ensure_ascii=False) + "\n").encode()
    texts[".nojekyll"] = b""
    return texts


def _site(frame: pd.DataFrame, paths: Sequence[Path], prices: Prices, language: str) -> Site:
    cards = list(dict.fromkeys(frame["device_name"].astype(str)))
    names = _unique(cards)
    good = frame[(frame["valid"] & frame["verified"]).to_numpy(dtype=bool)]
    columns = [
        name for name in compare.COLUMNS if name in ("workload", "phase", "shape", "product", "dtype", "batch", "seq")
    ]
    tasks = {
        card: set(rows[columns].astype(str).itertuples(index=False, name=None))
        for card, rows in good.groupby(good["device_name"].astype(str), sort=False)
    }
    shared = [
        (one, other)
        for one, other in itertools.combinations(cards, 2)
        if tasks.get(one, set()) & tasks.get(other, set())
    ]
    pair_names = _unique([f"{names[one]}-vs-{names[other]}" for one, other in shared])
    return Site(
        frame,
        prices,
        language,
        _contributions(frame, paths),
        {card: f"cards/{name}.html" for card, name in names.items()},
        {both: f"compare/{name}.html" for both, name in zip(shared, pair_names.values(), strict=True)},
    )


def _unique(texts: Sequence[str]) -> dict[str, str]:
    """Text → a name for a file: lower case, digits and dashes, each once."""
    found: dict[str, str] = {}
    for text in texts:
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:100] or "card"
        numbered = (f"{slug}-{number}" for number in itertools.count(2))
        found[text] = next(name for name in itertools.chain([slug], numbered) if name not in found.values())
    return found


def _contributions(frame: pd.DataFrame, paths: Sequence[Path]) -> list[Contribution]:
    found = []
    names: set[str] = {"results", "site"}
    for path in paths:
        rows = frame[(frame["file"].astype(str) == str(path)).to_numpy(dtype=bool)]
        if not len(rows):
            continue
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip(".-")[:100] or "results"
        numbered = (f"{stem}-{number}" for number in itertools.count(2))
        name = next(each for each in itertools.chain([stem], numbered) if each.lower() not in names)
        names.add(name.lower())
        sidecar = storage.sidecar_path(path)
        days = sorted({str(time)[:10] for time in rows["started_utc"]})
        cards = tuple(dict.fromkeys(rows["device_name"].astype(str)))
        found.append(
            Contribution(
                path,
                f"{name}.csv",
                cards,
                len(rows),
                " – ".join(dict.fromkeys((days[0], days[-1]))),
                sidecar if sidecar.is_file() else None,
            )
        )
    return found


def _about(site: Site) -> dict[str, Any]:
    return {
        "format": "bitwatt-site-1",
        "cards": [
            {
                "name": card,
                "page": address,
                "simulated": _is_simulated([card]),
                "files": [f"data/{item.name}" for item in site.contributions if card in item.cards],
            }
            for card, address in site.cards.items()
        ],
        "comparisons": [{"cards": list(both), "page": address} for both, address in site.pairs.items()],
    }


def _is_simulated(cards: Sequence[str]) -> bool:
    return any(card.startswith("Example ") for card in cards)


def _chosen(ids: Sequence[str]) -> list[Section]:
    return [section for section in SECTIONS if section.id in ids]


def _render(
    site: Site,
    frame: pd.DataFrame,
    result: compare.Result,
    sections: Sequence[Section],
    *,
    title: str,
    links: Sequence[tuple[str, str]] = (),
    hrefs: Mapping[str, str] | None = None,
    sidecars: Sequence[Sidecar] = (),
) -> str:
    cards = list(dict.fromkeys(frame["device_name"].astype(str)))
    return report.render(
        frame,
        result,
        sidecars,
        outlook=economics.evaluate(economics.cards(frame), site.prices),
        title=title,
        language=site.language,
        sections=sections,
        links=links,
        hrefs=hrefs,
        notice=_(SIMULATED) if _is_simulated(cards) else "",
    )


def _index(site: Site, result: compare.Result, title: str) -> str:
    sections = [
        *_chosen(_OF_MANY),
        comparisons(site.pairs),
        downloads(site.contributions, everything=True),
    ]
    return _render(site, site.frame, result, sections, title=title, hrefs=site.cards)


def _of(frame: pd.DataFrame, cards: Sequence[str]) -> pd.DataFrame:
    return frame[frame["device_name"].astype(str).isin(cards).to_numpy(dtype=bool)]


def _card(site: Site, card: str) -> str:
    frame = _of(site.frame, [card])
    own = [item for item in site.contributions if card in item.cards]
    sidecars = [storage.read_sidecar(item.sidecar) for item in own if item.sidecar is not None]
    pairs = {both: f"../{address}" for both, address in site.pairs.items() if card in both}
    sections = [*_chosen(_OF_ONE), comparisons(pairs), downloads(own, up="../")]
    links = [(_("All cards"), "../index.html")]
    return _render(site, frame, compare.compare(frame), sections, title=card, links=links, sidecars=sidecars)


def _pair(site: Site, one: str, other: str) -> str:
    frame = _of(site.frame, [one, other])
    result = compare.compare(frame, one)
    sections = [answers.SECTION, pair(one, other), pick.SECTION]
    links = [(_("All cards"), "../index.html"), *((card, f"../{site.cards[card]}") for card in (one, other))]
    title = _("{one} and {other}", one=one, other=other)
    return _render(site, frame, result, sections, title=title, links=links)
