"""Power sources without a sensor: nothing at all, and a constant power supplied by the user."""

from __future__ import annotations

from bench.model import CardState, Sample, Sensor


class NullMeter:
    """No sensor: every energy cell stays empty, and ``sensor.reason`` says why and what to do."""

    def __init__(self, reason: str) -> None:
        self.sensor = Sensor(source="none", scope=None, reason=reason)

    def card_state(self) -> CardState:
        return CardState()

    def start(self) -> None:
        """Nothing to start."""

    def latest(self) -> Sample | None:
        return None

    def samples(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:  # noqa: ARG002
        return ()

    def close(self) -> None:
        """Nothing to close."""


class AssumedMeter(NullMeter):
    """A constant power supplied by the user; rows carry the method ``assumed``."""

    def __init__(self, watts: float) -> None:
        self.sensor = Sensor(source="assumed", scope="assumed", assumed_w=watts)
