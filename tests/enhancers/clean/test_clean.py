"""The enhancer `clean`: weights, masks, controls, and what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import burnish
import burnish.enhancers.clean.clean as module
from burnish.enhancers.attach import enhance
from burnish.enhancers.clean.clean import Clean, most_suspect
from burnish.enhancers.clean.planted import NoiseShare, Suspicion
from burnish.enhancers.shapley.controls import permuted_within
from burnish.errors import ConfigurationError


@pytest.fixture
def suspects(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """`suspicion` is a number of each row: its place, from 0 to 1; gives the calls."""
    calls: list[dict[str, Any]] = []

    def stand_in(users: Any, items: Any, n_users: int, n_items: int, **options: Any) -> Suspicion:
        calls.append({"users": users, "items": items, "sizes": (n_users, n_items), **options})
        n = len(users)
        tried = dict.fromkeys(options["kinds"], (None, None)) | {"popular": (-0.02, 0.01)}
        shares = tuple(NoiseShare(kind, 0.5, 0.4, 0.6, *tried[kind]) for kind in options["kinds"])
        return Suspicion(torch.linspace(0, 1, n), torch.zeros(n, dtype=torch.long), shares)

    monkeypatch.setattr(module, "suspicion", stand_in)
    return calls


def test_interactions_count_as_they_are_likely_to_be_real(world: Any, suspects: list[Any]) -> None:
    made = world(enhance("BPR", Clean(lowest=0.1)))
    clean = made.model.enhancers["clean"]
    assert clean.interaction_weights() is None
    clean.on_epoch(0)
    weights = clean.interaction_weights()
    n = len(made.train._dataset.inter_feat)
    expected = (1 - torch.linspace(0, 1, n)).clamp(min=0.1)
    torch.testing.assert_close(weights, expected / expected.mean())
    torch.testing.assert_close(clean.probability, torch.linspace(0, 1, n))
    clean.on_epoch(1)
    assert len(suspects) == 1
    assert suspects[0]["seed"] == made.config["seed"]
    assert suspects[0]["sizes"] == (made.train._dataset.user_num, made.train._dataset.item_num)
    assert (
        "uniform noise 50.0% (40.0% to 60.0%); popular noise 50.0% (40.0% to 60.0%, not acted on: without it held-out "
        "interactions rank 1.4% worse (standard error 0.7%)); " in clean.note()
    )


def test_the_warm_up(world: Any, suspects: list[Any]) -> None:
    clean = world(enhance("BPR", Clean(warmup_epochs=2)), epochs=5).model.enhancers["clean"]
    for epoch, calls in ((0, 0), (1, 0), (2, 1), (3, 1)):
        clean.on_epoch(epoch)
        assert len(suspects) == calls
    with pytest.warns(UserWarning, match="warmup_epochs = 2 is not below epochs = 1"):
        world(enhance("BPR", Clean(warmup_epochs=2)), epochs=1).model.enhancers["clean"].on_epoch(0)


def test_masks_take_the_most_suspect_of_each_user(world: Any, suspects: list[Any]) -> None:
    made = world(enhance("BPR", Clean(mask_from=0.6, most_of_user=0.3)))
    clean = made.model.enhancers["clean"]
    clean.on_epoch(0)
    users = made.train._dataset.inter_feat["user_id"]
    weights = clean.weights
    assert len(set(weights.tolist())) == 2
    for user in users.unique().tolist():
        own = (users == user).nonzero()[:, 0]
        suspect = [row for row in own.tolist() if clean.probability[row] >= 0.6]
        suspect.sort(key=lambda row: -float(clean.probability[row]))
        gone = suspect[: int(0.3 * len(own))]
        assert {row for row in own.tolist() if weights[row] == 0} == set(gone)


def test_most_suspect_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    users = torch.from_numpy(rng.integers(3, 30, 400))
    probability = torch.from_numpy(rng.integers(0, 10, 400) / 9)
    found = most_suspect(probability, users, 5 / 9, most_of_user=0.25)
    for user in users.unique().tolist():
        own = (users == user).nonzero()[:, 0].tolist()
        own.sort(key=lambda row: -float(probability[row]))
        kept = {row for row in own[: int(0.25 * len(own))] if probability[row] >= 5 / 9}
        assert any(probability[row] == 5 / 9 for row in range(400))
        assert {row for row in own if found[row]} == kept


def test_the_control_keeps_a_users_weights(world: Any, suspects: list[Any]) -> None:
    own, other = (
        world(enhance("BPR", Clean(control=control))).model.enhancers["clean"]
        for control in ("none", "permuted")
    )
    for clean in (own, other):
        clean.on_epoch(0)
    assert not torch.equal(own.weights, other.weights)
    users = own.get_buffer("_users")
    seeded = world(enhance("BPR", Clean(control="permuted", seed=3))).model.enhancers["clean"]
    seeded.on_epoch(0)
    torch.testing.assert_close(seeded.weights, own.weights[permuted_within(users, 3)])
    assert not torch.equal(seeded.weights, other.weights)
    for user in users.unique()[:10]:
        torch.testing.assert_close(
            own.weights[users == user].sort().values, other.weights[users == user].sort().values
        )


def test_few_interactions_are_told_and_count_one(world: Any) -> None:
    few = {"val_interval": {"user_id": [str(user) for user in range(1, 6)]}}
    with pytest.warns(UserWarning, match=r"\d+ training interactions are too few to tell noise .* counts 1"):
        made = world(enhance("BPR", Clean()), **few)
    clean = made.model.enhancers["clean"]
    clean.on_epoch(0)
    assert bool((clean.weights == 1).all())
    assert clean.note() == "weighs nothing."


def test_saved_weights_are_read(world: Any, suspects: list[Any]) -> None:
    model = enhance("BPR", Clean())
    one, other = world(model).model, world(model).model
    one.enhancers["clean"].on_epoch(0)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.enhancers["clean"].interaction_weights(), one.enhancers["clean"].weights)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kinds": ["uniform", "uniform"]}, "given twice"),
        ({"kinds": []}, "kinds"),
        ({"kinds": "unifrom"}, "unifrom|uniform"),
        ({"mask_from": 0}, "mask_from"),
        ({"least": 1.0}, "least"),
    ],
)
def test_refusals(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Clean(**options)


def test_options_without_effect() -> None:
    assert set(Clean(most_of_user=0.5).config.idle()) == {"most_of_user"}
    assert set(Clean(mask_from=0.5, lowest=0.2).config.idle()) == {"lowest"}
    assert not Clean(lowest=0.2).config.idle()
    assert set(Clean(kinds=["bots", "clickbait"], planted=0.2).config.idle()) == {"planted"}
    assert not Clean(kinds=["bots", "uniform"], planted=0.2).config.idle()


def test_only_training_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of validation and test are changed, and no weight is."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    training = [(u, i) for u in range(100) for i in rng.choice(60, 15, replace=False)]
    monkeypatch.setattr("burnish.enhancers.clean.planted.MOST", 1.0)  # all of it is chance
    monkeypatch.setattr("burnish.enhancers.clean.planted.BEYOND", -1e9)  # and to mind it helps nothing
    found = []
    for other in (0, 1):
        folder = tmp_path / str(other) / "split"
        folder.mkdir(parents=True)
        unused = [(u, i) for u in range(100) for i in range(60) if (u, i) not in set(training)]
        held = [unused[place] for place in np.random.default_rng(other).permutation(len(unused))[:400]]
        every = [(100 + i % 2, i) for i in range(60)]
        for part, rows in (
            ("train", [*training, *every]),
            ("valid", [*held[:200], *every[:2]]),
            ("test", held[200:]),
        ):
            lines = ["user_id:token\titem_id:token", *(f"u{u}\ti{i}" for u, i in rows)]
            (folder / f"split.{part}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
        result = burnish.run(
            "BPR",
            dataset="split",
            enhancers={"clean": {"repeats": 1, "least": 0.0, "kinds": "uniform"}},
            config={
                "data_path": str(tmp_path / str(other)),
                "benchmark_filename": ["train", "valid", "test"],
                "epochs": 1,
                "embedding_size": 4,
            },
        )
        found.append(result.model.enhancers["clean"].weights)
    assert found[0].std() > 0
    assert torch.equal(*found)


def test_masks_that_leave_nothing_are_refused(
    world: Any, suspects: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights over their mean, which is 0, would be NaN."""
    clean = world(enhance("BPR", Clean(mask_from=1e-9, most_of_user=1.0))).model.enhancers["clean"]
    clean.on_epoch(0)
    assert bool(torch.isfinite(clean.weights).all())  # the first is surely real
    all_noise = lambda users, *_, **options: Suspicion(  # noqa: E731
        torch.ones(len(users)),
        torch.zeros(len(users), dtype=torch.long),
        tuple(NoiseShare(kind, 0.5, 0.4, 0.6) for kind in options["kinds"]),
    )
    monkeypatch.setattr(module, "suspicion", all_noise)
    with pytest.raises(ConfigurationError, match=r"mask_from = 1e-09 .* leaves no interaction to train on"):
        clean.weigh_all()


def test_without_noise_training_is_what_it_was(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, where weights of 1 would round otherwise: NeuMF's loss is a mean over rows."""

    def none(users: Any, *_: Any, **options: Any) -> Suspicion:
        shares = tuple(NoiseShare(kind, 0.001, 0.0, 0.002) for kind in options["kinds"])
        return Suspicion(torch.zeros(len(users)), torch.zeros(len(users), dtype=torch.long), shares)

    monkeypatch.setattr(module, "suspicion", none)
    tables = []
    for model in ("NeuMF", enhance("NeuMF", Clean())):
        made = world(model, epochs=2)
        made.trainer.fit(made.train, saved=False, verbose=False)
        tables.append(made.model.state_dict()["item_mf_embedding.weight"].clone())
    assert "so every interaction counts 1" in made.model.enhancers["clean"].note()
    assert made.model.enhancers["clean"].interaction_weights() is None
    assert torch.equal(*tables)
