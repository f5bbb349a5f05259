"""Tuning end to end on a small random model: it learns, only adapters move, and it is repeatable and resumable."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from burnish.enhancers.guided.lora import BaseVectors, LocalUserScorer, tune
from burnish.enhancers.guided.lora.model import add_adapters
from burnish.enhancers.guided.lora.options import LoraOptions
from burnish.enhancers.guided.scorers.protocol import Scores, Texts
from burnish.errors import ConfigurationError

FAST = {
    "target_modules": "all-linear",
    "learning_rate": 3e-3,
    "epochs": 4,
    "patience": 4,
    "accumulate": 1,
    "dropout": 0.0,
    "max_tokens": 400,
    "device": "cpu",
}
SHORT = {
    **FAST,
    "epochs": 2,
    "dropout": 0.1,
    "batch_users": 4,
    "accumulate": 2,
    "save_every": 2,
    "report_every": 1,
}


@pytest.fixture(scope="module")
def tuned(model_folder, schema, planted, tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tuned")
    return tune(
        model_folder, schema, planted.items, planted.texts, planted.interactions, options=FAST, folder=folder
    )


def later_auc(planted, users: Scores) -> float:
    """How often a later choice of a user is above an item of another kind, by plain loops."""
    items = planted.items.values
    mean, spread = items.mean(0), items.std(0)
    axis_items = np.clip((items - mean) / spread, -3, 3)
    axis_users = np.clip((users.values - mean) / spread, -3, 3)
    chosen = {user: {item for u, item in planted.later if u == user} for user in range(len(users.ids))}
    wins = []
    for user, own in chosen.items():
        scores = axis_items @ axis_users[user]
        others = [scores[item] for item in range(len(items)) if item % 3 != user % 3]
        wins += [np.mean(scores[item] > np.array(others)) for item in own]
    return float(np.mean(wins))


def test_it_learns_what_histories_say(tuned, planted, model_folder, schema):
    before = LocalUserScorer(model_folder, device="cpu").score(planted.texts, schema)
    assert tuned.curve[0].number == 0
    assert later_auc(planted, before) < 0.65
    assert later_auc(planted, tuned.user_scores) > 0.95
    best = tuned.curve[tuned.best]
    assert tuned.best > 0
    assert best.held_out < tuned.curve[0].held_out - 0.5
    assert best.auc > tuned.curve[0].auc + 0.25
    assert tuned.curve[-1].recommendation < tuned.curve[1].recommendation - 0.5
    assert tuned.curve[-1].form < 0.2 * tuned.curve[1].form
    values = tuned.user_scores.values
    assert values.min() >= 0
    assert values.max() <= 9
    assert (values.argmax(1) == np.arange(len(values)) % 3).mean() > 0.95


def test_histories_of_others_teach_nothing(planted, model_folder, schema, tuned):
    """The control: the same words, items and interactions, but every user is told another's history."""
    others = np.random.default_rng(1).permutation(len(planted.texts))
    texts = Texts(
        planted.texts.ids, {"history": tuple(planted.texts.fields["history"][row] for row in others)}
    )
    result = tune(model_folder, schema, planted.items, texts, planted.interactions, options=FAST)
    assert later_auc(planted, result.user_scores) < 0.75 < later_auc(planted, tuned.user_scores)


def test_adapters_score_users_who_were_not_there(tuned, planted, model_folder, schema):
    scorer = LocalUserScorer(model_folder, tuned.adapter, device="cpu", max_tokens=400)
    again = scorer.score(planted.texts, schema)
    assert np.allclose(again.values, tuned.user_scores.values, atol=1e-5)
    new = scorer.score(Texts(("n1", "n2"), {"history": ("red tender\nold tender", "")}), schema)
    assert new.values[0].argmax() == schema.names.index("romance")
    assert np.isnan(new.values[1]).all()
    assert new.scale == (0, 9)
    assert new.uncertainty is not None


