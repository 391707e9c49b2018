"""What the tests of the report page share: a hostile text, a parser of the page, and a frame from records."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from bench import storage
from bench.analysis import compare
from tests.support.factory import write

HOSTILE = '<script>window.pwned=1</script>"><img src=x onerror="window.pwned=1">&amp;<b>x</b>'


def frame_of(tmp_path: Path, records) -> tuple:
    frame = storage.read([write(tmp_path / "x.csv", records)])
    return frame, compare.compare(frame)


class Page(HTMLParser):
    """Elements, ids, text outside scripts, and everything in the page that could run or fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.scripts = 0
        self.fetching: list[str] = []
        self.handlers: list[str] = []
        self.headings: list[str] = []
        self.visible = ""
        self._inside: list[str] = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._inside.append(tag)
        values = dict(attrs)
        self.scripts += tag == "script"
        if "id" in values:
            self.ids.append(values["id"])
        self.fetching += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name in ("src", "href", "action", "srcset", "data") and not (value or "").startswith(("#", "data:"))
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self._is_data = values.get("id") == "data"
        if tag in ("meta", "link", "input", "br"):
            self._inside.pop()

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.data += data if self._is_data else ""
        elif inside != "style":
            self.visible += data
            if inside == "h2":
                self.headings.append(data)
