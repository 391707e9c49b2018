"""Attained FLOP/s against arithmetic intensity, under each card's roof. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.model import Comparison
from bench.output.format import figures, scale
from bench.report.entries import Entry, interval_text
from bench.report.figure import CUT, DASHES, PUBLISHED, Figure, View, axis, error, is_cut, log_ticks, marker, reach
from bench.report.language import N_, _, joined
from bench.report.section import Content, Section, Study


def draw(entries: Sequence[Entry], published: Sequence[Comparison] = ()) -> Figure | None:
    """Attained FLOP/s against arithmetic intensity, under each card's roof where peak and bandwidth are known.

    Published peaks and bandwidths are roofs in grey; no point stands under them.
    """
    held = [
        entry
        for entry in entries
        if entry.unit == "FLOP"
        and entry.figure("rate_per_s") is not None
        and entry.means.get("intensity_flop_per_byte", 0) > 0
    ]
    if not held:
        return None
    by_type: dict[str, list[Entry]] = {}
    for entry in held:
        by_type.setdefault(str(entry.key["dtype"] or _("unknown type")), []).append(entry)
    roofless = sorted({entry.card for entry in held if "peak_per_s" not in entry.means})
    note = [
        _(
            "A point on its card's roof uses all that the card states: memory bandwidth on the slope, arithmetic on "
            "the flat. Intensity counts the least bytes that must cross memory."
        )
    ]
    if roofless:
        note.append(_("No peak is known for {cards}: points without a roof.", cards=", ".join(roofless)))
    views = [_roofline_view(dtype, own, _published_roofs(dtype, published)) for dtype, own in by_type.items()]
    if any(trace["series"] == PUBLISHED for view in views for trace in view.data):
        note.append(_("Grey roofs are peaks that others published."))
    note.append(_(CUT) if any(view.cut for view in views) else "")
    title = _("Roofline: how near to the card's own limits")
    return Figure("roofline", title, joined(*note), views, _("Number type"))


def _build(study: Study) -> Content | None:
    drawn = draw(study.entries, study.result.published)
    return None if drawn is None else Content([drawn])


SECTION = Section(
    "roof", N_("Roofline"), N_("Roofline"), _build, absent=N_("A roofline (no row states an arithmetic intensity).")
)


def _published_roofs(dtype: str, published: Sequence[Comparison]) -> dict[str, tuple[float, float | None]]:
    """Card → published peak in FLOP/s of this type, and published bandwidth in bytes/s where there is one."""
    stated = {
        (str(item.key["device_name"]), str(item.key["published_metric"])): item.value
        for item in published
        if item.key["published_kind"] == "peak" and item.value is not None
    }
    return {
        card: (peak, stated.get((card, "memory_bandwidth")))
        for (card, metric), peak in stated.items()
        if metric == f"{dtype}_dense"
    }


def _roof(
    name: str,
    series: int | str,
    peak: float,
    bandwidth: float | None,
    left: float,
    right: float,
    factor: float,
    unit: str,
) -> dict[str, Any]:
    """Bandwidth × intensity up to the ridge, then the peak; the peak alone where no bandwidth is known."""
    points = [(left, peak), (right, peak)]
    if bandwidth:
        points = [(left, left * bandwidth), (peak / bandwidth, peak), (right, peak)]
    said = f"{figures(peak / factor)} {unit}"
    said += f", {figures(bandwidth / 1e9)} GB/s" if bandwidth else f", {_('bandwidth not known')}"
    return {
        "series": series,
        "mode": "lines",
        "name": _("{name}: roof, {figure}", name=name, figure=said),
        "x": [x for x, _ in points],
        "y": [y / factor for _, y in points],
        "line": {"dash": DASHES[series % len(DASHES)] if isinstance(series, int) else "dot", "width": 2},
    }


def _roofline_view(dtype: str, entries: Sequence[Entry], published: Mapping[str, tuple[float, float | None]]) -> View:
    factor, unit = scale(
        [max(entry.means.get("peak_per_s", 0), entry.metrics["rate_per_s"].value or 0) for entry in entries], "FLOP/s"
    )
    xs = [entry.means["intensity_flop_per_byte"] for entry in entries]
    data: list[dict[str, Any]] = []
    left, right = min(xs) / 4, max(xs) * 4
    roofs: dict[tuple[int, str], tuple[float, float | None]] = {}
    for entry in entries:
        peak, bandwidth = entry.means.get("peak_per_s"), entry.means.get("peak_bytes_per_s")
        if peak is not None:
            known = roofs.get((entry.series, entry.card), (peak, None))[1]
            roofs[(entry.series, entry.card)] = (peak, known or bandwidth)
    for peak, bandwidth in (*roofs.values(), *published.values()):
        if bandwidth is not None:
            left, right = min(left, peak / bandwidth / 8), max(right, peak / bandwidth * 4)
    data += [
        _roof(card, series, peak, bandwidth, left, right, factor, unit)
        for (series, card), (peak, bandwidth) in roofs.items()
    ]
    data += [
        _roof(_("published: {name}", name=card), PUBLISHED, peak, bandwidth, left, right, factor, unit)
        for card, (peak, bandwidth) in published.items()
    ]
    for series, card in dict.fromkeys((entry.series, entry.card) for entry in entries):
        own = [entry for entry in entries if entry.series == series]
        found = [entry.metrics["rate_per_s"] for entry in own]
        data.append(
            {
                "series": series,
                "mode": "markers",
                "name": card,
                "x": [entry.means["intensity_flop_per_byte"] for entry in own],
                "y": [(item.value or 0) / factor for item in found],
                "marker": marker(series),
                "error_y": error(found, factor),
                "hover": [
                    f"{entry.name}\n{entry.task}\n{interval_text(item)}"
                    + (
                        "\n" + _("{share} of the stated peak", share=f"{entry.means['mfu']:.0%}")
                        if "mfu" in entry.means
                        else ""
                    )
                    for entry, item in zip(own, found, strict=True)
                ],
            }
        )
    ys = [y for trace in data for y in trace["y"]]
    ys += reach([entry.metrics["rate_per_s"] for entry in entries], factor)
    layout = {
        "xaxis": axis(_("Arithmetic intensity (FLOP/byte), log scale"), **log_ticks(left, right)),
        "yaxis": axis(_("Attained rate ({unit}), log scale", unit=unit), **log_ticks(min(ys) / 2, max(ys) * 1.6)),
        "showlegend": True,
    }
    return View(dtype, data, layout, 480, cut=is_cut([entry.metrics["rate_per_s"] for entry in entries]))
