"""The table of checks: each window, whether it is verified and valid, and every reason and warning. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.model.throttle import meaning
from bench.output.format import MISSING, figures
from bench.report.entries import plain_rows, task_label
from bench.report.language import N_, _, phrase, plural
from bench.report.section import Content, Section, Study
from bench.report.table import MOST_ROWS, Cell, Row, Table, not_shown

if TYPE_CHECKING:
    import pandas as pd

_READ = (
    *("file", "line", "device_name", "workload", "phase", "shape", "product", "dtype", "batch", "seq", "repeat"),
    *("verified", "proven", "valid", "steady", "shares_found", "shares_expected", "shares_p_value", "crosscheck_ratio"),
    *("sample_count", "samples_missing", "throttle_reasons", "invalid_reasons", "warnings"),
)

_HEADER = (
    N_("Row"),
    N_("Card"),
    N_("Workload"),
    N_("Repeat"),
    N_("Output"),
    N_("Window"),
    N_("Reasons and warnings"),
    N_("Steady"),
    N_("Shares found / expected (p)"),
    N_("Counter ÷ samples"),
    N_("Samples (missed)"),
    N_("Throttled by"),
)


@dataclass(frozen=True, slots=True)
class Checks:
    """The section's summary, the warnings that every row has, and the table."""

    summary: str
    everywhere: tuple[str, ...]
    can_filter: bool
    """Whether some rows have a reason or a warning, and others none."""
    table: Table


def section(frame: pd.DataFrame) -> Checks:
    """Each row with what was checked; rows with a reason or a warning come first and can be shown alone."""
    everywhere = _common_warnings(frame)
    own = {text: _without(text, everywhere) for text in frame["warnings"].dropna().unique()}
    flagged = (
        ~(frame["valid"] & frame["verified"])
        | frame["warnings"].isin([text for text, rest in own.items() if rest])
        | (frame["steady"] == False).fillna(False)  # noqa: E712 - missing is not unsteady
    ).to_numpy(dtype=bool)
    order = [*flagged.nonzero()[0], *(~flagged).nonzero()[0][:MOST_ROWS]][:MOST_ROWS]
    rows = [
        Row(_cells(row, own.get(row["warnings"])), class_="flagged" if flagged[number] else "quiet")
        for row, number in zip(plain_rows(frame.iloc[order], _READ), order, strict=True)
    ]
    good, count = int((frame["valid"] & frame["verified"]).sum()), int(flagged.sum())
    said = (
        plural("{count} has a reason or a warning to read", "{count} have a reason or a warning to read", count)
        if count
        else _("none has a reason or a warning to read")
    )
    return Checks(
        summary=_(
            "{good} of {all} windows are verified and valid; {said}.",
            good=f"{good:,}",
            all=f"{len(frame):,}",
            said=said,
        ),
        everywhere=tuple(phrase(text.strip()) for text in everywhere),
        can_filter=0 < count < len(frame),
        table=Table(
            _("Verification and validity of each window"),
            [_(name) for name in _HEADER],
            rows,
            class_="checks",
            id="checks-table",
            more=not_shown(len(frame)),
        ),
    )


def _build(study: Study) -> Content:
    found = section(study.frame)
    return Content([found.table], values=found)


SECTION = Section("checks", N_("Verification"), N_("Verification and validity"), _build, template="checks.html")


def _common_warnings(frame: pd.DataFrame) -> list[str]:
    """Warnings that every row has: said once above the table rather than in each row."""
    texts = list(frame["warnings"].unique())
    if not all(isinstance(text, str) for text in texts):
        return []
    first, *others = [text.split(";") for text in texts]
    return [part for part in first if part.strip() and all(part in other for other in others)]


def _without(text: str, common: Sequence[str]) -> str:
    return "; ".join(part.strip() for part in text.split(";") if part not in common and part.strip())


def _cells(row: dict[str, Any], warnings: str | None) -> list[str | Cell]:
    shares = MISSING
    if row["shares_found"] is not None:
        shares = f"{row['shares_found']} / {figures(row['shares_expected'] or 0, 3)}"
        shares += "" if row["shares_p_value"] is None else f" ({figures(row['shares_p_value'], 2)})"
    ratio = row["crosscheck_ratio"]
    reasons = [phrase(part.strip()) for held in (row["invalid_reasons"], warnings) if held for part in held.split(";")]
    if row["steady"] is False:
        reasons.append(_("it began before rate, power and temperature were steady"))
    return [
        f"{Path(str(row['file'])).name}:{row['line']}",
        str(row["device_name"]),
        task_label(row),
        str(row["repeat"]),
        f"✓ {_('verified')}"
        if row["verified"]
        else f"✖ {_('not verified') if row['proven'] is not False else _('not proven')}",
        f"✓ {_('valid')}" if row["valid"] else f"✖ {_('invalid')}",
        "; ".join(reasons),
        {True: _("yes"), False: _("no")}.get(row["steady"], _("not judged")),
        shares,
        MISSING if ratio is None else f"{ratio:.3f}",
        MISSING if row["sample_count"] is None else f"{row['sample_count']} ({row['samples_missing'] or 0})",
        ", ".join(_(meaning(name)) for name in (row["throttle_reasons"] or "").split(";") if name) or _("nothing"),
    ]
