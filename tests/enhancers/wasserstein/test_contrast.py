"""The contrastive loss against a Python loop in float64, in every branch that it can take."""

import math

import pytest
import torch

from burnish.enhancers.wasserstein.blocks import Blocks
from burnish.enhancers.wasserstein.contrast import contrast
from burnish.enhancers.wasserstein.logsumexp import log_sum_exp
from burnish.enhancers.wasserstein.positives import KnownPositives
from burnish.errors import ConfigurationError, UnknownNameError
from burnish.speed.memory import CountedMemory

MANY = 64 * 2**20


def loop(queries, positives, keys, scale, log_q_keys, log_q_positives, mask, similarity):
    """The definition, one pair at a time, with autograd through every pair."""

    def logit(x, y, log_q):
        squared = sum((x[i] - y[i]) ** 2 for i in range(len(x)))
        return -scale * (squared if similarity == "squared" else squared**0.5) - log_q

    rows = []
    for b in range(len(queries)):
        positive = logit(queries[b], positives[b], 0.0 if log_q_positives is None else log_q_positives[b])
        logits = [positive]
        for k in range(len(keys)):
            if mask is None or not bool(mask[b, k]):
                logits.append(logit(queries[b], keys[k], 0.0 if log_q_keys is None else log_q_keys[k]))
        top = max(float(x.detach()) for x in logits)
        rows.append(top + sum((x - top).exp() for x in logits).log() - positive)
    return torch.stack(rows)


