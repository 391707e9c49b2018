"""Rows of merged fleets and of single cards in one frame, each with its node, card and slot."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.storage.columns import COLUMNS
from bench.storage.fleet import FLEET_COLUMNS, read_fleet
from bench.storage.reader import FILE, LINE, read

if TYPE_CHECKING:
    import pandas as pd


def read_rows(
    paths: Sequence[Path], columns: Sequence[str] | None = None, *, note: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """Rows of fleets and of single cards in one frame: merged files (Parquet or CSV), result CSVs, folders of CSVs.

    Rows of a file that is not a merged one are of the node ``host`` and the card ``device_uuid``, or their kind and
    index where they have none.

    Args:
        paths: files and folders.
        columns: those to keep, of :data:`FLEET_COLUMNS` and of a result CSV; by default all.
        note: takes sentences for a person to read.

    Returns:
        ``columns`` and, as :func:`bench.storage.read` adds them, ``file`` and ``line``.

    Raises:
        BenchError: as :func:`read_fleet` and :func:`bench.storage.read`.
    """
    import pandas as pd

    own = [each.name for each in FLEET_COLUMNS]
    wanted = [*own, *(each.name for each in COLUMNS)] if columns is None else list(columns)
    parts = []
    for path in paths:
        if path.suffix == ".parquet":
            frame = read_fleet(path, wanted)
            frame[FILE] = pd.Categorical([str(path)] * len(frame))
            frame[LINE] = range(2, len(frame) + 2)
        else:
            kept = [*_PLACE, *(name for name in wanted if name not in own)]
            frame = _with_places(read([path], list(dict.fromkeys(kept)), note=note))
        parts.append(frame[[FILE, LINE, *wanted]])
    if len(parts) == 1:
        return parts[0]
    texts = list(parts[0].select_dtypes("category"))
    plain = [part.astype(dict.fromkeys(texts, "object")) for part in parts]
    return pd.concat(plain, ignore_index=True).astype(dict.fromkeys(texts, "category"))


def read_results(paths: Sequence[Path], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows as :func:`bench.storage.read` gives them; those of a fleet also have their node, card and slot
    where all columns are asked for.

    Raises:
        BenchError: as :func:`read_rows`.
    """
    fleets = [path for path in paths if path.suffix == ".parquet" or _is_merged(path)]
    return read_rows(paths, columns) if fleets else read(paths, columns)


_PLACE = ("host", "device_uuid", "device_kind", "device_index")


def _with_places(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of CSVs with node, card and slot: as a merged file says, else by host, UUID and index."""
    import pandas as pd

    plain = frame["device_kind"].astype(str) + frame["device_index"].astype(str)
    values = {
        "node": frame["host"].astype(object).fillna("unknown"),
        "card": frame["device_uuid"].astype(object).fillna(plain),
        "slot": frame["device_index"],
        "together": False,
        "neighbours_power_w": float("nan"),
    }
    places = pd.DataFrame(values, index=frame.index)
    for file in frame[FILE].cat.categories:
        merged = _places_of(Path(file))
        if merged is not None:
            rows = (frame[FILE] == file).to_numpy()
            # the row on line 2 is the first one
            places.loc[rows, merged.columns] = merged.iloc[frame.loc[rows, LINE].to_numpy() - 2].to_numpy()
    kinds: dict[type, Any] = {str: "category", int: "int64", bool: "bool", float: "float64"}
    for each in FLEET_COLUMNS:
        places[each.name] = places[each.name].astype(kinds[each.type])
    return pd.concat([frame.drop(columns=[name for name in places if name in frame]), places], axis=1)


def _is_merged(path: Path) -> bool:
    """Whether a file begins as a merged CSV does. A stream is not looked into: it can be read only once."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.readline(200).replace(b'"', b"").startswith(b"node,card,slot,")


def _places_of(path: Path) -> pd.DataFrame | None:
    """The columns that only a merged CSV has; None for another CSV."""
    if not _is_merged(path):
        return None
    csv: Any = importlib.import_module("pyarrow.csv")
    options = csv.ConvertOptions(include_columns=[each.name for each in FLEET_COLUMNS])
    frame: pd.DataFrame = csv.read_csv(path, convert_options=options).to_pandas()
    return frame
