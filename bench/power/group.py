"""Several meters as one: the joules of all cards that work together.

Each member keeps its own sampler, and its samples keep their member's number, so that
:func:`bench.power.energy.measure` computes every card's joules by that card's own sensor. :func:`combine` adds them up,
and their half-widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from typing import TypeVar

from bench.model import BenchError, CardState, Energy, Meter, Sample, Sensor, Window

T = TypeVar("T")
N = TypeVar("N", int, float)


def common(values: Sequence[T]) -> T | None:
    """The value that all share, else None."""
    return values[0] if values and all(value == values[0] for value in values) else None


def group_sensor(members: Sequence[Sensor]) -> Sensor:
    """What a group of sensors is as one power source; the uncertainties stay with its members.

    Raises:
        BenchError: the sensors are of different kinds, so that their joules do not cover the same things.
    """
    kinds = {(sensor.source, sensor.scope) for sensor in members}
    if len(kinds) > 1:
        seen = ", ".join(sorted(f"{source} ({scope})" for source, scope in kinds))
        raise BenchError(f"the cards have different power sources: {seen}", "use cards of one model, or --meter none")
    return Sensor(
        source=members[0].source,
        scope=members[0].scope,
        sensor_id=" ".join(sensor.sensor_id or "?" for sensor in members),
        counter=all(sensor.counter for sensor in members),
        power_field=common([sensor.power_field for sensor in members]),
        uncertainty_source=common([sensor.uncertainty_source for sensor in members]),
        reason=next((sensor.reason for sensor in members if sensor.reason), None),
        name=" + ".join(sensor.name or "?" for sensor in members),
        poll_s=max((sensor.poll_s or 0.0 for sensor in members), default=0.0) or None,
        members=tuple(members),
    )


def combine(cards: Sequence[Energy], prompt_j: Sequence[float | None], window: Window) -> Energy:
    """Energy of a window over all cards of a group.

    Of each card's half-width from timing and sampling, the part that an unknown delay of the sensor explains is common
    to sensors of one model: these parts add linearly. The rest is independent from card to card: in quadrature. The
    sensors' gains and offsets are systematic and may all err the same way: linearly.

    Args:
        cards: the energy of each card.
        prompt_j: the half-width that each would have if its sensor were known to have no delay; None where unknown.
        window: the timed stretch.

    Returns:
        Their sum; no joules where one card has none. Temperatures are those of the warmest card, clocks are means, and
        the 95th percentile of the power is missing, since percentiles do not add up.
    """
    warnings = _named([card.warnings for card in cards])
    invalid = _named([card.invalid_reasons for card in cards])
    joules = _total([card.joules for card in cards])
    parts = [
        None if card.uncertainty_j is None else (min(card.uncertainty_j, card.uncertainty_j if own is None else own))
        for card, own in zip(cards, prompt_j, strict=True)
    ]
    uncertainty_j = None
    if _total(parts) is not None:
        delays = [
            math.sqrt(max(0.0, (card.uncertainty_j or 0.0) ** 2 - (own or 0.0) ** 2))
            for card, own in zip(cards, parts, strict=True)
        ]
        uncertainty_j = math.hypot(*(own or 0.0 for own in parts), math.fsum(delays))
    checks = [
        None if card.joules is None or not card.crosscheck_ratio else card.joules / card.crosscheck_ratio
        for card in cards
    ]
    checked_j = _total(checks)
    return Energy(
        joules=joules,
        method=None if joules is None else common([card.method for card in cards]) or "integrated",
        scope=cards[0].scope,
        uncertainty_j=None if joules is None else uncertainty_j,
        sensor_uncertainty_j=_total([card.sensor_uncertainty_j for card in cards]),
        crosscheck_ratio=joules / checked_j if joules is not None and checked_j else None,
        sample_count=_total([card.sample_count for card in cards]),
        samples_missing=_total([card.samples_missing for card in cards]),
        power_mean_w=None if joules is None else joules / window.seconds,
        temperature_start_c=_most([card.temperature_start_c for card in cards]),
        temperature_end_c=_most([card.temperature_end_c for card in cards]),
        temperature_max_c=_most([card.temperature_max_c for card in cards]),
        sm_clock_mhz_mean=_mean([card.sm_clock_mhz_mean for card in cards]),
        mem_clock_mhz_mean=_mean([card.mem_clock_mhz_mean for card in cards]),
        throttle_reasons=tuple(sorted({reason for card in cards for reason in card.throttle_reasons})),
        throttle_s=_most([card.throttle_s for card in cards]),
        warnings=warnings,
        invalid_reasons=invalid,
    )


def _named(texts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Sentences of each card with its number; what all cards say alike stands once."""
    shared = set(texts[0]).intersection(*texts[1:]) if texts else set()
    found = list(dict.fromkeys(text for text in (texts[0] if texts else ()) if text in shared))
    for number, sentences in enumerate(texts, 1):
        found += [f"card {number} of {len(texts)}: {text}" for text in sentences if text not in shared]
    return tuple(found)


def _total(values: Sequence[N | None]) -> N | None:
    """The sum; None where one of them is missing."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(values) else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


class GroupMeter:
    """See :class:`bench.model.Meter`. The meters of several cards, read together.

    Args:
        members: opened meters, one per card. They belong to the group, also where it cannot be formed.

    Raises:
        BenchError: their sensors do not fit together.
    """

    sensor: Sensor

    def __init__(self, members: Sequence[Meter]) -> None:
        self.members = tuple(members)
        try:
            self.sensor = group_sensor([member.sensor for member in members])
        except BenchError:
            self.close()
            raise

    def card_state(self) -> CardState:
        """Settings that all cards share; where they differ, None. Other processes are counted over all cards."""
        states = [member.card_state() for member in self.members]
        shared = CardState(
            **{entry.name: common([getattr(state, entry.name) for state in states]) for entry in fields(CardState)}
        )
        return replace(shared, co_tenants=_total([state.co_tenants for state in states]))

    def start(self) -> None:
        for member in self.members:
            member.start()

    def latest(self) -> Sample | None:
        """The sum of every card's newest sample, at the time of the oldest of these; None until all have one."""
        newest = [member.latest() for member in self.members]
        found = [sample for sample in newest if sample is not None]
        if len(found) < len(newest):
            return None
        return Sample(
            t_ns=min(sample.t_ns for sample in found),
            power_w=_total([sample.power_w for sample in found]),
            counter_j=_total([sample.counter_j for sample in found]),
            temperature_c=_most([sample.temperature_c for sample in found]),
            sm_clock_mhz=_mean([sample.sm_clock_mhz for sample in found]),
            missing=any(sample.missing for sample in found),
            error=next((sample.error for sample in found if sample.error), None),
        )

    def samples(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:
        """Samples of every card in order of time, each with its member's number."""
        found = [
            replace(sample, member=number)
            for number, member in enumerate(self.members)
            for sample in member.samples(start_ns, end_ns)
        ]
        found.sort(key=lambda sample: sample.t_ns)
        for before, after in zip(range(len(found)), range(1, len(found)), strict=False):
            # A sidecar holds no two samples of one moment.
            if found[after].t_ns <= found[before].t_ns:
                found[after] = replace(found[after], t_ns=found[before].t_ns + 1)
        return tuple(found)

    def close(self) -> None:
        with ExitStack() as stack:
            for member in self.members:
                stack.callback(member.close)
