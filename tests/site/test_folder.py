"""The site's folder: only what bitwatt wrote is replaced or removed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from bench.model import EXIT_IO, BenchError
from bench.site import publish
from bench.site.folder import MANIFEST

FILES = {"index.html": b"<p>1", "cards/a.html": b"a", "cards/b.html": b"b", "compare/a-vs-b.html": b"ab"}


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}


def test_a_second_publication_writes_only_what_changed(tmp_path):
    assert publish(tmp_path / "p", FILES).written == 4
    done = publish(tmp_path / "p", {**FILES, "index.html": b"<p>2"})
    assert (done.written, done.unchanged, done.removed) == (1, 3, ())
    assert (tmp_path / "p/index.html").read_bytes() == b"<p>2"


def test_pages_of_a_card_that_left_are_removed_with_their_empty_folder(tmp_path):
    publish(tmp_path, FILES)
    done = publish(tmp_path, {"index.html": b"<p>1", "cards/a.html": b"a"})
    assert set(done.removed) == {"cards/b.html", "compare/a-vs-b.html"}
    assert names(tmp_path) == {"index.html", "cards/a.html"}
    assert not (tmp_path / "compare").exists()


def test_files_of_others_stay(tmp_path):
    publish(tmp_path, FILES)
    (tmp_path / "cards/notes.txt").write_text("mine")
    (tmp_path / "cards/b.html").write_text("edited")
    done = publish(tmp_path, {"index.html": b"<p>1"})
    assert done.kept == ("cards/b.html",)
    assert names(tmp_path) == {"index.html", "cards/notes.txt", "cards/b.html"}
    publish(tmp_path, {"index.html": b"<p>1"})
    assert (tmp_path / "cards/b.html").read_text() == "edited"


def test_a_file_of_someone_else_in_the_way_stops_it_before_anything_is_written(tmp_path):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards/b.html").write_text("mine")
    with pytest.raises(BenchError, match=r"cards/b.html was not written by bitwatt site"):
        publish(tmp_path, FILES)
    assert names(tmp_path) == {"cards/b.html"}


def test_a_link_is_neither_followed_nor_removed(tmp_path):
    outside = tmp_path / "outside.html"
    outside.write_bytes(b"a")
    folder = tmp_path / "p"
    publish(folder, FILES)
    (folder / "cards/a.html").unlink()
    (folder / "cards/a.html").symlink_to(outside)
    with pytest.raises(BenchError, match="was not written"):
        publish(folder, FILES)
    assert publish(folder, {"index.html": b"<p>1"}).kept == ("cards/a.html",)
    assert outside.read_bytes() == b"a"


@pytest.mark.parametrize("name", ["../victim", "/{folder}/victim", "cards/../../victim"])
def test_a_manifest_cannot_name_a_file_outside(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_bytes(b"a")
    folder = tmp_path / "p"
    publish(folder, FILES)
    held = json.loads((folder / MANIFEST).read_text())
    digest = held["files"]["cards/a.html"]
    held["files"][name.format(folder=tmp_path)] = digest
    (folder / MANIFEST).write_text(json.dumps(held))
    publish(folder, FILES)
    assert victim.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "bitwatt-site-1", "files": []}', '{"format": "other", "files": {}}', "\0"]
)
def test_without_a_readable_manifest_nothing_is_ours(tmp_path, text):
    publish(tmp_path, FILES)
    (tmp_path / MANIFEST).write_text(text)
    publish(tmp_path, FILES)  # the same content: nothing to do
    with pytest.raises(BenchError, match="was not written"):
        (tmp_path / MANIFEST).write_text(text)
        publish(tmp_path, {**FILES, "index.html": b"<p>2"})


def test_after_a_publication_that_was_cut_off_the_next_one_goes_on(tmp_path, monkeypatch):
    publish(tmp_path, FILES)
    changed = {name: content + b"!" for name, content in FILES.items()}
    real, calls = Path.replace, []

    def cut(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, changed)
    monkeypatch.undo()
    assert publish(tmp_path, changed).written == 3
    assert (tmp_path / "cards/b.html").read_bytes() == b"b!"


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BenchError, match=r"cannot write .*no space left on device") as caught:
        publish(tmp_path / "p", FILES)
    assert caught.value.exit_code == EXIT_IO


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write"):
        publish(tmp_path / "file" / "public", FILES)
