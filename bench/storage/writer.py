"""Writing results: one CSV row per window, each on disk with its evidence as soon as it is measured."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bench.model import Audit, BenchError, CardState, Device, Record, Sample, Sensor, Window
from bench.model.sidecar import AuditNote, IdleNote, Line, Note, Opening, PlanNote, SensorNote, WindowNote, encode, lean
from bench.storage.anonymous import Pseudonyms
from bench.storage.columns import NAMES, cleaned, csv_text, row
from bench.storage.files import cannot_write, write_all, write_atomically
from bench.storage.sidecar import sidecar_path


class Store:
    """A result CSV and its sidecar during a run. Made by :func:`create`; close it, or use ``with``."""

    def __init__(self, path: Path, sidecar_fd: int, pseudonyms: Pseudonyms | None = None) -> None:
        self.path = path
        self._pseudonyms = pseudonyms
        self.sidecar = sidecar_path(path)
        self._fd = sidecar_fd
        self._length = 0
        self._records: list[Record] = []
        self._lines: list[str] = []
        self._sensors = 0

    @property
    def records(self) -> tuple[Record, ...]:
        """The rows written so far, oldest first."""
        return tuple(self._records)

    def plan(self, plan: Mapping[str, Any]) -> None:
        """Record what the run was asked to measure (JSON values only), so that it can be run again.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        self._note(PlanNote(dict(plan if self._pseudonyms is None else self._pseudonyms.plan(plan))))

    def sensor(self, sensor: Sensor, card_state: CardState | None = None, device: Device | None = None) -> int:
        """Record a power source; the number returned names it in :meth:`idle` and :meth:`append`.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        number = self._sensors
        if self._pseudonyms is not None:
            sensor, device = self._pseudonyms.sensor(sensor), self._pseudonyms.device(device)
        self._note(SensorNote(number, sensor, card_state, device))
        self._sensors += 1
        return number

    def idle(self, when: str, start_ns: int, end_ns: int, samples: Iterable[Sample], *, sensor: int) -> None:
        """Record an idle baseline (``when``: ``before`` or ``after``) with its samples.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        self._note(IdleNote(self._known(sensor), when, start_ns, end_ns, tuple(samples)))

    def note(self, name: str, data: Mapping[str, Any]) -> None:
        """Record something else worth keeping (JSON values only), for example a warm-up curve.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        self._note(Note(name, dict(data)))

    def append(
        self,
        record: Record,
        *,
        window: Window | None = None,
        samples: Iterable[Sample] = (),
        audit: Audit | None = None,
        sensor: int | None = None,
    ) -> int:
        """Write one window: its evidence to the sidecar first, then the whole CSV again, atomically.

        Returns:
            The row's number, 1 for the first (it is at line number + 1). Without ``window`` there is no evidence to
            keep and the sidecar gets nothing.

        Raises:
            BenchError: the disk is full or may not be written; the rows written before are still there.
            ValueError: the record breaks the columns' types.
        """
        number = len(self._records) + 1
        record = self.as_written(record)
        line = csv_text([row(record)])
        if window is not None:
            self._note(
                WindowNote(
                    number,
                    window.start_ns,
                    window.end_ns,
                    window.launches,
                    window.work,
                    None if sensor is None else self._known(sensor),
                    tuple(samples),
                    None if audit is None else AuditNote.of(audit),
                    lean(record),
                    window.launch_us,
                    window.launch_iterations,
                )
            )
        self._write([*self._lines, line])
        self._records.append(record)
        self._lines.append(line)
        return number

    def settle(self, records: Sequence[Record], *, first: int) -> None:
        """Replace the rows from number ``first`` on, for figures known only after the run, such as net energy. The
        CSV is written once.

        Raises:
            BenchError: as :meth:`append`.
            ValueError: a record breaks the columns' types.
            IndexError: there are no such rows.
        """
        stop = first - 1 + len(records)
        if first < 1 or stop > len(self._records):
            raise IndexError(f"there are no rows {first} to {stop} of {len(self._records)}")
        if not records:
            return
        settled = [self.as_written(record) for record in records]
        lines = list(self._lines)
        lines[first - 1 : stop] = [csv_text([row(record)]) for record in settled]
        self._write(lines)
        self._records[first - 1 : stop] = settled
        self._lines = lines

    def close(self) -> None:
        """Close the sidecar, and remove it if no row was written. Idempotent.

        What counts is the CSV on disk: a row may be there that an interrupted :meth:`append` never reported.
        """
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if not self.path.exists():
                self.sidecar.unlink(missing_ok=True)
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def as_written(self, record: Record) -> Record:
        """The record as it will be on disk: its text cleaned, and its names replaced where they are to be."""
        return cleaned(record if self._pseudonyms is None else self._pseudonyms.record(record))

    def _known(self, sensor: int) -> int:
        if not 0 <= sensor < self._sensors:
            raise IndexError(f"there is no sensor {sensor}; call Store.sensor first")
        return sensor

    def _note(self, note: Line) -> None:
        line = encode(note)
        try:
            write_all(self._fd, line)
            os.fsync(self._fd)
        except BaseException as error:
            # half a line must not stay in the middle of the file if a later write succeeds
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._length)
            if isinstance(error, OSError):
                raise cannot_write(self.sidecar, error) from error
            raise
        self._length += len(line)

    def _write(self, lines: Iterable[str]) -> None:
        write_atomically(self.path, csv_text([NAMES]) + "".join(lines))


def create(out_dir: Path, name: str, *, salt: bytes | None = None) -> Store:
    """Start ``out_dir/name.csv`` and its sidecar. The CSV itself appears with the first row.

    With a ``salt`` (:func:`~bench.storage.anonymous.local_salt`) the host and the cards get pseudonyms in both files.

    Raises:
        BenchError: the folder cannot be made or written, or a result of this name exists.
    """
    path = out_dir / f"{name}.csv"
    sidecar = sidecar_path(path)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise FileExistsError
        # exclusive: two runs that chose one name cannot share a file
        fd = os.open(sidecar, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        taken = path if path.exists() else sidecar if sidecar.exists() else out_dir
        raise BenchError(f"{taken} exists", "choose another --out, or move the old file away") from None
    except OSError as error:
        raise cannot_write(path, error) from error
    store = Store(path, fd, None if salt is None else Pseudonyms(salt))
    try:
        store._note(Opening())
    except BaseException:
        store.close()
        raise
    return store
