"""``python -m tests.fakes.bitwatt …``: the real command with the fake workload in its table."""

import bench.workloads
from bench.cli.app import main

bench.workloads.WORKLOADS = {
    **bench.workloads.WORKLOADS,
    "fake": bench.workloads.Entry("tests.fakes.workload", "transformer"),
}

if __name__ == "__main__":
    main()
