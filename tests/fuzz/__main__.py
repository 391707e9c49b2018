"""Coverage-guided fuzzing of one reader, by Atheris (libFuzzer):

python -m tests.fuzz NAME [SECONDS] [CORPUS]

A crash is any exception but a sentence, an input that takes over five seconds, and over one GiB of memory; its input
is written to tests/fuzz/seeds/NAME/, where the ordinary tests read it from then on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bench", "tomllib"]):
    from tests.fuzz.targets import SEEDS, TARGETS, mutated, read


def _mutate(raw: bytes, most: int, seed: int) -> bytes:
    return (mutated(raw, seed) if seed % 2 else atheris.Mutate(raw, most))[:most]


def main(name: str, seconds: str = "60", corpus: str | None = None) -> None:
    """Fuzz one target; libFuzzer ends the process, with 0 if nothing broke."""
    seeds = SEEDS / name
    seeds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        start = Path(corpus or Path(folder) / "corpus")
        start.mkdir(parents=True, exist_ok=True)
        for number, raw in enumerate(TARGETS[name].examples()):
            (start / f"example-{number}").write_bytes(raw)
        limits = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024", "-max_len=65536", "-verbosity=0"]
        options = [*limits, "-print_final_stats=1", f"-artifact_prefix={seeds}/", str(start), str(seeds)]
        atheris.Setup(
            [sys.argv[0], *options], lambda raw: read(name, raw, Path(folder)) and None, custom_mutator=_mutate
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
