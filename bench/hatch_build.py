"""Build hook: compiles the host library and puts it in the wheel, or beside the package of an editable install."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeLibraryHook(BuildHookInterface[Any]):
    """The wheel is of no Python version in particular, but of one platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile ``kernels/*.c``: for an editable install into ``bench/_native``, else into the build folder.

        ``_PYTHON_HOST_PLATFORM=linux-aarch64 CC=aarch64-linux-gnu-gcc`` makes a wheel for another machine.
        """
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        platform = sysconfig.get_platform()
        sys.path.insert(0, self.root)
        try:
            from bench.model import BenchError
            from bench.workloads.hashing import kernels
        finally:
            sys.path.remove(self.root)
        try:
            if version == "editable":
                kernels.ensure_library()
            else:
                library = root / "build" / platform / kernels.LIBRARY
                kernels.build_library(kernels.kernel_dir(), library, machine=platform.rpartition("-")[2])
                build_data["force_include"][str(library)] = f"bench/_native/{kernels.LIBRARY}"
        except BenchError as error:
            raise SystemExit(f"bitwatt: {error}") from error
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"
