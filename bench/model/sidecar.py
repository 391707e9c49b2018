"""The sidecar's format: one JSON object per line, and the frozen types that the lines are written from and decoded to.

A sidecar ``<stem>.samples.jsonl`` holds the evidence behind the rows of ``<stem>.csv``:

======== ==================================================================================================
kind      holds
======== ==================================================================================================
sidecar   the first line: versions of the sidecar's lines and of the CSV's columns
plan      what the run was asked to measure, as a JSON object
sensor    a power source, numbered from 0, with the card's settings
idle      an idle baseline with its samples
window    one measured window, with its samples, its audit and the row's columns as first written
note      anything else worth keeping, by name
======== ==================================================================================================

Fields at their default are left out. This module is pure: :func:`decode` takes an open stream.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from bench.model.device import Device
from bench.model.errors import BenchError
from bench.model.job import Audit, Share
from bench.model.power import CardState, Sample, Sensor, Window
from bench.model.record import SCHEMA_VERSION

SIDECAR_VERSION = 2
"""Version of the sidecar's lines. History: 1 = first; 2 = the line ``plan``."""

SIDECAR_SUFFIX = ".samples.jsonl"

_RESTORE = "restore the file from a copy; only a cut-off last line can be skipped"

_NONCE_HEX = 8
"""Hex digits of a header's last field, the nonce in little-endian order."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first line of every sidecar."""

    sidecar_version: int = SIDECAR_VERSION
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class PlanNote:
    """What the run was asked to measure."""

    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SensorNote:
    """A power source of a run, what it was attached to, and the card's settings."""

    number: int
    """Counts from 0; later lines name the sensor by it."""
    sensor: Sensor
    card_state: CardState | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class IdleNote:
    """An idle baseline: the device's context exists and nothing runs."""

    sensor: int
    when: str
    """``before`` or ``after`` the windows."""
    start_ns: int
    end_ns: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditNote:
    """An :class:`~bench.model.Audit` as it is stored: thousands of shares have one header, so it is written once."""

    ok: bool
    reasons: tuple[str, ...] = ()
    share_bits: int | None = None
    shares_expected: float | None = None
    shares_found: int | None = None
    shares_p_value: float | None = None
    nonces: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The first 76 bytes of a header in hex → the nonces found under it."""
    details: Mapping[str, float | str] = field(default_factory=dict)
    """JSON has no infinity and no NaN: such a figure is stored as text."""

    @classmethod
    def of(cls, audit: Audit) -> Self:
        """An audit in its stored form.

        Raises:
            ValueError: a share's header ends in another nonce than the share states.
        """
        nonces: dict[str, list[int]] = {}
        for share in audit.shares:
            if not share.header_hex.endswith(_nonce_hex(share.nonce)):
                raise ValueError(f"the header of share {share.nonce} ends in another nonce")
            nonces.setdefault(share.header_hex[:-_NONCE_HEX], []).append(share.nonce)
        return cls(
            audit.ok,
            audit.reasons,
            audit.share_bits,
            audit.shares_expected,
            audit.shares_found,
            audit.shares_p_value,
            {header: tuple(found) for header, found in nonces.items()},
            {name: value if math.isfinite(value) else str(value) for name, value in audit.details.items()},
        )

    @property
    def shares(self) -> tuple[Share, ...]:
        return tuple(
            Share(header + _nonce_hex(nonce), nonce) for header, nonces in self.nonces.items() for nonce in nonces
        )


@dataclass(frozen=True, slots=True)
class WindowNote:
    """The evidence behind one CSV row; row 1 is at line 2 of the CSV."""

    row: int
    start_ns: int
    end_ns: int
    launches: int
    work: float
    sensor: int | None = None
    samples: tuple[Sample, ...] = ()
    audit: AuditNote | None = None
    columns: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """The row's columns as they were first written; missing ones are left out."""
    launch_us: tuple[int, ...] = ()
    launch_iterations: tuple[int, ...] = ()

    @property
    def window(self) -> Window:
        return Window(self.start_ns, self.end_ns, self.launches, self.work, self.launch_us, self.launch_iterations)


