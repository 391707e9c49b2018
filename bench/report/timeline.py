"""Rate, power, clocks and temperature of a run over its time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.model.throttle import INVALIDATING, meaning
from bench.report.figure import Figure, View, axis
from bench.report.language import N_, _, joined
from bench.report.runs import IDLE, Run, medians
from bench.report.section import Content, Folded, Section, Study
from bench.report.tables import windows_table

MOST_POINTS = 2400
"""Points per curve; above, each stretch keeps its lowest and highest sample."""

MOST_RUNS = 12


def draw(found: Sequence[Run]) -> Figure | None:
    """The figure of all runs, one view each; None without any window."""
    views = [_view(run) for run in found[:MOST_RUNS] if run.stretches]
    if not views:
        return None
    note = [
        _(
            "Shaded stretches are the measured windows, numbered by their row; grey ones, marked idle, the baseline. "
            "The rate is each window's mean, as a share of its task's median in this run, so that drift shows. "
            "Curves break where no sample was taken or a read failed."
        )
    ]
    if any("throttle" in view.layout for view in views):
        note.append(
            _(
                "The lowest panel marks the samples in which the driver named a reason for holding the clocks back: a "
                "power cap is normal at the limit; thermal slowdowns and the power brake (crosses) make a window "
                "invalid."
            )
        )
    if len(found) > MOST_RUNS:
        note.append(_("{count} more runs have samples and are not drawn.", count=len(found) - MOST_RUNS))
    return Figure("over-time", _("Rate, watts and clocks over time"), joined(*note), views, _("Run"))


def _build(study: Study) -> Content | None:
    drawn = draw(study.runs)
    return None if drawn is None else Content([drawn, Folded(_("The windows as a table"), windows_table(study.runs))])


SECTION = Section(
    "time",
    N_("Over time"),
    N_("Over time"),
    _build,
    absent=N_(
        "Rate and power over time (no sidecar, .samples.jsonl, is next to these CSVs; a run writes it with the CSV)."
    ),
)


def _view(run: Run) -> View:
    panels = _panels(run)
    reasons = list(dict.fromkeys(why for _t, sample in run.samples for why in sample.throttle if why != IDLE))
    weights = [0.7] + [1.0] * len(panels) + ([0.14 + 0.16 * len(reasons)] if reasons else [])
    gap = 0.045
    unit = (1 - gap * (len(weights) - 1)) / sum(weights)
    domains, top = [], 1.0
    for weight in weights:
        domains.append([max(0.0, top - weight * unit), top])
        top -= weight * unit + gap
    data = [_rate_trace(run)]
    shares = [value for value in data[0]["y"] if value is not None]
    margin = max(0.05, (max(shares) - min(shares)) * 0.2)
    layout: dict[str, Any] = {
        "yaxis": axis(_("Rate (% of median)"), domain=domains[0], range=[min(shares) - margin, max(shares) + margin]),
        "showlegend": False,
        "shapes": _shades(run),
        "annotations": _numbers(run),
    }
    for number, (title, points, is_power) in enumerate(panels, 2):
        layout[f"yaxis{number}"] = axis(title, domain=domains[number - 1])
        data.append(
            {
                "series": "line",
                "mode": "lines",
                "name": title,
                "x": [round(t, 3) for t, _value in points],
                "y": [None if value is None else round(value, 2) for _t, value in points],
                "yaxis": f"y{number}",
                "line": {"width": 1.5},
            }
        )
        if is_power:
            limits = _limits(run, f"y{number}")
            layout["shapes"] += limits
            highest = max([line["y1"] for line in limits] + [value for _t, value in points if value is not None])
            # from zero, with room for the limit's own label
            layout[f"yaxis{number}"]["range"] = [0, highest * 1.22]
    if reasons:
        number = len(weights)
        layout["throttle"] = True
        layout[f"yaxis{number}"] = axis(
            _("Throttled"),
            domain=domains[-1],
            tickvals=list(range(len(reasons))),
            ticktext=[_(meaning(why)) for why in reasons],
            range=[-0.6, len(reasons) - 0.4],
        )
        data += [_reason_trace(run, why, row, f"y{number}") for row, why in enumerate(reasons)]
    last = f"y{len(weights)}" if len(weights) > 1 else "y"
    layout["xaxis"] = axis(_("Time since start (s)"), anchor=last, range=[0, _end(run)])
    return View(run.name, data, layout, int(120 + 130 * sum(weights)))


def _end(run: Run) -> float:
    """The last second that anything is drawn at."""
    return max([item.end_s for item in run.stretches] + [end for _, end in run.idles]) * 1.01


def _panels(run: Run) -> list[tuple[str, list[tuple[float, float | None]], bool]]:
    """Title and points of each panel that has any value, and whether it shows power."""
    ends = [(start, end) for start, end in run.idles] + [(item.start_s, item.end_s) for item in run.stretches]
    watts = [(t, sample.power_w) for t, sample in run.samples]
    power = (_("Power (W)"), watts, True)
    if not any(value is not None for _t, value in watts):
        power = (_("Power, from the counter (W)"), _counter_watts(run), True)
    columns = [
        power,
        (_("SM clock (MHz)"), [(t, sample.sm_clock_mhz) for t, sample in run.samples], False),
        (_("Temperature (°C)"), [(t, sample.temperature_c) for t, sample in run.samples], False),
    ]
    return [
        (title, _thinned(_broken(points, ends)), is_power)
        for title, points, is_power in columns
        if any(value is not None for _t, value in points)
    ]


def _counter_watts(run: Run) -> list[tuple[float, float | None]]:
    """Watts as the slope of the energy counter over at least 0.2 s, where the source reads no power."""
    found: list[tuple[float, float | None]] = []
    held: tuple[float, float] | None = None
    for t, sample in run.samples:
        if sample.counter_j is None:
            found.append((t, None))
            held = None
        elif held is None or t - held[0] > 5:
            held = (t, sample.counter_j)
        elif t - held[0] >= 0.2:
            found.append((t, (sample.counter_j - held[1]) / (t - held[0])))
            held = (t, sample.counter_j)
    return found


def _broken(
    points: list[tuple[float, float | None]], ends: Sequence[tuple[float, float]]
) -> list[tuple[float, float | None]]:
    """A gap between two samples that no stretch joins, so that no line is drawn over time that was not sampled."""
    found: list[tuple[float, float | None]] = []
    for (t, value), after in zip(points, [*points[1:], None], strict=True):
        found.append((t, value))
        if after is not None and after[0] - t > 1.0 and not any(s <= t and after[0] <= e for s, e in ends):
            found.append(((t + after[0]) / 2, None))
    return found


def _thinned(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """At most :data:`MOST_POINTS` points: of each stretch its gaps, its lowest and its highest."""
    if len(points) <= MOST_POINTS:
        return points
    stride = -(-len(points) // (MOST_POINTS // 2))
    found = []
    for begin in range(0, len(points), stride):
        part = points[begin : begin + stride]
        known = [(value, at) for at, (_t, value) in enumerate(part) if value is not None]
        kept = {at for at, (_t, value) in enumerate(part) if value is None}
        # a stretch of failed reads needs one gap only
        kept = {min(kept)} if kept else set()
        kept |= {min(known)[1], max(known)[1]} if known else set()
        found += [part[at] for at in sorted(kept)]
    return found


def _rate_trace(run: Run) -> dict[str, Any]:
    middle = medians(run)
    xs: list[float | None] = []
    ys: list[float | None] = []
    for item in run.stretches:
        share = 100 * item.rate_per_s / middle[(item.card, item.task)]
        for t in (item.start_s, (item.start_s + item.end_s) / 2, item.end_s):
            xs.append(round(t, 3))
            ys.append(round(share, 4))
        xs.append(None)
        ys.append(None)
    return {
        "series": "line",
        "mode": "lines",
        "name": _("Rate"),
        "x": xs,
        "y": ys,
        "line": {"width": 4},
    }


def _reason_trace(run: Run, why: str, row: int, panel: str) -> dict[str, Any]:
    times = [t for t, sample in run.samples if why in sample.throttle]
    stride = max(1, -(-len(times) // MOST_POINTS))
    return {
        "series": "alarm" if why in INVALIDATING else "line",
        "mode": "markers",
        "name": _(meaning(why)),
        "x": [round(t, 3) for t in times[::stride]],
        "y": [row] * len(times[::stride]),
        "yaxis": panel,
        "marker": {"symbol": "x-thin-open" if why in INVALIDATING else "line-ns-open", "size": 9},
    }


def _shades(run: Run) -> list[dict[str, Any]]:
    def box(series: str, start: float, end: float, opacity: float) -> dict[str, Any]:
        return {
            "series": series,
            "type": "rect",
            "yref": "paper",
            "x0": round(start, 3),
            "x1": round(end, 3),
            "y0": 0,
            "y1": 1,
            "line": {"width": 0},
            "opacity": opacity,
        }

    return [
        *(box("idle", start, end, 0.16) for start, end in run.idles),
        *(box("window" if item.valid else "alarm", item.start_s, item.end_s, 0.12) for item in run.stretches),
    ]


def _numbers(run: Run) -> list[dict[str, Any]]:
    """Row numbers above the windows that are wide enough for one, and the word for an idle baseline."""
    whole = max((item.end_s for item in run.stretches), default=0.0) or 1.0
    marks = [((a + b) / 2, b - a, _("idle")) for a, b in run.idles]
    marks += [
        ((item.start_s + item.end_s) / 2, item.end_s - item.start_s, f"{item.row}{'' if item.valid else ' ✖'}")
        for item in run.stretches
    ]
    return [
        {
            "x": round(middle, 3),
            "y": 1,
            "yref": "paper",
            "text": text,
        }
        for middle, length, text in marks
        if length > whole * 0.022
    ]


def _limits(run: Run, panel: str) -> list[dict[str, Any]]:
    limits = dict.fromkeys(item.power_limit_w for item in run.stretches if item.power_limit_w is not None)
    return [
        {
            "series": "limit",
            "type": "line",
            "xref": "paper",
            "yref": panel,
            "x0": 0,
            "x1": 1,
            "y0": limit,
            "y1": limit,
            "line": {"width": 1, "dash": "dash"},
            "label": {
                "text": _("limit {watts} W", watts=f"{limit:g}"),
                "textposition": "start",
            },
        }
        for limit in limits
    ]
