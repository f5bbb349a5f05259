"""The enhancer `compress`: what it writes, what validation chooses, where it is refused, what is kept."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import burnish
from burnish.enhancers.compress.compress import Compress
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError
from burnish.training import stages


def standardised(scores: np.ndarray) -> np.ndarray:
    real = scores[:, 1:]
    deviation = real.std(1, keepdims=True)
    scores = (scores - real.mean(1, keepdims=True)) / np.where(deviation > 1e-12, deviation, np.inf)
    scores[0], scores[:, 0] = 0, 0
    return scores


def by_numpy(
    made: Any, ridge: float, rank: int, width: int, *, cosine_share: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Tables by dense matrices in float64: EASE, standardised a user, cut by a full decomposition.

    cosine_share: of ItemKNN with as many neighbours as items, in place of EASE's.
    """
    feat = made.train._dataset.inter_feat
    known = np.zeros((made.model.n_users, made.model.n_items))
    known[feat["user_id"].numpy(), feat["item_id"].numpy()] = 1
    inverse = np.linalg.inv(known.T @ known + ridge * np.eye(known.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    together, counts = known.T @ known, known.sum(0)
    cosines = together / (np.sqrt(np.outer(counts, counts)) + 1e-6)
    np.fill_diagonal(cosines, 0)
    scores = (1 - cosine_share) * standardised(known @ weights) + cosine_share * standardised(known @ cosines)
    left, values, right = np.linalg.svd(scores, full_matrices=False)
    users, items = np.zeros((len(scores), width)), np.zeros((scores.shape[1], width))
    users[:, :rank] = left[:, :rank] * np.sqrt(values[:rank])
    items[:, :rank] = right[:rank].T * np.sqrt(values[:rank])
    return users, items


def test_tables_are_those_of_dense_algebra(world):
    made = world(burnish.enhance("BPR", Compress(teachers="ease", mix=1, ridge=(250, 20), ranks=(3, 8))))
    enhancer = made.model.enhancers["compress"]
    assert enhancer.candidates() == [
        f"1 ease (ridge {ridge}), rank {rank}" for ridge in (250, 20) for rank in (3, 8)
    ]
    for number, (ridge, rank) in enumerate([(250, 3), (250, 8), (20, 3), (20, 8)]):
        enhancer.try_candidate(number)
        assert int(enhancer.chosen) == number
        users, items = by_numpy(made, ridge, rank, 8)
        rows = made.model.user_embedding.weight.detach(), made.model.item_embedding.weight.detach()
        np.testing.assert_allclose(rows[0] @ rows[1].T, users @ items.T, atol=2e-2)
        assert not rows[0][0].any()
        assert not rows[1][0].any()
        assert not rows[1][:, rank:].any()


def test_shares_are_those_of_the_scores(world):
    shares = {"ease": 3, "itemknn": 1}
    made = world(burnish.enhance("BPR", Compress(teachers=shares, ridge=250, neighbours=10_000, ranks=8)))
    enhancer = made.model.enhancers["compress"]
    assert enhancer.candidates() == ["0.75 ease (ridge 250) + 0.25 itemknn, rank 8"]
    enhancer.try_candidate(0)
    users, items = by_numpy(made, 250, 8, 8, cosine_share=0.25)
    rows = made.model.user_embedding.weight.detach(), made.model.item_embedding.weight.detach()
    np.testing.assert_allclose(rows[0] @ rows[1].T, users @ items.T, atol=2e-2)
    assert not enhancer._teachers._tables  # what was computed is dropped after the last candidate
    assert not {"known", "gram"} & set(vars(enhancer._teachers))


def test_rows_held_out_are_not_looked_at(world):
    made = world(burnish.enhance("BPR", Compress()))
    enhancer = made.model.enhancers["compress"]
    enhancer.try_candidate(3)
    before = made.model.item_embedding.weight.clone()
    for loader in (made.valid, made.test):
        held_out = loader._dataset.inter_feat
        held_out.interaction["item_id"] = torch.ones_like(held_out["item_id"])
    enhancer._teachers.forget()
    enhancer.try_candidate(3)
    assert torch.equal(before, made.model.item_embedding.weight)


def test_the_defaults_try_ease_alone_and_with_item_knn(world):
    made = world(burnish.enhance("BPR", "compress"), embedding_size=32)
    plan = made.model.enhancers["compress"].candidates()
    assert len(plan) == len(set(plan)) == 6 * 2 * 5
    assert plan[0] == "1 ease (ridge 25), rank 8"
    assert plan[9] == "0.75 ease (ridge 25) + 0.25 itemknn, rank 32"
    assert {one.rpartition(" ")[2] for one in plan} == {"8", "12", "16", "24", "32"}


def test_one_line_on_ml_100k(tmp_path):
    options = {"embedding_size": 64, "show_progress": False, "epochs": 1, "stopping_step": 0}
    block = {"compress": {"ridge": 250}}
    result = burnish.run("BPR", "ml-100k", enhancers=block, config=options, seed=1, folder=tmp_path)
    assert result.n_epochs == 10
    assert result.test_result["ndcg@10"] > 0.32  # trained plainly: .28
    enhancer = result.model.enhancers["compress"]
    assert int(enhancer.chosen) == result.best_epoch - 1  # the best one's tables are those of the model
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    told = [line.partition("candidate ")[2] for line in log.splitlines() if "candidate " in line]
    assert told == [f"{k + 1} of 10: {one}" for k, one in enumerate(enhancer.candidates())]
    shown = str(burnish.status(result.model))
    held = enhancer.candidates()[int(enhancer.chosen)]
    said = f"holds candidate {result.best_epoch} of 10, chosen by validation: {held}"
    assert f"{said}. EASE is computed in full, in float64." in shown
    assert "candidates" in shown


BLOCK: dict[str, Any] = {"compress": {"ridge": (1, 10), "neighbours": 5}}


def test_a_ridge_at_the_edge_is_said(world):
    made = world(burnish.enhance("BPR", Compress(teachers="ease", mix=1, ridge=(1, 2, 3), ranks=4)))
    enhancer = made.model.enhancers["compress"]
    for number, said in enumerate(["(no lower ridge was tried)", "", "(no higher ridge was tried)"]):
        enhancer.chosen.fill_(number)
        assert f"(ridge {number + 1}), rank 4 {said}".rstrip() + ". EASE" in enhancer.note()


def test_a_rank_at_the_edge_is_said_unless_it_is_all_of_the_width(world):
    made = world(
        burnish.enhance("BPR", Compress(teachers="ease", mix=1, ridge=9, ranks=(4, 8, 12))), embedding_size=32
    )
    enhancer = made.model.enhancers["compress"]
    assert [enhancer.edges(number) for number in range(3)] == [
        ["no lower rank was tried"],
        [],
        ["no higher rank was tried"],
    ]
    made = world(
        burnish.enhance("BPR", Compress(teachers="ease", mix=1, ridge=9)), embedding_size=32
    )  # ranks up to the width
    assert made.model.enhancers["compress"].edges(4) == []


class TestRuns:
    """On a data set of 40 users."""

    def test_a_finished_run_is_read_and_baked(self, small, tmp_path):
        result = burnish.run("BPR", "tiny", enhancers=BLOCK, config=small, folder=tmp_path / "run", seed=3)
        assert result.n_epochs == 2 * 2 * 5
        read = burnish.load_run(tmp_path / "run")
        enhancer = read.model.enhancers["compress"]
        assert int(enhancer.chosen) == result.best_epoch - 1
        edges = [f"compress: {one}" for one in enhancer.edges(result.best_epoch - 1)]
        assert result.edges == edges  # of ridges 1 and 10 each is one
        assert any("ridge was tried" in one for one in edges)
        assert result.summary()["edges"] == edges
        for name, value in result.model.state_dict().items():
            assert torch.equal(value, read.model.state_dict()[name])
        plain = burnish.bake(read.model)
        assert "enhancers" not in dict(plain.named_children())
        assert torch.equal(plain.item_embedding.weight, result.model.item_embedding.weight)

    def test_interrupted_and_resumed(self, small, tmp_path, monkeypatch):
        whole = burnish.run("BPR", "tiny", enhancers=BLOCK, config=small, folder=tmp_path / "whole", seed=3)
        tell = stages.Run._tell

        def interrupt(run: Any, epoch: Any) -> None:
            tell(run, epoch)
            if epoch.number == 7 and epoch.valid_score is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(stages.Run, "_tell", interrupt)
        with pytest.raises(KeyboardInterrupt):
            burnish.run(
                "BPR",
                "tiny",
                enhancers=BLOCK,
                config=small,
                folder=tmp_path / "cut",
                seed=3,
                save_every=1,
            )
        monkeypatch.setattr(stages.Run, "_tell", tell)
        resumed = burnish.run(resume=tmp_path / "cut")
        assert (resumed.best_epoch, resumed.n_epochs) == (whole.best_epoch, whole.n_epochs)
        assert resumed.test_result == whole.test_result
        for name, value in whole.model.state_dict().items():
            assert torch.equal(value, resumed.model.state_dict()[name]), name

    def test_the_seed_is_the_runs_unless_given(self, small):
        def tables(**options: Any) -> torch.Tensor:
            block = {"compress": {"teachers": "itemknn", "mix": 1, "neighbours": 5, **options}}
            return burnish.run(
                "BPR", "tiny", enhancers=block, config=small, seed=3
            ).model.item_embedding.weight

        assert torch.equal(tables(), tables(seed=3))
        assert not torch.equal(tables(), tables(seed=4))

    def test_a_small_budget_takes_the_low_rank_form(self, small, write_interactions, tmp_path):
        rows = [
            (f"u{user}", f"i{(7 * user + 13 * step) % 700}", step) for user in range(60) for step in range(14)
        ]
        write_interactions(tmp_path, "wide", rows)
        options = {**small, "data_path": str(tmp_path)}
        block = {"compress": {"teachers": "ease", "mix": 1, "ridge": 5, "ranks": 4, "budget_mib": 1}}
        result = burnish.run("BPR", "wide", enhancers=block, config=options, seed=3)
        assert "EASE is computed by 128 factors of the items' Gram matrix" in str(
            burnish.status(result.model)
        )
        assert torch.isfinite(result.model.item_embedding.weight).all()


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        ("NeuMF", "the score of NeuMF is no such product"),
        (
            "LightGCN",
            "LightGCN scores by rows that it propagates along its graph; the same tables without a graph",
        ),
        ("SASRec", "a user of SASRec is what their history says"),
    ],
)
def test_backbones_without_a_product_of_tables_are_refused(backbone, reason, world):
    with pytest.raises(UnsupportedError, match=reason):
        world(burnish.enhance(backbone, "compress"))


