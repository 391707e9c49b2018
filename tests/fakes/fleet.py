"""``python -m tests.fakes.fleet …``: the real command on pretended NVIDIA cards, with the fake workload.

The cards are those of the fake NVML's script that CUDA_VISIBLE_DEVICES shows (UUIDs or indices, as CUDA reads it).
``FAKE_NVML_SCRIPTS`` names a folder with a script per node, chosen by ``--node``.
``FAKE_FAULT_CARD`` limits ``FAKE_FAULT`` to the card of that UUID; the fault ``kill`` ends the process by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import bench.workloads
from bench.measure import devices
from bench.model import Device


def _script() -> None:
    """Choose the node's script; a launcher, which is on no node, gets none."""
    folder = os.environ.get("FAKE_NVML_SCRIPTS")
    node = dict(zip(sys.argv, sys.argv[1:], strict=False)).get("--node")
    if folder and node:
        os.environ["FAKE_NVML_SCRIPT"] = str(Path(folder) / node)


def accelerators() -> list[Device]:
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    uuids = [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        uuids = [uuids[int(part)] if part.isdigit() else part for part in visible.split(",") if part]
    card = os.environ.get("FAKE_FAULT_CARD")
    if card and uuids == [card] and os.environ.get("FAKE_FAULT") == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if card and uuids != [card]:
        os.environ.pop("FAKE_FAULT", None)
    return [Device(kind="cuda", index=number, name="Pretended", uuid=uuid) for number, uuid in enumerate(uuids)]


_script()
devices.accelerators = accelerators
bench.workloads.WORKLOADS = {
    **bench.workloads.WORKLOADS,
    "fake": bench.workloads.Entry("tests.fakes.workload", "transformer"),
}

if __name__ == "__main__":
    from bench.cli.app import main

    main()
