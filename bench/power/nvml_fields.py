"""Field values of NVML by number and type [nvml.h]. Runs in the sampler's process only.

nvidia-ml-py's own names are not used where versions of it disagree: nvml.h of CUDA 12.9 and 13.0 (drivers 575 and
580.65 to 580.82) numbers the throttle counters from 251 and power smoothing from 256, every other version counts
smoothing from 251 and the throttle counters from 269. The type of a value tells a counter from a setting.
"""

from __future__ import annotations

from typing import Any

import pynvml

REASON_NAMES = ("sw_thermal", "hw_thermal", "hw_power_brake")
"""The clocks-event reasons that invalidate, in the order of their fields; each counts nanoseconds."""
NUMBERINGS = (((269, 270, 271), 251), ((251, 252, 253), 256))
"""Fields of :data:`REASON_NAMES`, and the field that says whether power smoothing is on."""
EDPP_MULTIPLIER = 274

NOT_AVAILABLE_MW = 0xFFFFFFFF
"""NVML's "not available" (NVML_VALUE_NOT_AVAILABLE) in a reading that otherwise succeeds."""
NOT_AVAILABLE_MJ = 0xFFFFFFFFFFFFFFFF

COUNTER_TYPES = (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG, pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG)
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


def number_of(value: Any) -> float:
    """The number in a field value, by its declared type (nvmlValueType_t).

    Raises:
        pynvml.NVMLError: the field failed, or its type is unknown.
    """
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    if not 0 <= value.valueType < len(_MEMBERS):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
    return float(getattr(value.value, _MEMBERS[value.valueType]))


def available(value: float, missing: int) -> float:
    """The value, unless it is NVML's sign for a reading that is not available.

    Raises:
        pynvml.NVMLError: it is.
    """
    if value == missing:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_DATA)
    return value


def reason_fields(handle: Any) -> tuple[tuple[tuple[int, str], ...], int]:
    """The throttle counters that this driver has, as ``(field, reason)``, and its field for power smoothing.

    Raises:
        pynvml.NVMLError: the driver has no field values at all.
    """
    for fields, smoothing in NUMBERINGS:
        values = pynvml.nvmlDeviceGetFieldValues(handle, list(fields))
        found = tuple(
            (field, name)
            for field, name, value in zip(fields, REASON_NAMES, values, strict=True)
            if value.nvmlReturn == pynvml.NVML_SUCCESS and value.valueType in COUNTER_TYPES
        )
        if found:
            return found, smoothing
    return (), NUMBERINGS[0][1]


def switch(handle: Any, field: int) -> bool:
    """A setting that is on or off.

    Raises:
        pynvml.NVMLError: the card has no such setting, or the field holds something else.
    """
    value = pynvml.nvmlDeviceGetFieldValues(handle, [(field, 0)])[0]
    if number_of(value) not in (0, 1) or value.valueType in COUNTER_TYPES:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return bool(number_of(value))
