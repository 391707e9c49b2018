"""``bitwatt reference``: what cards of each model do, from the rows of many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from bench.cli import options, streams
from bench.model import BenchError

if TYPE_CHECKING:
    import pandas as pd

app = App(name="reference", help="Make a reference of each model's cards, for `bitwatt rank`.")


@app.command
def build(files: options.Results, /, *, output: Annotated[Path, Parameter(name=["--output", "-o"])]) -> None:
    """Reduce the valid and verified rows of many cards to one row per card, task and setting.

    The file names no host and no UUID.

    Parameters
    ----------
    files
        Result CSVs, folders of them, or merged fleets.
    output
        The reference to write, a CSV.
    """
    from bench import storage
    from bench.analysis import reference
    from bench.storage.fleet_rows import read_rows

    table = reference.build(read_rows(files, reference.COLUMNS, note=streams.say))
    storage.write_atomically(output, table.to_csv(index=False, lineterminator="\n"))
    models = table.groupby("device_name", observed=True)["card"].nunique()
    cards = ", ".join(f"{count} of {name}" for name, count in models.items())
    streams.say(f"wrote {output}: {table['card'].nunique()} cards ({cards})")


def read(path: Path) -> pd.DataFrame:
    """A reference from its file, or of a merged fleet (Parquet).

    Raises:
        BenchError: it cannot be read, or is not a reference.
    """
    import pandas as pd

    from bench.analysis import reference
    from bench.storage.fleet_rows import read_rows

    if path.suffix == ".parquet":
        return reference.build(read_rows([path], reference.COLUMNS, note=streams.say))
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BenchError(f"cannot read {path} ({error})", "give what `bitwatt reference build -o` wrote") from error
    return reference.checked(table, str(path))
