"""Users of whom training knows nothing are scored as the mean of the others: softmax, rvrec's objective, compress."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import LightGCN

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.compress.compress import Compress
from burnish.enhancers.newcomers import newcomers, with_mean_of_others
from burnish.enhancers.softmax.softmax import Softmax
from burnish.enhancers.wasserstein.rvrec import RVRec

BY_TIME = {"eval_args": {"order": "TO", "split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "none", "mode": "full"}}


def split_by_time(world: Any, model: type, **options: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """A world, who is new in it, and who is not; padding is neither."""
    made = world(model, embedding_size=4, **BY_TIME, **options)
    known = np.zeros(made.model.n_users, dtype=bool)
    known[made.train._dataset.inter_feat["user_id"].numpy()] = True
    new = ~known
    new[0] = False
    assert new.sum() > 5
    assert known.sum() > 5
    return made, new, known


def scores(made: Any, users: np.ndarray) -> np.ndarray:
    made.model.eval()
    with torch.no_grad():
        found = made.model.full_sort_predict(Interaction({"user_id": torch.from_numpy(users)}))
    return found.reshape(len(users), -1).double().numpy()


def units(rows: torch.Tensor) -> np.ndarray:
    rows = rows.detach().double().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


def test_who_is_new() -> None:
    assert newcomers(torch.tensor([1, 2, 2, 4]), 5).tolist() == [False, False, False, True, False]
    assert newcomers(torch.tensor([1, 2]), 3) is None
    assert newcomers(torch.tensor([], dtype=torch.long), 3) is None
    rows = torch.tensor([[9.0], [1.0], [3.0], [7.0]])
    new = torch.tensor([False, False, False, True])
    assert with_mean_of_others(rows, new).tolist() == [[9.0], [1.0], [3.0], [2.0]]


@pytest.mark.parametrize("cosine", [True, False])
def test_a_newcomers_scores_are_the_mean_of_the_others(world: Any, cosine: bool) -> None:
    made, new, known = split_by_time(world, enhance("BPR", Softmax(cosine=cosine)))
    made.trainer.fit(made.train, None, saved=False, show_progress=False)
    users, items = made.model.user_embedding.weight, made.model.item_embedding.weight
    users, items = (
        (units(users), units(items)) if cosine else (users.detach().numpy(), items.detach().numpy())
    )
    wanted = users[known].mean(0) @ items.T
    for row in [*scores(made, np.flatnonzero(new)[:2]), *scores(made, np.flatnonzero(new))]:
        np.testing.assert_allclose(row[1:], wanted[1:], atol=1e-5)
    np.testing.assert_allclose(
        scores(made, np.flatnonzero(known))[:, 1:], (users[known] @ items.T)[:, 1:], atol=1e-5
    )


def test_of_propagated_rows(world: Any) -> None:
    made, new, known = split_by_time(world, enhance(LightGCN, Softmax()))
    made.model.eval()
    with torch.no_grad():
        users, items = (units(rows) for rows in LightGCN.forward(made.model))
    wanted = users[known].mean(0) @ items.T
    for row in scores(made, np.flatnonzero(new)):
        np.testing.assert_allclose(row[1:], wanted[1:], atol=1e-5)


def test_training_is_what_it_was(world: Any) -> None:
    tables = []
    for how in ("mean", "own"):
        made, _, _ = split_by_time(world, enhance("BPR", Softmax(newcomers=how)))
        made.trainer.fit(made.train, made.valid, saved=False, show_progress=False)
        tables.append([rows.detach().clone() for rows in made.model.parameters()])
    for one, other in zip(*tables, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("enhancer", [Softmax(), Softmax(cosine=False), RVRec(objective=True)], ids=str)
def test_baked(world: Any, enhancer: Any) -> None:
    made, new, _ = split_by_time(world, enhance("BPR", enhancer))
    made.trainer.fit(made.train, None, saved=False, show_progress=False)
    wanted = scores(made, np.flatnonzero(new))
    assert np.ptp(wanted, axis=0).max() == pytest.approx(0.0, abs=1e-6)
    made.model = burnish.bake(made.model)
    np.testing.assert_allclose(scores(made, np.flatnonzero(new)), wanted, atol=1e-6)


def test_the_direction_is_that_of_all_refinements(world: Any) -> None:
    """What another enhancer makes of rows counts in the mean, whatever the order."""
    from burnish.enhancers.conformance.probes import Probe

    made, new, known = split_by_time(world, enhance("BPR", Softmax(), Probe()))
    made.model.eval()
    everybody = torch.arange(made.model.n_users)
    with torch.no_grad():
        rows = made.model.user_embedding(everybody).double().numpy()
    np.testing.assert_allclose(rows[new], np.broadcast_to(rows[known].mean(0), rows[new].shape), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows[known], axis=1), 1.0, atol=1e-5)


def test_compress(world: Any) -> None:
    found = {}
    for how in ("mean", "own"):
        made, new, known = split_by_time(
            world, enhance("BPR", Compress(newcomers=how, ranks=(2,), ridge=50.0))
        )
        made.model.enhancers["compress"].try_candidate(0)
        found[how] = made.model.user_embedding.weight.detach().numpy().copy()
    np.testing.assert_array_equal(found["own"][new], 0)
    np.testing.assert_array_equal(found["mean"][known], found["own"][known])
    wanted = np.broadcast_to(found["own"][known].mean(0), found["mean"][new].shape)
    np.testing.assert_allclose(found["mean"][new], wanted, atol=1e-6)
    assert (found["mean"][0] == 0).all()


def test_nobody_is_new_where_everybody_has_a_row(world: Any) -> None:
    made = world(enhance("BPR", Softmax(cosine=False)), embedding_size=4)
    assert made.model.enhancers["softmax"]._newcomers is None
    assert not any(
        made.model.enhancers["softmax"].refines(table) for table in made.model.enhancers.anatomy.tables
    )
