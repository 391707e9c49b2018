"""The power limit of an NVIDIA card: set it for a while, and restore it on every exit.

The limit is set by a watchdog: a process in a session of its own, which holds the old limit and waits on a pipe. When
the run closes the pipe, ends in any way or is killed (-9 included), the watchdog restores the old limit and ends. When
the watchdog itself is killed, the run notices at once and starts another one, which knows the old limit.

A limit that somebody else set in the meantime is left alone.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from bench.model import BenchError, Device
from bench.power.child import spawn
from bench.power.source import card

RESTORE_TRIES = 20
RESTORE_PAUSE_S = 0.1
ANSWER_S = 20.0
AGREE_W = 1.0
"""A limit that reads back further off than this was not accepted."""
ROUNDING = 0.02
"""A driver that rounds the old limit by up to this share has restored it."""
FIX = "run as root (sudo -E), and see that the card allows power limits: nvidia-smi -q -d POWER"


@dataclass(frozen=True, slots=True)
class LimitRange:
    """The limits that a card accepts, in watts, and the one that was set when it was opened."""

    uuid: str
    name: str
    low_w: float
    high_w: float
    default_w: float
    now_w: float


# ---------------------------------------------------------------------------------------------------------------------
# the watchdog


class _Card:
    """The card inside the watchdog's process."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        import pynvml

        from bench.power import nvml

        self._nvml = pynvml
        nvml.initialise()
        try:
            self._handle, uuid = nvml.find(arguments.get("uuid"), arguments.get("pci_bus_id"), arguments.get("index"))
            low_mw, high_mw = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(self._handle)
            self.range = LimitRange(
                uuid=uuid,
                name=str(pynvml.nvmlDeviceGetName(self._handle)),
                low_w=low_mw / 1000,
                high_w=high_mw / 1000,
                default_w=pynvml.nvmlDeviceGetPowerManagementDefaultLimit(self._handle) / 1000,
                now_w=self.now_w(),
            )
        except pynvml.NVMLError as error:
            raise BenchError(f"NVML reports no power limit ({error})", FIX) from None

    def now_w(self) -> float:
        return int(self._nvml.nvmlDeviceGetPowerManagementLimit(self._handle)) / 1000

    def stands_at(self, watts: float) -> bool:
        """Whether the limit is known to be this one."""
        try:
            return abs(self.now_w() - watts) <= AGREE_W
        except self._nvml.NVMLError:
            return False

    def set(self, watts: float, agree_w: float = AGREE_W) -> float:
        try:
            self._nvml.nvmlDeviceSetPowerManagementLimit(self._handle, round(watts * 1000))
            now_w = self.now_w()
        except self._nvml.NVMLError as error:
            raise BenchError(
                f"the power limit of {self.range.name} cannot be set to {watts:g} W ({error})", FIX
            ) from None
        if abs(now_w - watts) > agree_w:
            raise BenchError(f"the power limit of {self.range.name} stayed at {now_w:g} W, not {watts:g} W", FIX)
        return now_w


def _restore(card: _Card, watts: float) -> BenchError | None:
    """Restore a limit, trying again for a while: a card in trouble must not keep a wrong one."""
    problem: BenchError | None = None
    for _ in range(RESTORE_TRIES):
        try:
            card.set(watts, agree_w=max(AGREE_W, ROUNDING * watts))
        except BenchError as error:
            problem = error
            time.sleep(RESTORE_PAUSE_S)
        else:
            return None
    return problem


