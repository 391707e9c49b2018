"""``python -m tests.fakes.wattmeter IDLE LOAD``: a true wattmeter beside the fake card, for ``--reference-meter``.

Prints every 50 ms the mean watts of the last 50 ms: IDLE, and LOAD more while the fake job (``FAKE_LOAD``) works.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

STEP_S = 0.05


def main() -> None:
    idle_w, load_w = map(float, sys.argv[1:])
    path = Path(os.environ["FAKE_LOAD"])
    path.touch()
    edges: list[tuple[str, int]] = []
    last_ns = time.monotonic_ns()
    with path.open() as stream:
        while True:
            time.sleep(STEP_S)
            now_ns = time.monotonic_ns()
            edges += [(line[0], int(line[1:])) for line in stream]
            busy_ns, since_ns = 0, None
            for sign, at_ns in [*edges, ("-", now_ns)]:
                if sign == "+":
                    since_ns = at_ns
                elif since_ns is not None:
                    busy_ns += max(0, min(at_ns, now_ns) - max(since_ns, last_ns))
                    since_ns = None
            print(idle_w + load_w * busy_ns / (now_ns - last_ns), flush=True)
            # only an unfinished stretch of work matters from here on
            edges = edges[-1:] if edges and edges[-1][0] == "+" else []
            last_ns = now_ns


if __name__ == "__main__":
    main()
