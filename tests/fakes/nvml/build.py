"""Build the fake NVML library with the machine's C compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml.c")
LIBRARY = "libnvidia-ml.so.1"


def build(folder: Path) -> Path:
    """Compile the fake into ``folder`` and return ``folder``: put it on LD_LIBRARY_PATH of a new process."""
    library = folder / LIBRARY
    if not library.exists():
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-lm"]
        subprocess.run(command, check=True)
    return folder
