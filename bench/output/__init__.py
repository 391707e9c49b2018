"""How results look in a terminal and in text files: one function per kind of result, one :func:`render` for all.

    from bench import output

    document = output.comparison(result)                 # or devices, run, sweep, economics
    for part in output.render(document, "markdown"):     # or another of output.Format
        print(part)

Formats are in :mod:`bench.output.formats`, one file each; progress is in :mod:`bench.output.progress`, the writing of
figures in :mod:`bench.output.format`.
"""

from bench.output.calibration import calibration, calibration_file
from bench.output.comparison import comparison
from bench.output.devices import devices
from bench.output.dispatch import dispatch, schedule_rows
from bench.output.document import Document, Grid
from bench.output.economics import economics
from bench.output.formats import PIPE_WIDTH, Format, render
from bench.output.outliers import outliers
from bench.output.rank import rank
from bench.output.run import run
from bench.output.sensor import sensor_file, sensor_test
from bench.output.sweep import sweep

__all__ = [
    "PIPE_WIDTH",
    "Document",
    "Format",
    "Grid",
    "calibration",
    "calibration_file",
    "comparison",
    "devices",
    "dispatch",
    "economics",
    "outliers",
    "rank",
    "render",
    "run",
    "schedule_rows",
    "sensor_file",
    "sensor_test",
    "sweep",
]
