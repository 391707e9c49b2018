"""``python -m tests.fakes.bitwatt …``: the real command with the fake workload in its table."""

import bench.workloads
from bench.cli.app import main

bench.workloads.MODULES = {**bench.workloads.MODULES, "fake": "tests.fakes.workload"}

if __name__ == "__main__":
    main()
