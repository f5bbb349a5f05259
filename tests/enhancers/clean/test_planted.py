"""Planted noise, the share of noise and its probability, against known densities and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from burnish.enhancers.clean import planted
from burnish.enhancers.clean.histories import Judged
from burnish.enhancers.clean.planted import LEAST_PLANTED, LEAST_ROWS, LOWEST, NoiseShare, _share, suspicion
from burnish.enhancers.clean.signs import RIDGE, signs, spectral_vectors
from burnish.enhancers.clean.usefulness import held_out
from burnish.enhancers.shapley.objectives import standardised
from burnish.enhancers.shapley.regression import regression_values
from burnish.enhancers.teachers.sparse import incidence
from burnish.errors import ConfigurationError, DataError
from burnish.noise.draw import inject


def tasteful(
    seed: int, n_users: int = 200, n_items: int = 120, each: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Users of two tastes, who have items of theirs alone, popular ones more often: ids from 1, each pair once."""
    rng = np.random.default_rng(seed)
    users, items = [], []
    for user in range(1, n_users + 1):
        own = 1 + 2 * np.arange(n_items // 2) + user % 2
        chance = 1 / (1 + np.arange(n_items // 2)) ** 0.5
        items.append(rng.choice(own, each, replace=False, p=chance / chance.sum()))
        users.append(np.full(each, user))
    return np.concatenate(users), np.concatenate(items)


def test_nothing_left_to_plant() -> None:
    users, items = (
        torch.from_numpy(axis.ravel()) for axis in np.meshgrid(np.arange(1, 41), np.arange(1, 31))
    )
    with pytest.raises(DataError, match=r"0 .*120"):
        suspicion(users, items, 41, 31)


def test_signs_of_the_regression_against_dense_products() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(1, 60, 40, 12))
    values, names = signs(users, items, 61, 41, seed=5)
    own = dict(zip(names, values.T, strict=True))
    dense = np.zeros((61, 41))
    dense[users, items] = 1
    inverse = np.linalg.inv(dense.T @ dense + RIDGE * np.eye(41))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(own["said"], (dense @ weights)[users, items], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(own["says"], (dense @ weights.T)[users, items], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(own["says"], regression_values(users, items, 41, ridge=RIDGE))
    torch.testing.assert_close(own["said, in user"], standardised(own["said"], users))
    torch.testing.assert_close(own["says, in item"], standardised(own["says"] / 12, items))
    torch.testing.assert_close(own["popularity"], torch.bincount(items)[items].float().log())
    torch.testing.assert_close(own["activity"], torch.full((720,), 12.0).log())
    assert bool(torch.isfinite(values).all())


def test_spectral_vectors_against_a_dense_decomposition() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(2, 60, 40, 12))
    dense = np.zeros((61, 41))
    dense[users, items] = 1
    even = dense / np.sqrt(dense.sum(1, keepdims=True).clip(1) * dense.sum(0, keepdims=True).clip(1))
    _, size, right = np.linalg.svd(even)
    expected = (right[:6].T * size[:6]) @ (right[:6].T * size[:6]).T
    found = spectral_vectors(incidence(users, items, (61, 41)), 6)
    np.testing.assert_allclose(found @ found.T, expected, atol=2e-3)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_the_share_of_a_known_mixture(share: float) -> None:
    """Odds of normal densities: what is real lies at -2, noise at 2."""
    rng = np.random.default_rng(7)
    n, m = 40_000, 4000

    def odds(x: np.ndarray) -> np.ndarray:
        there = (1 - share) * norm.pdf(x, -2) + share * norm.pdf(x, 2)
        return np.asarray(norm.pdf(x, 2) / there)

    is_noise = rng.random(n) < share
    real = odds(rng.normal(np.where(is_noise, 2, -2), 1))
    found = _share("uniform", [real, real], [odds(rng.normal(2, 1, m)) for _ in range(2)], seed=1)
    assert found.low - 0.01 <= share <= found.high
    assert abs(found.share - share) < 0.02
    assert found.high - found.low < 0.1


@pytest.mark.parametrize("kind", ["uniform", "popular", "position"])
def test_noise_is_found_and_none_where_there_is_none(kind: str) -> None:
    users, items = tasteful(4)
    drawn = inject(users, items, n_items=121, share=0.2, kind=kind, seed=99, first_item=1)
    noisy = torch.from_numpy(drawn.users), torch.from_numpy(drawn.items)
    found = suspicion(*noisy, 201, 121, kinds=(kind,), must_help=False, repeats=1, seed=2)
    is_noise = torch.arange(len(noisy[0])) >= len(users)
    # A third of what is planted is within the taste of its user, and cannot be told.
    assert 0.05 < found.shares[0].share < 0.25
    assert found.probability[is_noise].mean() > 5 * found.probability[~is_noise].mean()
    # Share times the ratio of the densities: over all rows that is the share, up to what is cut off at 1.
    assert 0.5 * found.shares[0].share < found.probability.mean() < 1.2 * found.shares[0].share
    again = suspicion(*noisy, 201, 121, kinds=(kind,), must_help=False, repeats=1, seed=2)
    assert torch.equal(again.probability, found.probability)
    clean = suspicion(
        torch.from_numpy(users), torch.from_numpy(items), 201, 121, kinds=(kind,), must_help=False, repeats=1
    )
    assert not clean.probability.any()
    assert clean.shares[0].low <= 0.01


def test_where_choice_is_chance_nothing_is_acted_on() -> None:
    """Users take items by popularity alone: all of it is what noise would be."""
    rng = np.random.default_rng(5)
    chance = 1 / np.arange(1, 121) ** 0.5
    rows = [rng.choice(120, 30, replace=False, p=chance / chance.sum()) + 1 for _ in range(200)]
    users, items = torch.arange(1, 201).repeat_interleave(30), torch.from_numpy(np.concatenate(rows))
    found = suspicion(users, items, 201, 121, kinds=("popular",), repeats=1)
    assert found.shares[0].tells_nothing
    assert "do not tell taste from chance" in str(found.shares[0])
    assert not found.probability.any()


def test_what_one_kind_cannot_be_told_from_no_other_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of choices by equal chance those of popular items would look like position noise."""
    users, items = map(torch.from_numpy, tasteful(4))
    told = {
        "uniform": NoiseShare("uniform", 0.1, 0.05, 0.15),
        "popular": NoiseShare("popular", 0.6, 0.5, 0.7),
    }
    monkeypatch.setattr(planted, "_share", lambda kind, *_: told[kind])
    alone = suspicion(users, items, 201, 121, kinds=("uniform",), must_help=False, repeats=1)
    beside = suspicion(users, items, 201, 121, kinds=("uniform", "popular"), must_help=False, repeats=1)
    assert alone.probability.any()
    assert not beside.probability.any()
    assert beside.shares == tuple(told.values())


def test_too_few_interactions() -> None:
    few = torch.arange(1, 100)
    with pytest.raises(DataError, match="99 interactions are too few"):
        suspicion(few, few, 100, 100)


def test_few_interactions_are_no_noise_for_being_few() -> None:
    """The region that bounds the share must not be nearly all there is: noise and what is real overlap."""
    rng = np.random.default_rng(3)

    def odds(x: np.ndarray) -> np.ndarray:
        return np.asarray(norm.pdf(x, 1) / norm.pdf(x, -1))

    real = odds(rng.normal(-1, 1, 1000))
    found = _share("uniform", [real, real], [odds(rng.normal(1, 1, 100)) for _ in range(2)], seed=1)
    assert found.share < 0.25
    assert found.low < 0.1


def test_what_is_planted_is_enough_and_has_room() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(3, 40, 60))
    with pytest.raises(
        ConfigurationError, match=r"1 planted interactions are too few .* planted is 0.017 at least"
    ):
        suspicion(users, items, 41, 61, kinds=("uniform",), planted=0.001)
    with pytest.raises(DataError, match=r"uniform noise cannot be planted.*smaller planted"):
        suspicion(users, items, 41, 61, kinds=("uniform",), planted=1.0)


def test_the_share_in_plain_loops() -> None:
    """One half chooses the region, the other measures it; of several plantings the interactions are the same."""
    rng = np.random.default_rng(8)
    there = [np.exp(rng.normal(-0.5, 1, 300)) for _ in range(2)]
    noise_odds = [np.exp(rng.normal(0.5, 1, 250)) for _ in range(2)]
    draw = np.random.default_rng(6)
    side_there, side_planted = draw.permutation(300) % 2 == 0, draw.permutation(500) % 2 == 0
    all_planted = np.concatenate(noise_odds)

    def measured(half: bool, limit: float) -> tuple[float, float]:
        real = np.concatenate([odds[side_there == half] for odds in there])
        noise = all_planted[side_planted == half]
        tails = [
            ((values >= limit).sum() / len(values) * rows + 0.5) / (rows + 0.5)
            for values, rows in ((real, len(real) / 2), (noise, len(noise)))
        ]
        doubt = (1 - tails[0]) / (tails[0] * len(real) / 2) + (1 - tails[1]) / (tails[1] * len(noise))
        return tails[0] / tails[1], tails[0] / tails[1] * doubt**0.5

    ratios, doubts = [], []
    for half in (True, False):
        limits = sorted(all_planted[side_planted == half])[: 250 - 62]
        best = min(limits, key=lambda limit: sum(measured(half, limit)))
        ratio, doubt = measured(not half, best)
        ratios.append(ratio)
        doubts.append(doubt)
    error = max((doubts[0] ** 2 + doubts[1] ** 2) ** 0.5 / 2, abs(ratios[0] - ratios[1]) / 2)
    found = _share("uniform", there, noise_odds, seed=6)
    assert found.share == pytest.approx(np.mean(ratios))
    assert found.low == pytest.approx(max(0.0, np.mean(ratios) - 1.96 * error))
    assert found.high == pytest.approx(min(1.0, np.mean(ratios) + 1.96 * error))
    assert 0.05 < found.share < 0.7


def test_share_times_odds_of_the_likelier_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odds of several plantings are averaged as logarithms; a share that is not above `least` beyond doubt is none."""
    n, calls = 1000, []
    base = {"uniform": torch.linspace(0.1, 30, n).numpy(), "popular": torch.linspace(9, 1, n).numpy()}

    def odds(users: Any, items: Any, n_users: int, n_items: int, kind: str, count: int, seed: int) -> Any:
        calls.append((kind, count, seed))
        factor = 4.0 if sum(one == kind for one, *_ in calls) == 1 else 0.25
        return np.concatenate([base[kind] * factor * 2, np.ones(count)])

    shares = {
        "uniform": NoiseShare("uniform", 0.02, 0.011, 0.03),
        "popular": NoiseShare("popular", 0.1, 0.06, 0.2),
    }
    monkeypatch.setattr(planted, "_odds", odds)
    monkeypatch.setattr(planted, "_share", lambda kind, there, of_planted, seed: shares[kind])
    users, items = torch.arange(1, n + 1), torch.ones(n, dtype=torch.long)
    found = suspicion(
        users, items, n + 1, 3, kinds=("uniform", "popular"), must_help=False, repeats=2, planted=0.07, seed=5
    )
    assert [call[:2] for call in calls] == [("uniform", 70)] * 2 + [("popular", 70)] * 2
    assert len({seed for *_, seed in calls}) == 4
    expected = np.stack([0.02 * 2 * base["uniform"], 0.1 * 2 * base["popular"]]).clip(max=1)
    np.testing.assert_allclose(found.probability, expected.max(0), rtol=1e-6)
    assert (found.kind.numpy() == expected.argmax(0)).mean() > 0.99
    assert 0 < found.kind.sum() < n
    for doubtful in (
        NoiseShare("popular", 0.1, 0.009, 0.2),
        NoiseShare("popular", 0.6, 0.5, 0.7),
    ):
        calls.clear()
        shares["popular"] = doubtful
        alone = suspicion(users, items, n + 1, 3, kinds=("popular",), must_help=False, repeats=2)
        assert not alone.probability.any()
        assert alone.shares == (doubtful,)


class Stand:
    """Odds of a row are those of its user, half as large where fewer rows are judged; notes who was asked about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int, bots: Judged | None = None) -> None:
        self.n = n
        self.asked: list[tuple[str, int, int]] = []
        self.tried: list[tuple[Any, ...]] = []
        self.steps = 0
        self.users, self.items = torch.arange(1, n + 1), torch.ones(n, dtype=torch.long)
        self.share = {kind: NoiseShare(kind, 0.2, 0.1, 0.3) for kind in ("uniform", "popular")}
        monkeypatch.setattr(planted, "_odds", self.odds)
        monkeypatch.setattr(planted, "_share", lambda kind, *_: self.share[kind])
        monkeypatch.setattr(planted, "gain", self.gain)
        monkeypatch.setattr(planted, "judged_histories", lambda *_, **__: bots)

    def of(self, kind: str, users: Any) -> Any:
        part = users.numpy() / self.n
        return 0.1 + 4 * (part if kind == "uniform" else 1 - part)

    def odds(
        self, users: Any, items: Any, n_users: int, n_items: int, kind: str, count: int, seed: int
    ) -> Any:
        self.asked.append((kind, len(users), count))
        return np.append(self.of(kind, users) * (1.0 if len(users) == self.n else 0.5), np.ones(count))

    def gain(self, *words: Any) -> tuple[float, float]:
        self.tried.append(words)
        return (0.02, 0.01) if len(self.tried) == 1 else (0.01, 0.01)

    def step(self) -> None:
        self.steps += 1


def test_every_kind_is_tried_alone_and_judged_without_what_is_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = 2000
    stand = Stand(monkeypatch, n)
    stand.share["position"] = NoiseShare("position", 0.2, 0.005, 0.3)  # is not beyond doubt, so not tried
    found = suspicion(
        stand.users, stand.items, n + 1, 3, kinds=("position", "uniform", "popular"), seed=5,
        progress=stand.step,
    )  # fmt: skip
    held = held_out(n, 5)
    left = n - held.sum()
    kinds = ("position", "uniform", "popular")
    assert [one for one in stand.asked if one[1] == n] == [(kind, n, 200) for kind in kinds for _ in range(3)]
    assert stand.asked[9:] == [(kind, left, round(0.1 * left)) for kind in ("uniform", "popular")]
    assert stand.steps == 9
    for kind, (users, items, sizes, out, weights) in zip(("uniform", "popular"), stand.tried, strict=True):
        assert torch.equal(users, stand.users)
        assert torch.equal(items, stand.items)
        assert sizes == (n + 1, 3)
        np.testing.assert_array_equal(out, held)
        noise = (0.2 * 0.5 * stand.of(kind, stand.users[torch.from_numpy(~held)])).clip(max=1)
        np.testing.assert_allclose(weights, np.maximum(1 - noise, LOWEST), rtol=1e-6)
    assert [(share.gain, share.error) for share in found.shares] == [(None, None), (0.02, 0.01), (0.01, 0.01)]
    np.testing.assert_allclose(
        found.probability, (0.2 * stand.of("uniform", stand.users)).clip(max=1), rtol=1e-6
    )
    assert set(found.kind.tolist()) == {1}


@pytest.mark.parametrize(
    ("low", "many", "aside"),
    [(0.1, 500, True), (0.005, 500, False), (0.1, 1200, False)],
    ids=["found", "in doubt", "too few are left"],
)
def test_what_is_of_bots_is_set_aside_for_other_kinds(
    low: float, many: int, aside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 2000
    of_bots = np.where(np.arange(n) < many, 0.9, 0.3)
    stand = Stand(monkeypatch, n, Judged(of_bots, 0.25, low, 0.4))
    found = suspicion(
        stand.users, stand.items, n + 1, 3, kinds=("uniform", "bots"), must_help=False, repeats=1
    )
    left = n - many if aside else n
    assert stand.asked == [("uniform", left, left // 10)]
    part = left / n
    uniform, bots = found.shares
    assert (uniform.share, uniform.low, uniform.high) == pytest.approx((0.2 * part, 0.1 * part, 0.3 * part))
    assert (bots.share, bots.low, bots.high) == (0.25, low, 0.4)
    of_uniform = (0.2 * stand.of("uniform", stand.users) * (0.5 if aside else 1)).clip(max=1)
    of_uniform[: n - left] = 0
    both = np.stack([of_uniform, of_bots * (low > 0.01)])
    np.testing.assert_allclose(found.probability, both.max(0), rtol=1e-6)
    np.testing.assert_array_equal(found.kind, both.argmax(0))


def test_what_is_enough_to_be_planted_is_so_where_rows_are_held_out_or_set_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A twentieth of a thousand rows is not of nine hundred; what was found would be an error."""
    n = LEAST_ROWS
    stand = Stand(monkeypatch, n)
    share = LEAST_PLANTED / n
    suspicion(stand.users, stand.items, n + 1, 3, kinds=("uniform",), repeats=1, planted=share)
    assert [count for *_, count in stand.asked] == [LEAST_PLANTED] * 2
    assert stand.asked[1][1] < n


def test_a_single_user_has_nothing_in_common_with_others() -> None:
    many, one = torch.arange(1, 1201), torch.ones(1200, dtype=torch.long)
    for users, items, sizes, what in ((one, many, (2, 2000), "user"), (many, one, (1201, 2), "item")):
        with pytest.raises(DataError, match=f"all 1,200 interactions are of one {what}.* two or more"):
            suspicion(users, items, *sizes, kinds=("uniform",))
