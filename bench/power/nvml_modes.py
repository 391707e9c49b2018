"""What else moves an NVIDIA card's power: who set its limit, PowerMizer, adaptive TGP."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml

POWER_MIZER = ("adaptive", "prefer maximum performance", "auto", "prefer consistent performance")
"""Modes by number [nvml.h, NVML_POWER_MIZER_MODE_…]."""


def power_mizer(handle: Any) -> str | None:
    """The PowerMizer mode in force; a mode without a name as its number.

    Raises:
        NVMLError: the driver or the card has no such mode.
    """
    found = pynvml.c_nvmlDevicePowerMizerModes_v1_t()
    code = pynvml.nvmlDeviceGetPowerMizerMode_v1(handle, ctypes.byref(found))
    if code != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(code)
    mode = int(found.currentMode)
    return POWER_MIZER[mode] if mode < len(POWER_MIZER) else str(mode)


def adaptive_tgp(handle: Any) -> bool:
    """Whether adaptive TGP, which moves the power limit with the load, is in force.

    Raises:
        NVMLError: the driver or the card has no such mode.
    """
    found = pynvml.c_nvmlAdaptiveTgpModeInfo_v1_t()
    pynvml.nvmlDeviceGetAdaptiveTgpModeInfo_v1(handle, ctypes.byref(found))
    return bool(found.enablementStatus)


LIMIT_TOLERANCE_MW = 500
"""Drivers round limits."""


def limit_by(enforced_mw: int | None, default_mw: int | None, asked_mw: int | None) -> str | None:
    """Who set the limit in force: ``default``, ``software`` or ``elsewhere``; None where that is not known.

    Args:
        enforced_mw: the lowest of all limits, in milliwatts.
        default_mw: the card's own.
        asked_mw: what was set through the driver, as by ``nvidia-smi -pl``.
    """
    if enforced_mw is None or default_mw is None:
        return None
    if abs(enforced_mw - default_mw) <= LIMIT_TOLERANCE_MW:
        return "default"
    if asked_mw is None:
        return None
    return "software" if abs(enforced_mw - asked_mw) <= LIMIT_TOLERANCE_MW else "elsewhere"
