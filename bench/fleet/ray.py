"""Ray: one task per node runs the worker there, and its files stream home as they grow. No file system is shared."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.fleet import launch, layout
from bench.fleet.layout import Fleet
from bench.model import BenchError, first_line

RETRIES = 1
"""How often a node whose task died is tried again while it is alive."""
POLL_S = 0.5
_PR_SET_PDEATHSIG = 1

Chunk = tuple[str, int, bytes]
"""Part of a file on its way home: path in the fleet's folder, offset, content. Offset 0 replaces the file."""


@dataclass(frozen=True, slots=True)
class RayNode:
    """A node of a Ray cluster."""

    name: str
    ray_id: str
    gpus: int


def connect(address: str | None, local: int, cards_per_node: int | None) -> Callable[[], None]:
    """Connect to a cluster, or start one of ``local`` nodes on this machine; returns what closes it.

    Raises:
        BenchError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        raise BenchError("Ray is not installed", "pip install 'bitwatt[ray]'") from None
    if local:
        cluster = importlib.import_module("ray.cluster_utils").Cluster()
        for _ in range(local):
            cluster.add_node(num_cpus=1, num_gpus=cards_per_node or 0, include_dashboard=False)
        address = cluster.address
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BenchError(
            f"there is no Ray cluster at {address} ({first_line(error)})", "give --address HOST:PORT, or --local 1"
        ) from None

    def close() -> None:
        ray.shutdown()
        if local:
            cluster.shutdown()

    return close


def _ray() -> Any:
    return importlib.import_module("ray")


def alive() -> list[RayNode]:
    """The cluster's living nodes. A host name that several nodes have is made distinct by the node's id."""
    found = [each for each in _ray().nodes() if each["Alive"]]
    hosts = Counter(each["NodeManagerHostname"] for each in found)
    nodes = []
    for each in found:
        host, ray_id = each["NodeManagerHostname"], each["NodeID"]
        name = host if hosts[host] == 1 else f"{host}-{ray_id[:8]}"
        nodes.append(RayNode(name, ray_id, int(each["Resources"].get("GPU", 0))))
    return sorted(nodes, key=lambda node: node.name)


def measure(folder: Path, fleet: Fleet, *, say: Callable[[str], None], show: Callable[[str], None]) -> None:
    """Run the worker on every living node that lacks something, and write what comes home into the folder.

    A node that dies is tried again while it is alive, and is left to the list of missing cards otherwise.
    """
    ray = _ray()
    nodes = alive()
    with_gpus = [node for node in nodes if node.gpus] or nodes
    layout.expect(folder, [node.name for node in with_gpus])
    lacking = {each.node for each in layout.missing(folder)}
    plan = (folder / layout.PLAN).read_text(encoding="utf-8")
    running: dict[Any, RayNode] = {}
    tries: Counter[str] = Counter()

    def begin(node: RayNode) -> None:
        tries[node.name] += 1
        running[_task(node).remote(node.name, plan, dict(fleet.settings), _done(folder, node.name))] = node

    for node in with_gpus:
        if node.name in lacking:
            begin(node)
    follower = launch.Follower(folder)
    while running:
        ready, _ = ray.wait(list(running), timeout=launch.FOLLOW_S, fetch_local=True)
        for stream in ready:
            node = running[stream]
            try:
                for chunk in ray.get(next(stream)):
                    receive(folder, chunk)
            except StopIteration:
                del running[stream]
            except ray.exceptions.RayError as error:
                del running[stream]
                say(f"{node.name}: {first_line(error)}")
                if tries[node.name] <= RETRIES and node.name in [each.name for each in alive()]:
                    say(f"{node.name} is tried again")
                    begin(node)
        show(str(follower.look()))


def _task(node: RayNode) -> Any:
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    # All cards of the node, so that no other task draws power there.
    return (
        _ray()
        .remote(_work)
        .options(
            num_gpus=node.gpus,
            num_cpus=1,
            max_retries=0,
            num_returns="streaming",
            scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node.ray_id, soft=False),
        )
    )


def _done(folder: Path, node: str) -> dict[str, bytes]:
    """Status files of the node's cards that are done, which the worker then leaves out."""
    return {
        str((place / layout.STATUS).relative_to(folder)): (place / layout.STATUS).read_bytes()
        for place, status in layout.statuses(folder)
        if status.node == node and status.state == "done"
    }


def receive(folder: Path, chunk: Chunk) -> None:
    """Write a part of a file that came home.

    Raises:
        BenchError: its path leads out of the folder.
    """
    name, offset, content = chunk
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BenchError(f"a node sent the path {name!r}", "run only your own bitwatt on the nodes")
    path.parent.mkdir(parents=True, exist_ok=True)
    if offset == 0:
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(content)
        temporary.replace(path)
        return
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


# ---- on the node ----------------------------------------------------------------------------------------------------


def _work(node: str, plan: str, settings: Mapping[str, str], done: Mapping[str, bytes]) -> Iterator[list[Chunk]]:
    """Run the worker on this node and yield what its files grow by."""
    with tempfile.TemporaryDirectory(prefix="bitwatt-") as name:
        home = Path(name)
        for path, content in done.items():
            receive(home, (path, 0, content))
        (home / layout.PLAN).write_text(plan, encoding="utf-8")
        command = settings.get("command") or launch.default_command()
        line = launch.worker(
            command, shlex.quote(str(home / layout.PLAN)), shlex.quote(name), shlex.quote(node), settings
        )
        with (home / "worker.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S602 - the user's own command line
                f"exec {line}",
                shell=True,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it only calls the kernel
            )
            try:
                sent: dict[str, tuple[int, int]] = {}
                while process.poll() is None:
                    time.sleep(POLL_S)
                    if chunks := list(growth(home, sent)):
                        yield chunks
                if chunks := list(growth(home, sent)):
                    yield chunks
            finally:
                process.terminate()
                process.wait()
        if not any(layout.statuses(home)):
            text = (home / "worker.log").read_text(encoding="utf-8", errors="replace").strip()
            raise RuntimeError(text.splitlines()[-1] if text else f"the worker ended with code {process.returncode}")


def growth(home: Path, sent: dict[str, tuple[int, int]]) -> Iterator[Chunk]:
    """What has changed since the last call. Evidence goes before rows, and rows before the status that counts them.

    ``sent`` holds the size and time of change of each file, and is brought up to date.
    """
    found = [path for path in home.glob("*/**/*") if path.is_file() and not path.name.startswith(".")]
    order = (".jsonl", ".txt", ".csv", ".json")
    for path in sorted(found, key=lambda each: (order.index(each.suffix) if each.suffix in order else -1, str(each))):
        state = path.stat()
        name = str(path.relative_to(home))
        size, changed_ns = sent.get(name, (0, 0))
        if (state.st_size, state.st_mtime_ns) == (size, changed_ns):
            continue
        with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
            # a sidecar is only ever appended to
            offset = size if path.suffix == ".jsonl" and state.st_size >= size else 0
            stream.seek(offset)
            content = stream.read()
            sent[name] = (offset + len(content), state.st_mtime_ns)
            yield name, offset, content


def _end_with_parent() -> None:
    """The worker ends when Ray ends its task (prctl(2), Linux)."""
    os.setpgrp()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
