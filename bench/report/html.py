"""The page's HTML, from the templates in this folder. Jinja2 escapes every value that a template prints.

Only three texts are marked as safe, each by a function here that makes them so: the page's data as JSON, its scripts
and its style sheet.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report.language import _
from bench.report.svg import drawing, legend

_HERE = Path(__file__).resolve().parent


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(drawing=drawing, legend=legend, _=_)
    return environment


def render(template: str, **values: Any) -> str:
    """A template of this package, filled in. A value that it prints and was not given raises an error."""
    return _environment().get_template(template).render(values)


def script_json(value: Any) -> Markup:
    """A value as JSON that may stand inside ``<script>``: nothing in it can end the element or open a comment.

    Raises:
        ValueError: a float that is not finite.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 - every character that markup is made of was replaced


def script_text(code: str) -> Markup:
    """Our own JavaScript, made unable to end its element.

    ``</script`` and ``<!--`` occur in literals only, where the escape means the same character.
    """
    return Markup(code.replace("</script", "\\x3c/script").replace("<!--", "\\x3c!--"))  # noqa: S704


def scripts(names: Sequence[str] = ()) -> Markup:
    """The page's script, with files of ``scripts/`` that sections bring: one after another, in a scope of their own."""
    all_names = ("figures.js", "board.js", *names, "start.js")
    parts = [(_HERE / "scripts" / name).read_text(encoding="utf-8") for name in all_names]
    return script_text('"use strict";\n(() => {\n' + "".join(parts) + "})();\n")


def own_text(name: str) -> Markup:
    """A file of this package, such as ``page.css``."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704
