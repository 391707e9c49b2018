"""Zeus (``pip install 'bitwatt[zeus]'``) on the same card and in the same windows, for comparison.

Zeus runs in a process of its own, as the sampler does, so that neither disturbs the workload:

    with ZeusMeter(meter.sensor) as zeus:
        zeus.begin()
        ...                     # the window
        zeus_j = zeus.end()
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any, Self

from bench.model import BenchError, Sensor
from bench.power.child import spawn

FIX = "pip install 'bitwatt[zeus]', or run without --zeus"


def child_main(uuid: str) -> int:
    """Run Zeus for the card with this UUID: one line in, one line out, until the pipe closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Zeus and its libraries may print; only answers reach the parent

    def answer(message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    # Zeus counts cards as CUDA sees them; without this it counts them as NVML does
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        import pynvml
        from zeus.monitor import ZeusMonitor

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        index = [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles].index(uuid)
        monitor = ZeusMonitor(gpu_indices=[index], cpu_indices=[])
    except Exception as error:  # noqa: BLE001 (any failure of Zeus becomes one sentence for the user)
        answer({"fatal": f"Zeus does not start ({type(error).__name__}: {error})"})
        return 1
    answer({"ready": True})
    for line in sys.stdin:
        if line == "begin\n":
            monitor.begin_window("window", sync_execution=False, restart=True)
            answer({"begun": True})
        else:
            measurement = monitor.end_window("window", sync_execution=False)
            answer({"joules": measurement.gpu_energy[index], "seconds": measurement.time})
    return 0


class ZeusMeter:
    """Zeus on the card of one of our sensors.

    Raises:
        BenchError: the sensor is not an NVIDIA card's, or Zeus does not start.
    """

    def __init__(self, sensor: Sensor) -> None:
        if sensor.source != "nvml" or sensor.sensor_id is None:
            raise BenchError(
                f"Zeus measures NVIDIA cards only, and the power source is {sensor.source}", "use --meter nvml"
            )
        self._child = spawn(child_main, sensor.sensor_id, stderr=subprocess.DEVNULL, text=True)
        try:
            self._answer()
        except BenchError:
            self.close()
            raise

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None  # noqa: S101 (PIPE was asked for)
        line = self._child.stdout.readline()
        message: dict[str, Any] = json.loads(line) if line else {"fatal": "Zeus's process ended"}
        if "fatal" in message:
            raise BenchError(message["fatal"], FIX)
        return message

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._child.stdin is not None  # noqa: S101
        try:
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise BenchError("Zeus's process ended", FIX) from None
        return self._answer()

    def begin(self) -> None:
        """Begin Zeus's window; returns once it has."""
        self._ask("begin")

    def end(self) -> float:
        """End Zeus's window; gives its joules."""
        return float(self._ask("end")["joules"])

    def close(self) -> None:
        """End Zeus's process. Idempotent."""
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            self._child.communicate(timeout=5.0)
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
