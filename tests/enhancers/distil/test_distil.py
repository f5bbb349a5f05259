"""`distil` on real backbones: what is compared, what is left of the other loss, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.distil.distil import Distil, seen_before
from burnish.enhancers.softmax.softmax import Softmax
from burnish.enhancers.teachers.student import who_learns
from burnish.enhancers.teachers.trained_scores import trained_scores
from burnish.enhancers.wasserstein.rvrec import RVRec
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError

RIDGE, TAU = 20.0, 0.3


def known_matrix(world: Any) -> np.ndarray:
    """`[n_users, n_items]`: who knows what, histories' first items too."""
    feat = world.train._dataset.inter_feat
    known = np.zeros((world.model.n_users, world.model.n_items)) if hasattr(world.model, "n_users") else None
    if known is None:
        known = np.zeros((world.train._dataset.user_num, world.train._dataset.item_num))
    known[feat["user_id"].numpy(), feat["item_id"].numpy()] = 1
    if "item_id_list" in feat:
        for row in range(len(feat)):
            known[int(feat["user_id"][row]), feat["item_id_list"][row].numpy()] = 1
    known[:, 0] = 0
    return known


def ease_by_hand(known: np.ndarray) -> np.ndarray:
    """Steck's equations, standardised a user over all items but padding."""
    x = known[:, 1:]
    inverse = np.linalg.inv(x.T @ x + RIDGE * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    scores = x @ weights
    spread = scores.std(1, keepdims=True)
    scores = np.divide(
        scores - scores.mean(1, keepdims=True), spread, out=np.zeros_like(scores), where=spread > 0
    )
    return np.concatenate([np.zeros((len(known), 1)), scores], axis=1)


def softmax_of(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def kl(teacher: np.ndarray, student: np.ndarray, t: float = 1.0) -> float:
    p, q = softmax_of(teacher / t), softmax_of(student / t)
    return float(t**2 * (p * np.log(p / q)).sum())


def users_batch(*users: int) -> Interaction:
    return Interaction({"user_id": torch.tensor(users)})


def stored(made: Any) -> list[np.ndarray]:
    tables = (made.model.user_embedding, made.model.item_embedding)
    return [table.weight.detach().double().numpy() for table in tables]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def rows_of(made: Any, batch: Any) -> np.ndarray:
    with made.model.enhancers.step():
        return made.model.enhancers["distil"].loss(batch)["teacher"].detach().double().numpy()


# ------------------------------------------------------------------ what is compared


@pytest.mark.parametrize("mask_known", [True, False])
@pytest.mark.parametrize("beside", [(), (Softmax(temperature=TAU),)])
@pytest.mark.parametrize("backbone", ["BPR", "LightGCN"])
def test_a_product_of_vectors(world: Any, backbone: str, beside: Any, mask_known: bool) -> None:
    distil = Distil(ridge=RIDGE, temperature=0.7, mask_known=mask_known)
    made = world(enhance(backbone, *beside, distil), embedding_size=4)
    if backbone == "BPR":
        users, items = stored(made)
    else:
        users, items = (one.detach().double().numpy() for one in made.model.forward())
    if beside and backbone == "BPR":
        users, items = unit(users), unit(items)
    scores = users @ items.T / (TAU if beside else 1)
    known = known_matrix(made)
    teacher = ease_by_hand(known)
    for user, found in zip((3, 5, 8), rows_of(made, users_batch(3, 5, 8)), strict=True):
        left = [item for item in range(1, known.shape[1]) if not (mask_known and known[user, item])]
        assert found == pytest.approx(kl(teacher[user, left], scores[user, left], 0.7), rel=2e-3)


def test_beside_rvrec_as_the_objective_it_is_what_it_is_beside_softmax(world: Any) -> None:
    """With equal spreads: the logits of both are cosines over the temperature."""
    found = []
    for objective in (Softmax(temperature=TAU), RVRec(objective=True, spread="none", temperature=TAU)):
        made = world(enhance("BPR", objective, Distil(ridge=RIDGE)), embedding_size=4)
        found.append(rows_of(made, users_batch(3, 5, 8)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_a_list_of_the_teachers_best(world: Any) -> None:
    made = world(enhance("BPR", Softmax(temperature=TAU), Distil(ridge=RIDGE, top=7)), embedding_size=4)
    users, items = (unit(rows) for rows in stored(made))
    known, t = known_matrix(made), TAU
    teacher = ease_by_hand(known)
    for user, found in zip((3, 5), rows_of(made, users_batch(3, 5)), strict=True):
        left = np.array([item for item in range(1, known.shape[1]) if not known[user, item]])
        best = left[np.argsort(-teacher[user, left])[:7]]
        logits = users[user] @ items.T / t
        p = softmax_of(teacher[user, best])
        log_q = logits[best] - math.log(np.exp(logits[left]).sum())
        assert found == pytest.approx((p * (np.log(p) - log_q)).sum(), rel=2e-3)


def test_a_list_of_everything_is_no_cut(world: Any) -> None:
    one, other = (
        world(enhance("BPR", Distil(ridge=RIDGE, top=top)), embedding_size=4) for top in (None, 10_000)
    )
    np.testing.assert_allclose(
        rows_of(one, users_batch(3, 5, 8)), rows_of(other, users_batch(3, 5, 8)), rtol=1e-3, atol=2e-6
    )


@pytest.mark.parametrize("beside", [(), (Softmax(temperature=TAU),)])
def test_histories(world: Any, beside: Any) -> None:
    """Of a row its history's state, against what the teacher has for the row's user."""
    made = world(enhance("SASRec", *beside, Distil(ridge=RIDGE)))
    made.model.eval()
    batch = next(iter(made.train))[torch.arange(5)]
    states = made.model.forward(batch["item_id_list"], batch["item_length"]).detach().double().numpy()
    items = made.model.item_embedding.weight.detach().double().numpy()
    if beside:
        states, items = unit(states), unit(items)
    known = known_matrix(made)
    teacher = ease_by_hand(known)
    for row, found in enumerate(rows_of(made, batch)):
        user = int(batch["user_id"][row])
        left = [item for item in range(1, known.shape[1]) if not known[user, item]]
        scores = states[row] @ items[left].T / (TAU if beside else 1)
        assert found == pytest.approx(kl(teacher[user, left], scores), rel=2e-3)


def test_scored_pairs(world: Any) -> None:
    made = world(enhance("NeuMF", Distil(ridge=RIDGE, top=6, drawn=4)))
    made.model.eval()
    distil, batch = made.model.enhancers["distil"], next(iter(made.train))[torch.arange(5)]
    known = known_matrix(made)
    teacher = ease_by_hand(known)
    found = rows_of(made, batch)
    made.model.enhancers.state.step = 0  # the same step draws the same items
    drawn = torch.randint(1, known.shape[1], (5, 4), generator=distil.student.generator()).numpy()
    for row in range(5):
        user = int(batch["user_id"][row])
        left = np.array([item for item in range(1, known.shape[1]) if not known[user, item]])
        best = left[np.argsort(-teacher[user, left])[:6]]
        items = np.array(list(dict.fromkeys([*best, *(j for j in drawn[row] if j in left)])))
        pairs = {"user_id": torch.full((len(items),), user), "item_id": torch.tensor(items)}
        logits = torch.logit(made.model.predict(Interaction(pairs)).double()).detach().numpy()
        assert found[row] == pytest.approx(kl(teacher[user, items], logits), rel=5e-3)


def test_seen_before() -> None:
    found = seen_before(torch.tensor([[4, 2, 4, 4], [1, 2, 3, 1]]))
    assert found.tolist() == [[False, False, True, True], [False, False, False, True]]
    items = torch.randint(1, 9, (7, 13), generator=torch.Generator().manual_seed(1))
    assert seen_before(items).tolist() == [
        [item in row[:n] for n, item in enumerate(row)] for row in items.tolist()
    ]
    assert seen_before(torch.arange(1, 40_001).unsqueeze(0)).sum() == 0  # 40,000 by 40,000 would be 1.6 GB


def test_mixtures_are_of_standardised_scores(world: Any) -> None:
    made = world(enhance("BPR", Distil(teachers={"ease": 3, "itemknn": None}, ridge=RIDGE)), embedding_size=4)
    distil = made.model.enhancers["distil"]
    users = torch.tensor([3, 9])
    parts = [distil._teachers.of(name, RIDGE).rows(users) for name in ("ease", "itemknn")]
    torch.testing.assert_close(
        distil._rows.of(users), 0.75 * parts[0] + 0.25 * parts[1], atol=1e-5, rtol=1e-4
    )
    assert "learns from 0.75 ease + 0.25 itemknn, over all items" in str(burnish.status(made.model))


def test_what_does_not_fit_is_computed_a_step_at_a_time(world: Any) -> None:
    whole = world(enhance("BPR", Distil(ridge=RIDGE)), embedding_size=4)
    wanted = rows_of(whole, users_batch(3, 5, 8))
    assert whole.model.enhancers["distil"]._rows._dense is not None
    for top in (None, 10_000):
        made = world(enhance("BPR", Distil(ridge=RIDGE, top=top)), embedding_size=4)
        rows = made.model.enhancers["distil"]._rows
        rows.budget_bytes = 1
        np.testing.assert_allclose(rows_of(made, users_batch(3, 5, 8)), wanted, rtol=1e-3, atol=2e-6)
        assert rows._dense is None
        assert not rows._lists


# ------------------------------------------------------------------ what is left of the other loss


def in_training(made: Any) -> float:
    with made.model.enhancers.training_epoch(made.train, 0) as batches:
        return float(made.model.calculate_loss(next(iter(batches))))


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "NeuMF", "SASRec"])
def test_the_backbones_own_loss_counts_by_the_rest_of_one(world: Any, backbone: str) -> None:
    plain = world(backbone, hidden_dropout_prob=0.0, attn_dropout_prob=0.0, dropout_prob=0.0)
    batch = next(iter(plain.train))
    own = float(plain.model.calculate_loss(batch))
    rest = 0.0
    if backbone == "LightGCN":  # its regularisation belongs to no interaction
        model = plain.model
        items = [model.item_embedding(batch[field]) for field in ("item_id", "neg_item_id")]
        parts = (model.user_embedding(batch["user_id"]), *items)
        rest = float(model.reg_weight * model.reg_loss(*parts, require_pow=model.require_pow))
    made = world(
        enhance(backbone, Distil(share=0.25)),
        hidden_dropout_prob=0.0,
        attn_dropout_prob=0.0,
        dropout_prob=0.0,
    )
    given = float(made.model.calculate_loss(batch))
    made.model.enhancers.state.step = 0
    teacher = float(rows_of(made, batch).mean())
    assert given == pytest.approx(0.75 * (own - rest) + rest + 0.25 * teacher, rel=1e-4)


def test_an_objective_counts_by_the_rest_of_one(world: Any) -> None:
    alone = world(enhance("BPR", Softmax(temperature=TAU)), embedding_size=4)
    objective = in_training(alone)
    for share in (0.25, 1.0):
        made = world(enhance("BPR", Softmax(temperature=TAU), Distil(share=share)), embedding_size=4)
        given = in_training(made)
        made.model.enhancers.state.step = 0
        with made.model.enhancers.training_epoch(made.train, 0) as batches:
            teacher = float(rows_of(made, next(iter(batches))).mean())
        assert given == pytest.approx((1 - share) * objective + share * teacher, rel=1e-4)


def test_what_an_objective_keeps_of_the_own_loss_is_scaled_alike(world: Any) -> None:
    options = {"temperature": TAU, "own_loss": 0.5, "rows": "interactions"}
    one = world(enhance("BPR", Softmax(**options)), embedding_size=4)
    batch = next(iter(one.train))
    without = float(one.model.calculate_loss(batch))
    made = world(enhance("BPR", Softmax(**options), Distil(share=0.25)), embedding_size=4)
    given = float(made.model.calculate_loss(batch))
    made.model.enhancers.state.step = 0
    teacher = float(rows_of(made, batch).mean())
    assert given == pytest.approx(0.75 * without + 0.25 * teacher, rel=1e-4)


def test_a_loss_that_cannot_be_told_apart_is_scaled_as_a_whole(world: Any, caplog) -> None:
    plain = world("ENMF", train_neg_sample_args=None, dropout_prob=0.0)
    batch = next(iter(plain.train))
    own = float(plain.model.calculate_loss(batch))
    made = world(enhance("ENMF", Distil(share=0.25)), train_neg_sample_args=None, dropout_prob=0.0)
    given = float(made.model.calculate_loss(batch))
    made.model.enhancers.state.step = 0
    teacher = float(rows_of(made, batch).mean())
    assert given == pytest.approx(0.75 * own + 0.25 * teacher, rel=1e-3)


def test_early_or_late(world: Any) -> None:
    made = world(enhance("BPR", Distil(epochs=(2, 3), share=0.4)), embedding_size=4)
    distil, seen = made.model.enhancers["distil"], []
    for epoch in range(4):
        made.model.begin_epoch(epoch)
        seen.append((distil.loss_weight, distil.objective_share()))
    assert seen == [(0.0, 1.0), (0.4, 0.6), (0.4, 0.6), (0.0, 1.0)]


def test_the_backbone_draws_what_it_drew(world: Any) -> None:
    for backbone in ("BPR", "NeuMF", "SASRec"):
        states = []
        for model in (backbone, enhance(backbone, Distil())):
            made = world(model)
            torch.manual_seed(0)
            np.random.seed(0)
            made.model.calculate_loss(next(iter(made.train)))
            states.append((torch.get_rng_state(), np.random.get_state()[1].tolist()))
        assert torch.equal(states[0][0], states[1][0])
        assert states[0][1] == states[1][1]


# ------------------------------------------------------------------ who learns


def test_users_without_items_and_with_all_items_learn_nothing(world: Any) -> None:
    made = world(enhance("BPR", Distil()), embedding_size=4)
    distil, n = made.model.enhancers["distil"], made.model.n_items
    everything = torch.arange(1, n)
    users = torch.cat([torch.full((n - 1,), 2), torch.tensor([3, 3])])
    items = torch.cat([everything, torch.tensor([5, 5])])
    assert who_learns("distil", users, items, (6, n), mask_known=True).tolist() == [3]
    assert who_learns("distil", users, items, (6, n), mask_known=False).tolist() == [2, 3]
    with pytest.raises(DataError, match="every user of the training data knows every item"):
        who_learns("distil", torch.full((n - 1,), 2), everything, (6, n), mask_known=True)
    distil.student.known._table[2, 1:] = True
    assert rows_of(made, users_batch(2))[0] == 0
    drawn, _ = distil.student.step(Interaction({"user_id": torch.tensor([1]), "item_id": torch.tensor([1])}))
    assert len(set(drawn.tolist())) == min(64, len(distil.student.learning))


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"temperature": 0}, "temperature = 0"),
        ({"temperature": -1.0}, "temperature = -1"),
        ({"temperature": math.inf}, "temperature = inf"),
        ({"share": 1.5}, r"share = 1\.5"),
        ({"share": -0.1}, r"share = -0\.1"),
        ({"ridge": 0}, "ridge = 0"),
        ({"top": 0}, "top = 0"),
        ({"teachers": {}}, "give one at least"),
        ({"teachers": {"ease": 0}}, "all weights of all teachers are 0"),
        ({"teachers": {"ease": -1}}, "weight of ease = -1"),
        ({"epochs": [3, 2]}, "the first and the last one"),
        ({"epochs": [0, 2]}, "the first and the last one"),
        ({"teacher_options": {"ease": {}}}, "ease is computed"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        Distil(**options)


def test_options_without_effect(world: Any) -> None:
    with pytest.warns(UserWarning, match="ridge = 5.0 has no effect without the teacher ease"):
        Distil(teachers="itemknn", ridge=5)
    with pytest.warns(UserWarning, match="drawn = 3 has no effect on BPR, which scores by a product"):
        world(enhance("BPR", Distil(drawn=3)))


RATED: dict[str, Any] = {
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    "LABEL_FIELD": "rating",
    "normalize_all": False,
}


def losses_of_limits(world: Any, backbone: str, mask_known: bool) -> set[float]:
    """The loss of a first batch, by what counts as positive; of a teacher that is trained."""
    losses = set()
    for limit in (2.0, 5.0):
        recipe = Distil(teachers="plain", share=1.0, mask_known=mask_known, positive_from=limit, users=9)
        made = world(enhance(backbone, recipe), **RATED)
        teacher = world(backbone, **RATED)
        with torch.no_grad():
            for parameter in teacher.model.parameters():
                parameter.mul_(30)
        one = SimpleNamespace(
            model=teacher.model,
            config=teacher.config,
            seconds=None,
            splits=SimpleNamespace(training=teacher.train._dataset),
        )
        made.model.enhancers["distil"].take_teachers({"plain": one})
        torch.manual_seed(0)
        losses.add(float(made.model.calculate_loss(next(iter(made.train)))))
    return losses


@pytest.mark.parametrize(("backbone", "mask_known"), [("BPR", True), ("BPR", False), ("NeuMF", True)])
def test_what_is_positive_counts_with_teachers_that_are_trained(
    world: Any, backbone: str, mask_known: bool, recwarn
) -> None:
    """It says which items users know, and who learns."""
    assert len(losses_of_limits(world, backbone, mask_known)) == 2
    assert not [one for one in recwarn if "positive_from" in str(one.message)]


def test_what_is_positive_where_it_does_not_count(world: Any) -> None:
    with pytest.warns(UserWarning, match=r"positive_from = 5.0 has no effect with mask_known: false"):
        assert len(losses_of_limits(world, "NeuMF", mask_known=False)) == 1


def test_a_catalogue_that_does_not_fit(world: Any) -> None:
    with pytest.raises(
        UnsupportedError, match=r"users = 9000 users .* budget_mib is 3; give fewer users, cut"
    ):
        world(enhance("BPR", Distil(users=9000, budget_mib=3)))


def test_a_step_is_as_large_as_the_batches_of_users_beside(world: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"users = 9000 users .* budget_mib is 3"):
        world(enhance("BPR", Softmax(users=9000), Distil(budget_mib=3)))
    with pytest.warns(UserWarning, match=r"users = 9000 has no effect beside softmax, .* of 64 users"):
        world(enhance("BPR", Softmax(), Distil(users=9000, budget_mib=3)))


def test_beside_what_tries_candidates(world: Any) -> None:
    with pytest.raises(ConfigurationError, match="'distil' beside it would have no effect"):
        world(enhance("BPR", "compress", Distil()))


def run(
    small: dict[str, Any], block: Any, folder: Path | None = None, *, model: str = "BPR", **more: Any
) -> Any:
    given = {"epochs": 3, "learning_rate": 0.02, "seed": 3}
    return burnish.run(
        model, "tiny", enhancers=block, config={**small, **given, **more}, folder=folder, show_progress=False
    )


def test_teachers_are_runs_by_name_or_folder(small, tmp_path: Path) -> None:
    named = run(
        small, {"softmax": {}, "distil": {"teachers": {"ease": None, "softmax+average": 2}}}, tmp_path / "out"
    )
    assert named.seconds["teacher softmax+average"] > 0
    run(small, {"softmax": {}, "average": {}}, tmp_path / "taught")
    by_folder = {"ease": None, str(tmp_path / "taught"): 2}
    other = run(small, {"softmax": {}, "distil": {"teachers": by_folder}})
    assert torch.equal(named.model.item_embedding.weight, other.model.item_embedding.weight)
    assert named.valid_result != run(small, {"softmax": {}, "distil": {}}).valid_result
    baked = burnish.bake(named.model)
    assert type(baked).__name__ == "BPR"


def test_an_interrupted_run_goes_on(small, tmp_path: Path, monkeypatch) -> None:
    block = {"softmax": {}, "distil": {"teachers": "ease,softmax"}}
    whole = run(small, block, tmp_path / "whole")
    tell = burnish.training.stages.Run._tell

    def interrupt(one: Any, epoch: Any) -> None:
        tell(one, epoch)
        if epoch.number == 2 and "distil" in one.model.enhancers.attached:
            raise KeyboardInterrupt

    monkeypatch.setattr(burnish.training.stages.Run, "_tell", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(small, block, tmp_path / "out")
    monkeypatch.setattr(burnish.training.stages.Run, "_tell", tell)
    again = burnish.run(resume=tmp_path / "out", show_progress=False)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_teachers_that_are_refused(small, tmp_path: Path) -> None:
    run(small, {"softmax": {}}, tmp_path / "soft", seed=4)
    with pytest.raises(DataError, match=r"teacher '.*soft': it was trained on another split of 'tiny'"):
        run(small, {"distil": {"teachers": str(tmp_path / "soft")}})
    with pytest.raises(UnknownNameError, match=r"teacher 'eas' is not known\. Did you mean 'ease'"):
        run(small, {"distil": {"teachers": "eas"}})
    timed = {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
        "train_neg_sample_args": None,
    }
    with pytest.raises(UnsupportedError, match="which RecBole trains on other rows than SASRec"):
        run(small, {"distil": {"teachers": "EASE"}}, model="SASRec", **timed)


def test_a_teacher_with_scores_that_are_not_finite(world: Any) -> None:
    made = world("BPR")
    with torch.no_grad():
        made.model.item_embedding.weight[4] = math.nan
    with pytest.raises((DataError, ArithmeticError), match="NaN"):
        trained_scores(made.model, made.train._dataset, made.config, name="the run", budget_bytes=2**30)


def test_other_test_rows_change_nothing(small, tmp_path: Path) -> None:
    rows = [(user, (user * 7 + step * step) % 25, step) for user in range(30) for step in range(12)]

    def write(place: Path, shift: int) -> dict[str, Any]:
        folder = place / "tiny"
        folder.mkdir(parents=True)
        for part, steps in {"train": range(8), "valid": range(8, 10), "test": range(10, 12)}.items():
            move = 0 if part == "train" else shift
            lines = [f"u{u}\ti{(i + move) % 25}\t{t}" for u, i, t in rows if t in steps]
            text = "user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(lines) + "\n"
            (folder / f"tiny.{part}.inter").write_text(text)
        return {
            **small,
            "data_path": str(place),
            "benchmark_filename": ["train", "valid", "test"],
            "epochs": 2,
        }

    tables = []
    for shift in (0, 3):
        options = write(tmp_path / str(shift), shift)
        seen: list[torch.Tensor] = []
        config = {**options, "epochs": 2, "seed": 3, "learning_rate": 0.02, "eval_step": 0}
        result = burnish.run(
            "BPR", "tiny", enhancers={"softmax": {}, "distil": {}}, config=config, show_progress=False
        )
        seen.append(result.model.item_embedding.weight.detach())
        tables.append(seen[0])
    assert torch.equal(*tables)
