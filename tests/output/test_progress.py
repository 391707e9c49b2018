"""Progress: how far the run is, with a clock that the test turns; as a bar on a terminal, as few lines in a log."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.model import Variant
from bench.output.progress import TerminalObserver, duration
from tests.support.terminal import drawn, screen

HASH = Variant("sha256d")
BLOCK = Variant("transformer", phase="prefill", shape="llama3-8b", dtype="bf16", batch=1, seq=8192)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def play(observer: TerminalObserver, clock: Clock, rounds: int = 12) -> None:
    """A run of two variants with windows of 1 s: 1 s of building, 2 s of warm-up, then the windows."""
    observer.begin(2, 2 * rounds, 2 * (2.0 + rounds))
    for repeat in range(1, rounds + 1):
        for variant in (HASH, BLOCK):
            if repeat == 1:
                for stage, takes_s, known_s in (("build", 1.0, None), ("verify", 0.5, None), ("warm up", 2.0, 2.0)):
                    observer.stage(variant, stage, known_s)
                    clock.now_s += takes_s
                    observer.progress(takes_s, None, None, None)
            observer.stage(variant, f"window {repeat}/{rounds}", 1.0)
            clock.now_s += 1.0
            observer.progress(1.0, 88.9e6, "hash", 75.4)


def log_of(*, quiet: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), soft_wrap=True)
    clock = Clock()
    with TerminalObserver(console, quiet=quiet, clock=clock) as observer:
        play(observer, clock)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_log_names_build_and_verify_and_has_a_line_about_windows_every_ten_seconds() -> None:
    assert log_of() == [
        "sha256d: building",
        "sha256d: verifying",
        "sha256d: warming up (up to 2 s)",
        "window 1 of 24, about 30 s left, sha256d",
        "transformer prefill llama3-8b bf16 b1 s8192: building",
        "transformer prefill llama3-8b bf16 b1 s8192: verifying",
        "transformer prefill llama3-8b bf16 b1 s8192: warming up (up to 2 s)",
        "window 8 of 24, about 15 s left, transformer prefill llama3-8b bf16 b1 s8192",
        "window 18 of 24, about 5 s left, transformer prefill llama3-8b bf16 b1 s8192",
        "window 24 of 24, about 5 s left, transformer prefill llama3-8b bf16 b1 s8192",
    ]


def test_quiet_shows_no_progress() -> None:
    assert log_of(quiet=True) == []


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (20, "window 14 of 14"),
        (45, "━ window 14 of 14, about 5 s left"),
        (80, "window 14 of 14, about 5 s left, transformer prefill llama3-8b bf16 b1 s8192"),
        (130, "━ window 14 of 14, about 5 s left, transformer prefill llama3-8b bf16 b1 s8192, 88.90 MH/s, 75 W"),
    ],
)
def test_the_line_on_a_terminal_fits_and_drops_what_matters_least(width: int, shown: str) -> None:
    clock = Clock()
    observer = TerminalObserver(Console(file=io.StringIO(), force_terminal=True, width=width), clock=clock)
    play(observer, clock, rounds=7)
    text = observer.line(width).plain
    assert cell_len(text) <= width
    assert text.lstrip("━") == shown.removeprefix("━")
    assert text.startswith("━") == shown.startswith("━")


def test_time_left_allows_for_building_what_is_to_come() -> None:
    clock = Clock()
    observer = TerminalObserver(Console(file=io.StringIO()), clock=clock)
    observer.begin(2, 10, 80.0)
    observer.stage(HASH, "build", None)
    clock.now_s += 50.0
    observer.stage(HASH, "window 1/10", 10.0)
    clock.now_s += 10.0
    observer.progress(10.0, None, None, None)
    assert "about 2 min left" in observer.line(200).plain, "70 s are planned, and another 50 s to build the second"
    observer.stage(BLOCK, "build", None)
    assert "about 1 min left" in observer.line(200).plain, "70 s are planned, and nothing is to be built after this"
    observer.begin(1, 1, 10.0)
    observer.stage(HASH, "window 1/1", 10.0)
    assert "about 10 s left" in observer.line(200).plain, "a new device counts anew"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "5 s"), (8, "10 s"), (57, "55 s"), (61, "1 min"), (3540, "59 min"), (3600, "1 h"), (4700, "1 h 20 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_progress_is_drawn_and_gone_before_the_result(tmp_path: Path, width: int) -> None:
    common = ("--device", "cpu", "--workload", "fake", "--warmup", "0.3", "--window", "0.3")
    arguments = ["run", *common, "--repeats", "3", "--meter", "none", "--out", str(tmp_path)]
    sent = screen("tests.fakes.bitwatt", arguments, width)
    assert "window 2 of 3" in sent
    assert "━" in sent
    lines = drawn(sent)
    assert not [line for line in lines if "left" in line or "building" in line], "nothing of it is left"
    assert not [line for line in lines if cell_len(line) > width and " " in line], "only a long path is wider"
    assert any("H/s" in line for line in lines)
