"""Links of a folder of HTML pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.add(values.get("id", ""))
        self.addresses += [values[name] for name in ("href", "src") if values.get(name)]


def broken_links(folder: Path) -> list[str]:
    """Each link of each page that leads nowhere, out of the folder, or that is not relative."""
    pages = {path: _Links(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            inside = target.is_relative_to(folder.resolve()) or target == path
            is_good = not (parts.scheme or parts.netloc or parts.path.startswith("/")) and inside and target.is_file()
            if is_good and parts.fragment and "=" not in parts.fragment:
                is_good = parts.fragment in (pages.get(target) or page).ids
            if not is_good:
                found.append(f"{path.relative_to(folder)}: {address}")
    return found
