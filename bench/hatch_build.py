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
        """Compile ``kernels/*.c`` into ``bench/_native`` and add it to the wheel."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        sys.path.insert(0, self.root)
        try:
            from bench.model import BenchError
            from bench.workloads.hashing import kernels
        finally:
            sys.path.remove(self.root)
        try:
            library = kernels.ensure_library()
        except BenchError as error:
            raise SystemExit(f"bitwatt: {error}") from error
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        if version != "editable":
            build_data["force_include"][str(library)] = str(library.relative_to(root))