@dataclass(frozen=True, slots=True)
class Note:
    """Something else worth keeping, for example a warm-up curve."""

    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Everything in a sidecar. ``torn``: the last line was cut off by a kill and is left out."""

    path: Path
    sensors: tuple[SensorNote, ...] = ()
    idles: tuple[IdleNote, ...] = ()
    windows: tuple[WindowNote, ...] = ()
    notes: tuple[Note, ...] = ()
    plan: Mapping[str, Any] | None = None
    torn: bool = False


Line = Opening | PlanNote | SensorNote | IdleNote | WindowNote | Note

KINDS: Mapping[str, type[Line]] = {
    "sidecar": Opening,
    "plan": PlanNote,
    "sensor": SensorNote,
    "idle": IdleNote,
    "window": WindowNote,
    "note": Note,
}
_KIND_OF = {kind: name for name, kind in KINDS.items()}


# ---------------------------------------------------------------------------------------------------------------------
# writing


def encode(line: Line) -> bytes:
    """One line of a sidecar, its newline included.

    Raises:
        ValueError: a float that is not finite.
    """
    item = {"kind": _KIND_OF[type(line)], **lean(line)}
    return json.dumps(item, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def lean(item: Any) -> dict[str, Any]:
    """A frozen dataclass as a JSON object without the fields that are at their default."""
    found = {}
    for entry in fields(item):
        value = getattr(item, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if default is MISSING or value != default:
            found[entry.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return lean(value) if hasattr(value, "__dataclass_fields__") else value


def _nonce_hex(nonce: int) -> str:
    return nonce.to_bytes(4, "little").hex()


# ---------------------------------------------------------------------------------------------------------------------
# reading

MOST_LINE_BYTES = 64 << 20
"""Longest line that is read; an hour's window at 50 samples a second takes about 30 MB."""

_T = (0, 2**63 - 1)
_SECONDS = (0.0, 1e9)
_UNIT = (0.0, 1.0)
BOUNDS: Mapping[type, Mapping[str, tuple[float, float]]] = {
    Sample: {
        "t_ns": _T,
        "power_w": (-1e9, 1e9),
        "counter_j": (-1e15, 1e15),
        "temperature_c": (-300.0, 1e4),
        "sm_clock_mhz": (0.0, 1e6),
        "mem_clock_mhz": (0.0, 1e6),
    },
    Sensor: {
        "counter_period_s": _SECONDS,
        "counter_resolution_j": (0.0, 1e9),
        "power_period_s": _SECONDS,
        "averaging_s": _SECONDS,
        "duty": _UNIT,
        "delay_s": _SECONDS,
        "counter_delay_s": _SECONDS,
        "gain_uncertainty": (0.0, 100.0),
        "offset_uncertainty_w": (0.0, 1e9),
        "poll_s": _SECONDS,
        "assumed_w": (1e-9, 1e9),
        "calibration_gain": (1e-3, 1e3),
        "calibration_offset_w": (-1e9, 1e9),
    },
    WindowNote: {"row": (1, 1e9), "start_ns": _T, "end_ns": _T, "launches": (0, 1e18), "work": (0.0, 1e50)},
    IdleNote: {"start_ns": _T, "end_ns": _T},
    AuditNote: {"share_bits": (1, 256), "shares_expected": (0.0, 1e50), "shares_found": (0, 1e18)},
}
"""Figures outside of these come from no device, and sums and squares of them may overflow."""


def _check(line: Line) -> None:
    """Refuse what no run can have written.

    Raises:
        ValueError: a figure out of bounds, an end before its start, samples out of order, a malformed header.
    """
    match line:
        case SensorNote():
            for sensor in (line.sensor, *line.sensor.members):
                _check_bounds(sensor)
        case IdleNote() | WindowNote():
            _check_bounds(line)
            if line.end_ns <= line.start_ns:
                raise ValueError(f"it ends at {line.end_ns} ns and starts at {line.start_ns} ns")
            before_ns = -1
            for sample in line.samples:
                _check_bounds(sample)
                if sample.t_ns <= before_ns:
                    raise ValueError(f"a sample at {sample.t_ns} ns follows one at {before_ns} ns")
                before_ns = sample.t_ns
            if isinstance(line, WindowNote):
                _check_launches(line)
                if line.audit is not None:
                    _check_audit(line.audit)
        case _:
            pass


def _check_launches(window: WindowNote) -> None:
    lengths, sizes = window.launch_us, window.launch_iterations
    if not lengths and not sizes:
        return
    if not len(lengths) == len(sizes) == window.launches:
        raise ValueError(f"{len(lengths)} lengths and {len(sizes)} sizes of {window.launches} launches")
    if min(lengths) < 0 or min(sizes) < 1:
        raise ValueError("a launch took less than no time, or ran no iteration")
    if abs(sum(lengths) - (window.end_ns - window.start_ns) / 1000) > len(lengths):
        raise ValueError(f"its launches took {sum(lengths)} µs together, and the window did not")


