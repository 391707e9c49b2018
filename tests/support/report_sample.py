"""A made-up study for the report's tests and pictures: two GPUs and a CPU that do not exist, with sidecars."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench import storage
from bench.analysis import dispatch, economics
from bench.analysis.economics import Outlook, Price, Range
from bench.model import Audit, Record, Sample, Sensor, Window
from bench.model.series import Series
from tests.support.factory import CARD_A, CARD_B, CARD_CPU, Card, gemm, invalid, run, sha256d, write

BANDWIDTH = {CARD_A.name: 3.35e12, CARD_B.name: 1.55e12}


def decode(card: Card = CARD_A, repeat: int = 1, *, factor: float = 1.0, **changes: Any) -> Record:
    """One decode window: bound by memory, so far down the roof's slope."""
    intensity = 60.0
    rate = 0.72 * BANDWIDTH[card.name] * intensity * factor
    record = gemm(card, repeat, factor=rate / card.flop_per_s, phase="decode", batch=64, seq=2048, **changes)
    return replace(record, intensity_flop_per_byte=intensity, mbu=rate / intensity / BANDWIDTH[card.name])


def dense(card: Card = CARD_A, repeat: int = 1, **changes: Any) -> Record:
    """One gemm window with its arithmetic intensity."""
    record = gemm(card, repeat, **changes)
    mbu = record.rate_per_s / 1800 / BANDWIDTH[card.name]
    return replace(record, intensity_flop_per_byte=1800.0, mbu=mbu)


def sweep_rows(card: Card, limits: tuple[float, ...], repeats: int = 3) -> list[Record]:
    """The same two workloads at several power limits: the rate falls slower than the watts."""
    rows = []
    for number, limit in enumerate(limits):
        watts = (limit - 12) / card.hash_w
        for workload in (sha256d, dense):
            rate = watts**0.42 if workload is sha256d else watts**0.6
            held = run(
                replace(
                    card,
                    limit_w=limit,
                    hash_per_s=card.hash_per_s * rate,
                    flop_per_s=card.flop_per_s * rate,
                    hash_w=limit - 12,
                    flop_w=limit - 4,
                ),
                repeats,
                seed=100 + number,
                workloads=(workload,),
                default_power_limit_w=card.limit_w,
            )
            rows += [replace(record, default_power_limit_w=card.limit_w) for record in held]
    return rows


def write_run(folder: Path, name: str, card: Card, records: list[Record], *, gap_s: float = 9.0) -> Path:
    """A CSV with its sidecar: an idle baseline, then one window per record with samples at 10 Hz."""
    random = np.random.default_rng(7)
    sensor = Sensor("nvml", "gpu", sensor_id=card.uuid or "package-0", counter=True, power_field="instant")
    clock = 1_000_000_000_000
    temperature = 41.0
    with storage.create(folder, name) as results:
        number = results.sensor(sensor)

        def samples(seconds: float, watts: float, mhz: float, throttle: tuple[str, ...] = ()) -> tuple[Sample, ...]:
            nonlocal temperature
            found = []
            for step in range(int(seconds * 10) + 1):
                goal = 30 + watts / 18
                temperature += (goal - temperature) * 0.008
                t_ns = clock + int(step * 1e8)
                if step == 57:
                    found.append(Sample(t_ns, missing=True, error="not supported"))
                    continue
                noise = float(random.normal(0, watts * 0.006))
                reasons = throttle if step % 50 > 20 else throttle[:1]
                found.append(
                    Sample(t_ns, watts + noise, None, temperature, mhz + 15 * round(math.sin(step / 9)), 2619, reasons)
                )
            return tuple(found)

        results.idle("before", clock, clock + 10_000_000_000, samples(10, card.idle_w, 345), sensor=number)
        clock += 12_000_000_000
        for place, record in enumerate(records):
            clock += int(gap_s * 1e9)
            end = clock + int(record.window_s * 1e9)
            watts = record.power_mean_w or card.hash_w
            hot = not record.valid
            why = ("sw_power_cap", "hw_thermal") if hot else ("sw_power_cap",) if watts > 0.95 * card.limit_w else ()
            taken = samples(record.window_s, watts, 1400 if hot else 1755 - 3 * place, why)
            window = Window(clock, end, record.launches, record.work)
            results.append(record, window=window, samples=taken, audit=Audit(ok=True), sensor=number)
            clock = end
        return results.path


