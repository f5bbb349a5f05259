"""`paths` on real backbones: its losses against a float64 loop, who learns, what serves, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.paths.graph import RATED
from burnish.enhancers.paths.learned_paths import permuted
from burnish.enhancers.paths.lists import Pairs
from burnish.enhancers.paths.path_model import PathModel
from burnish.enhancers.paths.paths import Paths
from burnish.enhancers.paths.reasons import reasons_for
from burnish.enhancers.softmax.softmax import Softmax
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError

ALIKE = "user -rated-> item <-rated- user -rated-> item"
GENRE = "user -rated-> item -class-> class <-class- item"
JOB = "user -occupation-> occupation <-occupation- user -rated-> item"
KINDS = (ALIKE, GENRE, JOB)
TAU = 0.3


def made_with(world: Any, backbone: str = "BPR", *beside: Any, **options: Any) -> SimpleNamespace:
    given = {"metapaths": KINDS, "rate": 1.0, **options}
    made: SimpleNamespace = world(enhance(backbone, *beside, Paths(**given)), embedding_size=4)
    paths = made.model.enhancers["paths"]
    with torch.no_grad():  # weights that differ
        for number, parameter in enumerate(paths.model.parameters()):
            parameter.normal_(generator=torch.Generator().manual_seed(number))
    made.paths = paths
    return made


def users_batch(*users: int) -> Interaction:
    return Interaction({"user_id": torch.tensor(users)})


@pytest.fixture
def world(recbole_world: Any) -> Any:
    return recbole_world


def losses_of(made: SimpleNamespace, batch: Any) -> dict[str, torch.Tensor]:
    with made.model.enhancers.step():
        found: dict[str, torch.Tensor] = made.paths.loss(batch)
    return found


def distribution(paths: Paths, user: int, hidden: Any = ()) -> np.ndarray:
    """The path model's, by matrices of every relation in float64."""
    model, graph = paths.model, paths.model.graph
    total = np.zeros(graph.counts["item"])
    for share, path in zip(model.shares().detach().double().numpy(), model.metapaths, strict=True):
        state = np.zeros(graph.counts["user"])
        state[user] = 1.0
        for number, step in enumerate(path.steps):
            relation = graph.relation(step.relation)
            weights = np.zeros((graph.counts[relation.source], graph.counts[relation.target]))
            theta = model.theta[model._parameter[step]].detach().double().numpy()
            weights[relation.sources, relation.targets] = np.log1p(np.exp(theta))
            weights = weights.T if step.inverse else weights
            sums = weights.sum(1, keepdims=True)
            state = state @ np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
            if number == 0 and path.types[1] == "item":
                state[list(hidden)] = 0.0
            if path.types[number + 1] == "user" and not model.returns:
                state[user] = 0.0
        state[1:] += 1e-10
        total += share * state / state.sum()
    return total


def known_items(made: SimpleNamespace, user: int) -> set[int]:
    feat = made.train._dataset.inter_feat
    return set(feat["item_id"][feat["user_id"] == user].tolist())


def hidden_items(made: SimpleNamespace, hide: float, *users: int) -> list[set[int]]:
    """What a step hides: drawn over what its users know, user by user in the order of ids."""
    known = [sorted(known_items(made, user)) for user in users]
    generator = torch.Generator().manual_seed(made.paths.student.step_seed)
    drawn = iter((torch.rand(sum(map(len, known)), generator=generator) < hide).tolist())
    return [{item for item in items if next(drawn)} for items in known]


def unit(rows: torch.Tensor) -> np.ndarray:
    found: np.ndarray = torch.nn.functional.normalize(rows.detach().double(), dim=1).numpy()
    return found


# ------------------------------------------------------------------ losses


def test_one_walk_may_serve_both(world: Any) -> None:
    made = made_with(world, "BPR", Softmax(temperature=TAU), again=False, hide=0.4)
    users, items = unit(made.model.user_embedding.weight), unit(made.model.item_embedding.weight)
    known = known_items(made, 3)
    hidden = hidden_items(made, 0.4, 3)[0]
    left = np.array([item for item in range(1, len(items)) if item not in known])
    p = distribution(made.paths, 3, hidden)[left]
    p = p / p.sum()
    scores = users[3] @ items[left].T / TAU
    wanted = (p * (np.log(p) - scores + np.log(np.exp(scores).sum()))).sum()
    losses = losses_of(made, users_batch(3))
    assert losses["agree"].tolist() == [pytest.approx(wanted, rel=1e-4)]
    losses["agree"].sum().backward()
    assert made.paths.model.mixing.grad is not None


