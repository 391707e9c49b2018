"""Made-up fleets: frames as `bitwatt merge` leads to, with planted faults, in a few milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench import storage
from bench.analysis import outliers
from bench.storage.fleet import FleetWriter
from tests.support import factory


def records(nodes: int = 4, cards: int = 4, faults: Mapping[tuple[int, int], float] | None = None) -> pd.DataFrame:
    """A small fleet with every column, as a merge holds it; ``faults`` gives factors on rates."""
    parts = []
    for node in range(nodes):
        for slot in range(cards):
            factor, uuid = (faults or {}).get((node, slot), 1.0), f"GPU-{node}-{slot}"
            rows = [
                replace(
                    each,
                    device_uuid=uuid,
                    device_index=slot,
                    host=f"n{node}",
                    run_id=uuid,
                    rate_per_s=each.rate_per_s * factor,
                    work_per_j=each.work_per_j * factor,
                )
                for each in factory.run(factory.CARD_A, 3, seed=node * cards + slot)
            ]
            place = {"node": f"n{node}", "card": uuid, "slot": slot, "together": True, "neighbours_power_w": 2100.0}
            parts.append(storage.to_frame(rows).assign(**place))
    return pd.concat(parts, ignore_index=True)


def write(path: Path, frame: pd.DataFrame, missing: Sequence[Mapping[str, str]] = ()) -> Path:
    """A frame of :func:`records` as a merged file."""
    with FleetWriter(path) as writer:
        writer.append(frame)
        writer.missing = missing
    return path


@dataclass(frozen=True)
class Fault:
    """What is wrong with one card: factors on its rate and watts, °C, noise of its windows, share of time throttled."""

    rate: float = 1.0
    power: float = 1.0
    hotter_c: float = 0.0
    window_sd: float | None = None
    throttled: float = 0.0
    wrong: bool = False
    valid: bool = True


@dataclass(frozen=True)
class Fleet:
    """Nodes with so many cards each. Noise is relative: of one window, and from card to card."""

    nodes: int = 32
    cards: int = 8
    windows: int = 5
    window_sd: float = 0.01
    card_sd: float = 0.0
    temperature_sd: float = 1.0
    faults: Mapping[tuple[int, int], Fault] = field(default_factory=dict)
    """(node, slot) → what is wrong."""
    makers: tuple = (factory.sha256d,)
    heavy_tails: bool = False

    def frame(self, seed: int = 1, **columns) -> pd.DataFrame:
        """Rows with the columns that outliers are found by, and any other of a result CSV in ``columns``."""
        random = np.random.default_rng(seed)
        return pd.concat([self._task(random, make(factory.CARD_A), columns) for make in self.makers], ignore_index=True)

    def _task(self, random, record, columns) -> pd.DataFrame:
        cards = self.nodes * self.cards
        count = cards * self.windows
        card = np.repeat(np.arange(cards), self.windows)
        node, slot = card // self.cards, card % self.cards
        faults = [self.faults.get((n // self.cards, n % self.cards), Fault()) for n in range(cards)]

        def per_card(name, missing=None):
            values = [getattr(fault, name) for fault in faults]
            return np.array([missing if value is None else value for value in values])[card]

        def noise(sd):
            draws = random.standard_t(4, cards) / np.sqrt(2) if self.heavy_tails else random.normal(size=cards)
            return np.exp((draws * sd)[card] + random.normal(size=count) * per_card("window_sd", self.window_sd))

        rate = record.rate_per_s * noise(self.card_sd) * per_card("rate")
        watts = record.power_mean_w * noise(self.card_sd) * per_card("power")
        window_s = record.window_s
        sound = per_card("valid")
        values = {
            "node": pd.Categorical.from_codes(node, [f"n{n:05d}" for n in range(self.nodes)]),
            "card": pd.Categorical.from_codes(card, [f"GPU-{n:08x}" for n in range(cards)]),
            "slot": slot,
            "rate_per_s": rate,
            "work_per_j": np.where(sound, rate / watts, np.nan),
            "energy_j": np.where(sound, watts * window_s, np.nan),
            "temperature_max_c": 64 + random.normal(size=cards)[card] * self.temperature_sd + per_card("hotter_c"),
            "throttle_s": window_s * per_card("throttled"),
            "throttle_reasons": np.where(per_card("throttled") > 0, "sw_power_cap;hw_thermal", None),
            "verified": ~per_card("wrong"),
            "proven": True,
            "valid": sound,
            "invalid_reasons": np.where(sound, None, "counter frozen"),
        }
        values["temperature_max_c"] = np.round(values["temperature_max_c"])
        frame = pd.DataFrame({name: getattr(record, name, None) for name in outliers.COLUMNS} | values | columns)
        texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
        frame[texts] = frame[texts].astype("category")
        kinds = {"proven": "boolean", "batch": "Int64", "seq": "Int64", "power_profiles": "category"}
        return frame.astype({name: kind for name, kind in kinds.items() if name in frame})
