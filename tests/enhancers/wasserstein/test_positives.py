import pytest
import torch

from burnish.enhancers.wasserstein.positives import KnownPositives, log_shares
from burnish.errors import ConfigurationError, DataError

DENSE, SPARSE = 64 * 2**20, 10


def interactions(n=400, n_users=23, n_items=41, seed=0):
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(0, n_users, (n,), generator=generator)
    items = torch.randint(0, n_items, (n,), generator=generator)
    return users, items


def by_sets(users, items, asked_users, asked_items):
    known = {(u, i) for u, i in zip(users.tolist(), items.tolist(), strict=True) if u and i}
    return torch.tensor([[(u, i) in known for i in asked_items.tolist()] for u in asked_users.tolist()])


@pytest.mark.parametrize("budget", [DENSE, SPARSE])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_mask_equals_sets(budget, dtype):
    users, items = interactions()
    known = KnownPositives(users.to(dtype), items.to(dtype), 23, 41, budget_bytes=budget)
    assert known.dense == (budget == DENSE)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):  # with repeated ids, in any order, padding among them
        asked_users = torch.randint(0, 23, (17,), generator=generator)
        asked_items = torch.randint(0, 41, (60,), generator=generator)
        mask = known.mask(asked_users.to(dtype), asked_items.to(dtype))
        assert mask.dtype == torch.bool
        assert torch.equal(mask, by_sets(users, items, asked_users, asked_items))
        assert bool(mask.any())


@pytest.mark.parametrize("budget", [DENSE, SPARSE])
def test_whole_table(budget):
    users, items = interactions()
    known = KnownPositives(users, items, 23, 41, budget_bytes=budget)
    mask = known.mask(torch.arange(23), torch.arange(41))
    assert torch.equal(mask, by_sets(users, items, torch.arange(23), torch.arange(41)))
    assert not mask[0].any()
    assert not mask[:, 0].any()


@pytest.mark.parametrize("budget", [DENSE, SPARSE])
@pytest.mark.parametrize(("n_asked", "n_keys"), [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_empty_and_single_questions(budget, n_asked, n_keys):
    known = KnownPositives(torch.tensor([1]), torch.tensor([2]), 9, 9, budget_bytes=budget)
    mask = known.mask(torch.ones(n_asked, dtype=torch.long), torch.full((n_keys,), 2))
    assert mask.shape == (n_asked, n_keys)
    assert bool(mask.all())


@pytest.mark.parametrize("budget", [DENSE, SPARSE])
@pytest.mark.parametrize("of_users", [True, False])
@pytest.mark.parametrize("with_targets", [True, False])
def test_what_is_left_out_of_the_catalogue(budget, of_users, with_targets):
    users, items = interactions()
    known = KnownPositives(users, items, 23, 41, budget_bytes=budget)
    asked = torch.tensor([3, 0, 22, 3, 7])
    targets = torch.tensor([1, 40, 0, 7, 7]) if with_targets else None
    left_out = known.left_out(asked, known=of_users, targets=targets)
    expected = (
        by_sets(users, items, asked, torch.arange(41)) if of_users else torch.zeros(5, 41, dtype=torch.bool)
    )
    expected[:, 0] = True
    if targets is not None:
        expected[torch.arange(5), targets] = True
    for lo, hi in ((0, 41), (0, 1), (1, 17), (40, 41), (5, 5)):
        rows, columns = left_out(lo, hi)
        mask = torch.zeros(5, hi - lo, dtype=torch.bool)
        mask[rows, columns] = True
        assert torch.equal(mask, expected[:, lo:hi])
        assert torch.equal(known._left_out_mask(asked, of_users, targets, lo, hi), expected[:, lo:hi])


def test_users_without_interactions_know_nothing():
    known = KnownPositives(torch.tensor([2, 2]), torch.tensor([3, 1]), 5, 6, budget_bytes=SPARSE)
    mask = known.mask(torch.tensor([4, 2, 1, 3]), torch.tensor([3, 5, 1, 3]))
    assert mask.tolist() == [[False] * 4, [True, False, True, True], [False] * 4, [False] * 4]


def test_sparse_route_needs_no_table():
    """A table of these ids would take 10^12 bytes."""
    users, items = interactions(1000, 10**6, 10**6)
    users, items = users + 0, items.clamp_min(1)
    known = KnownPositives(users, items, 10**6, 10**6)
    assert not known.dense
    mask = known.mask(users[:50], items[:80])
    assert torch.equal(mask, by_sets(users, items, users[:50], items[:80]))
    assert bool(mask.diagonal()[users[:50] != 0].all())


def test_log_q_is_the_log_of_the_share():
    users = torch.tensor([1, 1, 1, 2, 0, 3])
    items = torch.tensor([1, 1, 2, 1, 1, 0])  # the last two hold padding and do not count
    known = KnownPositives(users, items, 5, 4)
    torch.testing.assert_close(known.log_q_items.exp(), torch.tensor([0.25, 0.75, 0.25, 0.25]))
    torch.testing.assert_close(known.log_q_users.exp(), torch.tensor([0.25, 0.75, 0.25, 0.25, 0.25]))


def test_log_shares_sum_to_one_over_seen_ids():
    ids = torch.tensor([4, 2, 2, 4, 4, 1])
    shares = log_shares(ids, 6).exp()
    assert float(shares[[1, 2, 4]].sum()) == pytest.approx(1.0)
    assert float(shares[5]) == pytest.approx(1 / 6)


@pytest.mark.parametrize("budget", [DENSE, SPARSE])
def test_buffers_follow_the_module_and_stay_out_of_the_state_dict(budget):
    known = KnownPositives(*interactions(), 23, 41, budget_bytes=budget)
    assert known.state_dict() == {}
    moved = known.to("meta")
    assert all(buffer.device.type == "meta" for buffer in moved.buffers())
    assert len(list(moved.buffers())) >= 3


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([1, 2], [1], r"users has shape \(2,\), items \(1,\)"),
        ([1, 5], [1, 1], "users has ids from 1 to 5: n_users=5 allows 0 to 4"),
        ([1, 2], [-1, 1], "items has ids from -1 to 1"),
        ([1.0, 2.0], [1, 1], "users has dtype torch.float32"),
    ],
)
def test_wrong_arguments_are_named(users, items, message):
    with pytest.raises(ConfigurationError, match=message):
        KnownPositives(torch.tensor(users), torch.tensor(items), 5, 5)


@pytest.mark.parametrize(("users", "items"), [([], []), ([0, 1], [1, 0])])
def test_no_interactions_is_a_data_error(users, items):
    with pytest.raises(DataError, match="none with both"):
        KnownPositives(torch.tensor(users, dtype=torch.long), torch.tensor(items, dtype=torch.long), 5, 5)