def test_adapters_are_saved_without_pickle(tuned):
    names = {path.name for path in tuned.adapter.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "schema.json"} <= names
    assert not {path for path in tuned.adapter.parent.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")}
    assert not [path for path in tuned.adapter.parent.iterdir() if path.name.startswith(".")]


def test_adapters_of_another_schema_are_refused(tuned, planted, model_folder, schema):
    other = schema.only(["humor", "romance"])
    with pytest.raises(ConfigurationError, match="another schema"):
        LocalUserScorer(model_folder, tuned.adapter, device="cpu").score(planted.texts, other)
    with pytest.raises(ConfigurationError, match=r"no adapter_config\.json"):
        LocalUserScorer(model_folder, tuned.adapter.parent, device="cpu").score(planted.texts, schema)
    reworded = schema.model_copy(update={"instruction": "For items; users' models are never told."})
    LocalUserScorer(model_folder, tuned.adapter, device="cpu", max_tokens=400).score(planted.texts, reworded)


def test_only_adapters_learn_and_the_base_stays_as_it_is(model_folder, schema, planted, monkeypatch):
    from burnish.enhancers.guided.lora import tuning

    kept = {}

    def adapters(network, options):
        kept["before"] = {n: p.detach().clone() for n, p in network.state_dict().items()}
        kept["network"] = add_adapters(network, options)
        return kept["network"]

    monkeypatch.setattr(tuning, "add_adapters", adapters)
    given = planted.items.values.copy()
    tune(
        model_folder,
        schema,
        planted.items,
        planted.texts,
        planted.interactions,
        options={**SHORT, "epochs": 1},
    )
    network = kept["network"]
    assert {n.split(".")[-3] for n, p in network.named_parameters() if p.requires_grad} == {
        "lora_A",
        "lora_B",
    }
    assert any(p.abs().max() > 0 for n, p in network.named_parameters() if "lora_B" in n)
    after = {n: p for n, p in network.state_dict().items() if "lora" not in n}
    assert len(after) == len(kept["before"])
    for name, tensor in after.items():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        assert torch.equal(tensor, kept["before"][plain]), name
    assert np.array_equal(planted.items.values, given)


def test_the_start_is_the_model_as_it_came(model_folder, schema, planted):
    plain = LocalUserScorer(model_folder, device="cpu", max_tokens=400).score(planted.texts, schema)
    start = tune(
        model_folder,
        schema,
        planted.items,
        planted.texts,
        planted.interactions,
        options={**FAST, "epochs": 0},
    )
    assert np.array_equal(plain.values, start.user_scores.values)
    assert start.best == 0
    assert len(start.curve) == 1


def test_same_seed_same_numbers_and_the_global_streams_are_left_alone(model_folder, schema, planted):
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(3), np.random.rand(3)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(3)
        np.random.seed(3)
        found = tune(
            model_folder,
            schema,
            planted.items,
            planted.texts,
            planted.interactions,
            options={**SHORT, "epochs": 1, "seed": seed},
        )
        assert torch.equal(torch.rand(3), expected[0])
        assert np.array_equal(np.random.rand(3), expected[1])
        results.append(found.user_scores.values)
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def run_short(model_folder, schema, planted, folder, stop_at=None, how=None):
    seen = []

    def progress(now):
        seen.append((now.epoch, now.step))
        if seen[-1] == stop_at:
            how()

    return tune(
        model_folder,
        schema,
        planted.items,
        planted.texts,
        planted.interactions,
        options=SHORT,
        folder=folder,
        progress=progress,
    ), seen


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(model_folder, schema, planted, tmp_path_factory):
    return run_short(model_folder, schema, planted, tmp_path_factory.mktemp("whole"))


def same(one, other) -> bool:
    curves = np.array([list(vars(e).values()) for r in (one, other) for e in r.curve])
    first, second = np.split(curves, 2)
    adapters = [(r.adapter / "adapter_model.safetensors").read_bytes() for r in (one, other)]
    values = [r.user_scores.values for r in (one, other)]
    return (
        np.array_equal(first, second, equal_nan=True)
        and adapters[0] == adapters[1]
        and (values[0] == values[1]).all()
    )


@pytest.mark.parametrize("stop_at", [(1, 3), (2, 5)])
def test_an_interrupted_run_goes_on_at_its_step(model_folder, schema, planted, tmp_path, whole, stop_at):
    with pytest.raises(KeyboardInterrupt):
        run_short(model_folder, schema, planted, tmp_path, stop_at, interrupt)
    result, seen = run_short(model_folder, schema, planted, tmp_path)
    assert seen[0] == (stop_at[0], stop_at[1] + 1)
    assert same(result, whole[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_killed_run_goes_on_from_its_last_state(model_folder, schema, planted, tmp_path, whole):
    process = multiprocessing.get_context("fork").Process(
        target=run_short, args=(model_folder, schema, planted, tmp_path, (2, 3), kill)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    result, seen = run_short(model_folder, schema, planted, tmp_path)
    assert seen[0] == (2, 3)  # step 2 was saved
    assert same(result, whole[0])


def test_a_finished_run_is_not_run_again_and_more_epochs_go_on(
    model_folder, schema, planted, tmp_path, whole
):
    first = {**SHORT, "epochs": 1}
    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    tune(*args, options=first, folder=tmp_path)
    steps: list = []
    again = tune(*args, options=first, folder=tmp_path, progress=steps.append)
    assert not steps
    assert len(again.curve) == 2
    more = tune(*args, options=SHORT, folder=tmp_path, progress=steps.append)
    assert {now.epoch for now in steps} == {2}
    assert same(more, whole[0])


def test_a_folder_of_another_tuning_is_refused(model_folder, schema, planted, tmp_path):
    args = (model_folder, schema, planted.items, planted.texts)
    options = {**SHORT, "epochs": 1, "held_out": 0.0}
    tune(*args, planted.interactions, options=options, folder=tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()
    fewer = tuple(part[:-1] for part in planted.interactions)
    with pytest.raises(ConfigurationError, match="another tuning"):
        tune(*args, fewer, options=options, folder=tmp_path)
    with pytest.raises(ConfigurationError, match="another tuning"):
        tune(*args, planted.interactions, options={**options, "seed": 9}, folder=tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_without_held_out_interactions_the_last_epoch_is_kept(model_folder, schema, planted):
    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    result = tune(*args, options={**SHORT, "held_out": 0.0, "patience": 1, "loss": "bpr"})
    assert result.best == 2
    assert np.isnan([e.held_out for e in result.curve]).all()
    assert result.curve[2].recommendation < result.curve[1].recommendation


def test_what_cannot_be_used_is_left_out_and_counted(model_folder, schema, planted):
    users, items = planted.interactions
    texts = Texts(planted.texts.ids, {"history": ("", *planted.texts.fields["history"][1:])})
    lost = sum(user == "u0" for user in users)
    result = tune(
        model_folder,
        schema,
        planted.items,
        texts,
        ([*users, "u1", "stranger"], [*items, "no scores", "i1"]),
        options={**FAST, "epochs": 0},
    )
    assert result.left_out == lost + 2
    assert np.isnan(result.user_scores.values[0]).all()
    assert not np.isnan(result.user_scores.values[1:]).any()


def test_an_anchor_holds_scores_where_they_were(model_folder, schema, planted):
    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    plain = LocalUserScorer(model_folder, device="cpu", max_tokens=400).score(planted.texts, schema).values
    moved = []
    for weight in (0.0, 30.0):
        options = {**FAST, "epochs": 2, "held_out": 0.0, "anchor_weight": weight}
        moved.append(np.abs(tune(*args, options=options).user_scores.values - plain).mean())
    assert moved[1] < 0.3 * moved[0]


def test_memory_savers_compute_the_same(model_folder, schema, planted, monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    options = {**SHORT, "epochs": 1, "dropout": 0.0}
    plain = tune(*args, options=options).user_scores.values
    recomputed = []
    layer = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda *a, **k: (recomputed.append(1), layer(*a, **k))[1])
    tune(*args, options=options)
    once, recomputed[:] = len(recomputed), []
    checkpointed = tune(*args, options={**options, "gradient_checkpointing": True}).user_scores.values
    assert len(recomputed) > 1.2 * once
    monkeypatch.undo()
    assert np.allclose(plain, checkpointed, atol=1e-4)
    half = tune(*args, options={**options, "precision": "bfloat16"}).user_scores.values
    assert not np.array_equal(plain, half)
    assert np.abs(plain - half).mean() < 0.5


def test_a_base_that_knows_everything_leaves_nothing_to_learn(model_folder, schema, planted):
    kinds_users = np.eye(3)[np.arange(48) % 3] * 20
    kinds_items = np.eye(3)[np.arange(60) % 3] * 20
    base = BaseVectors(planted.texts.ids, kinds_users, planted.items.ids, kinds_items)
    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    options = {**FAST, "epochs": 0, "guided_weight": 0.1}
    start = tune(*args, options=options)
    helped = tune(*args, options=options, base=base)
    assert helped.curve[0].auc > start.curve[0].auc + 0.2


def test_options_survive_json():
    options = LoraOptions(target_modules="all-linear", rank=4)
    assert LoraOptions(**json.loads(options.model_dump_json())) == options
