"""Output that cannot be written has an exit code of its own, and no traceback; control characters are shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import streams
from bench.model import EXIT_IO
from tests.support import factory
from tests.support.paths import ROOT


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = f'set -o pipefail; bitwatt() {{ {sys.executable} -m bench.cli.app "$@"; }}; {line}'
    # Buffered, as for most users: what a failed write leaves in a buffer is written again at exit.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["/bin/bash", "-c", command],
        env=buffered,
        capture_output=True,
        text=True,
        errors="replace",
        cwd=ROOT,
        timeout=120,
    )


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return factory.write(tmp_path / "a.csv", [*factory.run(), *factory.run(factory.CARD_B)])


@pytest.mark.parametrize("redirect", [">/dev/full", "2>/dev/full", ">&-", "2>&-", ">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_a_closed_or_full_stream_has_its_own_code(csv: Path, redirect: str) -> None:
    done = shell(f"bitwatt compare {csv} {redirect}")
    assert done.returncode == EXIT_IO, done
    assert "Traceback" not in done.stdout + done.stderr


def test_a_device_is_not_replaced(csv: Path) -> None:
    done = shell(f"bitwatt report {csv} -o /dev/full")
    assert done.returncode == 2
    assert "is not a regular file" in done.stderr


def test_a_locale_without_our_characters(csv: Path) -> None:
    csv.write_text(csv.read_text().replace("Example GPU A", "Karte 東京 ±"), encoding="utf-8")
    for encoding in ("latin1", "ascii"):
        done = shell(f"PYTHONIOENCODING={encoding} bitwatt compare {csv} --format markdown | cat")
        assert done.returncode == 0, done.stderr
        assert r"Karte \u6771\u4eac" in done.stdout


def test_a_foreign_file_sends_no_escape_sequence(csv: Path, tmp_path: Path) -> None:
    evil = "\x1b[2J\x1b]0;x\x07"
    csv.write_text(csv.read_text().replace("Example GPU A", f"GPU{evil}"))
    named = tmp_path / f"b{evil}.csv"
    named.write_text(csv.read_text().replace("GPU-0000", "GPU-1111").replace("schema_version", "version", 1))
    for arguments in ("compare", "compare --format markdown", "compare --format csv", "verify", "economics"):
        for path in (csv, named):
            done = shell(f"bitwatt {arguments} '{path}'")
            assert "\x1b" not in done.stdout + done.stderr, (arguments, done)
            assert "\x07" not in done.stdout + done.stderr


def test_results_come_from_standard_input_and_a_page_goes_to_standard_output(csv: Path) -> None:
    for files in ("-", "/dev/stdin", f"<(cat {csv})"):
        done = shell(f"cat {csv} | bitwatt compare {files} --format csv")
        assert done.returncode == 0, done.stderr
        assert "Example GPU B" in done.stdout
    page = shell(f"bitwatt report {csv} -o -")
    assert page.returncode == 0, page.stderr
    assert page.stdout.lstrip().lower().startswith("<!doctype html>")


def test_text_on_stdout_shows_control_characters_and_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A file may be named so that its name clears the screen; verify and recompute print names."""
    streams.put("a\tb\n/tmp/\x1b[2J\x9b]0;x\x07.csv, line 2\n", "±5 µJ")
    assert capsys.readouterr().out == "a\tb\n/tmp/\\x1b[2J\\x9b]0;x\\x07.csv, line 2\n±5 µJ\n"
