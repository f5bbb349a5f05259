"""Scores as expectations over the tokens that stand for them: differentiable, one forward pass for all attributes.

At the place where the score of attribute k stands, the distribution of the next token, restricted to the tokens of the
scale, has the mean g_k = sum_s s p(s).  The formula is the completion of guided embedding refinement (arXiv 2504.11658
says only that the model is tuned with a recommendation and a format loss) and ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .answers import AnswerForm


def score_log_probabilities(logits: Tensor, form: AnswerForm) -> Tensor:
    """Log probabilities `[B, m, S]` of the scores of each attribute, among the scores of the scale.

    logits: `[B, L, V]`, of the next token, before each of the answer's L tokens.
    """
    at_scores = logits[:, form.positions].float()
    chosen = at_scores.gather(-1, form.choices.expand(len(logits), -1, -1))
    return chosen.log_softmax(-1)


def expected_scores(logits: Tensor, form: AnswerForm) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, `[B, m]` each, of the scores; the mean lies within the scale.

    logits: `[B, L, V]` as in `score_log_probabilities`.
    """
    probabilities = score_log_probabilities(logits, form).exp()
    mean = (probabilities * form.scores).sum(-1)
    variance = (probabilities * (form.scores - mean.unsqueeze(-1)).square()).sum(-1)
    return mean, variance.clamp_min(0).sqrt()


def format_loss(logits: Tensor, form: AnswerForm) -> Tensor:
    """How unlikely the form of the answer is, `[B]`: mean negative log probability of its tokens.

    Where a score stands, any score of the scale will do: what counts is the probability of all of them together.
    So the loss keeps answers readable and says nothing about which score is right.
    """
    everything = logits.float().log_softmax(-1)
    tokens = form.tokens.expand(len(logits), -1).unsqueeze(-1)
    form_tokens = everything.gather(-1, tokens).squeeze(-1)
    any_score = (
        everything[:, form.positions].gather(-1, form.choices.expand(len(logits), -1, -1)).logsumexp(-1)
    )
    return -form_tokens.index_copy(1, form.positions, any_score).mean(1)


class _OneSidedClip(torch.autograd.Function):
    """Clip; outside the bounds only a gradient that leads back inside passes, so nothing gets stuck there."""

    @staticmethod
    def forward(ctx, values: Tensor, bound: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(values)
        ctx.bound = bound
        return values.clamp(-bound, bound)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (values,) = ctx.saved_tensors
        passes = (values.abs() <= ctx.bound) | (gradient * values > 0)
        return gradient * passes, None


def clip_towards(values: Tensor, bound: float) -> Tensor:
    """`values` within plus and minus `bound`.

    The gradient is that of a clip, except that descent may still move a value outside the bounds back inside: an
    untuned model's middling score lies far above the items' mean of a rare attribute, and must be able to fall.
    """
    return _OneSidedClip.apply(values, bound)
