"""The readers of files that strangers write, and a mutator that knows the words of such files.

A target may raise :class:`~bench.model.BenchError` and nothing else, whatever the file holds.
"""

from __future__ import annotations

import random
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from bench import output, storage
from bench.analysis import compare, dispatch
from bench.analysis.economics.prices import example_path, read_prices
from bench.audit import recompute, verify
from bench.data import DATA
from bench.measure import plan
from bench.model import BenchError
from bench.output.formats import Format, render
from bench.power.calibration import calibrated
from bench.power.replay import read_recording, without_gaps
from bench.workloads.transformer import shapes
from tests.support import factory
from tests.support.evidence import SENSOR, write_full

SEEDS = Path(__file__).with_name("seeds")
"""A folder per target with the files that once broke it."""

CALIBRATIONS = (
    b"gain = 1.02\noffset_w = -3.1\ngain_uncertainty = 0.005\noffset_uncertainty_w = 1.0\n",
    b'points = [[60.2, 58.1], [151.0, 149.5], [298.7, 301.2]]\nsensor_id = "GPU-x"\nsource = "a wattmeter"\n',
    b'[[sensor]]\nfamily = "a card"\nduty = 0.25\naveraging_s = 0\ndelay_s = 0.04\n[measured]\nduty = [0.25, 0.02]\n',
)
PLAN = b"""[selection]
workload = ["sha256d", "transformer"]
[timing]
repeats = 3
window_s = 5.0
[transformer]
shape = ["llama3-8b"]
dtype = ["bf16"]
batch = [1]
[power]
sensor_calibration = "a.toml"
assume_watts = 300.0
[hashing]
share_bits = 32
"""

SERIES = (
    b"time,price [EUR/MWh]\n2026-01-01T00:00Z,50.1\n2026-01-01T01:00Z,-3\n2026-01-01T03:00Z,7e1\n",
    b"timestamp;EUR/MWh (EUR/MWh)\n25.10.2026 01:45;1,5\n25.10.2026 02:00;2\n25.10.2026 02:15;3\n",
    b"MTU (CET/CEST),Day-ahead Price [EUR/MWh],Currency\n25.10.2026 02:00 - 25.10.2026 03:00,1,EUR\n"
    b"25.10.2026 02:00 - 25.10.2026 03:00,2,EUR\n25.10.2026 03:00 - 25.10.2026 04:00,-,EUR\n"
    b"25.10.2026 04:00 - 25.10.2026 05:00,4,EUR\n",
    b"Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,Settlement Point Price\n"
    b"11/01/2026,2,1,N,20.5\n11/01/2026,2,2,N,-4\n11/01/2026,2,3,N,1\n",
)
RULES = b"""[site]
limit_kw = 9000.0
block_kw = 3000.0
sell_fee = 2.0
[start_cost]
rent = 0.05
[min_run_h]
mine = 2
[contract]
share = 0.3
penalty = 3.0
[demand_charge]
per_kw = 3.0
hours = [17, 18]
months = [6, 7]
[[event]]
start = 2025-03-12T17:00:00+00:00
end = 2025-03-12T21:00:00+00:00
pay = 300.0
baseline_kw = 9000.0
max_kw = 5000.0
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, the name of the file it reads, and sound files to start from."""

    file: str
    read: Callable[[Path], object]
    examples: Callable[[], list[bytes]]


def _compare(path: Path) -> None:
    result = compare.compare(storage.read([path], compare.COLUMNS, note=str))
    for to in get_args(Format):
        render(output.comparison(result), to)


def _audit(path: Path) -> None:
    sidecar = storage.read_sidecar(path)
    records = [factory.sha256d(repeat=1), factory.sha256d(repeat=2)]
    rows = recompute.figures(sidecar)
    recompute.to_csv(rows)
    recompute.differences(rows, records)
    for note in sidecar.windows:
        verify.against_sidecar(path, records[0], note)


def _replay(path: Path) -> None:
    sensor, samples = read_recording(path)
    without_gaps(samples, sensor.poll_s or 0.05)


def _series(path: Path) -> None:
    storage.read_series(path, {"EUR/kWh": 1.0, "EUR/MWh": 1e-3, "USD/MWh": 1e-3}, unit=None, zone="Europe/Berlin")


def _rules(path: Path) -> None:
    dispatch.read_rules(path).rules()


def _csvs() -> list[bytes]:
    rows = [*factory.run(repeats=2), *factory.run(factory.CARD_B, repeats=2)]
    return [storage.to_csv(rows).encode(), storage.to_csv(rows).replace(",", ";").encode("utf-16")]


@cache
def _sidecars() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [write_full(Path(folder)).read_bytes()]


TARGETS = {
    "csv": Target("a.csv", _compare, _csvs),
    "sidecar": Target("a.samples.jsonl", _audit, _sidecars),
    "recording": Target("a.samples.jsonl", _replay, _sidecars),
    "prices": Target("a.toml", read_prices, lambda: [example_path().read_bytes()]),
    "shape": Target("a.toml", lambda path: shapes.load(None, path), lambda: _read_all(DATA / "shapes")),
    "calibration": Target("a.toml", lambda path: calibrated(SENSOR, path), lambda: list(CALIBRATIONS)),
    "series": Target("a.csv", _series, lambda: list(SERIES)),
    "rules": Target("a.toml", _rules, lambda: [dispatch.example_path().read_bytes(), RULES]),
    "plan": Target("a.toml", lambda path: plan.from_dict(plan.read(path), "plan"), lambda: [PLAN]),
}


def _read_all(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def read(name: str, raw: bytes, folder: Path) -> bool:
    """Give ``raw`` to a reader as a file in ``folder``: whether it was accepted; warnings are errors, too."""
    target = TARGETS[name]
    path = folder / target.file
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            target.read(path)
        except BenchError:
            return False
    return True


_TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+|\s+|.', re.DOTALL)
_ODD = (
    b"", b"0", b"-1", b"1", b"2", b"1e308", b"1e-308", b"-1e308", b"1e999", b"nan", b"inf", b"null", b"true", b"True",
    b"9223372036854775808", b"1" * 400, b"0x10", b"1_0", b"1,5", b"17.0", b'""', b'"x"', b'"\\u001b[2J"', b"\x1b[2J",
    b"=1+1", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b"[]", b"[[]]", b"{}", b"[" * 3000, b"a." * 40,
    b"2026-01-01", b"12:00:00", "\u0661\u2028\U0001f600".encode(), b"#", b'"', b"'", b"'''", b",", b";", b"=", b".",
)  # fmt: skip


def mutated(raw: bytes, seed: int) -> bytes:
    """``raw`` with one to four of its words replaced by odd ones or by one another, removed or repeated."""
    source = random.Random(seed)
    words = _TOKEN.findall(raw) or [b""]
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(words))
        new = source.choice((source.choice(_ODD), source.choice(words), b"", words[at] * 2))
        words[at] = new
    return b"".join(words)
