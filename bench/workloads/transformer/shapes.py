"""Model shapes: the published ones in ``bench/data/shapes``, and any other from a TOML file."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from bench.data import DATA
from bench.data.toml_file import read_toml
from bench.model import BenchError

SHAPES_DIR = DATA / "shapes"


@dataclass(frozen=True, slots=True)
class Product:
    """One matrix product of the set: activations [tokens, k] times weights [n, k] transposed.

    In a mixture of experts the feed-forward products exist once per expert and see ``top_k / experts`` of the tokens.
    """

    name: str
    n: int
    k: int
    experts: int = 1
    top_k: int = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a decoder-only transformer that determine its matrix work."""

    name: str
    d_model: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    """Inner width of one SwiGLU feed-forward (of one expert, where there are several)."""
    vocab: int
    experts: int = 1
    """1: a dense feed-forward."""
    top_k: int = 1
    """Experts that each token visits."""
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    source: str = "shape file"

    @property
    def qkv_width(self) -> int:
        """Columns of the joined query, key and value projection."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def attention_width(self) -> int:
        return self.heads * self.head_dim

    def products(self) -> tuple[Product, ...]:
        """The block's four products in order, then the LM head."""
        return (
            Product("qkv", self.qkv_width, self.d_model),
            Product("o", self.d_model, self.attention_width),
            Product("gate_up", 2 * self.ffn, self.d_model, self.experts, self.top_k),
            Product("down", self.d_model, self.ffn, self.experts, self.top_k),
            Product("lm_head", self.vocab, self.d_model),
        )


PRODUCTS = ("qkv", "o", "gate_up", "down", "lm_head")


def names() -> tuple[str, ...]:
    """Names of the built-in shapes, smallest model first."""
    paths = list(SHAPES_DIR.glob("*.toml"))
    every = [_read(path) for path in paths]
    for path, shape in zip(paths, every, strict=True):
        if shape.name != path.stem:
            raise BenchError(f"the shape file {path} has name = {shape.name!r}", f"set it to {path.stem!r}")
    return tuple(
        shape.name for shape in sorted(every, key=lambda s: (s.layers * s.d_model * s.ffn * s.experts, s.name))
    )


def load(name: str | None, shape_file: Path | None = None) -> Shape:
    """A shape by name, or the one in ``shape_file``.

    Raises:
        BenchError: no such name, or a file that is missing, is not valid TOML, or holds a wrong value.
    """
    if shape_file is not None:
        return _read(Path(shape_file))
    choices = names()
    if name not in choices:
        raise BenchError(
            f"there is no model shape named {name!r}", f"choose from {', '.join(choices)}, or give --shape-file"
        )
    return _read(SHAPES_DIR / f"{name}.toml")


def _read(path: Path) -> Shape:
    fix = f"write it like {SHAPES_DIR.name}/llama3-8b.toml: " + ", ".join(field.name for field in fields(Shape))
    values = read_toml(path, "shape file", fix)
    known = {field.name: field for field in fields(Shape)}
    if unknown := sorted(set(values) - set(known)):
        raise BenchError(f"the shape file {path} has an unknown key {unknown[0]!r}", fix)
    for name, field in known.items():
        if name not in values:
            if field.default is MISSING:
                raise BenchError(f"the shape file {path} lacks {name!r}", fix)
            continue
        value = values[name]
        if field.type == "str":
            good = isinstance(value, str) and bool(value.strip())
        elif field.type == "float":
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        else:
            good = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not good:
            raise BenchError(f"the shape file {path} has {name} = {value!r}, not a positive {field.type}", fix)
    shape = Shape(**values)
    if shape.heads % shape.kv_heads:
        raise BenchError(
            f"the shape file {path} has {shape.heads} heads for {shape.kv_heads} KV heads", "choose a multiple"
        )
    if shape.head_dim % 2:
        raise BenchError(
            f"the shape file {path} has an odd head_dim {shape.head_dim}", "RoPE rotates pairs: make it even"
        )
    if shape.top_k > shape.experts:
        raise BenchError(f"the shape file {path} has top_k {shape.top_k} of {shape.experts} experts", "lower top_k")
    return shape
