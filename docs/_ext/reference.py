"""The directive ``generated``: the parts of the reference that are made from the code, as Markdown.

    ```{generated} columns
    ```

Everything in :data:`PARTS` is a function without arguments, so that a test can read what a page will show.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent.parent
SITE_PAGES = {
    "../results/README.md": "/howto/contribute-a-card.md",
    "results/README.md": "/howto/contribute-a-card.md",
    "../CONTRIBUTING.md": "/contributing/index.md",
    "CONTRIBUTING.md": "/contributing/index.md",
    "../SECURITY.md": "/security.md",
    "SECURITY.md": "/security.md",
    "../CHANGELOG.md": "/changelog.md",
    "CHANGELOG.md": "/changelog.md",
    "../README.md": "/index.md",
    "README.md": "/index.md",
}
"""A document outside ``docs/``, as pages link to it → its page on the site."""


def relink(text: str) -> str:
    """A document's text with the links to documents of the root pointing to their pages on the site."""

    def page(found: re.Match[str]) -> str:
        name, hash_, anchor = found[1].removeprefix("../").partition("#")
        while name.startswith("../"):
            name = name.removeprefix("../")
        target = SITE_PAGES.get(name)
        if target is None and name.startswith("docs/"):
            target = "/" + name.removeprefix("docs/")
        return f"]({target}{hash_}{anchor})" if target else found[0]

    return re.sub(r"\]\(((?:\.\./)*(?:docs/[^)\s]+|[A-Z]+\.md|results/README\.md)(?:#[^)\s]*)?)\)", page, text)


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def cli() -> str:
    """Every command and option, from the command line's own definitions."""
    from bench.cli.app import app

    text = str(app.generate_docs(output_format="markdown"))
    text = text.partition("\n## bitwatt run\n")[2]
    # Cyclopts writes how this very process was started: `bitwatt run -m sphinx [OPTIONS]`.
    text = re.sub(r"^(bitwatt [a-z ]+) -m \w+", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"^##(#*) ", r"#\1# ", "## bitwatt run\n" + text, flags=re.MULTILINE)


UNITS = {
    "_per_s": "1/s",
    "_per_j": "1/J",
    "_gib": "GiB",
    "_mib": "MiB",
    "_mhz": "MHz",
    "_mhz_mean": "MHz",
    "_percent": "%",
    "_w": "W",
    "_j": "J",
    "_s": "s",
    "_c": "°C",
    "_bits": "bits",
}
"""How a column's name ends → its unit. The longest ending wins."""
UNITS_BY_NAME = {
    "work": "`work_unit`",
    "rate_per_s": "`work_unit`/s",
    "peak_per_s": "`work_unit`/s",
    "work_per_j": "`work_unit`/J",
    "net_work_per_j": "`work_unit`/J",
    "tokens_per_s": "tokens/s",
    "block_tokens_per_s": "tokens/s",
    "tokens_per_j": "tokens/J",
    "intensity_flop_per_byte": "FLOP/byte",
}
PLAIN = {
    "schema_version": "version of the columns",
    "method_version": "version of the way energy is measured; rows of different methods are never pooled",
    "run_id": "identifies the run; the beginning of the file's name",
    "harness_version": "version of bitwatt",
    "device_kind": "cuda, rocm, xpu, mps, musa, mlu or cpu",
    "device_name": "name of the device as its driver gives it",
    "device_index": "number of the device on its machine",
    "workload": "sha256d, scrypt, transformer or bandwidth",
    "implementation": "what ran, for example c-avx512, cuda-v1, torch-2.13.0",
    "repeat": "number of the round, from 1",
    "window_s": "length of the window between two synchronizations",
    "launches": "launches in the window",
    "work": "work done in the window",
    "work_unit": "hash, FLOP or byte",
    "valid": "false: the row counts in no statistic; `invalid_reasons` says why",
}
"""Meaning of the columns whose name says it in the code."""


def unit(name: str) -> str:
    """The unit of a column, from its name; empty where it has none."""
    if name in UNITS_BY_NAME:
        return UNITS_BY_NAME[name]
    endings = sorted((end for end in UNITS if name.endswith(end)), key=len)
    return UNITS[endings[-1]] if endings else ""


