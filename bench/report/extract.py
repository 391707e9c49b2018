"""Brings the catalogues of ``locale/`` up to date with the code: ``python -m bench.report.extract``.

Texts that are new have an empty translation until someone writes it; texts that are no longer used are dropped.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from bench.report.language import LOCALE, catalogue
from bench.report.phrases import vocabulary

_BENCH = Path(__file__).resolve().parent.parent
_KINDS = [("**.py", "bench.report.extract:python_texts"), ("templates/**.*", "jinja2"), ("scripts/**.js", "javascript")]
_KEYWORDS = {"_": None, "N_": None, "plural": (1, 2)}


def python_texts(
    source: IO[bytes],
    keywords: Collection[str],
    _tags: object,
    options: object,  # noqa: ARG001 - babel names it
) -> Iterator[tuple[int, str, str | tuple[str, ...], list[str]]]:
    """The texts of a Python file, also those inside f-strings, which babel's own reader passes over."""
    for node in ast.walk(ast.parse(source.read())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in keywords:
            texts = tuple(str(item.value) for item in node.args if isinstance(item, ast.Constant))
            wanted = 2 if node.func.id == "plural" else 1
            if len(texts) >= wanted:
                yield node.lineno, node.func.id, texts[:wanted] if wanted > 1 else texts[0], []


def messages() -> Catalog:
    """Every text that the page and the site translate, with the files that it is in."""
    found = Catalog(fuzzy=False)
    for package in ("report", "site"):
        for name, _line, text, _comments, _context in extract_from_dir(
            str(_BENCH / package), _KINDS, keywords=_KEYWORDS
        ):
            found.add(text, locations=[(f"bench/{package}/{name}", 0)])
    for text in vocabulary():
        found.add(text, locations=[("bench/report/phrases.py", 0)])
    return found


def update(language: str) -> Catalog:
    """The catalogue of a language with the texts of today."""
    held = catalogue(language)
    held.update(messages(), no_fuzzy_matching=True)
    held.obsolete.clear()
    return held


def main() -> None:
    """Rewrite every catalogue."""
    for path in sorted(LOCALE.glob("*.po")):
        found = update(path.stem)
        with path.open("wb") as stream:
            write_po(stream, found, width=120, sort_output=True, include_lineno=False)


if __name__ == "__main__":
    main()
