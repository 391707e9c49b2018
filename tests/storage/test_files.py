"""Writing replaces regular files and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from bench.model import EXIT_IO, EXIT_USAGE, BenchError
from bench.storage import expand, write_atomically


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(BenchError, match=r"cannot write .*(symlink loop|too many levels)"):
        write_atomically(tmp_path / "a", "new")


def test_a_fifo_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    for path in (fifo, tmp_path, device):
        with pytest.raises(BenchError, match="is not a regular file"):
            write_atomically(path, "new")
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_is_written(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_atomically(Path(name), "page")
    assert capsys.readouterr().out == "page"


def test_a_long_name_leaves_room_for_the_temporary(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    write_atomically(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "exit_code", "fix"),
    [
        (errno.ENOSPC, EXIT_IO, "free some space; rows written before are intact"),
        (errno.EDQUOT, EXIT_IO, "free some space; rows written before are intact"),
        (errno.EFBIG, EXIT_IO, "free some space; rows written before are intact"),
        (errno.EIO, EXIT_IO, "choose a folder that can be written"),
        (errno.EACCES, EXIT_USAGE, "choose a folder that can be written"),
    ],
)
def test_a_failed_write_says_why_and_what_was_there_stays(
    number: int, exit_code: int, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    write_atomically(path, "old")

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(BenchError) as caught:
        write_atomically(path, "new")
    monkeypatch.undo()
    assert caught.value.message == f"cannot write {path} ({os.strerror(number).lower()})"
    assert (caught.value.exit_code, caught.value.fix) == (exit_code, fix)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_standard_input_is_one_file_by_either_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    assert expand([Path("-"), path, Path("/dev/stdin"), path]) == [Path("-"), path]
