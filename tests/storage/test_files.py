"""Writing replaces regular files and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bench.model import BenchError
from bench.storage import write_atomically


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
    with pytest.raises(BenchError, match="cannot write"):
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