def _check_audit(audit: AuditNote) -> None:
    _check_bounds(audit)
    for header, nonces in audit.nonces.items():
        if not _HEADER.fullmatch(header):
            raise ValueError(f"{header[:20]!r}… is not the hex text of a header's first 76 bytes")
        wrong = next((nonce for nonce in nonces if not 0 <= nonce < 2**32), None)
        if wrong is not None:
            raise ValueError(f"{_shown(wrong)} is not a nonce of 32 bits")


_HEADER = re.compile(r"[0-9a-f]{152}")


def _check_bounds(item: Any) -> None:
    for name, (low, high) in BOUNDS[type(item)].items():
        value = getattr(item, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} is {_shown(value)}, not within {low:.9g} and {high:.9g}")


def _shown(value: float) -> str:
    """A number for a message; JSON's whole numbers may be too large for a float."""
    try:
        return f"{value:.9g}"
    except OverflowError:
        return "beyond 1e308"


class _Kind(msgspec.Struct):
    kind: str


_KIND_DECODER = msgspec.json.Decoder(_Kind)


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Line]:
    return msgspec.json.Decoder(KINDS[kind])


def decode(stream: BinaryIO, path: Path) -> Sidecar:
    """A sidecar from an open file. A last line without a newline that does not decode was torn by a kill, and is
    left out.

    Args:
        stream: lines, read once from where it is to its end.
        path: its name, for messages and :attr:`Sidecar.path`.

    Raises:
        BenchError: not a sidecar, a newer version, or damage anywhere else, with the line.
    """
    build = _Builder()
    torn = False
    number = 0
    while raw := stream.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(raw) > MOST_LINE_BYTES:
            raise BenchError(f"{path}, line {number}: longer than {MOST_LINE_BYTES >> 20} MiB", _RESTORE)
        try:
            build.add(_decoded(raw, first=number == 1))
        except BenchError as error:
            raise BenchError(f"{path}, line {number}: {error.message}", error.fix) from None
        except (ValueError, RecursionError) as error:
            if number > 1 and not raw.endswith(b"\n"):
                torn = True
                break
            raise BenchError(f"{path}, line {number}: damaged ({error})", _RESTORE) from None
    if not number:
        raise BenchError(f"{path} is empty", f"give the {SIDECAR_SUFFIX} file of a result CSV")
    return Sidecar(
        path,
        tuple(build.sensors),
        tuple(build.idles),
        tuple(build.windows),
        tuple(build.notes),
        build.plan,
        torn=torn,
    )


def _decoded(raw: bytes, *, first: bool) -> Line:
    try:
        kind = _KIND_DECODER.decode(raw).kind
    except (ValueError, RecursionError):
        if not first:
            raise
        kind = ""
    if first != (kind == "sidecar"):
        raise BenchError("not a bitwatt sidecar", f"give the {SIDECAR_SUFFIX} file of a result CSV")
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}")
    line = _decoder(kind).decode(raw)
    _check(line)
    return line


@dataclass(slots=True)
class _Builder:
    sensors: list[SensorNote] = field(default_factory=list)
    idles: list[IdleNote] = field(default_factory=list)
    windows: list[WindowNote] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    plan: Mapping[str, Any] | None = None

    def add(self, line: Line) -> None:
        """Take in the next line.

        Raises:
            ValueError: it does not fit the lines before it.
            BenchError: the file is of a newer version.
        """
        match line:
            case Opening():
                _check_version("sidecar_version", line.sidecar_version, SIDECAR_VERSION)
                _check_version("schema_version", line.schema_version, SCHEMA_VERSION)
            case PlanNote():
                self.plan = line.plan
            case SensorNote():
                if line.number != len(self.sensors):
                    raise ValueError(f"sensor {line.number} where sensor {len(self.sensors)} was expected")
                self.sensors.append(line)
            case IdleNote():
                self._check_sensor(line.sensor)
                self.idles.append(line)
            case WindowNote():
                self._check_sensor(line.sensor)
                last = self.windows[-1].row if self.windows else 0
                # a row whose CSV write failed is written again, evidence included; the later line counts
                if self.windows and line.row == last:
                    self.windows.pop()
                # rows without evidence leave a gap, but the numbers never go down
                elif line.row <= last:
                    raise ValueError(f"row {line.row} after row {last}")
                self.windows.append(line)
            case Note():
                self.notes.append(line)

    def _check_sensor(self, number: int | None) -> None:
        if number is not None and not 0 <= number < len(self.sensors):
            raise ValueError(f"there is no sensor {number} on the lines before")


def _check_version(name: str, version: int, known: int) -> None:
    if not 1 <= version <= known:
        raise BenchError(f"{name} {version} is newer than this bitwatt's {known}", "update bitwatt to read it")
