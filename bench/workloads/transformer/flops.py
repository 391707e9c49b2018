"""How much work a phase is: floating-point operations and the least bytes that must cross memory.

A product of [m, k] with [k, n] counts 2·m·n·k. Norms, RoPE, softmax and activations count zero, as is usual for
MFU (PaLM, arXiv:2204.02311, appendix B). Causal attention counts only the pairs that the mask admits.
"""

from __future__ import annotations

from bench.workloads.transformer.shapes import Product, Shape

LM_ROWS_MULTIPLE = 64


def product_tokens(product: Product, tokens: int) -> int:
    """Rows that one expert of this product sees when tokens spread evenly.

    Raises:
        ValueError: the tokens do not spread evenly over the experts.
    """
    rows, rest = divmod(tokens * product.top_k, product.experts)
    if rest:
        raise ValueError(f"{tokens} tokens × {product.top_k} do not spread evenly over {product.experts} experts")
    return rows


def product_flops(product: Product, tokens: int) -> int:
    """FLOPs of one product over all its experts."""
    return 2 * product_tokens(product, tokens) * product.experts * product.n * product.k


def lm_slice_rows(shape: Shape) -> int:
    """Vocabulary rows that represent one block's share (1/layers) of the LM head, rounded up to a multiple of 64.

    Rounding keeps rows aligned for tensor cores. It adds at most 0.1% to the set's FLOPs at published shapes, which is
    run and counted too.
    """
    rows = -(-shape.vocab // shape.layers)
    return min(shape.vocab, -(-rows // LM_ROWS_MULTIPLE) * LM_ROWS_MULTIPLE)


def head_flops(shape: Shape, tokens: int) -> int:
    """FLOPs of the whole LM head for this many tokens."""
    return 2 * tokens * shape.vocab * shape.d_model


def head_values(shape: Shape, tokens: int) -> int:
    """Values that the whole LM head reads and writes: its weights once, a hidden state and logits for each token."""
    return shape.vocab * shape.d_model + tokens * (shape.d_model + shape.vocab)


def linear_flops(shape: Shape, tokens: int) -> int:
    """FLOPs of a block's weight products for this many tokens (each visits ``top_k`` experts, and the router)."""
    block = 2 * tokens * sum(p.top_k * p.n * p.k for p in shape.products() if p.name != "lm_head")
    return block + (2 * tokens * shape.experts * shape.d_model if shape.experts > 1 else 0)


def attention_flops(shape: Shape, batch: int, pairs: int) -> int:
    """FLOPs of QKᵀ and of the weighted sum of V for ``pairs`` (query, key) pairs per sequence and head."""
    return 2 * batch * shape.heads * (shape.head_dim + shape.value_dim) * pairs


def cached_attention_flops(shape: Shape, batch: int, pairs: int) -> int:
    """The same in a step of decode: over a latent vector where that is cached, which serves as key and as value."""
    if shape.kv_lora:
        return 2 * batch * shape.heads * (2 * shape.kv_lora + shape.rope_dim) * pairs
    return attention_flops(shape, batch, pairs)


def causal_pairs(seq: int, window: int = 0) -> int:
    """(query, key) pairs that a causal mask admits: a token sees itself and those before it, ``window`` in all."""
    window = min(seq, window or seq)
    return window * (window + 1) // 2 + (seq - window) * window


def prefill_flops(shape: Shape, batch: int, seq: int) -> int:
    """One block over ``batch`` fresh sequences of ``seq`` tokens."""
    return linear_flops(shape, batch * seq) + attention_flops(shape, batch, causal_pairs(seq, shape.window))


def decode_flops(shape: Shape, batch: int, seq: int) -> int:
    """One block, one new token for each sequence, the last of ``seq``: it attends to those it sees and itself."""
    return linear_flops(shape, batch) + cached_attention_flops(shape, batch, shape.visible(seq))


def train_flops(shape: Shape, batch: int, seq: int) -> int:
    """Forward and backward without recomputation: each product again for each of its two gradients."""
    return 3 * prefill_flops(shape, batch, seq)


def block_weights(shape: Shape, experts_used: int | None = None) -> int:
    """Weights of a block's products, router, sinks and norms, counting ``experts_used`` experts (default: all)."""
    used = shape.experts if experts_used is None else experts_used
    total = sum((used if p.experts > 1 else 1) * p.n * p.k for p in shape.products() if p.name != "lm_head")
    router = shape.experts * shape.d_model if shape.experts > 1 else 0
    return total + router + 2 * shape.d_model + shape.q_lora + shape.kv_lora + (shape.heads if shape.sinks else 0)


def cache_values(shape: Shape, batch: int, seq: int) -> int:
    """Keys and values that a block caches: with a window, those of the window; in latent attention, compressed."""
    return batch * shape.visible(seq) * shape.cache_width