def child_main(argument: str) -> int:
    """Run the watchdog: ``argument`` is JSON with the card, and the limit to restore where that is known already."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of the pipe ends it, and that restores the limit

    def answer(message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody is left to read it
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    arguments = json.loads(argument)
    try:
        card = _Card(arguments)
    except BenchError as error:
        answer({"fatal": error.message, "fix": error.fix})
        return 1
    before_w = arguments.get("restore_w") or card.range.now_w
    changed = arguments.get("restore_w") is not None
    set_w: float | None = arguments.get("set_w")
    answer({"range": asdict(card.range)})
    for line in sys.stdin:
        try:
            now_w = set_w = card.set(float(line))
            changed = True
            answer({"now_w": now_w})
        except BenchError as error:
            changed = changed or not card.stands_at(before_w)  # a set that failed half-way is undone too
            answer({"fatal": error.message, "fix": error.fix})
        answer({"changed": changed})
    if changed and set_w is not None and not (card.stands_at(set_w) or card.stands_at(before_w)):
        answer({"left_w": True, "restored_w": before_w})  # somebody else set another limit, which stands
        return 0
    problem = _restore(card, before_w) if changed else None
    answer({"restored_w": before_w} if problem is None else {"fatal": problem.message, "fix": problem.fix})
    return 0 if problem is None else 1


# ---------------------------------------------------------------------------------------------------------------------
# the run


class PowerLimiter:
    """A card's power limit, for the time of a ``with`` block.

    Raises:
        BenchError: no single card matches, or it reports no limits.
    """

    def __init__(self, spec: str, device: Device) -> None:
        """Open the card that ``spec`` names (``nvml``, ``nvml:<UUID or index>``, ``auto``: the device's own)."""
        self._arguments = _card_arguments(spec, device)
        self._closed = False
        self._child = self._start(self._arguments)
        try:
            hello = self._answer()
        except BenchError:
            self._end(self._child)
            raise
        self.range = LimitRange(**hello["range"])
        self._arguments = {"uuid": self.range.uuid}
        self._changed = False
        self._set_w: float | None = None
        self._lock = threading.Lock()
        self._guard = threading.Thread(target=self._keep_watched, daemon=True)
        self._guard.start()

    def _keep_watched(self) -> None:
        """Wait for the watchdog's end; if the run still needs one, start another that knows the old limit."""
        while True:
            child = self._child
            child.wait()
            with self._lock:
                if self._closed or child is not self._child:
                    return
                with contextlib.suppress(BrokenPipeError):
                    child.communicate()  # closes its pipes
                arguments = dict(self._arguments)
                if self._changed:
                    arguments |= {"restore_w": self.range.now_w, "set_w": self._set_w}
                self._child = self._start(arguments)
                try:
                    self._answer()
                except BenchError:
                    return  # the next set, or the end, says so

    @staticmethod
    def _start(arguments: dict[str, Any]) -> subprocess.Popen[str]:
        return spawn(child_main, json.dumps(arguments), stderr=subprocess.DEVNULL, text=True, start_new_session=True)

    def _answer(self) -> dict[str, Any]:
        """The watchdog's next line: one when it has the card, two to each limit of ours."""
        assert self._child.stdout is not None  # noqa: S101 (PIPE was asked for)
        line = self._child.stdout.readline()
        message: dict[str, Any] = json.loads(line) if line else {"fatal": "the power-limit watchdog ended", "fix": FIX}
        if "fatal" in message:
            raise BenchError(message["fatal"], message["fix"])
        return message

    def set(self, watts: float) -> float:
        """Set the limit; gives what the card says it now is, in watts.

        Raises:
            BenchError: it is out of the card's range, not permitted, or was not taken.
        """
        if not self.range.low_w <= watts <= self.range.high_w:
            raise BenchError(
                f"{self.range.name} does not accept a limit of {watts:g} W",
                f"stay between {self.range.low_w:g} W and {self.range.high_w:g} W",
            )
        with self._lock:
            assert self._child.stdin is not None  # noqa: S101
            before, self._changed = self._changed, True
            try:
                self._child.stdin.write(f"{watts!r}\n")
                self._child.stdin.flush()
            except BrokenPipeError:
                raise BenchError("the power-limit watchdog ended", FIX) from None
            try:
                self._set_w = float(self._answer()["now_w"])
            finally:
                self._changed = bool(self._answer()["changed"]) or before
            return self._set_w

    def close(self) -> None:
        """Restore the old limit. Idempotent.

        Raises:
            BenchError: it could not be restored; the message gives the command that does so.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        restored = self._end(self._child)
        if not restored and self._changed:
            # The watchdog was killed: another one that knows the old limit takes its place.
            arguments = {**self._arguments, "restore_w": self.range.now_w, "set_w": self._set_w}
            restored = self._end(self._start(arguments))
        if not restored and self._changed:
            raise BenchError(
                f"the power limit of {self.range.name} could not be restored to {self.range.now_w:g} W",
                f"sudo nvidia-smi -i {self.range.uuid} -pl {self.range.now_w:g}",
            )

    @staticmethod
    def _end(child: subprocess.Popen[str]) -> bool:
        """Close a watchdog's pipe and read its last answers; whether it restored the limit, or left another's alone."""
        try:
            said, _ = child.communicate(timeout=ANSWER_S)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            child.kill()
            child.communicate()
            return False
        return any("restored_w" in line for line in said.splitlines())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _card_arguments(spec: str, device: Device) -> dict[str, Any]:
    source, _, detail = spec.partition(":")
    if source not in ("auto", "nvml"):
        raise BenchError(f"power limits are set through NVML, not through {spec!r}", "use --meter nvml:<UUID or index>")
    return card("cuda")(detail, device)