@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("mask_known", [True, False])
def test_the_divergence_from_paths_to_backbone(world: Any, mask_known: bool, returns: bool) -> None:
    made = made_with(
        world, "BPR", Softmax(temperature=TAU), mask_known=mask_known, returns=returns, agree=0.5
    )
    users, items = unit(made.model.user_embedding.weight), unit(made.model.item_embedding.weight)
    for user, found in zip((3, 5), losses_of(made, users_batch(3, 5))["agree"].tolist(), strict=True):
        known = known_items(made, user)
        left = np.array([item for item in range(1, len(items)) if not (mask_known and item in known)])
        p = distribution(made.paths, user)[left]
        p = p / p.sum()
        scores = users[user] @ items[left].T / TAU
        log_q = scores - np.log(np.exp(scores).sum())
        assert found == pytest.approx(0.5 * (p * (np.log(p) - log_q)).sum(), rel=1e-4)


def test_the_fit_as_in_the_paper(world: Any) -> None:
    made = made_with(world, hide=0.0, returns=True, mask_known=False, fit=2.0)
    for user, found in zip((3, 5), losses_of(made, users_batch(3, 5))["fit"].tolist(), strict=True):
        p = distribution(made.paths, user)[sorted(known_items(made, user))]
        assert found == pytest.approx(-2.0 * np.log(p).mean(), rel=1e-4)


def test_hidden_items_are_asked_for_from_the_others(world: Any) -> None:
    made = made_with(world, hide=0.4)
    batch = users_batch(3, 5)
    made.model.enhancers.state.step = 7
    each = hidden_items(made, 0.4, 3, 5)
    for user, hidden, found in zip((3, 5), each, losses_of(made, batch)["fit"].tolist(), strict=True):
        known = known_items(made, user)
        assert hidden
        assert hidden < known
        p = distribution(made.paths, user, hidden)
        p[sorted(known - hidden)] = 0.0
        p /= p.sum()
        assert found == pytest.approx(-np.log(p[sorted(hidden)]).mean(), rel=1e-4)


def test_a_list_of_everything_is_no_cut(world: Any) -> None:
    one, other = (made_with(world, "BPR", Softmax(temperature=TAU), top=top) for top in (None, 10_000))
    found, cut = (losses_of(made, users_batch(3, 5, 8))["agree"].detach() for made in (one, other))
    torch.testing.assert_close(found, cut, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask_known", [True, False])
@pytest.mark.parametrize("hide", [0.0, 0.4])
def test_lists_and_a_union_of_everything_are_no_cut(world: Any, mask_known: bool, hide: float) -> None:
    options = {"mask_known": mask_known, "hide": hide}
    whole = made_with(world, "BPR", Softmax(temperature=TAU), **options)
    listed = made_with(world, "BPR", Softmax(temperature=TAU), most=10_000, sampled=10_000, **options)
    assert (whole.paths.in_lists, listed.paths.in_lists) == (False, True)
    one, other = (losses_of(made, users_batch(3, 5, 8)) for made in (whole, listed))
    for name, found in one.items():
        torch.testing.assert_close(found, other[name], rtol=1e-4, atol=1e-5)
    for losses in (one, other):
        sum(rows.sum() for rows in losses.values()).backward()
    for (name, ours), theirs in zip(whole.model.named_parameters(), listed.model.parameters(), strict=True):
        if ours.grad is not None:
            torch.testing.assert_close(
                ours.grad,
                theirs.grad.to_dense(),
                rtol=1e-3,
                atol=1e-5,
                msg=lambda text, name=name: f"{name}: {text}",
            )


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "NeuMF", "SASRec"])
def test_nothing_is_held_for_every_item_where_that_is_beyond_the_budget(
    world: Any, monkeypatch: pytest.MonkeyPatch, backbone: str
) -> None:
    beside = [] if backbone == "NeuMF" else [Softmax()]
    made = made_with(world, backbone, *beside, most=20, users=64, budget_mib=1)
    if backbone != "BPR":
        made.paths.in_lists = True  # fewer rows a batch
    assert made.paths.in_lists

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a number for every item")

    monkeypatch.setattr("burnish.enhancers.paths.lists.MixedLists.columns", refused)
    monkeypatch.setattr("burnish.enhancers.paths.path_model.PathModel.columns", refused)
    monkeypatch.setattr("burnish.enhancers.teachers.student.Student.left_out", refused)
    losses = losses_of(made, next(iter(made.train)))
    sum(one.mean() for one in losses.values()).backward()
    assert all(torch.isfinite(one).all() for one in losses.values())
    assert all(one.grad is not None for one in made.paths.model.parameters())
    assert "in lists" in made.paths.note()


