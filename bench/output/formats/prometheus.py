"""Prometheus' text format, for the node exporter's textfile collector: the mean of each metric."""

from __future__ import annotations

from bench.analysis.metrics import METRICS
from bench.output.document import Document
from bench.output.exposition import metric
from bench.output.formats.metrics import means


def render(document: Document, width: int) -> list[str]:  # noqa: ARG001 - every format is called alike
    """A gauge per metric (``bitwatt_rate_per_s``), with device, task and implementation as labels."""
    found = [
        ({"device": device, "task": task, "implementation": implementation}, values)
        for (device, task, implementation), values in means(document).items()
    ]
    texts = []
    for name in METRICS:
        samples = [(labels, values[name]) for labels, values in found if name in values]
        if samples:
            texts.append(metric(f"bitwatt_{name}", "Mean over the valid windows of the last run.", samples))
    return ["".join(texts)]
