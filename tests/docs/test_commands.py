"""Every command in the documents runs, at smoke size, and shows what the document says that it shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from bench.cli.app import app
from bench.model.record import Record
from tests.support import doc_blocks
from tests.support.doc_blocks import ROOT

PAGES = sorted(
    path
    for path in [*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")]
    if not {"_build", "examples", "log"} & set(path.relative_to(ROOT).parts) and path.name != "log.md"
)
WITH_COMMANDS = [path for path in PAGES if doc_blocks.pairs(path.read_text())]


def reference_module() -> ModuleType:
    """docs/_ext/reference.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/_ext/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_COMMANDS, ids=name)
def test_every_command_runs_and_shows_what_the_page_says(path, tmp_path, monkeypatch):
    # two threads on cores that others use wait for each other
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    results = doc_blocks.run(path.read_text(), tmp_path.resolve())
    failed = [(block.text, result) for block, _, result in results if result.code]
    assert failed == []
    assert len(results) == len(doc_blocks.pairs(path.read_text()))
    shown = [(output.text, result.out + result.err) for _, output, result in results if output]
    assert [found for pair in shown if (found := doc_blocks.differs(*pair))] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_output_block_belongs_to_a_command_or_says_why_not(path):
    assert doc_blocks.unmarked(path.read_text()) == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_reason_is_a_reason(path):
    for block in doc_blocks.blocks(path.read_text()):
        assert block.not_run is None or len(block.not_run.split()) >= 3
        assert block.language != "console" or block.not_run, "write sh and text, or <!-- not run: REASON --> above it"


@pytest.mark.parametrize("path", sorted((ROOT / "docs/contributing").glob("add-*.md")), ids=name)
def test_worked_examples_are_under_sixty_lines(path):
    for block in doc_blocks.blocks(path.read_text()):
        assert len(block.text.splitlines()) < 60


def test_a_command_that_fails_is_found(tmp_path):
    results = doc_blocks.run("```sh\necho one\n```\n```sh\nfalse\n```\n```sh\necho never\n```\n", tmp_path.resolve())
    assert [result.code for _, _, result in results] == [0, 1]
    assert results[0][2].out == "one\n"


def test_commands_share_a_shell_and_files_are_written(tmp_path):
    page = "<!-- file: a/b.txt -->\n```toml\nx = 1\n```\n```sh\ncd a\n```\n```sh\ncat b.txt\n```\n```text\nshown\n```\n"
    results = doc_blocks.run(page, tmp_path.resolve())
    assert results[-1][2].out == "x = 1\n"
    assert doc_blocks.differs(results[-1][1].text, results[-1][2].out) == {"shown"}


def test_blocks_that_are_not_run_take_their_output_with_them():
    page = "<!-- not run: needs a GPU -->\n```sh\nnvidia-smi\n```\n<!-- not run: from a GPU -->\n```text\nH100\n```\n"
    assert doc_blocks.pairs(page) == []
    assert doc_blocks.unmarked(page) == []
    assert doc_blocks.unmarked("```text\nmade up\n```\n") == ["made up\n"]


@pytest.mark.parametrize(
    ("shown", "real", "found"),
    [
        ("rate 45.3 MH/s on Xeon", "rate 12.1 MH/s on Xeon", set()),
        ("rate of the first card", "the rate of one card", set()),
        ("all four words differ", "nothing here", {"all", "four", "words", "differ"}),
    ],
)
def test_words_count_and_figures_do_not(shown, real, found):
    assert doc_blocks.differs(shown, real) == found


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("run --device cuda:1 --thorough", "run --device cpu --smoke"),
        ("run --smoke", "run --smoke"),
        ("run", "run --smoke --device cpu"),
        ("compare a.csv", "compare a.csv"),
        ("run --help", "run --help"),
    ],
)
def test_runs_are_made_small(line, run):
    assert " ".join(doc_blocks.small(line.split())) == run


def test_the_reference_names_every_command_and_column():
    reference = reference_module()
    headings = set(re.findall(r"^## bitwatt (\S+)$", reference.cli(), re.MULTILINE))
    assert headings == {each for each in app if not each.startswith("-")}
    assert "\nbitwatt run [OPTIONS]\n" in reference.cli()
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", reference.columns(), re.MULTILINE))
    assert list(rows) == list(Record.__dataclass_fields__)
    assert [column for column, meaning in rows.items() if not meaning] == []
