"""Scores of embeddings: their formulas, and what is not there has no part in them."""

import math

import pytest
import torch

from sklearn_emma.nn import (
    AdditiveScore,
    AttentionScore,
    BilinearScore,
    DotScore,
    KeyValueScore,
    MultiHeadScore,
    ScaledDotScore,
)
from sklearn_emma.nn.attention_scores import mean_query

M, N, D = 4, 6, 5
KINDS = [AdditiveScore, BilinearScore, DotScore, KeyValueScore, MultiHeadScore, ScaledDotScore]


@pytest.fixture
def keys():
    g = torch.Generator().manual_seed(1)
    return torch.randn(M, N, D, generator=g, dtype=torch.float64)


def make(kind, **params):
    """Make a score in double precision, none of whose weights is zero."""
    g = torch.Generator().manual_seed(0)
    score = kind(M, D, generator=g, **params).double()
    for parameter in score.parameters():
        if not parameter.detach().any():
            parameter.data.normal_(generator=g)
    return score


def everything(*shape):
    return torch.ones(*shape, M, dtype=torch.bool)


# --- one sample at a time, as the formulas say ---


def additive(score, own, query):
    inside = [score.of_key @ k + score.of_query @ query for k in own]
    return [score.direction @ torch.tanh(x) for x in inside]


def bilinear(score, own, query):
    return [query @ score.weight @ k for k in own]


def dot(score, own, query):
    return [query @ k for k in own]


def scaled_dot(score, own, query):
    return [query @ k / math.sqrt(D) for k in own]


def key_value(score, own, query):
    asked = score.of_query @ query
    pairs = zip(own, score.of_key, score.bias, strict=True)
    return [asked @ (w @ k + b[0]) / math.sqrt(len(asked)) for k, w, b in pairs]


def multi_head(score, own, query):
    received = torch.zeros(len(own), dtype=torch.float64)
    heads = list(zip(score.of_query[:, 0], score.of_key[:, 0], strict=True))
    for of_query, of_key in heads:
        for payer in own:
            logits = [(of_query @ payer) @ (of_key @ k) / math.sqrt(len(of_key)) for k in own]
            received += torch.stack(logits).softmax(0) / (len(heads) * len(own))
    return received.log()


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        (AdditiveScore, additive),
        (BilinearScore, bilinear),
        (DotScore, dot),
        (KeyValueScore, key_value),
        (MultiHeadScore, multi_head),
        (ScaledDotScore, scaled_dot),
    ],
)
def test_scores_are_those_of_the_formula(kind, formula, keys):
    score = make(kind)
    found = score(keys, everything(N))
    assert found.shape == (N, M)
    assert found.std() > 0.01
    for n in range(N):
        own = list(keys[:, n])
        expected = torch.stack(list(formula(score, own, keys[:, n].mean(0))))
        torch.testing.assert_close(found[n], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_has_no_part_in_the_scores_of_the_others(kind, keys):
    score, present = make(kind), everything(N)
    present[:, 1] = False
    changed = keys.clone()
    changed[1] = 50.0
    rest = [0, 2, 3]
    found = score(keys, present)[:, rest]
    torch.testing.assert_close(found, score(changed, present)[:, rest])
    assert not torch.allclose(found, score(changed, everything(N))[:, rest])


@pytest.mark.parametrize("kind", KINDS)
def test_several_patterns_share_the_keys(kind, keys):
    score, present = make(kind), everything(2, N)
    present[1, ::2, 3] = False
    together = score(keys, present)
    assert together.shape == (2, N, M)
    for found, pattern in zip(together, present, strict=True):
        torch.testing.assert_close(found, score(keys, pattern))


@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_there_scores_and_gradients_are_finite(kind, keys):
    score, present = make(kind), everything(N)
    present[:2] = False
    found = score(keys.requires_grad_(), present)
    assert torch.isfinite(found).all()
    found.sum().backward()
    assert torch.isfinite(keys.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in score.parameters())


@pytest.mark.parametrize("kind", [AdditiveScore, BilinearScore])
def test_scores_that_start_at_zero_do(kind, keys):
    score = kind(M, D, generator=torch.Generator().manual_seed(0)).double()
    assert (score(keys, everything(N)) == 0).all()


def test_weights_come_from_the_generator_in_float32():
    torch.set_default_dtype(torch.float64)
    try:
        for kind in KINDS:
            first, second = (kind(M, D, generator=torch.Generator().manual_seed(3)) for _ in "ab")
            for a, b in zip(first.parameters(), second.parameters(), strict=True):
                assert a.dtype == torch.float32
                assert torch.equal(a, b)
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_query_is_the_mean_of_what_is_there(keys):
    present = everything(N)
    present[0, :2] = False
    present[1] = False
    query = mean_query(keys, present)
    torch.testing.assert_close(query[0], keys[2:, 0].mean(0))
    assert (query[1] == 0).all()
    torch.testing.assert_close(query[2:], keys[:, 2:].mean(0))


def test_a_score_has_to_be_computed_by_a_subclass(keys):
    with pytest.raises(NotImplementedError, match="forward"):
        AttentionScore(M, D)(keys, everything(N))
