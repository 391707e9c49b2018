"""CuPy's own names and signatures, read without a driver; for comparing the stand-in with them."""

from __future__ import annotations

import inspect
import re
from typing import Any


def parameters(function: Any) -> list[str]:
    """Names of a function's parameters, in order. Compiled functions carry their signature in their docstring.

    Raises:
        TypeError: neither gives it.
    """
    try:
        names = list(inspect.signature(function).parameters)
        if names != ["self", "args", "kwargs"]:
            return [name for name in names if name != "self"]
    except (TypeError, ValueError):
        pass
    first = (inspect.getdoc(function) or "").partition("\n")[0]
    found = re.search(r"\((.*)\)", first)
    if not found:
        raise TypeError(f"{function} does not give its signature")
    parts = (part.partition("=")[0].split() for part in re.sub(r"\[.*?\]", "", found[1]).split(","))
    return [part[-1].lstrip("*") for part in parts if part and part[-1] not in ("self", "*", "/")]
