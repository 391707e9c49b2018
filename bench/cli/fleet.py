"""``bitwatt fleet``: one plan on every card of a cluster, by the engine that runs there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Group, Parameter

from bench.cli import options, streams
from bench.cli.worker import Level, at_level
from bench.measure.plan import RunPlan
from bench.model import EXIT_INVALID, EXIT_OK, BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.fleet.layout import Fleet

LINE_S = 30.0
"""Between two lines of progress where stderr is not a terminal."""

app = App(name="fleet", help="Measure every card of a cluster, with Slurm, Ray, Kubernetes or ssh.")

_FILE = Parameter(group=Group("Plan", sort_key=0))
PlanFile = Annotated[Path | None, _FILE]


@Parameter(name="*", group=Group("Fleet", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """What all launchers take."""

    resume: Path | None = None
    """Go on with the fleet in this folder: measure what is missing, then merge."""
    together: bool = False
    """All cards of a node at once (default)."""
    one_by_one: bool = False
    """One card of a node after another."""
    level: Level | None = None
    """quick, medium or long, by minutes per card."""
    command: str | None = None
    """How the nodes start bitwatt, such as /opt/bitwatt/bin/bitwatt; default: this very Python."""
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """The merged file; default: fleet.parquet in the folder."""

    @property
    def mode(self) -> str:
        """As the worker's flag."""
        if self.together and self.one_by_one:
            raise BenchError("--together and --one-by-one exclude each other", "give one of them")
        return "one-by-one" if self.one_by_one else "together"


@app.command
def slurm(
    run_plan: options.Plan = RunPlan(),
    fleet_options: FleetOptions = FleetOptions(),
    *,
    plan: PlanFile = None,  # noqa: ARG001 - read before the command line is (plan_defaults)
    nodes: int | None = None,
    gpus_per_node: int | None = None,
    partition: str | None = None,
    time_limit: str | None = None,
    account: str | None = None,
    start_at: str | None = None,
    dry_run: bool = False,
    detach: bool = False,
) -> int:
    """Submit one job to Slurm: a worker per node, followed to its end and merged.

    The job goes on if this command is interrupted; --resume follows it, or submits what is missing.

    Parameters
    ----------
    plan
        A TOML file with options, by group; options given here override it.
    nodes
        How many nodes.
    gpus_per_node
        Cards per node; without it no GPU is asked for and the CPU is measured.
    partition
        Slurm partition.
    time_limit
        Slurm time limit, such as 01:00:00.
    account
        Slurm account.
    start_at
        All nodes begin at this moment (UTC).
    dry_run
        Print the batch file; submit nothing.
    detach
        Submit, and do not wait.
    """
    from bench.fleet import launch, layout
    from bench.fleet import slurm as engine

    folder = fleet_options.resume or run_plan.output.out
    if fleet_options.resume:
        fleet = launch.resume(folder, "slurm")
        text = None if engine.state(fleet.job) else engine.again(folder, fleet)
    else:
        if not nodes or nodes < 1:
            raise BenchError("the number of nodes is missing", "give --nodes N, or --resume DIR")
        settings = _settings(fleet_options, partition=partition, time=time_limit, account=account, start_at=start_at)
        fleet = layout.Fleet("slurm", nodes, gpus_per_node, settings=settings)
        text = engine.script(folder, fleet, nodes=nodes)
    if dry_run:
        streams.put(text or "# nothing is missing\n")
        return EXIT_OK
    if not fleet_options.resume:
        launch.begin(folder, at_level(run_plan, fleet_options.level), fleet)
    if text is not None:
        fleet = engine.submit(folder, fleet, text)
        streams.say(f"submitted job {fleet.job}: {folder / engine.SCRIPT}")
    if detach:
        return EXIT_OK
    with _showing() as show:
        launch.follow(folder, lambda: engine.state(fleet.job), show)
    return _merge(folder, fleet, fleet_options)


@app.command
def ray(
    run_plan: options.Plan = RunPlan(),
    fleet_options: FleetOptions = FleetOptions(),
    *,
    plan: PlanFile = None,  # noqa: ARG001
    address: str | None = None,
    local: int = 0,
    gpus_per_node: int | None = None,
    start_at: str | None = None,
) -> int:
    """Run a worker on every node of a Ray cluster; rows come home as they are measured, then they are merged.

    Parameters
    ----------
    plan
        A TOML file with options, by group; options given here override it.
    address
        Address of the cluster; default: auto.
    local
        Start a cluster of this many nodes on this machine, to try it out.
    gpus_per_node
        Cards per node: those of a local cluster; otherwise how many each node must show to be complete.
    start_at
        All nodes begin at this moment (UTC).
    """
    from bench.fleet import launch, layout
    from bench.fleet import ray as engine

    if fleet_options.resume:
        folder = fleet_options.resume
        fleet = launch.resume(folder, "ray")
    else:
        folder = run_plan.output.out
        fleet = layout.Fleet("ray", None, gpus_per_node, settings=_settings(fleet_options, start_at=start_at))
    close = engine.connect(address, local, fleet.cards_per_node)
    try:
        if not fleet_options.resume:
            launch.begin(folder, at_level(run_plan, fleet_options.level), fleet)
        with _showing() as show:
            engine.measure(folder, fleet, say=streams.say, show=show)
    finally:
        close()
    return _merge(folder, fleet, fleet_options)


