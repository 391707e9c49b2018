"""Facts about cards, read from cards.toml. The only place that matches the names that drivers give to cards.

cards.find("NVIDIA H100 80GB HBM3").name             # "H100 SXM"
cards.sensor("NVIDIA RTX A5000").gain_uncertainty    # 0.095
cards.is_named("H100", "NVIDIA H100 80GB HBM3")      # True, and False for "NVIDIA GH200 480GB"
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.data import DATA

CARDS_FILE = DATA / "cards.toml"


@dataclass(frozen=True, slots=True)
class Card:
    """One ``[[card]]`` of cards.toml."""

    name: str
    """Short name, such as ``H100 SXM``: the one in prices and among the published figures."""
    pattern: str
    """Regular expression for the whole device name without its vendor."""
    also: tuple[str, ...] = ()
    """Wider names under which figures of this card are published."""
    tflops: Mapping[str, float] = field(default_factory=dict)
    """Stated dense peak per type, TFLOP/s."""
    memory_gb_per_s: float | None = None
    boost_mhz: float | None = None
    """The clock at which ``tflops`` holds."""
    boost_mhz_of: Mapping[str, float] = field(default_factory=dict)
    """Types whose peak holds at another clock."""
    source: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The card's name, then the wider ones."""
        return (self.name, *self.also)


@dataclass(frozen=True, slots=True)
class SensorFamily:
    """One ``[[sensor]]`` of cards.toml: what is published about the power sensor of a family of cards."""

    family: str
    source: str
    words: tuple[str, ...] = ()
    name: str | None = None
    """Whole device name, in an entry that ``bitwatt sensor`` measured; such an entry matches no other name."""
    power_field: str | None = None
    """The reading that such an entry is about."""
    duty: float | None = None
    period_s: float | None = None
    usage_averages: bool = True
    averaging_s: float | None = None
    """Measured; 0 where a reading covers no more than its own update period."""
    delay_s: float | None = None
    counter_delay_s: float | None = None
    gain_uncertainty: float | None = None
    offset_uncertainty_w: float | None = None


@functools.cache
def _file() -> tuple[tuple[Card, ...], tuple[SensorFamily, ...]]:
    data = tomllib.loads(CARDS_FILE.read_text(encoding="utf-8"))
    cards = (Card(**{**entry, "also": tuple(entry.get("also", ()))}) for entry in data["card"])
    sensors = (SensorFamily(**{**entry, "words": tuple(entry.get("words", ()))}) for entry in data["sensor"])
    return tuple(cards), tuple(sensors)


def every() -> tuple[Card, ...]:
    """All cards of the file."""
    return _file()[0]


def find(device_name: str) -> Card | None:
    """The card that a driver calls ``device_name``; None for a card that is not in the file.

    ``NVIDIA GeForce RTX 4090`` is found; ``NVIDIA GeForce RTX 4090 D`` is another card and is not.
    """
    name = re.sub(r"^(NVIDIA|AMD) ", "", device_name.strip(), flags=re.IGNORECASE)
    return next((card for card in every() if re.fullmatch(card.pattern, name, re.IGNORECASE)), None)


def sensor(device_name: str) -> SensorFamily:
    """The first family of which a word, or the whole name, is the card's; the last family matches every card."""
    return matching(_file()[1], device_name)


def matching(families: Iterable[SensorFamily], device_name: str) -> SensorFamily:
    """The first of these families that matches the card's name."""
    own = words(device_name)
    return next(
        family
        for family in families
        if family.name == device_name
        or (family.name is None and (not family.words or not own.isdisjoint(family.words)))
    )


def is_named(name: str, device_name: str) -> bool:
    """Whether a person who writes ``name`` means this device: its words are in the device's name or the card's.

    ``H100``, ``H100 80GB`` and ``H100 SXM`` all mean ``NVIDIA H100 80GB HBM3``.
    """
    card = find(device_name)
    known = (device_name, *(card.names if card else ()))
    return any(words(name) <= words(one) for one in known)


def words(name: str) -> set[str]:
    """The words of a name, in capitals; a dash separates words too."""
    return set(name.upper().replace("-", " ").split())
