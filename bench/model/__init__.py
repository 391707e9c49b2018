"""The frozen types that cross the boundaries between packages. Imports nothing of ours."""

from bench.model.comparison import Comparison
from bench.model.device import Device, usable_cores
from bench.model.errors import EXIT_INVALID, EXIT_IO, EXIT_OK, EXIT_REGRESSION, EXIT_USAGE, BenchError, Skip, first_line
from bench.model.job import Audit, BuildContext, Choices, Facts, Job, Share, Variant
from bench.model.power import DEVICE_LOST, CardState, Energy, Meter, ReferenceMeter, Sample, Sensor, Window
from bench.model.record import METHOD_VERSION, SCHEMA_VERSION, Idle, Measurement, Record, Refusal
from bench.model.task import TaskKey

__all__ = [
    "DEVICE_LOST",
    "EXIT_INVALID",
    "EXIT_IO",
    "EXIT_OK",
    "EXIT_REGRESSION",
    "EXIT_USAGE",
    "METHOD_VERSION",
    "SCHEMA_VERSION",
    "Audit",
    "BenchError",
    "BuildContext",
    "CardState",
    "Choices",
    "Comparison",
    "Device",
    "Energy",
    "Facts",
    "Idle",
    "Job",
    "Measurement",
    "Meter",
    "Record",
    "ReferenceMeter",
    "Refusal",
    "Sample",
    "Sensor",
    "Share",
    "Skip",
    "TaskKey",
    "Variant",
    "Window",
    "first_line",
    "usable_cores",
]
