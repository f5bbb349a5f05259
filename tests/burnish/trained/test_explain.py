"""`burnish.explain`: reasons that add up to the model's score, and clear words where there are none."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import burnish
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError
from burnish.explanation import Explanation, Reason, as_frame
from burnish.trained.explain import Explainer, explain
from burnish.trained.explanation_formats import line, told_first, with_titles
from burnish.trained.open import open_trained
from burnish.trained.recommend import Recommender, recommend
from burnish.training.train import train

LAST_OUT = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}}
RATIO = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}}
NAMES = ("warmth", "speed", "depth")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The conformance data with an item file that has titles, and scores of the items."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    numbers = np.random.default_rng(4).integers(0, 10, size=(60, len(NAMES)))
    rows = pd.DataFrame(numbers, columns=list(NAMES))
    rows.insert(0, "item_id", [f"i{number}" for number in range(1, 61)])
    rows.to_csv(folder / "scores.tsv", sep="\t", index=False)
    return folder


def trained(model: str, data: Path, enhancers: Any = "guided", **more: Any) -> Any:
    chosen = {"guided": {"scores": str(data / "scores.tsv")}} if enhancers == "guided" else enhancers
    options = {**preset(model), "epochs": 3, "data_path": str(data), "threads": 1, **more}
    return train(model, NAME, options=options, enhancers=chosen)


@pytest.fixture(scope="module")
def bpr(data: Path) -> Any:
    return open_trained(trained("BPR", data, **RATIO))


@pytest.fixture(scope="module")
def sasrec(data: Path) -> Any:
    return open_trained(trained("SASRec", data, hidden_size=8, **LAST_OUT))


@pytest.mark.parametrize("state", ["latest", "test"])
@pytest.mark.parametrize("name", ["bpr", "sasrec"])
def test_contributions_and_the_rest_are_the_score_of_the_recommendation(
    name: str, state: str, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(name)
    users = ["u3", "u17", "u40"]
    explanations = explain(source, users, top=4, reasons=len(NAMES), state=state)
    wanted = recommend(source, users, k=4, state=state)
    assert [(one.user, one.item) for one in explanations] == list(
        zip(wanted["user"], wanted["item"], strict=True)
    )
    np.testing.assert_allclose([one.score for one in explanations], wanted["score"], rtol=1e-6)
    for one in explanations:
        assert {reason.evidence["attribute"] for reason in one.reasons} == set(NAMES)
        whole = sum(reason.contribution for reason in one.reasons) + one.reasons[0].evidence["rest"]
        assert whole == pytest.approx(one.score, rel=1e-4, abs=1e-6)
        parts = [reason.contribution for reason in one.reasons]
        assert parts == sorted(parts, key=lambda part: (part < 0, -abs(part)))
        assert one.note == ""
    assert any(abs(reason.contribution) > 1e-4 for one in explanations for reason in one.reasons)


def test_a_contribution_is_what_the_score_loses_with_an_average_attribute(bpr: Any) -> None:
    guided = bpr.model.enhancers["guided"]
    one = explain(bpr, "u5", "i9", reasons=1)[0]
    reason = one.reasons[0]
    place = guided.attributes.index(reason.evidence["attribute"])
    user, item = (
        int(bpr.dataset.token2id(field, np.array([token]))[0])
        for field, token in (("user_id", "u5"), ("item_id", "i9"))
    )
    own = guided.guided[item, place].clone()
    try:
        guided.guided[item, place] = 0.0
        without = float(Recommender(bpr).scores(np.array([user]))[0, item])
    finally:
        guided.guided[item, place] = own
    assert one.score - without == pytest.approx(reason.contribution, rel=1e-3, abs=1e-6)


def test_what_is_kept_for_evaluation_stays_right(data: Path) -> None:
    """SGL predicts from the embeddings that it keeps: questions with other attributes leave no trace there."""
    source = open_trained(trained("SGL", data, **RATIO))
    before = recommend(source, ["u1", "u2"], k=50)
    one = explain(source, "u1", reasons=3, top=1)[0]
    whole = sum(reason.contribution for reason in one.reasons) + one.reasons[0].evidence["rest"]
    assert whole == pytest.approx(one.score, rel=1e-3)
    assert any(abs(reason.contribution) > 1e-6 for reason in one.reasons)
    pd.testing.assert_frame_equal(recommend(source, ["u1", "u2"], k=50), before)


def test_shapley_explains_by_the_history(data: Path) -> None:
    source = open_trained(trained("BPR", data, "shapley", **RATIO))
    one = explain(source, "u3", top=1, reasons=100)[0]
    train = source.splits.training.inter_feat
    own = train["item_id"][train["user_id"] == int(source.dataset.token2id("user_id", np.array(["u3"]))[0])]
    assert {reason.evidence["item"] for reason in one.reasons} == set(source.tokens("item_id", own.numpy()))
    table = source.model.item_embedding.weight.detach().double()
    item = int(source.dataset.token2id("item_id", np.array([one.item]))[0])
    total = sum(reason.contribution for reason in one.reasons)
    assert total == pytest.approx(float(table[own].mean(dim=0) @ table[item]), rel=1e-4)
    assert (one.base, one.additive) == (
        0.0,
        False,
    )  # of the mean of a history, and not of the model's own user
    assert one.remainder == pytest.approx(one.score - total)
    assert {reason.kind for reason in one.reasons} == {"interaction"}


def test_several_enhancers_and_one_of_them(data: Path) -> None:
    both = {"guided": {"scores": str(data / "scores.tsv")}, "rvrec": {}, "shapley": {}}
    source = open_trained(trained("BPR", data, both, **RATIO))
    assert [one.name for one in Explainer(source).givers] == ["guided", "shapley", "rvrec"]
    kinds = [reason.kind for reason in explain(source, "u3", top=1, reasons=2)[0].reasons]
    assert kinds == ["attribute", "attribute", "interaction", "interaction", "uncertainty", "uncertainty"]
    one = explain(source, "u3", top=1, enhancer="shapley")[0]
    assert {reason.kind for reason in one.reasons} == {"interaction"}
    with pytest.raises(UnknownNameError, match="Did you mean 'guided'"):
        explain(source, "u3", enhancer="guidet")
    with pytest.raises(UnsupportedError, match="no reasons to be had"):
        explain(source, "u3", enhancer="backbone")


def test_a_run_that_nobody_explains_is_explained_by_the_history(data: Path) -> None:
    source = open_trained(trained("BPR", data, {"euclid2d": {}}, **RATIO))
    (one,) = explain(source, "u3", top=1)
    assert {reason.kind for reason in one.reasons} == {"interaction"}
    assert one.method == "folded-in user"
    assert [giver.name for giver in Explainer(source).givers] == ["history"]
    for name in ("euclid2d", "backbone"):
        with pytest.raises(
            UnsupportedError,
            match=r"by the name 'history'.*shapley, guided and paths give reasons.*--enhancers shapley",
        ):
            explain(source, "u3", enhancer=name)
    with pytest.raises(UnknownNameError, match="Did you mean 'history'"):
        explain(source, "u3", enhancer="histori")


def test_the_history_of_a_run_that_explains_itself_otherwise(bpr: Any) -> None:
    (one,) = explain(bpr, "u3", top=1, enhancer="history")
    assert {reason.method for reason in one.reasons} == {"folded-in user"}
    with pytest.raises(ConfigurationError, match=r"budget = 99: .*this run's are of guided"):
        explain(bpr, "u3", budget=99)
    with pytest.warns(
        UserWarning, match=r"budget = 99 has no effect: reasons from histories of BPR are exact"
    ):
        explain(bpr, "u3", top=1, enhancer="history", budget=99)
    with pytest.raises(ConfigurationError, match="budget = 0"):
        explain(bpr, "u3", enhancer="history", budget=0)


def test_attributes_and_their_rest_are_the_account_of_the_score(bpr: Any) -> None:
    few, every = (explain(bpr, "u3", top=1, reasons=n)[0] for n in (1, len(NAMES)))
    for one in (few, every):
        assert (one.method, one.additive, one.exact, one.rank) == ("guided", True, True, 1)
        assert one.base == one.reasons[0].evidence["rest"]
        assert one.remainder == pytest.approx(0, abs=1e-4)
    rest = sum(reason.contribution for reason in every.reasons) - few.reasons[0].contribution
    assert few.omitted == pytest.approx(rest)


def test_names_are_checked_before_anything(bpr: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"user 'u400' is not known. Did you mean 'u40'"):
        explain(bpr, ["u3", "u400"])
    with pytest.raises(UnknownNameError, match="item 'i5x' is not known"):
        explain(bpr, "u3", "i5x")
    with pytest.raises(UnknownNameError, match=r"user .*PAD"):
        explain(bpr, "[PAD]")
    for nobody in ([], None, " "):
        with pytest.raises(DataError, match="no user or item is named"):
            explain(bpr, nobody)
    with pytest.raises(UnknownNameError, match=r"user '3\.0' is not known"):
        explain(bpr, 3.0)  # type: ignore[arg-type]  # as pandas gives numbers beside empty cells
    with pytest.raises(ConfigurationError, match="seed = -1"):
        explain(bpr, "u3", seed=-1)
    with pytest.raises(ConfigurationError, match="reasons = 0"):
        explain(bpr, "u3", reasons=0)


def test_who_and_what_was_never_seen(data: Path, bpr: Any) -> None:
    explainer = Explainer(bpr)
    train, user = bpr.splits.training.inter_feat, bpr.dataset.token2id("user_id", np.array(["u3"]))[0]
    known = int(train["item_id"][train["user_id"] == int(user)][0])
    token = bpr.tokens("item_id", [known])[0]
    explainer.recommender.seen_items = explainer.recommender.seen_items.copy()
    explainer.recommender.seen_items[known] = False
    explainer.recommender.seen_users[int(user)] = False
    one = next(explainer.explanations("u3", token))
    assert "the user has no training interaction" in one.note
    assert "the item has no training interaction" in one.note
    assert "knows the item already" in one.note
    assert len(one.reasons) == 3
    with pytest.raises(DataError, match=r"'u3', who has no interaction in the training data; name items"):
        explainer.explanations(["u1", "u3"])


def test_a_user_without_a_sequence(sasrec: Any) -> None:
    explainer = Explainer(sasrec)
    rows = explainer.recommender.inputs._row_of
    assert rows is not None
    user = int(sasrec.dataset.token2id("user_id", np.array(["u3"]))[0])
    before, rows[user] = rows[user], -1
    with pytest.raises(DataError, match="SASRec predicts from a sequence"):
        explainer.explanations("u3", "i1")
    rows[user] = before


def test_no_reasons_are_no_crash(data: Path) -> None:
    source = open_trained(trained("BPR", data, "shapley", **RATIO))
    shapley = source.model.enhancers["shapley"]
    shapley.explain = lambda user, item: None
    one = explain(source, "u3", "i1")[0]
    assert one.reasons == ()
    assert "shapley has no reason to give" in one.note
    assert as_frame([one])["note"].iloc[0] == one.note


def test_profiles_by_original_ids(bpr: Any) -> None:
    explainer = Explainer(bpr)
    profile = explainer.profile("item", "i7")
    guided = bpr.model.enhancers["guided"]
    item = int(bpr.dataset.token2id("item_id", np.array(["i7"]))[0])
    assert profile == dict(
        sorted(zip(guided.attributes, guided.guided[item].tolist(), strict=True), key=lambda pair: -pair[1])
    )
    assert explainer.profile("user", "u1") != explainer.profile("user", "u2")
    with pytest.raises(UnknownNameError):
        explainer.profile("item", "nothing")


def test_it_leaves_no_trace(bpr: Any) -> None:
    weights = {name: tensor.clone() for name, tensor in bpr.model.state_dict().items()}
    stream = torch.random.get_rng_state()
    explain(bpr, ["u1", "u2"], top=2)
    assert all(torch.equal(weights[name], tensor) for name, tensor in bpr.model.state_dict().items())
    assert torch.equal(stream, torch.random.get_rng_state())
    assert not bpr.model.training


def test_titles_instead_of_ids() -> None:
    reason = Reason("interaction", "item 5 adds to item 50, not to item 505", 0.5, {"item": "5"})
    titled = with_titles(reason, "50", {"5": "Alien", "50": "Heat"})
    assert titled.text == "Alien adds to Heat, not to item 505"
    catalogued = with_titles(
        Reason("interaction", "You chose item 5, which speaks for item 50.", 0.5, {"item": "5"}),
        "50",
        {"5": "Van, The (1996)", "50": "Fast, Cheap & Out of Control"},
    )
    assert catalogued.text == "You chose “The Van”, which speaks for “Fast, Cheap & Out of Control”."
    assert titled.evidence == {"item": "5", "title": "Alien"}
    assert line(titled) == "+0.5000  you chose Alien"
    assert line(reason) == "+0.5000  you chose item 5"
    # An id with a title may be the beginning of one without.
    begins = Reason("interaction", "You chose item a,b, which speaks for item a.", 0.5, {"item": "a,b"})
    assert with_titles(begins, "a", {"a": "Alien"}).text == "You chose item a,b, which speaks for Alien."
    assert with_titles(reason, "50", {}) is reason
    assert line(Reason("keyword", "because of tea", -1.0)) == "-1.0000  because of tea"


def test_words_for_machines() -> None:
    reason = Reason("attribute", "a", 0.25, {"share": 0.5, "odd": float("nan"), "item": "5"})
    one = Explanation("u", "5", 1.5, (reason,), "Alien", "so")
    content = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert content["share"] == 0.5
    assert content["reasons"][0]["evidence"] == {"share": 0.5, "odd": None, "item": "5"}
    frame = as_frame([one, Explanation("u", "6", 1.0, (), None, "none")])
    assert list(frame["reason"].isna()) == [False, True]
    assert json.loads(frame["evidence"].iloc[0])["odd"] is None


def test_the_case_study(data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """The example prints its users, and an edited score is put back."""
    options = {**preset("BPR"), "epochs": 3, "data_path": str(data), "threads": 1, **RATIO}
    train(
        "BPR",
        NAME,
        options=options,
        enhancers={"guided": {"scores": str(data / "scores.tsv")}},
        folder=tmp_path / "run",
    )
    script = Path(__file__).parents[3] / "examples" / "guided_case_study.py"
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path / "run"), "--users", "2"])
    example = runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.count("USER ") == printed.count("among their first 5") == 2
    assert all(f"{name} " in printed for name in NAMES)
    source = open_trained(tmp_path / "run")
    explainer = Explainer(source)
    before = source.model.enhancers["guided"].guided.clone()
    first = next(explainer.explanations("u3"))
    score, rank, _ = example["standing"](explainer, "u3", first.item)
    assert rank == 1
    assert score == pytest.approx(first.score, rel=1e-6)
    best = max(first.reasons, key=lambda reason: abs(reason.contribution))
    with example["edited"](source, first.item, best.evidence["attribute"], 0.0):
        assert example["standing"](explainer, "u3", first.item)[0] == pytest.approx(
            first.score - best.contribution, rel=1e-3
        )
    assert torch.equal(source.model.enhancers["guided"].guided, before)


def test_it_is_public() -> None:
    assert burnish.explain is explain
    assert "explain" in dir(burnish)


def test_a_text_is_one_user_and_not_its_letters(bpr: Any) -> None:
    one = recommend(bpr, "u3", k=2)
    pd.testing.assert_frame_equal(one, recommend(bpr, ["u3"], k=2))
    with pytest.raises(DataError, match=r"give several as a list, \['u3', 'u1'\]"):
        recommend(bpr, "u3,u1")
    with pytest.raises(UnknownNameError, match=r"give several as a list, \['u3', 'u1'\]"):
        explain(bpr, "u3,u1")


@pytest.mark.parametrize(
    ("given", "most", "told"),
    [
        (
            [-0.9, -0.6, 0.5, 0.4, 0.3, 0.2],
            3,
            [0.5, 0.4, -0.9],
        ),  # not "for this speaks what speaks against it"
        (
            [0.9, 0.6, 0.5, -0.4],
            3,
            [0.9, 0.6, 0.5],
        ),  # an objection that weighs less than what it would displace
        ([-0.9, 0.5], 1, [0.5]),
        ([-0.9, -0.5], 1, [-0.9]),  # nothing speaks for it
        ([-0.9, -0.6, 0.5], 3, [0.5, -0.9, -0.6]),  # all there are
        ([-0.9, -0.8, 0.5, 0.4, 0.3, 0.2, 0.1], 6, [0.5, 0.4, 0.3, 0.2, -0.9, -0.8]),
        ([], 3, []),
    ],
)
def test_what_a_person_would_say_first(given: list[float], most: int, told: list[float]) -> None:
    reasons = [Reason("interaction", "", one) for one in given]
    assert [reason.contribution for reason in told_first(reasons, most)] == told
