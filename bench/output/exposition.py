"""Prometheus' text format, as the node exporter's textfile collector reads it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def metric(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> str:
    """One gauge with its help text and a line per sample (labels, value)."""
    rows = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{escaped(held)}"' for key, held in labels.items())
        rows.append(f"{name}{{{inside}}} {value:.13g}" if inside else f"{name} {value:.13g}")
    return "\n".join(rows) + "\n"


def escaped(text: str) -> str:
    r"""A label's value: backslash, quote and line feed are escaped (Prometheus' exposition formats)."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
