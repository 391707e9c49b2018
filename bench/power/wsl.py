"""Windows' Subsystem for Linux, where the driver belongs to Windows and NVML answers only part of what is asked."""

from __future__ import annotations

from pathlib import Path

RELEASE = Path("/proc/sys/kernel/osrelease")
DEVICE_FILE = Path("/dev/dxg")
LIBRARIES = "/usr/lib/wsl/lib"
"""Where Windows' driver puts its libraries (docs.nvidia.com/cuda/wsl-user-guide)."""


def is_wsl() -> bool:
    """Whether this Linux runs under Windows."""
    try:
        return "microsoft" in RELEASE.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False


def has_gpu() -> bool:
    """Whether Windows lends its GPUs to this Linux; there is no /dev/nvidia* then."""
    return is_wsl() and DEVICE_FILE.exists()


def no_driver() -> str:
    """What to do where NVML does not start."""
    if is_wsl():
        return (
            f"install NVIDIA's driver in Windows and none in this Linux, see that {LIBRARIES} holds "
            "libnvidia-ml.so.1, or run with --meter none"
        )
    return "install or load the NVIDIA driver (nvidia-smi must work), or run with --meter none"


def no_power() -> str:
    """What to do where a card reports neither power nor energy."""
    if is_wsl():
        return (
            "update the driver in Windows (some report no power to WSL2), measure with a wall meter through --meter "
            "'command:<program>', or run with --meter none"
        )
    return "run as a user who may read the card's sensors, use another --meter, or run with --meter none"
