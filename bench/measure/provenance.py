"""What a row says of the machine and the harness: versions, commit, host, the name of a run."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import secrets
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.data import PACKAGE
from bench.measure import host
from bench.measure.row import Context
from bench.model import Device

CUPY_DISTRIBUTIONS = ("cupy-cuda13x", "cupy-cuda12x", "cupy-rocm-7-0", "cupy")


def context(how: str, device: Device, *, host_label: str | None = None) -> Context:
    """The identity columns of a run on ``device``; ``run_id`` is also the name of its CSV.

    Args:
        how: how the device was chosen.
        device: the device that the run is on.
        host_label: what to call this host; None: its host name, empty: nothing.
    """
    commit, dirty = _commit()
    return Context(
        run_id=_run_id(device),
        harness_version=__version__,
        commit=commit,
        dirty=dirty,
        host=socket.gethostname() if host_label is None else host_label or None,
        torch=version("torch"),
        cupy=next((found for name in CUPY_DISTRIBUTIONS if (found := version(name))), None),
        device_choice=how,
        host_state=host.state(),
    )


def version(distribution: str) -> str | None:
    """Version of an installed distribution; None when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _run_id(device: Device) -> str:
    """Time, card and four random characters: sorts by time, and two runs of one second differ."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    slug = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")[:40] or device.kind
    return f"{stamp}-{slug}-{secrets.token_hex(2)}"


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the checkout this package stands in, and whether tracked files were changed; unknown elsewhere."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        # No git here, or not a repository after all: the row then says so by an empty cell.
        return None, None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()
