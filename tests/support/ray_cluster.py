"""``python -m tests.support.ray_cluster NODES``: a real Ray cluster on this machine, two pretended GPUs per node.

Prints its address and the ids of its nodes as one line of JSON. A line ``kill ID`` on stdin ends a node at once, any
other line or the end of stdin ends the cluster.
"""

from __future__ import annotations

import json
import sys

import ray
from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster()
    nodes = [cluster.add_node(num_cpus=2, num_gpus=2, include_dashboard=False) for _ in range(int(sys.argv[1]))]
    by_id = {node.node_id: node for node in nodes}
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    host = ray.nodes()[0]["NodeManagerHostname"]
    print(json.dumps({"address": cluster.address, "host": host, "ids": list(by_id)}), flush=True)
    for line in sys.stdin:
        verb, _, node = line.strip().partition(" ")
        if verb != "kill":
            break
        cluster.remove_node(by_id[node], allow_graceful=False)
        # on a line of its own, whatever Ray itself has printed of the death
        print("\nkilled", flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
