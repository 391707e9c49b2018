"""Units are spelled one way everywhere: tokens/s, tokens/J, J/TH, kWh, MWh, H/s, FLOP/s."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli import app
from tests.support.paths import ROOT

WRONG = re.compile(
    r"\btok(?:en)?/[sJ]\b|\btokens?/sec|\btokens per s\b|\bTPS\b|\b[kMG]?W[·.]h\b|\b[kM]wh\b|\b[KMG]WH\b|\bJ/T[hH]/s|"
    r"\bJ/Th\b|\bW/TH\b|\b[kMGTPE]?hash/sec|\b[kMGTPE]?h/s\b|\bFLOPS?/sec|\b[GTP]FLOPS\b|\bflops/s\b"
)
"""Spellings of these units that others use, and that no output of ours may."""

COMMANDS = [
    "run", "compare", "report", "economics", "sweep", "devices", "doctor", "verify", "recompute", "results check",
]  # fmt: skip


def texts(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_string_of_the_package_spells_a_unit_another_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {found[0]}"
        for path in sorted((ROOT / "bench").rglob("*.py"))
        for line, text in texts(path)
        if (found := WRONG.search(text))
    ]
    assert wrong == []


def test_no_page_template_or_document_does() -> None:
    folder = ROOT / "bench" / "report"
    paths = [*folder.rglob("*.j2"), *folder.rglob("*.html"), ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    wrong = [f"{path.name}: {found[0]}" for path in paths if (found := WRONG.search(path.read_text(encoding="utf-8")))]
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["12 tok/s", "3 token/J", "4 tokens/sec", "5 W·h", "6 kwh", "7 J/Th", "8 GH/sec", "9 MFLOPS TFLOPS", "TPS"]
)
def test_a_wrong_spelling_is_found(text: str) -> None:
    assert WRONG.search(text.replace("GH/sec", "Ghash/sec"))


@pytest.mark.parametrize("text", ["12 tokens/s", "tokens/J", "J/TH", "kWh", "USD/MWh", "8 GH/s", "9 TFLOP/s", "USD/h"])
def test_a_right_spelling_is_not(text: str) -> None:
    assert not WRONG.search(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_types_and_loses_no_brackets(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    app.call([*command.split(), "--help"])
    text = capsys.readouterr().out
    assert not re.search(r"<\w+>|\[/?(?:bold|dim|italic)\]", text)
    assert not WRONG.search(text)


def test_help_of_run_lists_the_registries(capsys: pytest.CaptureFixture[str]) -> None:
    from bench import workloads
    from bench.workloads.transformer import shapes

    app.call(["run", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"Workloads: {', '.join(workloads.WORKLOADS)}" in text
    assert f"Model shapes: {', '.join(shapes.names())}" in text
    assert "bitwatt[zeus]" in text
    for name in ("--device STR", "--batch INT", "--window FLOAT", "--plan PATH", "--isa CHOICE"):
        assert name in text
