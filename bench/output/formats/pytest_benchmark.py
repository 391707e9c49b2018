"""The JSON that pytest-benchmark saves, so that its ``compare`` and dashboards that read it also read these results.

A task on a device is a benchmark; a round is one window, and its time is the seconds that one hash or one FLOP takes.
The keys are those of pytest-benchmark 5 (``pytest_benchmark/stats.py``, ``as_dict``).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench import __version__
from bench.model import TaskKey
from bench.output.document import Document


def render(document: Document, width: int) -> list[str]:  # noqa: ARG001 - every format is called alike
    """One benchmark per device, task and setting that has a valid window; sweeps and money have none."""
    every = document.windows()
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for window in every:
        if window["valid"]:
            setting = [window.get(name) for name in ("device_name", "power_limit_w", "implementation")]
            groups.setdefault((TaskKey.of(window).label, *map(str, setting)), []).append(window)
    benchmarks = [_benchmark(task, windows) for (task, *_), windows in groups.items()]
    first = every[0] if every else {}
    saved = {
        "machine_info": {"node": first.get("host"), "cpu": {"brand_raw": first.get("device_name")}},
        "commit_info": {"id": first.get("commit"), "dirty": first.get("dirty")},
        "benchmarks": benchmarks,
        "datetime": first.get("started_utc"),
        "version": f"bitwatt {__version__}",
    }
    return [json.dumps(saved, indent=1, allow_nan=False, default=str) + "\n"]


def _benchmark(task: str, windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = windows[0]
    setting = f"{first['device_name']}" + (f" {first['power_limit_w']:g} W" if first.get("power_limit_w") else "")
    return {
        "group": task,
        "name": f"{task}[{setting}]",
        "fullname": f"bitwatt::{task}[{setting}]",
        "params": None,
        "param": setting,
        "extra_info": {"unit": first["work_unit"], "implementation": first.get("implementation")},
        "options": {"disable_gc": False, "timer": "monotonic_ns", "min_rounds": len(windows), "warmup": True},
        "stats": _stats([1 / window["rate_per_s"] for window in windows]),
    }


def _stats(seconds: Sequence[float]) -> dict[str, Any]:
    """As pytest-benchmark computes them: quartiles by the median of each half, outliers by 1 sd; 1.5 IQR."""
    data = sorted(seconds)
    count = len(data)
    mean, median = statistics.fmean(data), statistics.median(data)
    stddev = statistics.stdev(data) if count > 1 else 0.0
    half = count // 2
    q1, q3 = (statistics.median(data[:half]), statistics.median(data[-half:])) if half else (median, median)
    iqr = q3 - q1
    far = sum(not q1 - 1.5 * iqr <= value <= q3 + 1.5 * iqr for value in data)
    off = sum(abs(value - mean) > stddev for value in data)
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": stddev,
        "rounds": count,
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": far,
        "stddev_outliers": off,
        "outliers": f"{off};{far}",
        "ld15iqr": next(value for value in data if value >= q1 - 1.5 * iqr),
        "hd15iqr": next(value for value in reversed(data) if value <= q3 + 1.5 * iqr),
        "ops": 1 / mean,
        "total": sum(data),
        "iterations": 1,
        "data": list(seconds),
    }