@app.command
def ssh(
    run_plan: options.Plan = RunPlan(),
    fleet_options: FleetOptions = FleetOptions(),
    *,
    hosts: Path,
    plan: PlanFile = None,  # noqa: ARG001
    gpus_per_node: int | None = None,
    ssh: str | None = None,
    start_at: str | None = None,
) -> int:
    """Run a worker on every host of a list, through the system's ssh; shards come home and are merged.

    Parameters
    ----------
    hosts
        A file with one host per line, as ssh takes it.
    plan
        A TOML file with options, by group; options given here override it.
    gpus_per_node
        Cards that each node must show to be complete.
    ssh
        The ssh command with its options; default: ssh -o BatchMode=yes.
    start_at
        All nodes begin at this moment (UTC).
    """
    import secrets

    from bench.fleet import launch, layout
    from bench.fleet import ssh as engine

    listed = engine.hosts(hosts)
    if fleet_options.resume:
        folder = fleet_options.resume
        fleet = launch.resume(folder, "ssh")
    else:
        folder = run_plan.output.out
        remote = f".bitwatt/{secrets.token_hex(6)}"
        settings = _settings(fleet_options, start_at=start_at, ssh=ssh, remote=remote)
        fleet = layout.Fleet("ssh", len(listed), gpus_per_node, settings=settings)
        launch.begin(folder, at_level(run_plan, fleet_options.level), fleet)
    with _showing() as show:
        engine.measure(folder, fleet, listed, say=streams.say, show=show)
    return _merge(folder, fleet, fleet_options)


@app.command
def kubernetes(
    run_plan: options.Plan = RunPlan(),
    fleet_options: FleetOptions = FleetOptions(),
    *,
    image: str,
    plan: PlanFile = None,  # noqa: ARG001
    nodes: int | None = None,
    gpus_per_node: int | None = None,
    daemon_set: bool = False,
    claim: str | None = None,
    host_path: str = "/var/lib/bitwatt",
    namespace: str | None = None,
    start_at: str | None = None,
) -> int:
    """Print the objects that measure a Kubernetes cluster, as YAML for kubectl apply.

    Parameters
    ----------
    image
        Container image with bitwatt in it.
    plan
        A TOML file with options, by group; options given here override it.
    nodes
        How many nodes the Job measures.
    gpus_per_node
        Cards per node (nvidia.com/gpu).
    daemon_set
        A DaemonSet on every node, in place of a Job.
    claim
        PersistentVolumeClaim for the shards, which all nodes can mount.
    host_path
        Without a claim: folder of each node for its shards.
    namespace
        Namespace of the objects.
    start_at
        All nodes begin at this moment (UTC).
    """
    from bench.fleet import kubernetes as engine
    from bench.fleet import launch, layout

    if fleet_options.resume:
        raise BenchError(
            "a Kubernetes fleet is resumed by its pods", "delete the Job and apply it again; what is done is kept"
        )
    if nodes is None and not daemon_set:
        raise BenchError("the number of nodes is missing", "give --nodes N, or --daemon-set")
    cluster = engine.Cluster(image, namespace=namespace, claim=claim, host_path=host_path)
    fleet = layout.Fleet("kubernetes", nodes, gpus_per_node, settings=_settings(fleet_options, start_at=start_at))
    plan_text = launch.plan_text(at_level(run_plan, fleet_options.level))
    streams.put(engine.manifest(cluster, plan_text, fleet, daemon_set=daemon_set))
    return EXIT_OK


def _settings(chosen: FleetOptions, **more: str | None) -> dict[str, str]:
    """What a fleet's file keeps for a resumed one."""
    found = {"mode": chosen.mode, "command": chosen.command, **more}
    return {name: value for name, value in found.items() if value is not None}


def _merge(folder: Path, fleet: Fleet, chosen: FleetOptions) -> int:
    """Merge what there is, and say how to get what is missing."""
    from bench.cli import fleet_tables
    from bench.fleet import layout
    from bench.fleet import merge as merging

    output = chosen.output or folder / "fleet.parquet"
    try:
        merged = merging.merge([folder], output, streams.say)
    except BenchError:
        if not layout.missing(folder):
            raise
        missing = tuple(layout.missing(folder))
    else:
        missing = merged.missing
        streams.say(f"wrote {output}: {merged}")
    streams.show(fleet_tables.missing(missing))
    if missing:
        streams.say(f"{len(missing)} missing; to measure them: bitwatt fleet {fleet.engine} --resume {folder}")
    return EXIT_INVALID if missing else EXIT_OK


@contextmanager
def _showing() -> Iterator[Callable[[str], None]]:
    """How progress is shown: one line that changes on a terminal, else a line now and then where it has changed."""
    from rich.text import Text

    console = streams.err()
    if console.is_terminal:
        with console.status("") as status:
            yield lambda text: status.update(Text(text))
        return
    last_text, last_s = "", -LINE_S

    def show(text: str) -> None:
        nonlocal last_text, last_s
        now_s = time.monotonic()
        if text != last_text and now_s - last_s >= LINE_S:
            last_text, last_s = text, now_s
            streams.say(text)

    yield show
