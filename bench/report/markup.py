"""HTML built so that a text can never become markup: whatever is not :class:`Html` already is escaped."""

from __future__ import annotations

import html
import json
from typing import Any

NOTHING = "–"
"""A missing figure. Never 0."""


class Html(str):
    """A text that is markup. Only this module and :func:`raw` make one."""

    __slots__ = ()


def raw(text: str) -> Html:
    """Mark our own text as markup. Never for anything that was read from a file of results."""
    return Html(text)


def escape(value: object) -> Html:
    """A value as markup that shows it; ``None`` is empty."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else html.escape(str(value), quote=True))


def join(*parts: object) -> Html:
    """Parts one after another, each escaped unless it is markup."""
    return Html("".join(map(escape, parts)))


_VOID = frozenset({"input", "br", "meta", "link"})


def el(tag: str, *children: object, **attributes: object) -> Html:
    """One element. ``class_`` is ``class``, ``data_x`` is ``data-x``; ``None`` and ``False`` leave an attribute out.

    ``el("td", "<b>", class_="x")`` → ``<td class="x">&lt;b&gt;</td>``
    """
    written = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        written.append(f" {key}" if value is True else f' {key}="{html.escape(str(value), quote=True)}"')
    opening = f"<{tag}{''.join(written)}>"
    return Html(opening if tag in _VOID else f"{opening}{join(*children)}</{tag}>")


def table(
    header: list[object],
    rows: list[list[object]],
    *,
    caption: str,
    numeric: set[int] | None = None,
    class_: str | None = None,
    lean: bool = False,
) -> Html:
    """A table in a box that scrolls sideways on its own, reachable by keyboard, so that the page never does.

    ``numeric`` columns stand to the right; ``lean`` leaves out columns from the third on in which no row has anything.
    """
    empty = [place for place in range(2, len(header)) if lean and all(str(row[place]) in ("", NOTHING) for row in rows)]
    kept = [place for place in range(len(header)) if place not in empty]
    header, rows = [header[place] for place in kept], [[row[place] for place in kept] for row in rows]
    right = {kept.index(place) for place in numeric or set() if place in kept}
    head = el("tr", *(el("th", cell, scope="col", class_="n" if i in right else None) for i, cell in enumerate(header)))
    body = [
        el(
            "tr",
            *(
                el("th", cell, scope="row") if i == 0 else el("td", cell, class_="n" if i in right else None)
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    inner = el("table", el("caption", el("span", caption)), el("thead", head), el("tbody", *body), class_=class_)
    return el(
        "div",
        inner,
        class_="scroll tall" if len(rows) > 14 else "scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def script_json(value: Any) -> Html:
    """A value as JSON that may stand inside ``<script>``: nothing in it can end the element or open a comment.

    Raises:
        ValueError: a float that is not finite.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Html(text)


def script_text(code: str) -> Html:
    """Our own or a library's JavaScript, made unable to end its element.

    ``</script`` and ``<!--`` occur in literals only, where the escape means the same character.
    """
    return Html(code.replace("</script", "\\x3c/script").replace("<!--", "\\x3c!--"))


def label(text: object) -> str:
    """A text for Plotly, which reads a small dialect of HTML in every label: shown as it stands."""
    return html.escape(str(text), quote=False)
