"""Model shapes: the published ones in ``bench/data/shapes``, and any other from a TOML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
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
    shared_ffn: int = 0
    """Inner width of the shared expert, which every token visits in addition to ``top_k`` others; 0: there is none."""
    dense_layers: int = 0
    """The first layers, whose feed-forward is dense where that of the others is a mixture of experts."""
    dense_ffn: int = 0
    """Inner width of these."""
    window: int = 0
    """Sliding window: a token attends to itself and the ``window`` − 1 before it. 0: to all before it."""
    full_every: int = 0
    """With a window: every so many layers one has none (2: layers 2, 4, 6 …). 0: every layer has the window."""
    sinks: bool = False
    """Whether each head has a learned logit in its softmax that no value belongs to (arXiv:2309.17453)."""
    q_lora: int = 0
    """Width that queries are compressed to, in multi-head latent attention (arXiv:2405.04434)."""
    kv_lora: int = 0
    """Width of the latent vector that keys and values come from; 0: grouped-query attention."""
    rope_dim: int = 0
    """With a latent vector: the part of ``head_dim`` that RoPE rotates, whose key all heads share."""
    v_dim: int = 0
    """With a latent vector: width of a head's values."""
    max_seq: int = 0
    """Longest sequence for which these dimensions describe the model. 0: any."""
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    source: str = "shape file"

    def layer(self, index: int) -> Shape:
        """Layer ``index`` of the model, from 0: a shape all of whose layers are as this one."""
        windowed = bool(self.window) and not (self.full_every and (index + 1) % self.full_every == 0)
        alike = replace(self, window=self.window if windowed else 0, full_every=0, dense_layers=0, dense_ffn=0)
        if index >= self.dense_layers:
            return alike
        return replace(alike, experts=1, top_k=1, ffn=self.dense_ffn, shared_ffn=0)

    def kinds(self) -> dict[Shape, int]:
        """The kinds of layers and how many the model has of each, in the order of their first layers."""
        return dict(Counter(self.layer(index) for index in range(self.layers)))

    @property
    def is_plain(self) -> bool:
        """Whether all layers are alike and have what those of Llama 3 and Mixtral have, and no more."""
        return not (self.dense_layers or self.window or self.sinks or self.shared_ffn or self.kv_lora)

    @property
    def nope_dim(self) -> int:
        """The part of ``head_dim`` that RoPE does not rotate."""
        return self.head_dim - self.rotated_dim

    @property
    def rotated_dim(self) -> int:
        """The part of ``head_dim`` that RoPE rotates."""
        return self.rope_dim or self.head_dim

    @property
    def value_dim(self) -> int:
        """Width of a head's values."""
        return self.v_dim or self.head_dim

    @property
    def cache_width(self) -> int:
        """Values that a block caches for each token."""
        return self.kv_lora + self.rope_dim if self.kv_lora else 2 * self.kv_heads * self.head_dim

    def visible(self, seq: int) -> int:
        """Tokens of a sequence of ``seq`` that its last token attends to, itself included."""
        return min(seq, self.window or seq)

    @property
    def qkv_width(self) -> int:
        """Columns of the joined query, key and value projection, or of what compresses them."""
        if self.kv_lora:
            return self.q_lora + self.kv_lora + self.rope_dim
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def attention_width(self) -> int:
        return self.heads * self.value_dim

    def products(self) -> tuple[Product, ...]:
        """A block's products in order, then the LM head; of a model whose layers differ, those of its last layer."""
        shared = (
            Product("shared_gate_up", 2 * self.shared_ffn, self.d_model),
            Product("shared_down", self.d_model, self.shared_ffn),
        )
        latent = (
            Product("q_up", self.heads * self.head_dim, self.q_lora),
            Product("kv_up", self.heads * (self.nope_dim + self.value_dim), self.kv_lora),
        )
        return (
            Product("qkv", self.qkv_width, self.d_model),
            *(latent if self.kv_lora else ()),
            Product("o", self.d_model, self.attention_width),
            Product("gate_up", 2 * self.ffn, self.d_model, self.experts, self.top_k),
            Product("down", self.d_model, self.ffn, self.experts, self.top_k),
            *(shared if self.shared_ffn else ()),
            Product("lm_head", self.vocab, self.d_model),
        )


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


KINDS: Mapping[object, str] = {
    "str": "a string",
    "int": "a positive int",
    "float": "a positive float",
    "bool": "true or false",
}
"""What a value of each type must be."""


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
        elif field.type == "bool":
            good = isinstance(value, bool)
        elif field.type == "float":
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
        else:
            good = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not good:
            raise BenchError(f"the shape file {path} has {name} = {value!r}, not {KINDS[field.type]}", fix)
    shape = Shape(**values)
    if shape.heads % shape.kv_heads:
        raise BenchError(
            f"the shape file {path} has {shape.heads} heads for {shape.kv_heads} KV heads", "choose a multiple"
        )
    if shape.head_dim % 2:
        raise BenchError(
            f"the shape file {path} has an odd head_dim {shape.head_dim}", "RoPE rotates pairs: make it even"
        )
    if (shape.dense_layers > 0) != (shape.dense_ffn > 0) or shape.dense_layers > shape.layers:
        raise BenchError(
            f"the shape file {path} has {shape.dense_layers} dense layers of width {shape.dense_ffn}",
            f"give both dense_layers, at most {shape.layers}, and dense_ffn, or neither",
        )
    latent = (shape.q_lora, shape.kv_lora, shape.rope_dim, shape.v_dim)
    if any(latent) and not (all(latent) and shape.rope_dim < shape.head_dim >= shape.v_dim and not shape.rope_dim % 2):
        raise BenchError(
            f"the shape file {path} has q_lora {shape.q_lora}, kv_lora {shape.kv_lora}, rope_dim {shape.rope_dim} and "
            f"v_dim {shape.v_dim} with head_dim {shape.head_dim}",
            "give all four with an even rope_dim below head_dim and v_dim of at most head_dim, or none",
        )
    if shape.kv_lora and (shape.window or shape.sinks or shape.kv_heads != shape.heads):
        raise BenchError(
            f"the shape file {path} has kv_lora with a window, sinks or fewer KV heads",
            "set kv_heads to heads and leave out window and sinks",
        )
    if shape.full_every and not shape.window:
        raise BenchError(f"the shape file {path} has full_every but no window", "give window, or leave out full_every")
    if shape.top_k > shape.experts:
        raise BenchError(f"the shape file {path} has top_k {shape.top_k} of {shape.experts} experts", "lower top_k")
    return shape
