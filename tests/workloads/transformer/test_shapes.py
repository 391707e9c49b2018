"""Model shapes from files: what is refused, and with which words."""

from __future__ import annotations

import pytest

from bench.model import BenchError
from bench.workloads.transformer import shapes
from bench.workloads.transformer.shapes import Shape

TINY = (shapes.SHAPES_DIR / "tiny.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ffn = 1536", "ffn = 'wide'", "not a positive int"),
        ("ffn = 1536", "", "lacks 'ffn'"),
        ("ffn = 1536", "fnn = 1536", "unknown key 'fnn'"),
        ("kv_heads = 2", "kv_heads = 3", "KV heads"),
        ("head_dim = 64", "head_dim = 63", "odd"),
        ("ffn = 1536", "ffn = 1536\ntop_k = 4", "top_k"),
        ("ffn = 1536", "ffn = ", "not valid TOML"),
        ("ffn = 1536", "ffn = 1536\nsinks = 1", "not true or false"),
        ("ffn = 1536", "ffn = 1536\nkv_lora = 64", "all four"),
        (
            "kv_heads = 2",
            "kv_heads = 8\nq_lora = 64\nkv_lora = 64\nrope_dim = 16\nv_dim = 32\nsinks = true",
            "window, sinks or fewer",
        ),
        ("ffn = 1536", "ffn = 1536\nfull_every = 2", "no window"),
        ("ffn = 1536", "ffn = 1536\ndense_layers = 3", "3 dense layers of width 0"),
        ("ffn = 1536", "ffn = 1536\ndense_layers = 9\ndense_ffn = 64", "9 dense layers"),
    ],
)
def test_a_bad_shape_file_is_refused(old, new, words, tmp_path):
    assert old in TINY
    path = tmp_path / "bad.toml"
    path.write_text(TINY.replace(old, new), encoding="utf-8")
    with pytest.raises(BenchError, match=words):
        shapes.load(None, str(path))


def test_a_missing_shape_file_or_name_is_refused(tmp_path):
    with pytest.raises(BenchError, match="cannot read the shape file"):
        shapes.load(None, str(tmp_path / "none.toml"))
    with pytest.raises(BenchError, match="'gpt9'") as refused:
        shapes.load("gpt9")
    assert "llama3-8b" in refused.value.fix


def test_names_are_sorted_by_size():
    assert shapes.names()[0] == "tiny"
    assert shapes.names().index("llama3-8b") < shapes.names().index("llama3-70b")


def test_a_copied_shape_with_its_old_name_is_refused_by_file(tmp_path, monkeypatch):
    """It was once offered twice under the old name."""
    monkeypatch.setattr(shapes, "SHAPES_DIR", tmp_path)
    for name in ("tiny", "mine"):
        (tmp_path / f"{name}.toml").write_text(TINY, encoding="utf-8")
    with pytest.raises(BenchError, match=r"mine.toml has name = 'tiny'") as refused:
        shapes.load("mine")
    assert "'mine'" in refused.value.fix
    (tmp_path / "mine.toml").write_text(TINY.replace('"tiny"', '"mine"'), encoding="utf-8")
    assert shapes.load("mine").name == "mine"


def test_kinds_of_layers():
    oss = shapes.load("gpt-oss-20b")
    assert [oss.layer(index).window for index in range(4)] == [128, 0, 128, 0]
    assert list(oss.kinds().values()) == [12, 12]
    own = Shape("own", 64, 5, 4, 2, 16, 32, 256, experts=4, top_k=2, shared_ffn=32, dense_layers=2, dense_ffn=96)
    (dense, first), (mixture, others) = own.kinds().items()
    assert (first, others) == (2, 3)
    assert (dense.experts, dense.top_k, dense.ffn, dense.shared_ffn) == (1, 1, 96, 0)
    assert (mixture.experts, mixture.top_k, mixture.ffn, mixture.shared_ffn) == (4, 2, 32, 32)
    eight = shapes.load("llama3-8b")
    assert eight.kinds() == {eight: 32}
