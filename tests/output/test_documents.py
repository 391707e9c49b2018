"""Tables: the same text on the screen and in Markdown, nothing eaten by markup, no figure bent by its prefix."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from bench import output, storage
from bench.analysis import compare, published
from bench.analysis.economics import Range
from bench.analysis.frontier import frontiers
from bench.model import Device, Record, Sensor
from bench.output.comparison import comparison_grid, comparison_notes
from bench.output.economics import money
from bench.output.run import peak_notes, row_notes
from tests.support import factory

A, B = factory.CARD_A, factory.CARD_B


def shown(*things: Any, width: int = 250) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(*things)
    return console.file.getvalue()  # type: ignore[attr-defined]


def escaped(text: str) -> str:
    return re.sub(r"([\\|<\[*_`])", r"\\\1", text)


def text_of(document: output.Document, to: output.Format) -> str:
    (text,) = output.render(document, to)
    assert isinstance(text, str)
    return text


def run_grid(records: list[Record]) -> output.Grid:
    (grid,) = output.run(records).grids
    return grid


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Range(1.0, 2.0, 3.0), "2.00 [1.00, 3.00]"),
        (Range(2.0, 2.0, 2.0), "2.00"),
        (Range(None, -4.93, None), "-4.93 [no bounds]"),
        (Range(None, None, None), "–"),
        (None, "–"),
        (Range(-1310.0, 0.0, 26_900_000.0), "0 [-1.31k, 26.9M]"),
        (Range.of(9.3e-8), "9.30e-08"),
    ],
)
def test_money(value: Range | None, text: str) -> None:
    assert money(value) == text


def result_of(*records: Any, **how: Any) -> compare.Result:
    return compare.compare(storage.to_frame([record for part in records for record in part]), **how)


def test_screen_and_markdown_hold_the_same_cells() -> None:
    result = published.with_published(result_of(factory.run(A), factory.run(B)), ["H100 SXM"])
    grid = comparison_grid(result)
    screen, markdown = shown(*output.render(output.comparison(result))), text_of(output.comparison(result), "markdown")
    for cells in grid.rows:
        for text in cells:
            assert text in screen
            assert escaped(text) in markdown
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    widths = [line.replace("\\|", "").count("|") for line in table]
    assert widths[-len(grid.rows) - 2 :] == [len(grid.header) + 1] * (len(grid.rows) + 2)


def test_nothing_is_eaten_by_markup_or_ends_a_cell() -> None:
    odd = "Card [bold] |x| `y` <b>"
    records = [replace(record, device_name=odd) for record in factory.run(A)]
    result = result_of(records, factory.run(B))
    assert odd in shown(*output.render(output.comparison(result)))
    assert f"ratios to {odd}" in shown(*output.render(output.comparison(result)))
    markdown = text_of(output.comparison(result), "markdown")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    (grid,) = output.comparison(result).grids
    widths = [line.replace("\\|", "").count("|") for line in rows]
    assert widths == [len(grid.header) + 1] * (len(grid.rows) + len(grid.sections) + 2)
    assert "<b>" not in markdown.replace("\\<b>", "")


def test_cards_stand_under_one_another_in_a_section_per_task() -> None:
    grid = comparison_grid(result_of(factory.run(A), factory.run(B)))
    assert [cells[0] for cells in grid.rows] == [A.name, B.name] * 2
    assert grid.sections == {0: "sha256d scan, cuda-v2", 2: "transformer gemm llama3-8b bf16 b1 s8192, torch-2.13.0"}
    assert grid.rows[0][grid.header.index("rate ratio")] == "baseline"
    assert re.fullmatch(r"slower 0\.58\d ±\d\.\d%", grid.rows[1][grid.header.index("rate ratio")])
    assert "tokens/J (modelled)" in grid.header
    # modelled tokens of one shape repeat the FLOPs' ratio, which is left to CSV and JSON
    assert "tokens/J ratio" not in grid.header


def test_published_figures_stand_in_sections_of_their_own() -> None:
    grid = comparison_grid(published.with_published(result_of(factory.run(A), factory.run(B)), ["RTX 4090"]))
    sections = list(grid.sections.values())[2:]
    assert sections[0] == "published, not measured here: sha256 single hashcat m1400, measured"
    (limit,) = [cells for cells in grid.rows if "450.0 W" in cells]
    assert limit[0] == "RTX 4090"
    assert limit[grid.header.index("power")] == "450.0 W", "watts stand among watts"


def test_one_run_is_one_line_per_task_with_every_metric() -> None:
    grid = run_grid(factory.run(A))
    assert len(grid.rows) == 2
    assert grid.header[0] == "task"
    assert "tokens/J (modelled)" in grid.header
    assert grid.rows[0][grid.header.index("n")] == "5"
    assert "±" in grid.rows[0][1]
    for shared in (A.name, "cuda-v2 (sha256d)", "torch-2.13.0 (transformer)", "power limit (W) 700"):
        assert shared in (grid.title or ""), "what all rows share is in the heading"


def test_without_watts_there_is_no_column_of_dashes() -> None:
    grid = run_grid(factory.run(A, metered=False))
    assert grid.header == ("task", "rate", "tokens/s (modelled)", "n")


def test_two_cards_of_one_name_are_kept_apart() -> None:
    twin = [replace(record, device_uuid="GPU-twin") for record in factory.run(A)]
    assert len(run_grid([*factory.run(A), *twin]).rows) > len(run_grid(factory.run(A)).rows)


def test_invalid_lines_are_marked() -> None:
    lost = [factory.invalid(record) for record in factory.run(A)]
    grid = run_grid([*factory.run(A, workloads=[factory.gemm]), *[r for r in lost if r.workload == "sha256d"]])
    assert grid.header[-1] == "note"
    assert [cells[-1] for cells in grid.rows] == ["", "invalid"]
    beside = comparison_grid(result_of(factory.run(B), lost))
    assert [cells[-1] for cells in beside.rows if cells[0] == A.name] == ["invalid"] * 2


def test_notes_of_a_run() -> None:
    records = [
        factory.invalid(factory.sha256d(), "counter frozen"),
        replace(factory.sha256d(repeat=2), verified=False),
        replace(factory.sha256d(repeat=3), steady=False, mode="smoke"),
        replace(factory.gemm(repeat=4), warnings="idle moved; clocks fell", energy_method="assumed"),
        replace(factory.gemm(repeat=5), warnings="idle moved"),
    ]
    notes = "\n".join(row_notes(records))
    for said in (
        "counter frozen",
        "not verified",
        "not steady",
        "idle moved (2 of 5 windows: transformer gemm llama3-8b bf16 b1 s8192)",
        "clocks fell",
        "assumed",
        "smoke",
    ):
        assert said in notes
    assert row_notes(factory.run(A)) == []


def test_notes_that_differ_in_figures_only_are_said_once() -> None:
    records = [
        replace(factory.sha256d(repeat=number), warnings=f"counter and samples are {number}.4% apart")
        for number in range(1, 11)
    ]
    assert row_notes(records) == [
        "counter and samples are 1.4% apart, and 9 more with other figures (10 of 10 windows)"
    ]


def test_not_steady_is_said_once_with_what_moved_and_only_where_energy_was_read() -> None:
    warm = "not steady after the warm-up: rate by 3.1%, power by 2.0%"
    records = [replace(factory.sha256d(repeat=number), steady=False, warnings=warm) for number in (1, 2)]
    records.append(replace(factory.gemm(), steady=False))
    (note,) = row_notes(records)
    assert note.endswith(": sha256d scan (rate by 3.1%, power by 2.0%); transformer gemm llama3-8b bf16 b1 s8192")
    assert row_notes([replace(record, steady=False) for record in factory.run(A, metered=False)]) == []
    assumed = [replace(record, energy_method="assumed") for record in records]
    assert not [note for note in row_notes(assumed) if "steady" in note]


def test_the_share_of_the_peak_is_told_with_its_source_and_the_clock_that_explains_over_100_percent() -> None:
    usual = factory.gemm(mbu=0.25, peak_source="stated: made up, at 1755 MHz boost")
    (note,) = peak_notes([usual])
    assert note == (
        "of the peak (stated: made up, at 1755 MHz boost): "
        "transformer gemm llama3-8b bf16 b1 s8192 MFU 70.8%, MBU 25.0%"
    )
    assert "SM clock" not in note
    (note,) = peak_notes([replace(usual, mfu=1.04, sm_clock_mhz_mean=1900.0)])
    assert "MFU 104.0%" in note
    assert "the SM clock was 1900 MHz" in note
    assert peak_notes([replace(usual, mfu=None)]) == [], "an unknown peak is no peak"


def test_notes_of_a_comparison_say_why_and_where() -> None:
    portable = [replace(record, implementation="torch-portable") for record in factory.run(B)]
    result = published.with_published(
        result_of(factory.run(A), portable, [factory.invalid(factory.sha256d(B, 9, implementation="torch-portable"))]),
        ["L4"],
    )
    notes = "\n".join(comparison_notes(result))
    assert "refused: implementation_class torch-portable against native" in notes
    assert "this run, line 22" in notes
    assert "published, not measured here: L4 sha256 single hashcat m1400, measured 5.400 GH/s — tnAnGel" in notes
    assert f"implementation class torch-portable: {B.name}" in notes


def test_csv_and_json_hold_the_same_rows() -> None:
    result = published.with_published(result_of(factory.run(A), factory.run(B, metered=False)), ["L4"])
    rows = list(csv.DictReader(text_of(output.comparison(result), "csv").splitlines()))
    items = json.loads(text_of(output.comparison(result), "json"))
    assert len(rows) == len(items)
    for row, item in zip(rows, items, strict=True):
        assert list(row) == list(item)
        for name, value in item.items():
            assert row[name] == (
                "" if value is None else str(value) if not isinstance(value, bool) else str(value).lower()
            )
    assert text_of(output.Document((), []), "csv") == ""


def test_devices() -> None:
    found = [
        (
            Device("cuda", 1, "Example GPU A", cores=132, memory_bytes=80 << 30, arch="sm_90"),
            Sensor("nvml", "gpu", counter=True),
        ),
        (Device("cpu", 0, "Example CPU C"), Sensor("none", None, reason="RAPL is readable by root only")),
    ]
    screen = shown(*output.render(output.devices(found)))
    assert "cuda:1" in screen
    assert "80.0 GiB" in screen
    assert "nvml, gpu, counter" in screen
    assert "see below" in screen
    assert output.devices(found).notes == ("cpu: RAPL is readable by root only",)
    assert json.loads(text_of(output.devices(found), "json"))[0]["device"]["label"] == "cuda:1"


@pytest.mark.parametrize("to", ["table", "markdown", "csv"])
def test_control_characters_are_shown_and_never_sent(to: output.Format) -> None:
    hostile = "\x1b]0;owned\x07Card\x1b[2J"
    records = [replace(record, device_name=hostile) for record in factory.run(A)]
    parts = output.render(output.comparison(result_of(records, factory.run(B))), to)
    text = shown(*parts)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"\x1b" in text.replace("\\\\", "\\")


def test_a_cell_of_csv_is_never_a_formula() -> None:
    records = [replace(record, device_name='=HYPERLINK("http://x")') for record in factory.run(A)]
    text = text_of(output.comparison(result_of(records, factory.run(B))), "csv")
    cells = {cell for row in csv.reader(text.splitlines()) for cell in row}
    assert '\'=HYPERLINK("http://x")' in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]


def test_a_sweep_has_every_format() -> None:
    records = [
        replace(
            record,
            power_limit_w=limit,
            energy_j=(record.energy_j or 0.0) * limit / 700,
            work_per_j=(record.work_per_j or 0.0) * 700 / limit,
        )
        for limit in (350.0, 500.0, 700.0)
        for record in factory.run(A, workloads=[factory.sha256d])
    ]
    document = output.sweep(frontiers(records))
    assert "most per joule" in shown(*output.render(document))
    items = json.loads(text_of(document, "json"))
    assert [item["limit_w"] for item in items] == [350.0, 500.0, 700.0]
    assert sum(item["best"] for item in items) == 1
    assert text_of(document, "csv").count("\n") == 4


def test_the_verdict_comes_first_and_what_differs_with_it() -> None:
    here = [replace(record, driver="1000.1", ecc=None) for record in factory.run(B)]
    document = output.comparison(result_of(factory.run(A), here))
    verdict, differs, unknown = document.lead
    assert re.match(rf"{B.name} against {A.name}: per joule better at sha256d \(1\.[34]\d×\), worse at gemm", verdict)
    assert "rate slower at sha256d (0.58" in verdict
    assert (
        differs
        == f"{B.name} has other settings than {A.name}: power limit (W) 300, not 700; driver 1000.1, not 999.99."
    )
    assert unknown == f"Not known on both sides for {B.name}: ECC."
    assert shown(*output.render(document)).startswith(verdict[:40])
    same = [replace(record, run_id="r2") for record in factory.run(A, seed=2)]
    assert len(output.comparison(result_of(factory.run(A), same, by="run")).lead) == 1


def test_a_verdict_that_cannot_be_given_says_why() -> None:
    other = [replace(record, energy_scope="package") for record in factory.run(B)]
    (verdict, *_) = output.comparison(result_of(factory.run(A), other)).lead
    assert "cannot tell at sha256d and gemm (refused: energy_scope package against gpu)" in verdict


def test_the_best_setting_of_a_sweep_is_named_and_outliers_are_listed() -> None:
    sweep = [
        replace(record, power_limit_w=350.0, power_mean_w=300.0, work_per_j=record.rate_per_s / 300)
        for record in factory.run(A, 12, workloads=[factory.sha256d])
    ]
    sweep[3] = replace(sweep[3], rate_per_s=sweep[3].rate_per_s / 4)
    document = output.comparison(
        result_of(factory.run(B), factory.run(A, workloads=[factory.sha256d]), sweep, baseline=B.name)
    )
    assert (A.name, "350 (best)") in {cells[:2] for cells in document.grids[-1].rows}
    notes = "\n".join(document.notes)
    assert "windows far from the others" in notes
    assert "line 20 (sha256d scan: 25% of the median)" in notes
    assert "within this run" in notes