def test_predictors_of_ratings_are_refused(world):
    rated = {"metrics": ["RMSE"], "valid_metric": "RMSE"}
    rated["eval_args"] = {
        "split": {"RS": [0.8, 0.1, 0.1]},
        "order": "RO",
        "group_by": "user",
        "mode": "labeled",
    }
    with pytest.raises(UnsupportedError, match="valid_metric = RMSE measures values"):
        world(burnish.enhance("BPR", "compress"), **rated)


class TestOptions:
    """What can be asked for."""

    def test_mixtures_are_shares_each_once(self):
        config = Compress.configure({"teachers": ["ease", "out"]})
        assert config.mixtures() == [
            {"out": 1.0},
            {"ease": 1.0},
            {"ease": 0.5, "out": 0.5},
            {"ease": pytest.approx(1 / 3), "out": pytest.approx(2 / 3)},
            {"ease": pytest.approx(2 / 3), "out": pytest.approx(1 / 3)},
        ]
        config = Compress.configure({"teachers": {"ease": 2, "itemknn": [0, 2, 6]}})
        assert config.mixtures() == [
            {"ease": 1.0},
            {"ease": 0.5, "itemknn": 0.5},
            {"ease": 0.25, "itemknn": 0.75},
        ]
        assert config.runs == ()
        assert Compress.configure({"teachers": "ease, runs/a"}).runs == ("runs/a",)

    def test_a_mixture_without_ease_is_tried_once_for_all_ridges(self, world):
        made = world(
            burnish.enhance("BPR", Compress(teachers=("ease", "itemknn"), mix=(0, 1), ridge=(1, 2), ranks=4))
        )
        assert made.model.enhancers["compress"].candidates() == [
            *(
                f"{one}, rank 4"
                for ridge in (1, 2)
                for one in (f"1 ease (ridge {ridge})", f"0.5 ease (ridge {ridge}) + 0.5 itemknn")
            ),
            "1 itemknn, rank 4",
        ]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"teacher": "ease"}, "Did you mean 'teachers'"),
            ({"ridge": 0}, "ridge = .*give numbers above 0"),
            ({"ridge": []}, "give one at least"),
            ({"ranks": [0]}, "give numbers above 0"),
            ({"mix": [-1]}, r"weights of mix = \[-1.0\]: give one at least, of 0 or more each"),
            ({"teachers": {"ease": []}}, r"weights of ease = \[\]: give one at least"),
            ({"teachers": {}}, "teachers: give one at least"),
            ({"teachers": {"ease": 0}}, "all weights of all teachers are 0"),
            ({"teachers": {"ease": float("inf")}}, "of 0 or more each"),
            ({"neighbours": 0}, "neighbours"),
            ({"budget_mib": 0}, "budget_mib"),
            ({"seed": 2**63}, "seed"),
            ({"mix": "x"}, "mix = 'x': give a list"),
        ],
    )
    def test_what_cannot_be_used_is_said(self, options, said):
        with pytest.raises((ConfigurationError, UnknownNameError), match=said):
            Compress(**options)

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"teachers": "itemknn", "ridge": 3}, "ridge"),
            ({"teachers": "ease", "neighbours": 3}, "neighbours"),
            ({"mix": 1}, "mix"),
            ({"teachers": "out", "positive_from": 4, "newcomers": "own"}, "positive_from"),
        ],
    )
    def test_options_without_effect_are_said(self, options, name):
        with pytest.warns(UserWarning, match=f"{name} = .* has no effect"):
            Compress(**options)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Compress()

    def test_who_is_new_follows_from_what_is_positive(self, recwarn):
        Compress(teachers="out", positive_from=4)
        assert not [one for one in recwarn if "no effect" in str(one.message)]

    def test_ranks_above_the_width(self, world):
        with pytest.raises(ConfigurationError, match=r"the tables of BPR are 8 wide; give ranks up to 8"):
            world(burnish.enhance("BPR", Compress(ranks=(4, 9))))
