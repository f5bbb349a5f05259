"""The divergence against loops in float64, and the factor t^2."""

from __future__ import annotations

import math

import pytest
import torch

from burnish.enhancers.distil.distil import divergence, divergence_of_list


def softmax_of(scores: list[float], temperature: float) -> list[float]:
    powers = [math.exp(score / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def by_hand(teacher: list[float], student: list[float], left: list[int], temperature: float) -> float:
    p, q = (softmax_of([scores[i] for i in left], temperature) for scores in (teacher, student))
    return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(5, 9, generator=draw, dtype=torch.float64) for _ in range(2))
    return teacher, student, torch.rand(5, 9, generator=draw) < 0.3


@pytest.mark.parametrize("temperature", [1e-4, 1e3])
def test_temperatures_at_the_ends(temperature: float) -> None:
    """In single precision gradients are those of double precision."""
    made = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(4, 1000, generator=made) for _ in range(2))

    def gradient(kind: torch.dtype) -> torch.Tensor:
        scores = student.to(kind).clone().requires_grad_()
        (found,) = torch.autograd.grad(divergence(teacher.to(kind), scores, None, temperature).sum(), scores)
        return found.double()

    exact = gradient(torch.float64)
    assert float((gradient(torch.float32) - exact).norm() / exact.norm()) < 1e-3


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_against_a_loop(scores, temperature: float) -> None:
    teacher, student, left_out = scores
    found = divergence(teacher, student, left_out, temperature)
    for row in range(5):
        left = [item for item in range(9) if not left_out[row, item]]
        wanted = by_hand(teacher[row].tolist(), student[row].tolist(), left, temperature)
        assert float(found[row]) == pytest.approx(wanted, rel=1e-9)
    everything = divergence(teacher, student, None, temperature)
    wanted = by_hand(teacher[2].tolist(), student[2].tolist(), list(range(9)), temperature)
    assert float(everything[2]) == pytest.approx(wanted, rel=1e-9)
    assert torch.allclose(divergence(teacher, teacher, left_out, temperature), torch.zeros(5).double())


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_a_list_against_a_loop(scores, temperature: float) -> None:
    """The teacher has three items, the student the whole catalogue that is left."""
    teacher, student, left_out = scores
    best = teacher.masked_fill(left_out, -math.inf).topk(3, dim=1)
    left = student.masked_fill(left_out, -math.inf)
    normaliser = torch.logsumexp(left / temperature, dim=1)
    found = divergence_of_list(best.values, student.gather(1, best.indices), normaliser, temperature)
    for row in range(5):
        p = softmax_of(best.values[row].tolist(), temperature)
        allowed = [item for item in range(9) if not left_out[row, item]]
        total = sum(math.exp(float(student[row, item]) / temperature) for item in allowed)
        wanted = 0.0
        for share, item in zip(p, best.indices[row].tolist(), strict=True):
            q = math.exp(float(student[row, item]) / temperature) / total
            wanted += share * math.log(share / q)
        assert float(found[row]) == pytest.approx(temperature**2 * wanted, rel=1e-9)


def test_what_nothing_is_left_of_is_nothing(scores) -> None:
    teacher, student, left_out = scores
    left_out[1] = True
    student.requires_grad_()
    found = divergence(teacher, student, left_out, 1.0)
    found.sum().backward()
    assert float(found[1]) == 0
    assert torch.isfinite(student.grad).all()
    assert not student.grad[1].any()
    teacher = teacher.clone()
    teacher[2, :7] = -math.inf  # a list that is shorter than the others
    found = divergence_of_list(teacher, student.detach(), torch.logsumexp(student.detach(), 1), 1.0)
    assert torch.isfinite(found).all()
    teacher[2] = -math.inf
    nothing = divergence_of_list(teacher, student.detach(), torch.full((5,), -math.inf), 1.0)
    assert float(nothing[2]) == 0


def test_gradients_do_not_shrink_with_the_temperature(scores) -> None:
    """Hinton et al., equation 4: t^2 times the gradient goes to (student - teacher) / n, each less its mean."""
    teacher, student, _ = scores

    def gradient(temperature: float) -> torch.Tensor:
        given = student.clone().requires_grad_()
        divergence(teacher, given, None, temperature).sum().backward()
        return given.grad

    centred = [one - one.mean(1, keepdim=True) for one in (student, teacher)]
    assert torch.allclose(gradient(1e3), (centred[0] - centred[1]) / 9, atol=1e-3)
    assert float(gradient(1e3).norm()) == pytest.approx(float(gradient(1e2).norm()), rel=0.05)
