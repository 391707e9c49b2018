"""A short trial on the device: which variant of a CUDA kernel to run.

A fair one: the device is warm before anything counts, the variants take turns in an order that is reversed each round,
so that a slow change of the clock strikes all alike, each runs for two seconds in all, and medians decide.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.model import BenchError, Choices
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import NONCE_SPACE, ReadJoules, Work
from bench.workloads.hashing.options import HashingOptions

WARM_UP_S = 1.0
"""Device time before anything counts: an idle card takes some hundred milliseconds to raise its clock."""
ROUND_S = 0.25
ROUNDS = 8
METERED_ROUND_S = 2.0
"""Energy counters advance every 20 to 100 ms, so a shorter round would measure their resolution."""
METERED_ROUNDS = 2
LAUNCHES_PER_ROUND = 10
TRIAL_WORK = Work(0, bytes(80), 32)


class Choice:
    """Which of a kernel's variants to run: the one asked for, or the best of a short trial on the device."""

    def __init__(
        self,
        options: HashingOptions,
        read_joules: ReadJoules | None,
        variants: Sequence[int],
        name: str = "",
        choices: Choices | None = None,
    ) -> None:
        """Choose among ``variants``, by joules where ``options.prefer`` is efficiency and they can be read.

        What an earlier trial of this ``name`` left in ``choices`` is taken over.

        Raises:
            BenchError: ``options.variant`` is not one of them.
        """
        self._prefer = options.prefer
        self._joules = read_joules
        self._name, self._choices = name, {} if choices is None else choices
        self._made = self._choices.get(name) if options.variant is None else None
        asked = options.variant if self._made is None else int(self._made[0])
        self.variants = tuple(variants) if asked is None else (asked,)
        if not set(self.variants) <= set(variants):
            listed = ", ".join(map(str, variants))
            raise BenchError(f"there is no variant {options.variant} of the CUDA kernel", f"choose from {listed}")

    def best(self, cuda: Cuda, engines: Mapping[int, CudaScan]) -> CudaScan:
        """The engine to keep; the others are closed. What decided goes into its ``setting``."""
        best: int | None = None
        why: str | None = None
        try:
            if len(engines) > 1:
                best, why = self._choices[self._name] = self._try(cuda, engines)
            else:
                best, why = next(iter(engines)), None if self._made is None else self._made[1]
        finally:
            for number, engine in engines.items():
                if number != best:
                    engine.close()
        chosen = engines[best]
        chosen.setting = " ".join(filter(None, (chosen.setting, why))) or None
        return chosen

    def _try(self, cuda: Cuda, engines: Mapping[int, CudaScan]) -> tuple[int, str | None]:
        launches = {number: _size(cuda, engine) for number, engine in engines.items()}
        for number in engines:
            _run(cuda, engines[number], launches[number], WARM_UP_S / len(engines))
        why = None
        if self._prefer == "efficiency":
            scores = _per_joule(cuda, engines, launches, self._joules) if self._joules else {}
            if scores:
                return max(scores, key=scores.__getitem__), "prefer=efficiency"
            # Said in the row, because the choice is then not the one that was asked for.
            why = "prefer=speed(no-joules)"
        rates: dict[int, list[float]] = {number: [] for number in engines}
        for number in _there_and_back(engines, ROUNDS):
            hashes, seconds = _run(cuda, engines[number], launches[number], ROUND_S)
            rates[number].append(hashes / seconds)
        return max(rates, key=lambda number: statistics.median(rates[number])), why


def _per_joule(
    cuda: Cuda, engines: Mapping[int, CudaScan], launches: Mapping[int, int], joules: ReadJoules
) -> dict[int, float]:
    """Hashes per joule of each variant; empty where the joules cannot be read or do not advance."""
    hashes, energy_j = dict.fromkeys(engines, 0), dict.fromkeys(engines, 0.0)
    for number in _there_and_back(engines, METERED_ROUNDS):
        before = joules()
        done, _ = _run(cuda, engines[number], launches[number], METERED_ROUND_S)
        after = joules()
        if before is None or after is None or after <= before:
            return {}
        hashes[number] += done
        energy_j[number] += after - before
    return {number: hashes[number] / energy_j[number] for number in engines}


def _there_and_back(numbers: Iterable[int], rounds: int) -> Iterator[int]:
    order = list(numbers)
    for turn in range(rounds):
        yield from reversed(order) if turn % 2 else order


def _size(cuda: Cuda, engine: CudaScan) -> int:
    """Nonces of a launch that lasts a tenth of a round: long against the gap between two launches."""
    count = engine.iteration
    while (
        count < NONCE_SPACE
        and cuda.timed(functools.partial(engine.scan, TRIAL_WORK, 0, count)) < ROUND_S / LAUNCHES_PER_ROUND
    ):
        count = min(NONCE_SPACE, count * 2)
    return count


def _run(cuda: Cuda, engine: CudaScan, count: int, at_least_s: float) -> tuple[int, float]:
    """Launch ``count`` nonces again and again for about ``at_least_s``; hashes and seconds of device time."""
    hashes, seconds = 0, 0.0
    while seconds < at_least_s:
        seconds += cuda.timed(functools.partial(engine.scan, TRIAL_WORK, 0, count))
        hashes += count
    engine.drain()
    return hashes, seconds