def columns() -> str:
    """Every column of the CSV in its order, by the groups of ``Record``."""
    from bench.model.record import Record

    source = inspect.getsource(Record)
    parts, heading = [], ""
    by_name = {each.name: each for each in fields(Record)}
    rows: list[tuple[str, ...]] = []
    for line in source.splitlines():
        group, name = re.match(r"    # (.+)", line), re.match(r"    (\w+): (.+?)(?: = |$)", line)
        if group:
            if rows:
                parts.append(f"## {heading.capitalize()}\n\n" + _table(("column", "type", "unit", "meaning"), rows))
            heading, rows = group[1], []
        elif name:
            field = by_name[name[1]]
            meaning = field.metadata.get("doc") or PLAIN.get(name[1], "")
            kind = name[2].partition(" | ")[0]
            rows.append((f"`{name[1]}`", kind, unit(name[1]), meaning))
    parts.append(f"## {heading.capitalize()}\n\n" + _table(("column", "type", "unit", "meaning"), rows))
    return "\n\n".join(parts)


def _file(path: str) -> str:
    return f"```toml\n{(ROOT / path).read_text(encoding='utf-8').rstrip()}\n```"


def prices() -> str:
    """The example price file, whose comments describe every table."""
    return _file("bench/data/prices.example.toml")


def dispatch_rules() -> str:
    """The example rules file of ``bitwatt dispatch``."""
    return _file("bench/data/dispatch.example.toml")


def shapes() -> str:
    """The keys of a shape file with an example, and the shapes that ship with the package."""
    from bench.workloads.transformer import shapes as module

    rows = [
        (f"`{each.name}`", _kind(each.type), "optional" if each.default is not MISSING else "required")
        for each in fields(module.Shape)
    ]
    shipped = ", ".join(f"`{path.stem}`" for path in sorted((ROOT / "bench/data/shapes").glob("*.toml")))
    return f"{_table(('key', 'type', ''), rows)}\n\nShipped: {shipped}.\n\n{_file('bench/data/shapes/llama3-8b.toml')}"


def _kind(kind: Any) -> str:
    text = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    return {"str": "string", "int": "integer", "float": "number"}.get(text, text)


def attribute_docs(kind: type) -> dict[str, str]:
    """Field → the string below it in the class's source."""
    [node] = ast.parse(inspect.getsource(kind)).body
    body = node.body if isinstance(node, ast.ClassDef) else []
    return {
        line.target.id: " ".join(str(following.value.value).split())
        for line, following in pairwise(body)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
    }


def plan() -> str:
    """The groups and options of a plan file, from ``RunPlan``."""
    from bench.measure.plan import RunPlan

    parts = []
    for group in fields(RunPlan):
        kind = group.default_factory
        if not isinstance(kind, type):
            continue
        docs = attribute_docs(kind)
        rows = [(f"`{each.name}`", f"`{_default(each)}`", docs.get(each.name, "")) for each in fields(kind)]
        parts.append(f"## `[{group.name}]`\n\n" + _table(("option", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _default(field: Any) -> str:
    value = field.default if field.default is not MISSING else field.default_factory()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def exit_codes() -> str:
    """The exit codes, from the modules that define them."""
    from bench.cli import app, manual

    internal = (str(app.EXIT_INTERNAL), "a fault of bitwatt itself; run again with `BITWATT_TRACEBACK=1` and report it")
    return _table(("code", "meaning"), sorted([*manual.EXITS, internal], key=lambda row: int(row[0])))


def _document(path: str) -> Callable[[], str]:
    def text() -> str:
        body = relink((ROOT / path).read_text(encoding="utf-8"))
        return re.sub(r"\A# .*\n", "", body)

    return text


PARTS: Mapping[str, Callable[[], str]] = {
    "cli": cli,
    "columns": columns,
    "prices": prices,
    "dispatch-rules": dispatch_rules,
    "shapes": shapes,
    "plan": plan,
    "exit-codes": exit_codes,
    "contributing": _document("CONTRIBUTING.md"),
    "changelog": _document("CHANGELOG.md"),
    "security": _document("SECURITY.md"),
    "results": _document("results/README.md"),
}


class Generated(SphinxDirective):
    """Parses the Markdown of one of :data:`PARTS` in place."""

    required_arguments = 1

    def run(self) -> list[Node]:
        self.env.note_reread()
        return self._nodes(PARTS[self.arguments[0]]())

    def _nodes(self, text: str) -> list[Node]:
        return list(self.parse_text_to_nodes(text, allow_section_headings=True))


def _read(_app: Sphinx, _name: str, source: list[str]) -> None:
    source[0] = relink(source[0])


def documents(folder: Path) -> Iterator[Path]:
    """The Markdown sources of the site."""
    for path in sorted(folder.rglob("*.md")):
        if not {"_build", "examples"} & set(path.relative_to(folder).parts):
            yield path


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive; Sphinx calls this."""
    app.add_directive("generated", Generated)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
