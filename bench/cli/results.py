"""``bitwatt results``: the collection under ``results/``."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from bench.cli import streams
from bench.cli.options import Results
from bench.model import EXIT_INVALID, EXIT_OK, EXIT_REGRESSION, BenchError
from bench.model.text import counted

app = App(name="results", help="Manage the collection in results/: check a file, or list what is there.")


@app.command
def check(files: Results, /) -> None:
    """Say why a CSV cannot be added to the collection, or which name it gets there.

    Parameters
    ----------
    files
        CSVs to add to the collection.
    """
    from bench.audit import collection, verify

    for path in files:
        found = collection.check(path)
        verdict = verify.verify([path])
        if verdict.findings:
            raise BenchError(
                str(verdict.findings[0]), "do not edit result files; measure again", exit_code=EXIT_INVALID
            )
        streams.put(f"{path}: {counted(found.rows, 'row')} can be added as {collection.CARDS}/{found.name}")
        for note in found.notes:
            streams.say(f"note: {note}")


@app.command
def add(files: Results, /, *, folder: Path = Path("results")) -> None:
    """Check CSVs, copy them and their sidecars into the collection, and rewrite the table in its README.

    Parameters
    ----------
    files
        CSVs to add to the collection.
    folder
        Folder of the collection.
    """
    from bench.audit import collection

    check(files)
    for path in files:
        streams.say(f"wrote {collection.add(path, folder)} and its sidecar")
    readme(folder)


@app.command
def readme(folder: Path = Path("results"), /, *, check: bool = False) -> int:
    """Rewrite the table in the collection's README from the CSVs there.

    Parameters
    ----------
    folder
        Folder of the collection.
    check
        Only say whether it is up to date (exit code 1 if not).
    """
    from bench import storage
    from bench.audit import collection

    path = folder / "README.md"
    text = collection.readme(folder)
    if not check:
        storage.write_atomically(path, text)
        streams.say(f"wrote {path}")
    elif path.read_text(encoding="utf-8") != text:
        streams.say(f"{path} is out of date: run `make results`.")
        return EXIT_REGRESSION
    return EXIT_OK
