"""The page's language: every text that a reader sees goes through :func:`_`, and a gettext catalogue may replace it.

English is written in the code. ``locale/<language>.po`` holds the other languages; it is read when a page asks for it,
so nothing has to be compiled. ``python -m bench.report.extract`` brings the catalogues up to date with the code.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Iterator
from contextvars import ContextVar
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING

from bench.model import BenchError

if TYPE_CHECKING:
    from babel.messages import Catalog

LOCALE = Path(__file__).resolve().parent / "locale"
ENGLISH = "en"

_current: ContextVar[NullTranslations] = ContextVar("language", default=NullTranslations())  # noqa: B039 - never changed


def _(message: str, /, **values: object) -> str:
    """``message`` in the page's language, with ``{name}`` replaced by ``values``."""
    text = _current.get().gettext(message) if message else ""
    return text.format(**values) if values else text


def N_(message: str) -> str:  # noqa: N802 - gettext's own name
    """Marks a text that is translated where it is used."""
    return message


def phrase(text: str) -> str:
    """A text that another package made (:mod:`bench.report.phrases`), in the page's language where it is known."""
    if is_english():
        return text
    parts = text.split("; ")
    for size in range(len(parts), 0, -1):  # some sentences hold a semicolon of their own
        first = "; ".join(parts[:size])
        found = next(((item, match) for item, exp in _patterns(size) if (match := exp.fullmatch(first))), None)
        if found is not None or size == 1:
            template, values = (first, {}) if found is None else (found[0], found[1].groupdict())
            said = _(template).format(**{name: phrase(value) for name, value in values.items()}) if values else _(first)
            return _("; ").join([said, *([phrase("; ".join(parts[size:]))] if parts[size:] else [])])
    return text


@functools.cache
def _patterns(semicolons: int) -> list[tuple[str, re.Pattern[str]]]:
    """The sentences of so many parts, each as an expression that finds its values."""
    from bench.report.phrases import SENTENCES

    named = re.compile(r"\\{(\w+)\\}")
    return [
        (text, re.compile(named.sub(r"(?P<\1>.+?)", re.escape(text)), re.DOTALL))
        for text in SENTENCES
        if text.count("; ") == semicolons - 1
    ]


def is_english() -> bool:
    """Whether the page is in the language of the code."""
    return type(_current.get()) is NullTranslations


def joined(*sentences: str) -> str:
    """Sentences one after another, with the space that the language puts between them."""
    return _(" ").join(text for text in sentences if text)


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def plural(one: str, many: str, count: int) -> str:
    """``one`` or ``many``, with ``{count}`` filled in, by the language's own rule."""
    return _current.get().ngettext(one, many, count).format(count=f"{count:,}")


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """What is written inside is in ``language``.

    Raises:
        BenchError: there is no catalogue for it.
    """
    token = _current.set(translations(language))
    try:
        yield
    finally:
        _current.reset(token)


def languages() -> list[str]:
    """English, and each language of ``locale/``."""
    return [ENGLISH, *sorted(path.stem for path in LOCALE.glob("*.po"))]


@functools.cache
def translations(language: str) -> NullTranslations:
    """The texts of a language."""
    if language == ENGLISH:
        return NullTranslations()
    if language not in languages():
        raise BenchError(f"the page is not available in {language!r}", f"choose from {', '.join(languages())}")
    from babel.messages.mofile import write_mo

    compiled = io.BytesIO()
    found = catalogue(language)
    write_mo(compiled, found)
    compiled.seek(0)
    made = GNUTranslations(compiled)
    made.script_words = {  # type: ignore[attr-defined]
        item.id: item.string for item in found if any(path.endswith(".js") for path, _line in item.locations)
    }
    return made


def catalogue(language: str) -> Catalog:
    """The file of a language."""
    from babel.messages.pofile import read_po

    with (LOCALE / f"{language}.po").open("rb") as stream:
        return read_po(stream, locale=language)


def script_words() -> dict[str, str]:
    """What the page's script says: English → the page's language. Empty in English."""
    return getattr(_current.get(), "script_words", {})