def test_a_step_is_as_large_as_the_batches_of_users_beside(world: Any) -> None:
    options = {"most": 20, "budget_mib": 8}
    assert not made_with(world, "BPR", **options).paths.in_lists
    assert not made_with(world, "BPR", Softmax(), **options).paths.in_lists
    assert made_with(world, "BPR", Softmax(users=512), **options).paths.in_lists
    assert made_with(world, "BPR", users=512, **options).paths.in_lists
    assert not made_with(world, "BPR", Softmax(users=512, rows="interactions"), **options).paths.in_lists
    with pytest.raises(UnsupportedError, match="users = 512 users"):
        made_with(world, "BPR", Softmax(users=512), budget_mib=8)
    with pytest.warns(UserWarning, match=r"users = 32 has no effect beside softmax, .* of 64 users"):
        made_with(world, "BPR", Softmax(), users=32)


def test_who_learns_on_a_union(world: Any) -> None:
    for learns, again in (("both", True), ("backbone", True), ("backbone", False), ("paths", True)):
        options = {"again": again, "learns": learns, "most": 20, "sampled": 50}
        made = made_with(world, "BPR", Softmax(), **options)
        losses_of(made, users_batch(3, 5))["agree"].sum().backward()
        tables = [one for name, one in made.model.named_parameters() if name.startswith("item_embedding")]
        assert all(one.grad is not None for one in tables) == (learns != "paths")
        assert (made.paths.model.mixing.grad is not None) == (learns != "backbone")


def test_a_model_that_scores_pairs(world: Any) -> None:
    made = made_with(world, "NeuMF", top=6, drawn=0)
    made.model.eval()
    batch = next(iter(made.train))[torch.arange(4)]
    for row, found in enumerate(losses_of(made, batch)["agree"].tolist()):
        user = int(batch["user_id"][row])
        p = distribution(made.paths, user)
        p[[0, *known_items(made, user)]] = 0.0
        items = np.argsort(-p)[:6]
        p = p[items] / p[items].sum()
        pairs = Interaction({"user_id": torch.full((6,), user), "item_id": torch.tensor(items.copy())})
        logits = torch.logit(made.model.predict(pairs).double()).detach().numpy()
        log_q = logits - np.log(np.exp(logits).sum())
        assert found == pytest.approx((p * (np.log(p) - log_q)).sum(), rel=1e-2, abs=1e-5)


@pytest.mark.parametrize("backbone", ["LightGCN", "SASRec"])
def test_other_backbones_learn(world: Any, backbone: str) -> None:
    made = made_with(world, backbone)
    losses = losses_of(made, next(iter(made.train)))
    sum(one.mean() for one in losses.values()).backward()
    assert all(torch.isfinite(one.grad).all() for one in made.model.parameters() if one.grad is not None)
    assert all(one.grad is not None for one in made.paths.model.parameters())


# ------------------------------------------------------------------ who learns, and how much


@pytest.mark.parametrize("learns", ["both", "backbone", "paths"])
def test_who_learns_from_the_divergence(world: Any, learns: str) -> None:
    made = made_with(world, "BPR", Softmax(), learns=learns)
    losses_of(made, users_batch(3, 5))["agree"].sum().backward()
    tables = [one for name, one in made.model.named_parameters() if name.startswith("item_embedding")]
    moved = {
        "backbone": all(one.grad is not None for one in tables),
        "paths": made.paths.model.mixing.grad is not None,
    }
    assert moved == {"backbone": learns != "paths", "paths": learns != "backbone"}


def test_the_papers_schedule(world: Any) -> None:
    made = made_with(world, schedule="paper", own=0.5, hide=0.0)
    fit = {}
    for epoch in (0, 16, 17):
        made.paths.on_epoch(epoch)
        made.model.enhancers.state.step = 0
        fit[epoch] = float(losses_of(made, users_batch(3))["fit"].detach())
        assert made.paths.objective_share() == pytest.approx(0.5 if epoch < 17 else 0.05)
    assert fit[0] == fit[16] == pytest.approx(10 * fit[17])


def test_parameters_move_by_the_rate(world: Any) -> None:
    slow, fast = (made_with(world, rate=rate).paths.model for rate in (1.0, 4.0))
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter /= 4.0
    users = torch.tensor([3, 5])
    torch.testing.assert_close(slow(users), fast(users))


# ------------------------------------------------------------------ controls


