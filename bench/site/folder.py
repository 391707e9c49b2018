"""The site's folder on disk. Only files that an earlier site wrote there are replaced or removed.

``.bitwatt-site.json`` lists each file with the digest of its content. A file that is not listed, or has changed since,
is someone else's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from Crypto.Hash import SHA256

from bench import storage
from bench.model import BenchError
from bench.storage.files import cannot_write

MANIFEST = ".bitwatt-site.json"
_FORMAT = "bitwatt-site-1"


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did."""

    written: int
    unchanged: int
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    """Files of an earlier site that are no longer part of it, but that someone has changed since: left as they are."""


def publish(folder: Path, files: Mapping[str, bytes]) -> Published:
    """Write the files, then remove those of an earlier site that are no longer part of it.

    Args:
        folder: is made where it does not exist.
        files: relative path → content.

    Raises:
        BenchError: a file of someone else is in the way, the folder cannot be written, or the disk is full.
    """
    known = _listed(folder)
    there = {name: _digest_on_disk(folder / name) for name in {*known, *files}}
    now = {name: _digest(content) for name, content in files.items()}
    for name, digest in now.items():
        if there[name] not in (None, digest, *known.get(name, ())):
            raise BenchError(
                f"{folder / name} was not written by bitwatt site, or was changed since",
                "move it away, or choose another folder",
            )
    changed = [name for name, digest in now.items() if there[name] != digest]
    stale = [name for name in known if name not in now and there[name] is not None]
    if changed or stale:
        # before and after, so that whatever is interrupted, each file of ours is known as ours
        _write(folder / MANIFEST, _list({**known, **{n: (*known.get(n, ()), d) for n, d in now.items()}}))
    for name in changed:
        _write(folder / name, files[name])
    removed = [name for name in stale if there[name] in known[name]]
    for name in removed:
        _remove(folder, name)
    _write(folder / MANIFEST, _list({name: (digest,) for name, digest in now.items()}))
    kept = [name for name in stale if name not in removed]
    return Published(len(changed), len(now) - len(changed), tuple(removed), tuple(kept))


def _digest(content: bytes) -> str:
    return SHA256.new(content).hexdigest()


def _digest_on_disk(path: Path) -> str | None:
    """The digest of a file; None where there is nothing; of a link, a folder or anything unreadable, one of nothing."""
    if not path.is_symlink() and not path.exists():
        return None
    if path.is_symlink() or not path.is_file():
        return "not a file"
    try:
        return _digest(path.read_bytes())
    except OSError:
        return "not readable"


def _listed(folder: Path) -> dict[str, tuple[str, ...]]:
    """The manifest; empty where there is none or it cannot be read, so that nothing is ours."""
    try:
        held = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = held["files"] if held["format"] == _FORMAT else {}
        return {str(name): tuple(map(str, digests)) for name, digests in files.items() if _is_inside(str(name))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _list(files: Mapping[str, tuple[str, ...]]) -> bytes:
    return (json.dumps({"format": _FORMAT, "files": files}, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    storage.write_atomically(path, content)


def _remove(folder: Path, name: str) -> None:
    """A file, and the folders that it leaves empty."""
    path = folder / name
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    for parent in path.relative_to(folder).parents:
        if parent != Path():
            with contextlib.suppress(OSError):  # not empty
                (folder / parent).rmdir()