def outlook(frame: Any) -> Outlook:
    """Money at the example prices, with rents for the two GPUs that exist nowhere and none for the CPU."""
    prices = economics.read_prices(economics.example_path())
    rents = tuple(
        (name, Price(Range(*bounds), "USD/GPU/h", "made up"))
        for name, bounds in (("Example GPU A", (1.2, 1.9, 3.0)), ("Example GPU B", (0.5, 0.9, 1.4)))
    )
    return economics.evaluate(economics.cards(frame), replace(prices, rents=rents))


def decision(frame: Any) -> dispatch.Decision:
    """A schedule of three weeks of made-up prices of power, some below zero, for all cards of the study."""
    prices = outlook(frame).prices
    begin, count = datetime(2026, 3, 15, tzinfo=UTC), 24 * 21
    hours = np.arange(count)
    values = 0.06 + 0.05 * np.sin(hours * np.pi / 12) + np.where(hours % 100 < 3, -0.15, 0.0) + (hours // 168) * 0.004

    def series(values: Any, unit: str) -> Series:
        return Series([begin + timedelta(hours=at) for at in range(count)], list(values), unit, 1.0)

    fleets, rent, _notes = dispatch.fleets(frame, prices, {"": 10.0}, ai="decode")
    fleets.append(dispatch.asics(prices.asic, 20.0, prices))
    more = {"co2": series(np.full(count, 0.4), "kg/kWh")}
    file = dispatch.RuleFile(demand_charge=dispatch.DemandCharge(per_kw=3.0, hours=(17, 18)))
    year = dispatch.year(series(values, "USD/kWh"), prices, rent, file, zone="Europe/Berlin", more=more)
    return dispatch.decide(fleets, year, file.rules())


def study(folder: Path) -> list[Path]:
    """Five result files with sidecars where a real run would have them."""
    a = run(CARD_A, 4, workloads=(sha256d, dense, decode))
    a[6] = invalid(
        replace(a[6], throttle_s=11.5, throttle_reasons="sw_power_cap;hw_thermal"),
        "the card was throttled (hw_thermal) for 11.50 s",
    )
    b = run(CARD_B, 4, seed=2, workloads=(sha256d, dense, decode))
    b[1] = replace(b[1], warnings="counter and samples are 2.4% apart", crosscheck_ratio=1.024, steady=False)
    cpu = run(CARD_CPU, 3, seed=3, workloads=(sha256d, gemm), mig=None)
    return [
        write_run(folder, "example-a", CARD_A, a),
        write_run(folder, "example-b", CARD_B, b),
        write_run(folder, "example-cpu", CARD_CPU, cpu),
        write_run(folder, "example-a-sweep", CARD_A, sweep_rows(CARD_A, (350.0, 450.0, 550.0, 625.0))),
    ]


def many(folder: Path, cards: int = 40, repeats: int = 25) -> Path:
    """One CSV of many made-up cards with four workloads each: 100 rows a card."""
    random = np.random.default_rng(40)
    rows: list[Record] = []
    for number in range(cards):
        size, thrift = np.exp(random.normal(0, (0.7, 0.35))).tolist()
        card = replace(
            CARD_A,
            name=f"Example GPU {number + 1:02d}",
            uuid=f"GPU-00000000-0000-4000-8000-{number:012d}",
            hash_per_s=CARD_A.hash_per_s * size,
            flop_per_s=CARD_A.flop_per_s * size,
            hash_w=CARD_A.hash_w * size / thrift,
            flop_w=CARD_A.flop_w * size / thrift,
            limit_w=round(CARD_A.limit_w * size / thrift),
            peak_flop_per_s=CARD_A.peak_flop_per_s * size,
        )
        rows += run(card, repeats, seed=number, workloads=(sha256d, scrypt, gemm, _small_decode))
    return write(folder / "many.csv", rows)


def scrypt(card: Card = CARD_A, repeat: int = 1, **changes: Any) -> Record:
    """One scrypt window."""
    return sha256d(replace(card, hash_per_s=card.hash_per_s / 4000), repeat, workload="scrypt", **changes)


def _small_decode(card: Card, repeat: int, **changes: Any) -> Record:
    return gemm(card, repeat, phase="decode", batch=64, seq=2048, **{"factor": 1.0, **changes})
