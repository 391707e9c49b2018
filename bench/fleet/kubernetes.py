"""Kubernetes: objects that run one worker per node, as YAML for ``kubectl apply``. Nothing here talks to a cluster."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.fleet import layout
from bench.fleet.layout import Fleet

RESULTS, PLAN = "/results", "/plan"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where and with what the pods run."""

    image: str
    name: str = "bitwatt"
    namespace: str | None = None
    claim: str | None = None
    """A PersistentVolumeClaim that all nodes can mount; None: ``host_path`` of each node."""
    host_path: str = "/var/lib/bitwatt"
    resource: str = "nvidia.com/gpu"
    """The name under which the device plugin offers cards."""


def manifest(cluster: Cluster, plan: str, fleet: Fleet, *, daemon_set: bool = False) -> str:
    """A ConfigMap with the plan, and a Job (one indexed pod per node) or a DaemonSet (every node with such cards).

    Args:
        cluster: image, names and volume.
        plan: TOML text of the plan.
        fleet: nodes, cards per node, and settings.
        daemon_set: a DaemonSet in place of the Job. Its pods stay after they have measured, as Kubernetes demands.
    """
    objects = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata(cluster),
            "data": {layout.PLAN: plan, layout.FLEET: msgspec.json.encode(fleet).decode()},
        },
        _daemon_set(cluster, fleet) if daemon_set else _job(cluster, fleet),
    ]
    advice = "# Written by bitwatt. To measure: kubectl apply -f THIS_FILE. Then: bitwatt merge DIR -o fleet.parquet\n"
    return advice + "---\n".join(_yaml(each) for each in objects)


def _metadata(cluster: Cluster) -> dict[str, Any]:
    where = {} if cluster.namespace is None else {"namespace": cluster.namespace}
    return {"name": cluster.name, **where, "labels": {"app": cluster.name}}


def _job(cluster: Cluster, fleet: Fleet) -> dict[str, Any]:
    alone = {
        "labelSelector": {"matchLabels": {"app": cluster.name}},
        "topologyKey": "kubernetes.io/hostname",
    }
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [alone]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(cluster),
        "spec": {
            "completionMode": "Indexed",
            "completions": fleet.nodes,
            "parallelism": fleet.nodes,
            # a card that fails is on record: measuring the node again would not heal it
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"app": cluster.name}},
                "spec": {"affinity": affinity, "restartPolicy": "Never", **_pod(cluster, fleet)},
            },
        },
    }


def _daemon_set(cluster: Cluster, fleet: Fleet) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _metadata(cluster),
        "spec": {
            "selector": {"matchLabels": {"app": cluster.name}},
            "template": {
                "metadata": {"labels": {"app": cluster.name}},
                "spec": _pod(cluster, fleet, after="; sleep infinity"),
            },
        },
    }


def _pod(cluster: Cluster, fleet: Fleet, after: str = "") -> dict[str, Any]:
    """The pod's container and volumes. The node has Kubernetes's name for it: a pod started again finds its work."""
    settings = fleet.settings
    command = settings.get("command", "bitwatt")
    start = f" --start-at {shlex.quote(settings['start_at'])}" if settings.get("start_at") else ""
    line = (
        f"cp {PLAN}/* {RESULTS}/; {command} worker --plan {PLAN}/{layout.PLAN} --out {RESULTS}"
        f' --node "$NODE_NAME" --{settings["mode"]}{start}{after}'
    )
    container: dict[str, Any] = {
        "name": "worker",
        "image": cluster.image,
        "command": ["/bin/sh", "-c", line],
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [
            {"name": "results", "mountPath": RESULTS},
            {"name": "plan", "mountPath": PLAN, "readOnly": True},
        ],
    }
    if fleet.cards_per_node:
        container["resources"] = {"limits": {cluster.resource: fleet.cards_per_node}}
    results: dict[str, Any] = {"name": "results"}
    if cluster.claim is None:
        results["hostPath"] = {"path": cluster.host_path, "type": "DirectoryOrCreate"}
    else:
        results["persistentVolumeClaim"] = {"claimName": cluster.claim}
    return {"containers": [container], "volumes": [results, {"name": "plan", "configMap": {"name": cluster.name}}]}


def _yaml(value: Any, indent: int = 0) -> str:
    """JSON values as block YAML; text of several lines as a literal block, other text quoted as in JSON."""
    pad = "  " * indent
    lines = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict | list) and item:
                lines.append(f"{pad}{key}:\n{_yaml(item, indent + 1)}")
            elif isinstance(item, str) and "\n" in item:
                block = "".join(f"{pad}  {line}\n" if line else "\n" for line in item.rstrip("\n").split("\n"))
                lines.append(f"{pad}{key}: |\n{block}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(item)}\n")
    else:
        for item in value:
            if isinstance(item, dict):
                lines.append(f"{pad}- {_yaml(item, indent + 1).lstrip()}")
            else:
                lines.append(f"{pad}- {json.dumps(item)}\n")
    return "".join(lines)
