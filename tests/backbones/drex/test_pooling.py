"""Attention pooling against equations (2) and (3) token by token."""

from __future__ import annotations

import torch

from burnish.backbones.drex.pooling import AttentionPooling


def by_hand(pooling: AttentionPooling, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every token projected, as the equations say."""
    tokens = torch.stack([pooling.project(token) for token in text])
    weights = torch.softmax(torch.stack([token @ pooling.attention for token in tokens]), dim=0)
    return sum(
        (w * t for w, t in zip(weights, tokens, strict=True)), start=torch.zeros(pooling.project.out_features)
    ), weights


def test_pooling_is_the_equations() -> None:
    torch.manual_seed(4)
    pooling = AttentionPooling(6, 3).double()
    counts = torch.tensor([3, 0, 1, 5])
    tokens = torch.randn(9, 6).double()
    found, weights = pooling(tokens, counts), pooling.weights(tokens, counts)
    at = 0
    for text, count in enumerate(counts.tolist()):
        if count == 0:
            assert not found[text].any()
            continue
        expected, share = by_hand(pooling, tokens[at : at + count])
        torch.testing.assert_close(found[text], expected)
        torch.testing.assert_close(weights[at : at + count], share)
        at += count


def test_gradients_are_those_of_the_equations() -> None:
    torch.manual_seed(5)
    pooling = AttentionPooling(4, 3).double()
    tokens, counts = torch.randn(5, 4).double(), torch.tensor([2, 3])
    direct = torch.autograd.grad(pooling(tokens, counts).square().sum(), list(pooling.parameters()))
    expected = torch.stack([by_hand(pooling, part)[0] for part in tokens.split([2, 3])]).square().sum()
    for one, other in zip(direct, torch.autograd.grad(expected, list(pooling.parameters())), strict=True):
        torch.testing.assert_close(one, other)


def test_large_logits_do_not_overflow() -> None:
    pooling = AttentionPooling(2, 2)
    with torch.no_grad():
        pooling.project.weight.copy_(torch.eye(2))
        pooling.attention.fill_(1e4)
    weights = pooling.weights(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), torch.tensor([2, 1]))
    torch.testing.assert_close(weights, torch.tensor([0.0, 1.0, 1.0]))


def test_no_text_at_all() -> None:
    assert AttentionPooling(3, 2)(torch.zeros(0, 3), torch.tensor([0, 0])).tolist() == [[0, 0], [0, 0]]