def test_permuted_nodes_leave_interactions(world: Any) -> None:
    graph = made_with(world).paths.model.graph
    other = permuted(graph, 3)
    assert torch.equal(graph.relation(RATED).targets, other.relation(RATED).targets)
    assert torch.equal(graph.relation(RATED).sources, other.relation(RATED).sources)
    for name in ("class", "gender"):  # of items, of users
        before, moved = graph.relation(name), other.relation(name)
        assert not torch.equal(before.targets, moved.targets)
        for side in ("sources", "targets"):  # degrees stay, in another order
            counts = [torch.bincount(getattr(one, side)).sort().values for one in (before, moved)]
            assert counts[0][counts[0] > 0].tolist() == counts[1][counts[1] > 0].tolist()
        assert torch.equal(permuted(graph, 3).relation(name).targets, moved.targets)


def test_collaborative_paths_alone(world: Any) -> None:
    assert [str(path) for path in made_with(world, control="collaborative").paths.model.metapaths] == [ALIKE]
    with pytest.raises(UnsupportedError, match="leaves no meta-path"):
        made_with(world, control="collaborative", metapaths=GENRE)


# ------------------------------------------------------------------ a run


def small(folder: Path) -> Any:
    settings = {"epochs": 2, "embedding_size": 8, "show_progress": False, "train_batch_size": 8192}
    enhancers = {"softmax": {}, "paths": {"metapaths": [ALIKE, GENRE]}}
    return burnish.run("BPR", "ml-100k", enhancers=enhancers, config=settings, seed=1, folder=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A run, which no test changes, and its folder."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return small(folder), folder


def test_what_serves_is_the_backbone(finished: tuple[Any, Path]) -> None:
    result, folder = finished
    model = result.model.eval()
    assert "walks along 2 meta-paths" in str(burnish.status(model))
    plain = burnish.bake(model)
    assert type(plain).__name__ == "BPR"
    assert not any("paths" in name for name in plain.state_dict())
    batch = Interaction({"user_id": torch.tensor([3, 5])})
    torch.testing.assert_close(plain.full_sort_predict(batch), model.full_sort_predict(batch))
    loaded = burnish.load_run(folder).model
    shares = loaded.enhancers["paths"].model.shares()
    torch.testing.assert_close(shares, model.enhancers["paths"].model.shares())
    assert float((shares - 0.5).abs().max()) > 0


def test_the_same_seed_gives_the_same_numbers(finished: tuple[Any, Path], tmp_path: Path) -> None:
    one, other = finished[0], small(tmp_path / "other")
    assert one.test_result == other.test_result
    for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_run_explains_itself_by_paths(finished: tuple[Any, Path]) -> None:
    result, folder = finished
    reasons = result.model.enhancers["paths"].explain(196, 50)
    assert [reason.kind for reason in reasons] == ["path"] * len(reasons)
    assert 0 < sum(reason.contribution for reason in reasons) <= 1
    (few,), (every,) = (burnish.explain(result, "196", top=1, reasons=n) for n in (1, 1000))
    asked = [
        result.dataset.token2id(field, token)
        for field, token in (("user_id", few.user), ("item_id", few.item))
    ]
    assert len(few.reasons) == 1
    assert len(every.reasons) > 3
    for node in few.reasons[0].evidence["paths"][0]["nodes"]:
        field = {"user": "user_id", "item": "item_id"}.get(node["type"])
        assert node.get("original") == (field and result.dataset.id2token(field, node["id"]))
    assert {one.text for one in every.reasons} == {
        one.text for one in reasons_for(result.model.enhancers["paths"].finder(), *asked, k=1000)
    }
    loaded = burnish.load_run(folder).model
    assert [one.text for one in loaded.enhancers["paths"].explain(196, 50)] == [one.text for one in reasons]
    with torch.no_grad():
        loaded.enhancers["paths"].model.mixing.copy_(torch.tensor([0.0, 9.0]))
    again = loaded.enhancers["paths"].explain(196, 50)
    assert [one.contribution for one in again] != [one.contribution for one in reasons]


def test_weights_of_another_graph_are_refused(world: Any) -> None:
    one, other = made_with(world), made_with(world, control="permuted")
    with pytest.raises(DataError, match="edges of another graph"):
        one.paths.load_state_dict(other.paths.state_dict())


def test_files_of_the_graph_are_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    monkeypatch.chdir(here)
    (here / "tags.csv").write_text("source,target\n50,wars\n181,wars\n7,apes\n", encoding="utf-8")
    tags = {"file": "tags.csv", "source_type": "item", "target_type": "tag", "name": "tagged"}
    options = {
        "graph": {"edges": [tags], "kg": False},
        "metapaths": [ALIKE, "user -rated-> item -tagged-> tag <-tagged- item"],
    }
    settings = {"epochs": 1, "embedding_size": 4, "show_progress": False, "train_batch_size": 8192}
    result = burnish.run("BPR", "ml-100k", enhancers={"paths": options}, config=settings, folder=here / "run")
    monkeypatch.chdir(there)
    loaded = burnish.load_run(here / "run").model
    ours, theirs = (one.enhancers["paths"].model.shares() for one in (loaded, result.model))
    torch.testing.assert_close(ours, theirs)


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"metapaths": "user -rated-> item -clas-> class <-class- item"},
            UnknownNameError,
            "Did you mean 'class'",
        ),
        ({"metapaths": "user -rated-> item -class-> class"}, ConfigurationError, "ends with 'item'"),
        ({"metapaths": [GENRE, GENRE]}, ConfigurationError, "there twice"),
        ({"hide": 1.0}, ConfigurationError, "hide"),
        ({"own": 1.5}, ConfigurationError, "own"),
        ({"agree": 0, "fit": 0}, ConfigurationError, "nothing of the path model counts"),
        ({"fit": 0, "learns": "backbone"}, ConfigurationError, "never learns"),
        ({"schedule": "papers"}, ConfigurationError, "schedule"),
        ({"graph": {"item_columns": ["clas"]}}, UnknownNameError, "class"),
        ({"graph": {"item_colums": ["class"]}}, UnknownNameError, "item_columns"),
        ({"budget_mib": 1, "users": 4096}, UnsupportedError, "follow no more than most nodes"),
        (
            {"budget_mib": 1, "users": 4096, "most": 9, "sampled": "all"},
            UnsupportedError,
            "let sampled be null",
        ),
        ({"seed": 10**20}, ConfigurationError, "seed"),
        ({"sampled": 100}, ConfigurationError, "give most"),
        ({"sampled": 0, "most": 9}, ConfigurationError, "1 or more, or all"),
    ],
)
def test_bad_options(world: Any, options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        made_with(world, **options)


def test_options_without_effect_are_told() -> None:
    with pytest.warns(UserWarning, match="longest = 5 has no effect where meta-paths are given"):
        Paths(metapaths=[ALIKE], longest=5)
    with pytest.warns(UserWarning, match="hide = 0.2 has no effect with fit: 0"):
        Paths(fit=0, hide=0.2)


def warned_of_returns(caught: Any) -> list[str]:
    return [str(one.message) for one in caught if "gives away" in str(one.message)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"returns": True}, True),
        ({"returns": True, "hide": 0.0}, False),
        ({"returns": True, "fit": 0.0}, False),
        ({"returns": True, "metapaths": GENRE}, False),  # no way home
        ({"returns": True, "metapaths": JOB}, True),
        ({}, False),
    ],
)
def test_walks_that_come_home_beside_hidden_items_are_warned_of(
    world: Any, recwarn: Any, options: dict[str, Any], told: bool
) -> None:
    made = made_with(world, **options)
    warnings = warned_of_returns(recwarn)
    assert len(warnings) == told
    if not told:
        return
    assert warnings[0].startswith(
        "enhancer 'paths': returns = true gives away what hide = 0.3 hides: a walk along user"
    )
    assert "leave returns out, or say hide: 0" in warnings[0]
    # An item that nobody else has interacted with: no one but its user leads to it.
    (path,) = [
        one for one in made.paths.model.metapaths if str(one) == (JOB if "metapaths" in options else ALIKE)
    ]
    graph = made.paths.model.graph
    rated = graph.relation(RATED)
    counts = torch.bincount(rated.targets, minlength=graph.counts["item"])
    item = int((counts == 1).nonzero()[0])
    user = int(rated.sources[rated.targets == item])
    hidden = Pairs(torch.tensor([0]), torch.tensor([item]), graph.counts["item"])
    found = {}
    for returns in (True, False):
        walked = PathModel(graph, [path], normalise="walk", returns=returns)(torch.tensor([user]), hidden)
        found[returns] = float(walked[0, item].detach())
    assert found[True] > 1e-5 > found[False]


def test_walks_alone_warn_of_it_too(recwarn: Any) -> None:
    walks = {"metapaths": ALIKE, "returns": True, "graph": {"kg": False}}
    burnish.run("PathWalks", "ml-100k", config={"walks": walks, "epochs": 0, "show_progress": False}, seed=1)
    (told,) = warned_of_returns(recwarn)
    assert told.startswith("walks: returns = true gives away what hide = 0.3 hides")
