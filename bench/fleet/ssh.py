"""ssh: the worker on each host of a list, through the system's own ssh. The plan goes in by stdin, the shards come home
as a tar on stdout; no file system is shared, and a host whose connection broke still has its shards.
"""

from __future__ import annotations

import shlex
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.fleet import launch, layout
from bench.fleet.layout import Fleet
from bench.model import BenchError

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Host:
    """A line of the host file."""

    node: str
    target: str
    """What ssh is given: a host, ``user@host``, or a name from ssh's own configuration."""


def hosts(path: Path) -> list[Host]:
    """The hosts of a file: one destination per line, ``#`` begins a comment.

    Raises:
        BenchError: the file cannot be read, names no host or one twice, or a line would be an option to ssh.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(
            f"cannot read the host file {path} ({error})", "give a text file, one host per line"
        ) from error
    found: dict[str, Host] = {}
    for number, line in enumerate(lines, start=1):
        target = line.partition("#")[0].strip()
        if not target:
            continue
        node = target.rpartition("@")[2]
        if target.startswith("-") or len(target.split()) > 1:
            raise BenchError(f"{path}, line {number}: {target!r} is not a host", "give one host per line")
        if node in found:
            raise BenchError(f"{path}, line {number}: {node} is there twice", "name each host once")
        found[node] = Host(node, target)
    if not found:
        raise BenchError(f"{path} names no host", "give one host per line")
    return list(found.values())


def measure(
    folder: Path,
    fleet: Fleet,
    listed: Sequence[Host],
    *,
    say: Callable[[str], None],
    show: Callable[[str], None],
) -> None:
    """Run the worker on every host that lacks something, all at once, and unpack what comes home into the folder.

    Raises:
        BenchError: there is no ssh here.
    """
    layout.expect(folder, [host.node for host in listed])
    lacking = {each.node for each in layout.missing(folder)}
    running: dict[Host, subprocess.Popen[bytes]] = {}
    try:
        for host in listed:
            if host.node in lacking:
                running[host] = _start(folder, fleet, host)
        follower = launch.Follower(folder)
        while running:
            for host, process in list(running.items()):
                if process.poll() is not None:
                    del running[host]
                    _home(folder, host, process.returncode, say)
            show(str(follower.look()))
            time.sleep(POLL_S)
    finally:
        for process in running.values():
            process.terminate()


def _start(folder: Path, fleet: Fleet, host: Host) -> subprocess.Popen[bytes]:
    settings = fleet.settings
    remote = shlex.quote(settings["remote"])
    work = launch.worker(
        settings.get("command") or launch.default_command(),
        f"{remote}/{layout.PLAN}",
        remote,
        shlex.quote(host.node),
        settings,
    )
    script = (
        f"mkdir -p {remote} && cat > {remote}/{layout.PLAN} || exit 74; {work} >&2; code=$?; "
        f"tar -C {remote} -cf - {shlex.quote(layout.safe(host.node))} || exit 74; exit $code"
    )
    command = [*shlex.split(settings.get("ssh") or "ssh -o BatchMode=yes"), host.target, script]
    archive, log = _files(folder, host)
    try:
        with (folder / layout.PLAN).open("rb") as plan, archive.open("wb") as out, log.open("wb") as err:
            return subprocess.Popen(command, stdin=plan, stdout=out, stderr=err)  # noqa: S603
    except FileNotFoundError:
        raise BenchError(f"there is no {command[0]} on this machine", "apt install openssh-client") from None


def _files(folder: Path, host: Host) -> tuple[Path, Path]:
    name = layout.safe(host.node)
    return folder / f".{name}.tar", folder / f"{name}.log"


def _home(folder: Path, host: Host, code: int, say: Callable[[str], None]) -> None:
    """Unpack what a host sent. Only its own files are taken."""
    archive, log = _files(folder, host)
    own = layout.safe(host.node)
    try:
        with tarfile.open(archive) as sent:
            members = [each for each in sent if each.name == own or each.name.startswith(f"{own}/")]
            sent.extractall(folder, members, filter="data")
    except (tarfile.TarError, OSError):
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        say(f"{host.node} sent no shards: {said[-1] if said else f'ssh ended with code {code}'}")
    else:
        say(f"{host.node}: {'done' if code == 0 else f'ended with code {code}, see {log}'}")
    archive.unlink(missing_ok=True)