def case(n_rows=5, n_keys=7, width=4, *, seed=0, offset=0.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    leaves = [draw(n_rows, width) + offset, draw(n_rows, width) + offset, draw(n_keys, width) + offset]
    leaves.append(torch.tensor(0.7, dtype=torch.float64))
    log_q = (-draw(n_keys).abs() * 3, -draw(n_rows).abs() * 3)
    mask = torch.rand(n_rows, n_keys, generator=generator) < 0.3
    return [x.to(dtype).requires_grad_() for x in leaves], log_q, mask


def gradients(rows, leaves):
    weights = torch.linspace(0.5, -1.5, len(rows), dtype=rows.dtype)  # both signs, all different
    return torch.autograd.grad((rows * weights).sum(), leaves)


@pytest.mark.parametrize("similarity", ["squared", "distance"])
@pytest.mark.parametrize("with_q", [False, True])
@pytest.mark.parametrize("masked", ["none", "tensor", "callable"])
@pytest.mark.parametrize("budget", [MANY, 250, 64, 1])  # kept; recomputed in blocks of 4x7, 2x4 and 1x1
def test_loss_and_gradients_equal_the_loop(similarity, with_q, masked, budget):
    leaves, log_q, mask = case()
    if not with_q:
        log_q = (None, None)
    asked = {"none": None, "tensor": mask, "callable": lambda lo, hi: mask[:, lo:hi]}[masked]
    expected = loop(*leaves, *log_q, None if masked == "none" else mask, similarity)
    queries, positives, keys, scale = leaves
    rows = contrast(
        queries,
        positives,
        keys,
        scale=scale,
        log_q_keys=log_q[0],
        log_q_positives=log_q[1],
        mask=asked,
        similarity=similarity,
        budget_bytes=budget,
    )
    torch.testing.assert_close(rows, expected, rtol=1e-10, atol=1e-10)
    for mine, theirs in zip(gradients(rows, leaves), gradients(expected, leaves), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("similarity", ["squared", "distance"])
@pytest.mark.parametrize("budget", [MANY, 64])
def test_gradcheck(similarity, budget):
    leaves, log_q, mask = case(4, 5, 3, seed=1)

    def rows(queries, positives, keys, scale):
        return contrast(
            queries,
            positives,
            keys,
            scale=scale,
            log_q_keys=log_q[0],
            mask=mask,
            similarity=similarity,
            budget_bytes=budget,
        )

    assert torch.autograd.gradcheck(rows, leaves)


@pytest.mark.parametrize("similarity", ["squared", "distance"])
@pytest.mark.parametrize("which", [0, 2, 3])
@pytest.mark.parametrize("budget", [MANY, 64])
def test_a_gradient_alone_is_the_same_gradient(similarity, which, budget):
    leaves, log_q, mask = case(seed=2)

    def rows(tensors):
        return contrast(
            *tensors[:3], scale=tensors[3], log_q_keys=log_q[0], mask=mask, similarity=similarity,
            budget_bytes=budget,
        )  # fmt: skip

    together = gradients(rows(leaves), leaves)[which]
    alone = [x if i == which else x.detach() for i, x in enumerate(leaves)]
    torch.testing.assert_close(gradients(rows(alone), [leaves[which]])[0], together)


@pytest.mark.parametrize("similarity", ["squared", "distance"])
def test_blocks_of_any_shape_give_the_same(similarity):
    leaves, log_q, mask = case(37, 53, 6, seed=3, dtype=torch.float32)

    def run(budget):
        rows = contrast(
            *leaves[:3], scale=leaves[3], log_q_keys=log_q[0], log_q_positives=log_q[1], mask=mask,
            similarity=similarity, budget_bytes=budget,
        )  # fmt: skip
        return rows, *gradients(rows, leaves)

    reference = run(MANY)
    for budget in (4 * 37 * 53 - 1, 4 * 37 * 10, 4 * 60, 4 * 7, 37):
        for mine, theirs in zip(run(budget), reference, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("budget", [MANY, 4 * 60])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_common_offset_costs_no_accuracy(offset, budget):
    leaves, _, _ = case(20, 30, 32, seed=4, offset=offset, dtype=torch.float32)
    rows = contrast(*leaves[:3], scale=leaves[3], budget_bytes=budget)
    exact = [x.detach().double().requires_grad_() for x in leaves]
    expected = contrast(*exact[:3], scale=exact[3])
    torch.testing.assert_close(rows.double(), expected, rtol=3e-5, atol=3e-5)
    for mine, theirs in zip(gradients(rows, leaves), gradients(expected, exact), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("similarity", ["squared", "distance"])
@pytest.mark.parametrize("budget", [MANY, 16])
def test_rows_without_keys_cost_nothing(similarity, budget):
    leaves, _, mask = case(4, 6)
    mask = mask.clone()
    mask[1] = True
    rows = contrast(*leaves[:3], scale=leaves[3], mask=mask, similarity=similarity, budget_bytes=budget)
    assert float(rows[1].detach()) == 0.0
    to_queries, to_positives, to_keys, to_scale = torch.autograd.grad(rows.sum(), leaves)
    for gradient in (to_queries, to_positives, to_keys, to_scale):
        assert bool(torch.isfinite(gradient).all())
    assert float(to_queries[1].abs().sum()) == 0.0
    assert float(to_positives[1].abs().sum()) == 0.0


@pytest.mark.parametrize("similarity", ["squared", "distance"])
@pytest.mark.parametrize("budget", [MANY, 16])
def test_a_first_chunk_that_is_masked_throughout_does_not_matter(similarity, budget):
    leaves, _, _ = case(3, 6)
    mask = torch.zeros(3, 6, dtype=torch.bool)
    mask[:, :4] = True
    queries, positives, keys, scale = leaves
    rows = contrast(
        queries, positives, keys, scale=scale, mask=mask, similarity=similarity, budget_bytes=budget
    )
    without = contrast(queries, positives, keys[4:], scale=scale, similarity=similarity)
    torch.testing.assert_close(rows, without)
    for mine, theirs in zip(gradients(rows, leaves), gradients(without, leaves), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("n_rows", [0, 1, 3])
@pytest.mark.parametrize("n_keys", [0, 1])
@pytest.mark.parametrize("similarity", ["squared", "distance"])
def test_smallest_sizes(n_rows, n_keys, similarity):
    leaves, _, _ = case(n_rows, n_keys)
    rows = contrast(*leaves[:3], scale=leaves[3], similarity=similarity)
    assert rows.shape == (n_rows,)
    mine = torch.autograd.grad(rows.sum(), leaves)
    assert [x.shape for x in mine] == [x.shape for x in leaves]
    if n_rows and n_keys:
        expected = loop(*leaves, None, None, None, similarity)
        torch.testing.assert_close(rows, expected)
        for one, other in zip(mine, torch.autograd.grad(expected.sum(), leaves), strict=True):
            torch.testing.assert_close(one, other)
    else:
        assert float(rows.detach().sum()) == 0.0
        assert all(float(x.abs().sum()) == 0.0 for x in mine)


@pytest.mark.parametrize("budget", [MANY, 64])
@pytest.mark.parametrize("far", [10.0, 1e2, 1e3, 1e6, 1e12])
def test_keys_that_are_all_far_cost_no_accuracy(far, budget):
    """exp(-scale W2^2) is 0 in float32 for every pair here; scale W2^2 goes from 280 to 3e24."""
    for seed in range(5, 10):
        leaves, _, _ = case(6, 9, 4, seed=seed, dtype=torch.float32)
        with torch.no_grad():
            leaves[0] += far
        rows = contrast(*leaves[:3], scale=leaves[3], budget_bytes=budget)
        exact = [x.detach().double().requires_grad_() for x in leaves]
        expected = contrast(*exact[:3], scale=exact[3])
        close(rows, expected, 2e-6)
        for mine, theirs in zip(gradients(rows, leaves), gradients(expected, exact), strict=True):
            close(mine, theirs, 5e-5)


@pytest.mark.parametrize("budget", [MANY, 64])
@pytest.mark.parametrize("far", [1e2, 1e3, 1e6, 1e12])
def test_far_keys_stay_finite_in_distances(far, budget):
    leaves, _, _ = case(6, 9, 4, seed=5, dtype=torch.float32)
    with torch.no_grad():
        leaves[0] += far
    rows = contrast(*leaves[:3], scale=leaves[3], similarity="distance", budget_bytes=budget)
    exact = [x.detach().double().requires_grad_() for x in leaves]
    expected = contrast(*exact[:3], scale=exact[3], similarity="distance")
    for index, (mine, theirs) in enumerate(
        zip(gradients(rows, leaves), gradients(expected, exact), strict=True)
    ):
        assert bool(torch.isfinite(mine).all())
        # A distance of 1e3 is known to 6e-5: so are weights, of which gradients to positives and keys are made.
        if far <= 1e3 and index in (1, 2):
            close(mine, theirs, 5e-4)


def close(mine, exact, tolerance):
    """Largest difference, in units of the largest exact entry."""
    assert float((mine.double() - exact).abs().max()) <= tolerance * float(exact.abs().max())


@pytest.mark.parametrize("similarity", ["squared", "distance"])
def test_a_logit_above_its_stored_maximum_is_a_rounding(monkeypatch, similarity):
    """Processors may round a product otherwise the second time: no weight may then exceed its row's sum."""
    leaves, _, _ = case(6, 9, 4, seed=5, dtype=torch.float32)
    rows = contrast(*leaves[:3], scale=leaves[3], similarity=similarity, budget_bytes=64)
    logits = Blocks.logits
    monkeypatch.setattr(Blocks, "logits", lambda *a, **k: logits(*a, **k).add_(200.0))
    for gradient in gradients(rows, leaves):
        assert float(gradient.abs().max()) < 100.0


@pytest.mark.parametrize("budget", [MANY, 64])
def test_a_near_key_after_far_ones_moves_the_running_maximum(budget):
    keys = torch.tensor([50.0] * 20 + [0.1] + [90.0] * 20, dtype=torch.float64).unsqueeze(1).expand(41, 3)
    origin = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    rows = contrast(origin, origin.detach(), keys, budget_bytes=budget)
    torch.testing.assert_close(rows, torch.full_like(rows, math.log1p(math.exp(-0.03))))


def test_small_losses_keep_their_digits():
    """log(1 + e^-40) is 4e-18; computed as a difference of log-sum-exps it would be 0 or noise."""
    rows = contrast(torch.zeros(1, 1), torch.zeros(1, 1), torch.full((1, 1), math.sqrt(40.0)))
    torch.testing.assert_close(float(rows), math.exp(-40.0), rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("budget", [MANY, 32])
def test_distance_of_identical_rows_has_finite_gradients(budget):
    same = torch.ones(3, 4, requires_grad=True)
    rows = contrast(same, same, same, similarity="distance", budget_bytes=budget)
    torch.testing.assert_close(rows.detach(), torch.full((3,), math.log(4.0)))
    (gradient,) = torch.autograd.grad(rows.sum(), same)
    assert float(gradient.abs().max()) == 0.0


def test_scale_may_be_a_number_and_log_q_is_a_constant():
    leaves, log_q, _ = case()
    log_q_keys = log_q[0].clone().requires_grad_()
    number = contrast(*leaves[:3], scale=0.7, log_q_keys=log_q_keys)
    tensor = contrast(*leaves[:3], scale=leaves[3], log_q_keys=log_q_keys)
    torch.testing.assert_close(number, tensor)
    number.sum().backward()
    assert log_q_keys.grad is None


def test_autocast_and_half_precision_compute_in_float32():
    leaves, _, _ = case(16, 16, 8, dtype=torch.float32)
    plain = contrast(*leaves[:3], scale=leaves[3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = contrast(*leaves[:3], scale=leaves[3])
        inside = gradients(cast, leaves)
    assert torch.equal(plain, cast)
    for one, other in zip(inside, gradients(plain, leaves), strict=True):
        assert torch.equal(one, other)
    half = [x.detach().bfloat16().requires_grad_() for x in leaves[:3]]
    rows = contrast(*half, scale=0.7)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, contrast(*(x.detach().float() for x in half), scale=0.7))
    rows.sum().backward()
    assert half[2].grad.dtype == torch.bfloat16


@pytest.mark.parametrize("budget", [MANY, 64])
def test_backward_twice_and_in_place_changes(budget):
    leaves, _, _ = case()
    keys = leaves[2] * 1.0
    rows = contrast(leaves[0], leaves[1], keys, scale=leaves[3], budget_bytes=budget)
    once = torch.autograd.grad(rows.sum(), leaves, retain_graph=True)
    twice = torch.autograd.grad(rows.sum(), leaves, retain_graph=True)
    for one, other in zip(once, twice, strict=True):
        assert torch.equal(one, other)
    with torch.no_grad():
        keys += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(rows.sum(), leaves)


@pytest.mark.parametrize("similarity", ["squared", "distance", "product"])
def test_a_retained_graph_outlives_the_memory_of_its_weights(similarity):
    """Memory of kept weights serves the next loss of that size; a second pass backward must not read what is there."""

    def rows_of(leaves):
        extra = {
            "centre": torch.zeros(leaves[0].shape[1], dtype=leaves[0].dtype),
            "log_q": None,
            "mask": None,
        }
        return log_sum_exp(leaves[0], leaves[2], leaves[3], similarity=similarity, budget_bytes=MANY, **extra)

    leaves, others = case()[0], [x.detach().add(0.5).requires_grad_() for x in case()[0]]
    asked = [leaves[0], leaves[2], leaves[3]]
    rows = rows_of(leaves)
    once = torch.autograd.grad(rows.sum(), asked, retain_graph=True)
    rows_of(others).sum().backward()
    for one, other in zip(once, torch.autograd.grad(rows.sum(), asked), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("similarity", ["squared", "distance", "product"])
@pytest.mark.parametrize("budget", [MANY, 64, 400])
def test_pairs_leave_out_what_a_mask_does(similarity, budget):
    """Blocks of some rows and some keys among them: `budget` bytes make them small."""
    queries, keys = case(9, 23)[0][0], case(9, 23)[0][2]
    generator = torch.Generator().manual_seed(2)
    known = KnownPositives(
        torch.randint(1, 9, (60,), generator=generator),
        torch.randint(1, 23, (60,), generator=generator),
        9,
        23,
    )
    users, targets = (
        torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 3]),
        torch.randint(1, 23, (9,), generator=generator),
    )
    mask = known.mask(users, torch.arange(23)) | (torch.arange(23) == targets.unsqueeze(1))
    mask[:, 0] = True
    found = []
    for given in (mask, known.left_out(users, targets=targets)):
        scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        rows = log_sum_exp(
            queries,
            keys,
            scale,
            centre=torch.zeros(4, dtype=torch.float64),
            log_q=torch.linspace(0, 1, 23, dtype=torch.float64),
            mask=given,
            similarity=similarity,
            budget_bytes=budget,
        )
        found.append((rows, *torch.autograd.grad(rows.square().sum(), (queries, keys, scale))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_arguments_are_left_as_they_were():
    leaves, log_q, mask = case()
    before = [x.detach().clone() for x in (*leaves, *log_q, mask)]
    for similarity in ("squared", "distance"):
        rows = contrast(
            *leaves[:3], scale=leaves[3], log_q_keys=log_q[0], log_q_positives=log_q[1], mask=mask,
            similarity=similarity,
        )  # fmt: skip
        rows.sum().backward()
    assert all(torch.equal(x, y) for x, y in zip(before, (*leaves, *log_q, mask), strict=True))


def test_no_graph_without_gradients():
    leaves, _, _ = case()
    with torch.no_grad():
        assert not contrast(*leaves[:3], scale=leaves[3]).requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": torch.zeros(5)}, r"queries has shape \(5,\)"),
        ({"positives": torch.zeros(4, 4)}, r"positives has shape \(4, 4\): give \(5, 4\)"),
        ({"keys": torch.zeros(7, 3)}, r"keys has shape \(7, 3\): give \(7, 4\)"),
        ({"keys": torch.zeros(7, 4, dtype=torch.long)}, "keys has dtype torch.int64"),
        ({"log_q_keys": torch.zeros(6)}, r"log_q_keys has shape \(6,\): give \(7,\)"),
        ({"log_q_positives": torch.zeros(5, 1)}, "log_q_positives has shape"),
        ({"mask": torch.zeros(5, 6, dtype=torch.bool)}, "mask has shape"),
        ({"mask": torch.zeros(5, 7)}, "mask has dtype torch.float32"),
        ({"mask": lambda lo, hi: torch.zeros(5, 7)}, r"mask\(0, 7\) gave torch.float32"),
        ({"mask": lambda lo, hi: torch.zeros(4, 7, dtype=torch.bool)}, r"gave torch.bool \(4, 7\)"),
        ({"scale": 0.0}, "scale=0.0"),
        ({"scale": float("nan")}, "scale=nan"),
        ({"scale": torch.ones(1)}, r"scale has shape \(1,\)"),
        ({"budget_bytes": 0}, "budget_bytes=0"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"queries": torch.zeros(5, 4), "positives": torch.zeros(5, 4), "keys": torch.zeros(7, 4)}
    with pytest.raises(ConfigurationError, match=message):
        contrast(**{**arguments, **change})


def test_unknown_similarity_is_guessed():
    with pytest.raises(UnknownNameError, match="Did you mean 'squared'"):
        contrast(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), similarity="square")


@pytest.mark.parametrize("similarity", ["squared", "distance"])
@pytest.mark.parametrize("budget", [2**18, 2**20])
def test_nothing_larger_than_the_budget_is_allocated(similarity, budget):
    """A matrix of logits would take 8 MiB here, the differences 64 MiB; the arguments take 64 KiB each."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(n, 8, generator=generator).requires_grad_() for n in (1024, 1024, 2048)]
    mask = torch.rand(1024, 2048, generator=generator) < 0.1
    with CountedMemory(*rows, mask) as memory:
        contrast(*rows, mask=mask, similarity=similarity, budget_bytes=budget).sum().backward()
    assert memory.largest <= budget
    assert budget // 8 <= memory.peak <= 3 * budget + 2**21  # the blocks are used, and are few


def test_weights_are_kept_once_where_they_fit():
    rows = [torch.randn(n, 8).requires_grad_() for n in (512, 512, 1024)]
    with CountedMemory(*rows) as memory:
        contrast(*rows).sum().backward()
    assert memory.largest == 4 * 512 * 1024
    assert memory.peak <= 4 * 512 * 1024 + 2**19
