"""How far a student's distribution over items is from a teacher's.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015, arXiv 1503.02531), section 2: both
softmaxes at a temperature t, and the loss times t^2, since gradients through softmaxes at t shrink as 1 / t^2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def divergence(teacher: Tensor, student: Tensor, left_out: Tensor | None, temperature: float) -> Tensor:
    """`t^2 KL(softmax(teacher / t) || softmax(student / t))`, over the items of each row that are not left out: `[b]`.

    teacher, student: scores `[b, n]`; the teacher's have no gradient, and are -inf for items beyond its list.
    left_out: bool `[b, n]`.  A row of which nothing is left has 0.
    """
    if left_out is not None:
        teacher = teacher.masked_fill(left_out, -math.inf)
        student = student.masked_fill(left_out, -math.inf)
    told = torch.isfinite(teacher).any(1, keepdim=True)
    # What nothing is left of is looked at as a row of zeros, so that no gradient is NaN, and dropped below.
    teacher, student = (torch.where(told, scores, torch.zeros_like(scores)) for scores in (teacher, student))
    log_p = torch.log_softmax(teacher / temperature, dim=1)
    log_q = torch.log_softmax(student / temperature, dim=1)
    p = log_p.exp()
    terms = torch.where(p > 0, p * (log_p - log_q), torch.zeros_like(p))
    return torch.where(told[:, 0], terms.sum(1), torch.zeros_like(terms[:, 0])) * temperature**2


def divergence_of_list(teacher: Tensor, student: Tensor, normaliser: Tensor, temperature: float) -> Tensor:
    """The same where the teacher has a list of items, and the student all of them: `[b]`.

    teacher: scores of its list `[b, k]`, -inf where the list is shorter.  student: of the same items `[b, k]`.
    normaliser: log-sum-exp `[b]` of the student's scores, divided by t, of all items that are not left out.
    """
    told = torch.isfinite(teacher).any(1)
    shown = torch.where(told[:, None], teacher, torch.zeros_like(teacher))
    log_p = torch.log_softmax(shown / temperature, dim=1)
    p = log_p.exp()
    normaliser = torch.where(told, normaliser, torch.zeros_like(normaliser))
    terms = p * (log_p - (student / temperature - normaliser[:, None]))
    rows = torch.where(p > 0, terms, torch.zeros_like(terms)).sum(1)
    return torch.where(told, rows, torch.zeros_like(rows)) * temperature**2
