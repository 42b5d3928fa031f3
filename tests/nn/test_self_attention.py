"""Self-attention among the columns of a modality."""

import math

import pytest
import torch
from torch.nn import functional as F

from sklearn_emma.nn import ColumnSelfAttention
from sklearn_emma.nn.self_attention import SelfAttentionEncoders


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed))


def plain_embedding(encode, x):
    """The formulas of the module, for one sample, token by token and head by head."""
    each = zip(x, encode.token_weight, encode.token_bias[:, 0], strict=True)
    tokens = [values @ weight + bias for values, weight, bias in each]
    normal = [F.layer_norm(t, t.shape) for t in tokens]
    (weight,), (bias,) = encode.attend.project.weights, encode.attend.project.biases
    n_units, n_heads = len(tokens[0]), encode.attend.n_heads
    query, key, value = (weight @ torch.stack(normal).T + bias[:, None]).T.split(n_units, 1)
    size = n_units // n_heads
    context = []
    for h in range(n_heads):
        own = slice(h * size, (h + 1) * size)
        scores = query[:, own] @ key[:, own].T / math.sqrt(size)
        context.append(scores.softmax(1) @ value[:, own])
    (mix,), (of_mix,) = encode.attend.mix.weights, encode.attend.mix.biases
    read = torch.stack(tokens) + torch.cat(context, 1) @ mix.T + of_mix
    pooled = []
    for r in encode.query[0]:
        share = (F.layer_norm(read, read.shape[1:]) @ r).softmax(0)
        pooled.append(share @ read)
    h = torch.cat(pooled)
    for weight, bias in zip(encode.embed.weights, encode.embed.biases, strict=True):
        h = torch.relu(weight @ h + bias)
    return h


def test_the_embedding_is_that_of_the_formulas():
    encode = ColumnSelfAttention(5, n_values=2, sizes=(7, 6), generator=generator())
    x = draw(4, 10)
    expected = [plain_embedding(encode, sample.view(5, 2)) for sample in x]
    torch.testing.assert_close(encode(x), torch.stack(expected))


@pytest.mark.parametrize(("n_features", "n_tokens"), [(1, 1), (64, 64), (65, 33), (300, 60)])
def test_many_columns_share_tokens_and_none_is_left_out(n_features, n_tokens):
    encode = ColumnSelfAttention(n_features, generator=generator())
    assert encode.n_tokens == n_tokens
    x = draw(2, n_features).requires_grad_()
    encode(x).sum().backward()
    assert (x.grad != 0).all()


def test_columns_read_each_other():
    encode = ColumnSelfAttention(4, generator=generator())
    x = draw(3, 4)
    changed = x.clone()
    changed[:, 0] += 1.0
    before, after = encode.attend(encode.tokens(x)), encode.attend(encode.tokens(changed))
    assert not torch.isclose(before[1:], after[1:]).all(-1).any()


def test_encoders_keep_the_order_of_modalities_and_the_blocks_of_samples(monkeypatch):
    widths = [4, 2, 4, 1, 2]
    encoders = SelfAttentionEncoders(widths, generator=generator())
    each, source = [], generator()
    for width in widths:
        each.append(ColumnSelfAttention(width, generator=source))
    x = [draw(7, width, seed=i) for i, width in enumerate(widths)]
    expected = torch.stack([encode(values) for encode, values in zip(each, x, strict=True)])
    torch.testing.assert_close(encoders(x), expected)
    monkeypatch.setattr("sklearn_emma.nn.self_attention._BLOCK_NUMBERS", 2000)
    torch.testing.assert_close(encoders(x), expected)
    assert encoders([values[:0] for values in x]).shape == (5, 0, 32)
