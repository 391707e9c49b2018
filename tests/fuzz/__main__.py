"""Coverage-guided fuzzing of the readers, each for a time, by Atheris (libFuzzer):

python -m tests.fuzz SECONDS [NAME …]

A crash is any exception but a BenchError, an input that takes over five seconds, and over one GiB of memory. Its input
is written to tests/fuzz/seeds/NAME/, where the ordinary tests read it from then on. What reaches new code is kept in
.fuzz/NAME/corpus/ for the next time.
"""

from __future__ import annotations

import os
import sys
import zlib

import atheris

with atheris.instrument_imports(include=["bench", "tomllib"]):
    from tests.fuzz.targets import SEEDS, TARGETS, mutated, read
from tests.support.paths import ROOT


def _mutate(raw: bytes, most: int, seed: int) -> bytes:
    return (mutated(raw, seed) if seed % 2 else atheris.Mutate(raw, most))[:most]


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one reader; libFuzzer ends the process, with 0 if nothing broke."""
    folder, seeds = ROOT / ".fuzz" / name, SEEDS / name
    corpus = folder / "corpus"
    for needed in (corpus, seeds):
        needed.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(TARGETS[name].examples()):
        (corpus / f"example-{number}").write_bytes(raw)

    def one(raw: bytes) -> None:
        try:
            read(name, raw, folder)
        except Exception:
            # libFuzzer writes it, too, but Arrow's threads may end the process before it does
            (seeds / f"crash-{zlib.crc32(raw):08x}").write_bytes(raw)
            raise

    limits = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024", "-max_len=65536", "-verbosity=0"]
    options = [*limits, "-print_final_stats=1", f"-artifact_prefix={seeds}/", str(corpus), str(seeds)]
    atheris.Setup([name, *options], one, custom_mutator=_mutate)
    atheris.Fuzz()


def main(seconds: int, names: list[str]) -> None:
    """Fuzz each reader in a process of its own; exits with how many broke."""
    broken = 0
    for name in names:
        print(f"fuzzing the reader of {name} for {seconds} s", flush=True)
        child = os.fork()
        if not child:
            fuzz(name, seconds)
        broken += os.waitpid(child, 0)[1] != 0
    sys.exit(broken)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or list(TARGETS))
