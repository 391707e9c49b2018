"""A stand-in for AMD's Python package of this name, by the names and shapes of its version 7.

FAKE_AMD is JSON: ``watts``, ``resolution`` (µJ a count), ``frozen_after`` (s of a process's life), ``factor`` (the
counter's error), ``power`` (key → value; else the usual ones), ``fail`` (calls that raise), ``buses``.
"""

import enum
import json
import os
import time

SCRIPT = json.loads(os.environ.get("FAKE_AMD", "{}"))
BEGUN = time.monotonic()
LOADED_IN = os.getpid()


class AmdSmiException(Exception):
    pass


class AmdSmiLibraryException(AmdSmiException):
    def __str__(self):
        return "Error code:\n\t2 | AMDSMI_STATUS_NOT_SUPPORTED - Feature not supported"


class AmdSmiClkType(enum.IntEnum):
    SYS = 0
    GFX = 0
    MEM = 4


class AmdSmiTemperatureType(enum.IntEnum):
    EDGE = 0
    HOTSPOT = 1


class AmdSmiTemperatureMetric(enum.IntEnum):
    CURRENT = 0


def _call(name):
    if name in SCRIPT.get("fail", ()):
        raise AmdSmiLibraryException


def amdsmi_init():
    print("a vendor library that prints to stdout", flush=True)
    _call("init")


def amdsmi_shut_down():
    pass


def _buses():
    return SCRIPT.get("buses", ["0000:03:00.0"])


def amdsmi_get_processor_handles():
    return list(range(len(_buses())))


def amdsmi_get_gpu_device_uuid(handle):
    return f"a{handle}ff74a1-0000-1000-8000-000000000000"


def amdsmi_get_gpu_device_bdf(handle):
    return _buses()[handle]


def amdsmi_get_gpu_asic_info(handle):
    return {"market_name": "AMD Instinct Fake"}


def amdsmi_get_power_info(handle):
    _call("power")
    watts = SCRIPT.get("watts", 300)
    usual = {"socket_power": watts, "current_socket_power": watts, "average_socket_power": "N/A"}
    return SCRIPT.get("power", usual)


def amdsmi_get_energy_count(handle):
    _call("energy")
    resolution = SCRIPT.get("resolution", 15.3)
    seconds = min(time.monotonic(), BEGUN + SCRIPT.get("frozen_after", 1e9))
    seconds -= seconds % 0.01
    joules = SCRIPT.get("watts", 300) * SCRIPT.get("factor", 1) * seconds
    key = SCRIPT.get("counter_key", "energy_accumulator")
    return {key: int(joules * 1e6 / resolution), "counter_resolution": resolution, "timestamp": 0}


def amdsmi_get_temp_metric(handle, kind, metric):
    if kind is AmdSmiTemperatureType.HOTSPOT:
        raise AmdSmiLibraryException
    return 55


def amdsmi_get_clock_info(handle, kind):
    return {"clk": 1700 if kind is AmdSmiClkType.GFX else 1200, "clk_locked": "N/A"}


def amdsmi_get_power_cap_info(handle):
    return {"power_cap": 500_000_000, "default_power_cap": 560_000_000}


def amdsmi_get_gpu_process_list(handle):
    return [{"pid": 1, "name": "x"}, {"pid": os.getppid(), "name": "the run"}]
