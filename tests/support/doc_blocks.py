"""The fenced blocks of a document, and a run of its commands in a copy of the checkout at smoke size.

    python -m tests.support.doc_blocks docs/tutorial.md    # put today's output into the document

What a fence says: ``sh`` is run; ``text`` after it is its output; ``<!-- file: NAME -->`` above a fence writes the
block to that file first; ``<!-- not run: REASON -->`` above a fence leaves it out, with what must not be compared.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MISSING_WORDS = 0.25
"""Share of an output block's words that a run may lack: names of cards and drivers, and verdicts, differ by machine."""
BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>not run|file): (?P<detail>.+?) -->\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, where the text stands in the document, and its marker."""

    language: str
    text: str
    span: tuple[int, int]
    file: str | None = None
    not_run: str | None = None


def blocks(document: str) -> list[Block]:
    """All fenced blocks in order."""
    return [
        Block(
            found["language"],
            found["text"],
            found.span("text"),
            file=found["detail"] if found["marker"] == "file" else None,
            not_run=found["detail"] if found["marker"] == "not run" else None,
        )
        for found in BLOCK.finditer(document)
    ]


def pairs(document: str) -> list[tuple[Block, Block | None]]:
    """Each block that is run or written to a file, with the ``text`` block that shows its output."""
    found: list[tuple[Block, Block | None]] = []
    for block in blocks(document):
        if block.not_run is not None:
            continue
        if block.language == "sh" or block.file:
            found.append((block, None))
        elif block.language == "text" and found and found[-1][1] is None and found[-1][0].file is None:
            found[-1] = (found[-1][0], block)
    return found


def unmarked(document: str) -> list[str]:
    """Output blocks that belong to no command."""
    spans = {output.span for _, output in pairs(document) if output}
    return [
        block.text
        for block in blocks(document)
        if block.language == "text" and block.not_run is None and block.span not in spans
    ]


def words(text: str) -> set[str]:
    """Words of three letters or more."""
    return {word.lower() for word in re.findall(r"[^\W\d_]{3,}", text)}


def differs(shown: str, real: str) -> set[str]:
    """Words of an output block that a run lacks, where they are too many; none where it is the same output."""
    missing = words(shown) - words(real)
    return missing if len(missing) > MISSING_WORDS * len(words(shown)) else set()


def small(arguments: list[str]) -> list[str]:
    """A command line of bitwatt at smoke size on the CPU."""
    if arguments[:1] not in (["run"], ["worker"]) or {"--help", "--smoke", "--plan", "--again"} & set(arguments):
        return arguments
    kept: list[str] = []
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if argument not in ("--quick", "--thorough"):
            kept.append("cpu" if previous == "--device" else argument)
    return [*kept, "--smoke", *([] if "--device" in kept else ["--device", "cpu"])]


def checkout(folder: Path) -> None:
    """A copy of what the documents use, with ``bin/bitwatt`` and ``bin/python`` that run it."""
    for name in ("bench", "kernels", "docs/examples", "results"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "bin").mkdir()
    for name, module in (("bitwatt", " -m tests.support.doc_blocks --small"), ("python", "")):
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}:{ROOT}" exec "{sys.executable}"{module} "$@"\n')
        path.chmod(0o755)


@dataclass(frozen=True)
class Ran:
    """A finished block: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def run(document: str, folder: Path, *, timeout_s: float = 600) -> list[tuple[Block, Block | None, Ran]]:
    """Run a document's blocks in order in one shell in ``folder``; the first that fails is the last in the list."""
    checkout(folder)
    script = ["cd " + str(folder), "set -eo pipefail"]
    steps = pairs(document)
    for number, (block, _) in enumerate(steps):
        script.append(f"exec >{folder}/out.{number} 2>{folder}/err.{number}")
        if block.file:
            source = folder / f"file.{number}"
            source.write_text(block.text)
            script.append(f'mkdir -p "$(dirname {block.file})"; cp {source} {block.file}')
        else:
            script.append(block.text)
        script.append(f"touch {folder}/done.{number}")
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "110"}
    code = subprocess.run(
        ["bash"], input="\n".join(script), text=True, cwd=folder, env=environment, timeout=timeout_s, check=False
    ).returncode
    ran = []
    for number, (block, output) in enumerate(steps):
        done = (folder / f"done.{number}").exists()
        out, err = ((folder / f"{name}.{number}") for name in ("out", "err"))
        if not out.exists():
            break
        ran.append((block, output, Ran(0 if done else code or 1, out.read_text(), err.read_text())))
    return ran


def renewed(document: str, folder: Path) -> str:
    """The document with the output of today's run in its output blocks."""
    text = document
    for block, output, result in reversed(run(document, folder)):
        if result.code:
            raise SystemExit(f"{block.text}\nended with {result.code}:\n{result.out}{result.err}")
        if output is not None:
            shown = "\n".join(line.rstrip() for line in result.out.strip("\n").splitlines()) + "\n"
            text = text[: output.span[0]] + shown + text[output.span[1] :]
    return text


def main() -> None:
    """See the module's text."""
    if sys.argv[1:2] == ["--small"]:
        sys.argv[1:] = small(sys.argv[2:])
        from bench.cli.app import main as bitwatt

        bitwatt()
    import tempfile

    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(name)
            path.write_text(renewed(path.read_text(), Path(folder).resolve()))


if __name__ == "__main__":
    main()
