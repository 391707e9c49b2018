"""The sections of the page as markup. Pure; every text from a result is escaped by :mod:`bench.report.markup`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import Result
from bench.model import Record
from bench.output.format import figures, scaled
from bench.report.entries import Entry, interval_text, task_label, unit_text
from bench.report.figures import GLYPHS, Figure
from bench.report.markup import NOTHING, Html, el, join, table
from bench.report.timeline import Run, medians
from bench.report.words import Tile

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 600
"""Rows of a table on the page; a line says how many more there are."""

MOST_RUNS = 24


def figure(item: Figure) -> Html:
    """A plot with its chooser, its picture button and the place where the script draws it."""
    choices = [el("option", view.name, value=str(number)) for number, view in enumerate(item.views)]
    controls: list[Html] = []
    if len(choices) > 1:
        chooser = el("select", *choices, id=f"{item.id}-view", data_chooser=item.id)
        controls.append(el("label", el("span", f"{item.choose} "), chooser, for_=f"{item.id}-view"))
    controls.append(
        el("button", "Save as PNG", type="button", data_png=item.id, aria_label=f"Save as PNG: {item.title}")
    )
    return el(
        "figure",
        el("div", el("h3", item.title, id=f"{item.id}-title"), el("div", *controls, class_="controls"), class_="bar"),
        el(
            "div",
            id=f"plot-{item.id}",
            class_="plot",
            data_figure=item.id,
            role="img",
            aria_labelledby=f"{item.id}-title",
            aria_describedby=f"{item.id}-note",
            style=f"height:{item.views[0].height}px",
        ),
        el("figcaption", item.note, id=f"{item.id}-note"),
        class_="card",
        id=f"{item.id}-figure",
    )


def section(id_: str, title: str, *children: object) -> Html:
    """A part of the page under its own heading."""
    return el("section", el("h2", title, id=f"{id_}-heading"), *children, id=id_, aria_labelledby=f"{id_}-heading")


def note(text: str) -> Html:
    """A quiet sentence."""
    return el("p", text, class_="note")


def details(title: str, *children: object, open_: bool = False) -> Html:
    """What is folded away until it is asked for."""
    return el("details", el("summary", title), *children, open=open_)


def tile(item: Tile) -> Html:
    """One card at a glance."""
    body = [
        el("div", el("dt", what), el("dd", el("strong", value), el("small", remark) if remark else ""))
        for what, value, remark in item.lines
    ]
    glyph = el("span", item.glyph, class_="glyph", data_series=str(item.series), aria_hidden="true")
    return el("article", el("h3", glyph, " ", item.card), el("dl", *body), class_="card tile")


def words(sentences: Sequence[str]) -> Html:
    """The summary."""
    return el("div", el("h3", "In plain words"), el("ul", *(el("li", text) for text in sentences)), class_="card words")


# ---------------------------------------------------------------------------------------------------------------------
# 2: every line


_LINE_HEADER: list[object] = [
    "Card",
    "Workload",
    "Setting",
    "Implementation",
    "Windows",
    "Rate",
    "Power",
    "Work per joule",
    "Modelled tokens per second",
    "Modelled tokens per joule",
    "Share of stated peak",
    "Rate against baseline",
    "Work per joule against baseline",
]


def lines_table(entries: Sequence[Entry], result: Result) -> Html:
    """All lines with their intervals and verdicts: what the plots show, as text."""
    rows: list[list[object]] = []
    for entry in entries[:MOST_ROWS]:
        rate = entry.metrics.get("rate_per_s")
        cells = [
            _interval(interval_text(found)) if (found := entry.figure(metric)) else NOTHING
            for metric in ("rate_per_s", "power_mean_w", "work_per_j", "tokens_per_s", "tokens_per_j")
        ]
        mfu = entry.means.get("mfu")
        rows.append(
            [
                f"{GLYPHS[entry.series % len(GLYPHS)]} {entry.card}",
                entry.task,
                entry.setting,
                str(entry.key["implementation"]) + ("" if entry.key["native"] else " (emulated)"),
                str(rate.repeats if rate else 0),
                *cells,
                NOTHING if mfu is None else f"{mfu:.1%}",
                *(_verdict(entry, metric, result) for metric in ("rate_per_s", "work_per_j")),
            ]
        )
    caption = "Every line: a card, a task and a setting, with 95% intervals from the repeats"
    shown = table(_LINE_HEADER, rows, caption=caption, numeric={4}, class_="lines", lean=True)
    return join(shown, _more(len(entries), "lines"))


def _interval(text: str) -> Html:
    """The value, and its interval in small on a line of its own."""
    value, bracket, rest = text.partition(" (")
    return join(el("span", value, class_="keep"), el("small", f"({rest}", class_="keep") if bracket else "")


def _verdict(entry: Entry, metric: str, result: Result) -> object:
    found = entry.metrics.get(metric)
    if found is None:
        return NOTHING
    if found.verdict == "baseline":
        return "baseline" if result.baseline is not None else NOTHING
    said = found.verdict if found.ratio is None else f"{figures(found.ratio, 4)}× {found.verdict}"
    more = []
    if found.ratio_low is not None and found.ratio_high is not None:
        more.append(el("small", f"({figures(found.ratio_low, 4)} to {figures(found.ratio_high, 4)})", class_="keep"))
    if found.reason and found.verdict in ("cannot tell", "invalid"):
        more.append(el("small", found.reason))
    return join(el("span", said, class_="keep"), *more)


def _more(count: int, what: str) -> Html:
    return note(f"{count - MOST_ROWS:,} more {what} are not shown here.") if count > MOST_ROWS else Html("")


def means_table(result: Result) -> Html:
    """Geometric means over the tasks that all cards have."""
    if not result.means:
        return Html("")
    rows: list[list[object]] = [
        [
            str(item.key[result.subject]),
            str(item.key["workload"]),
            item.metric.replace("_", " "),
            NOTHING
            if item.ratio is None
            else f"{figures(item.ratio)}× ({figures(item.ratio_low or 0)} to {figures(item.ratio_high or 0)})",
            item.verdict,
            str(item.repeats),
        ]
        for item in result.means
    ]
    header: list[object] = [
        "Against the baseline",
        "Workload",
        "Figure",
        "Geometric mean of ratios",
        "Verdict",
        "Tasks",
    ]
    return details(
        "Means over all tasks that every card ran",
        table(header, rows, caption=f"Geometric means of ratios against {result.baseline}", numeric={5}),
    )


def published_table(result: Result) -> Html:
    """Figures of others with their source; board limits are no readings."""
    if not result.published:
        return Html("")
    rows: list[list[object]] = [
        [
            str(item.key["device_name"]),
            str(item.key["published_metric"]),
            str(item.key["published_kind"]),
            NOTHING if item.value is None else scaled(item.value, unit_text(item.unit)),
            item.reason or "",
        ]
        for item in result.published[:MOST_ROWS]
    ]
    return details(
        "Published figures laid beside these (not measured here, in no statistic)",
        table(
            ["Card", "What", "Kind", "Figure", "Source"],
            rows,
            caption="Published by others; power figures are board limits, not readings",
        ),
        _more(len(result.published), "published figures"),
    )


# ---------------------------------------------------------------------------------------------------------------------
# 3: over time


def windows_table(runs: Sequence[Run]) -> Html:
    """The windows of the time plots as text."""
    rows: list[list[object]] = []
    for run in runs:
        middle = medians(run)
        rows += [
            [
                run.name,
                str(item.row),
                item.task,
                f"{item.start_s:.1f}",
                f"{item.end_s - item.start_s:.1f}",
                f"{100 * item.rate_per_s / middle[(item.card, item.task)]:.2f}",
                ", ".join(item.throttle) or "none",
                "valid" if item.valid else "invalid",
            ]
            for item in run.stretches
        ]
    header: list[object] = [
        "Run",
        "Row",
        "Workload",
        "Start (s)",
        "Length (s)",
        "Rate (% of median)",
        "Held back by",
        "Window",
    ]
    return details(
        "The windows as a table",
        table(header, rows[:MOST_ROWS], caption="Measured windows in their order", numeric={1, 3, 4, 5}),
        _more(len(rows), "windows"),
    )


# ---------------------------------------------------------------------------------------------------------------------
# 7: verification and validity


_CHECKED = [
    *("file", "line", "device_name", "workload", "phase", "shape", "product", "dtype", "batch", "seq", "repeat"),
    *("verified", "valid", "steady", "shares_found", "shares_expected", "shares_p_value", "crosscheck_ratio"),
    *("sample_count", "samples_missing", "throttle_reasons", "invalid_reasons", "warnings"),
]


def _tall_table(caption: str, header: Sequence[object], body: Sequence[Html], **attributes: str) -> Html:
    """A long table in a frame of its own, which scrolls and can be reached by keyboard."""
    return el(
        "div",
        el(
            "table",
            el("caption", el("span", caption)),
            el("thead", el("tr", *(el("th", cell, scope="col") for cell in header))),
            el("tbody", *body),
            **attributes,
        ),
        class_="scroll tall",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def verification(frame: pd.DataFrame) -> Html:
    """Each row with what was checked; rows with something to say come first and can be shown alone."""
    common = _common_warnings(frame)
    own = {text: _without(text, common) for text in frame["warnings"].dropna().unique()}
    spoken = (
        ~(frame["valid"] & frame["verified"])
        | frame["warnings"].isin([text for text, rest in own.items() if rest])
        | (frame["steady"] == False).fillna(False)  # noqa: E712 - missing is not unsteady
    ).to_numpy(dtype=bool)
    order = [*spoken.nonzero()[0], *(~spoken).nonzero()[0][:MOST_ROWS]][:MOST_ROWS]
    rows = _plain_rows(frame.iloc[order], _CHECKED)
    header: list[object] = [
        "Row",
        "Card",
        "Workload",
        "Repeat",
        "Output",
        "Window",
        "Reasons and warnings",
        "Steady",
        "Shares found / expected (p)",
        "Counter ÷ samples",
        "Samples (missed)",
        "Clocks held back by",
    ]
    body = [
        el(
            "tr",
            el("th", f"{Path(str(row['file'])).name}:{row['line']}", scope="row"),
            *(el("td", cell) for cell in _checked_cells(row, own.get(row["warnings"]))),
            class_="spoken" if said else "quiet",
        )
        for row, said in zip(rows, [spoken[place] for place in order], strict=True)
    ]
    caption = "Verification and validity of each window"
    whole = _tall_table(caption, header, body, id="checks-table", class_="checks")
    good = int((frame["valid"] & frame["verified"]).sum())
    count = int(spoken.sum())
    some = f"{count:,} with" if count else "none has"
    said = f"{good:,} of {len(frame):,} windows are verified and valid; {some} a reason or a warning to read."
    only = el(
        "label",
        el("input", type="checkbox", id="only-spoken"),
        " only rows with a reason or a warning",
        for_="only-spoken",
        class_="check",
    )
    everywhere = [el("p", f"In every window: {text.strip()}.") for text in common]
    return join(el("p", said), *everywhere, only if 0 < count < len(frame) else "", whole, _more(len(frame), "rows"))


def _common_warnings(frame: pd.DataFrame) -> list[str]:
    """Warnings that every row has: told once above the table rather than in each row."""
    texts = list(frame["warnings"].unique())
    if not all(isinstance(text, str) for text in texts):
        return []
    first, *others = [text.split(";") for text in texts]
    return [part for part in first if part.strip() and all(part in other for other in others)]


def _without(text: str, common: Sequence[str]) -> str:
    return "; ".join(part.strip() for part in text.split(";") if part not in common and part.strip())


def _checked_cells(row: dict[str, Any], warnings: str | None) -> list[object]:
    shares = NOTHING
    if row["shares_found"] is not None:
        shares = f"{row['shares_found']} / {figures(row['shares_expected'] or 0, 3)}"
        shares += "" if row["shares_p_value"] is None else f" ({figures(row['shares_p_value'], 2)})"
    samples = NOTHING if row["sample_count"] is None else f"{row['sample_count']} ({row['samples_missing'] or 0})"
    ratio = row["crosscheck_ratio"]
    reasons = [part for part in (row["invalid_reasons"], warnings) if part]
    return [
        row["device_name"],
        task_label(row),
        str(row["repeat"]),
        el("span", "✓ verified" if row["verified"] else "✖ not verified", class_="keep"),
        el("span", "✓ valid" if row["valid"] else "✖ invalid", class_="keep"),
        "; ".join(reasons),
        {True: "yes", False: "no"}.get(row["steady"], "not judged"),
        shares,
        NOTHING if ratio is None else f"{ratio:.3f}",
        samples,
        (row["throttle_reasons"] or "nothing").replace(";", ", "),
    ]


def _plain_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    part = frame[list(columns)].astype(object)
    return [{str(k): v for k, v in row.items()} for row in part.where(part.notna(), None).to_dict("records")]


# ---------------------------------------------------------------------------------------------------------------------
# 8: the setting of each run


_SETTING_GROUPS = {
    "Run": ("run_id", "started_utc", "host", "mode", "harness_version", "commit", "dirty", "method_version"),
    "Device": (
        *("device_name", "device_kind", "device_uuid", "device_index", "device_cores", "device_memory_gib"),
        *("device_arch", "device_choice"),
    ),
    "Software": ("driver", "runtime", "torch", "cupy", "implementation", "precision", "options"),
    "Card": ("power_limit_w", "default_power_limit_w", "sm_clock_lock_mhz", "mig", "ecc", "co_tenants"),
    "Meter": ("meter", "meter_id", "energy_method", "energy_scope", "idle_power_w"),
    "Windows": ("window_s", "repeat", "native", "temperature_max_c", "peak_source"),
}

_UNITS = {"_w": "W", "_s": "s", "_gib": "GiB", "_mhz": "MHz", "_c": "°C", "_utc": "UTC"}


def column_title(name: str) -> str:
    """A column's name as words with its unit: ``power_limit_w`` → ``power limit (W)``."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def settings(frame: pd.DataFrame) -> Html:
    """One column per run and device, one row per setting; several values of one run stand side by side."""
    docs = {entry.name: entry.metadata.get("doc") for entry in fields(Record)}
    groups = frame.groupby(["file", "run_id", "device_name", "device_index"], observed=True, sort=False)
    # a groupby cuts the frame anew for each group: never for groups that are not shown
    shown = list(itertools.islice(groups, MOST_RUNS))
    header: list[object] = ["Setting", *(Path(str(key[0])).name for key, _ in shown)]
    body = []
    for title, names in _SETTING_GROUPS.items():
        body.append(el("tr", el("th", title, scope="colgroup", colspan=str(len(header))), class_="group"))
        for name in names:
            cells = [_distinct(part[name]) for _, part in shown]
            if any(cells):
                head = el("th", column_title(name), scope="row", title=docs.get(name))
                body.append(el("tr", head, *(el("td", cell or "not known") for cell in cells)))
    caption = "The setting of each run"
    whole = _tall_table(caption, header, body, class_="settings")
    more = groups.ngroups - len(shown)
    return join(whole, note(f"{more} more runs are not shown here.") if more else "")


def _distinct(values: Any, most: int = 4) -> str:
    """The distinct values of a column: one, a few, or a range of numbers."""
    present = values.dropna()
    unique = [value.item() if hasattr(value, "item") else value for value in dict.fromkeys(present)]
    if not unique:
        return ""
    if values.name == "started_utc":
        first, last = (str(value)[:19].replace("T", " ") for value in (min(unique), max(unique)))
        return first if first == last else f"{first} to {last}"
    if values.name == "commit":
        unique = [str(value)[:12] for value in unique]
    if len(unique) <= most:
        return ", ".join(map(_value, unique))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in unique):
        return f"{_value(min(unique))} to {_value(max(unique))} ({len(unique)} values)"
    return f"{_value(min(unique))} to {_value(max(unique))}" if _sorted(unique) else f"{len(unique)} values"


def _sorted(values: Sequence[Any]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return figures(value) if isinstance(value, float) else str(value)
