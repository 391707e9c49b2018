"""JSON of one flat object, metric name → number, as ``mlflow.log_metrics`` and ``wandb.log`` take it.

A name is ``device/task/metric`` in the characters that MLflow allows (letters, digits, ``_``, ``-``, ``.``, space and
``/``), so that it is the same in every run of a device. A value is the mean over the valid windows.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from typing import Any

from bench.analysis.metrics import METRICS
from bench.model import TaskKey
from bench.output.document import Document

Setting = tuple[str, str, str]
"""Device with its power limit, task, implementation."""


def render(document: Document, width: int) -> list[str]:  # noqa: ARG001 - every format is called alike
    """One object; a metric that was not measured is absent."""
    found = means(document)
    several = {(device, task) for device, task, _ in found if sum(one[:2] == (device, task) for one in found) > 1}
    flat = {
        "/".join(_allowed(part) for part in ([*setting] if setting[:2] in several else setting[:2])) + f"/{name}": value
        for setting, values in found.items()
        for name, value in values.items()
    }
    return [json.dumps(flat, indent=1, allow_nan=False) + "\n"]


def means(document: Document) -> dict[Setting, dict[str, float]]:
    """Mean of each metric over the valid windows of a device, its setting and a task."""
    groups: dict[Setting, list[Mapping[str, Any]]] = {}
    for window in document.windows():
        if window["valid"]:
            limit = f" {window['power_limit_w']:g} W" if window.get("power_limit_w") else ""
            key = (f"{window['device_name']}{limit}", TaskKey.of(window).label, str(window.get("implementation")))
            groups.setdefault(key, []).append(window)
    return {
        key: {
            name: statistics.fmean(values)
            for name in METRICS
            if (values := [window[name] for window in windows if window.get(name) is not None])
        }
        for key, windows in groups.items()
    }


def _allowed(text: str) -> str:
    return re.sub(r"[^\w\-. ]+", "", text, flags=re.ASCII).strip()
