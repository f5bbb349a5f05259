"""Attachment to the first eight backbones: identity at the start, both ways of reading, RecBole's own functions."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import sys

import pytest
import shift
import torch
from recbole.model.general_recommender import LightGCN

from burnish.enhancers.attach import enhance, enhancer_options, is_enhanced
from burnish.errors import ConfigurationError, NonFiniteError, UnknownNameError, UnsupportedError

EIGHT = ["BPR", "NeuMF", "LightGCN", "NGCF", "SGL", "SASRec", "GRU4Rec", "BERT4Rec"]
GRAPH = ["LightGCN", "NGCF", "SGL"]


def scores(enhanced, model=None):
    """Scores of the first test batch, by `predict` and (where there is one) by `full_sort_predict`."""
    model = (model or enhanced.model).eval()
    batch = next(iter(enhanced.test))[0]
    found = []
    with torch.no_grad():
        with contextlib.suppress(NotImplementedError):  # RecBole's way to say: pairs only (NeuMF)
            found.append(model.full_sort_predict(batch).flatten())
        if "item_id" not in batch:
            batch = copy.copy(batch)
            batch.update(type(batch)({"item_id": torch.arange(1, len(batch) + 1)}))
        found.append(model.predict(batch))
    return found


def training_batch(enhanced):
    return next(iter(enhanced.train))


@pytest.mark.parametrize("backbone", EIGHT)
@pytest.mark.parametrize("enhancer", ["shift", "rvrec"])
def test_at_the_start_scores_and_random_stream_are_the_plain_ones(world, backbone, enhancer):
    plain, enhanced = world(backbone), world(enhance(backbone, enhancer))
    assert torch.equal(plain.rng_after_init, enhanced.rng_after_init)
    for one, other in zip(scores(plain), scores(enhanced), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("backbone", EIGHT)
def test_the_batches_of_an_epoch_are_the_plain_ones(world, backbone):
    after = []
    for model in (backbone, enhance(backbone, "rvrec")):
        built = world(model)
        built.trainer._train_epoch(built.train, 0)
        after.append(training_batch(built))
    plain, enhanced = after
    for column in plain.columns:
        assert torch.equal(plain[column], enhanced[column]), column


@pytest.mark.parametrize("backbone", EIGHT)
def test_both_ways_of_reading_see_the_refined_rows(world, backbone):
    """Writing shifted rows into the plain tables gives the scores that the enhanced model has."""
    plain, enhanced = world(backbone), world(enhance(backbone, shift.Shift(start=0.25)))
    moved = False
    for table in enhanced.model.enhancers.anatomy.tables:
        plain.model.get_parameter(table.name).data[table.first + 1 : table.first + table.count] += 0.25
        moved = True
    assert moved
    for one, other in zip(scores(plain), scores(enhanced), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backbone", GRAPH)
def test_site_output_refines_what_was_propagated(world, backbone):
    enhanced = world(enhance(backbone, shift.Shift(site="output", start=0.5)))
    plain = world(backbone)
    call = {"SGL": lambda m: m.forward(m.train_graph)}.get(backbone, lambda m: m.forward())  # as SGL predicts
    with torch.no_grad():
        one, other = call(plain.model.eval()), call(enhanced.model.eval())
    torch.testing.assert_close(one[0] + 0.5, other[0])
    torch.testing.assert_close(one[1] + 0.5, other[1])


@pytest.mark.parametrize("backbone", ["BPR", "SASRec"])
def test_site_output_is_refused_where_nothing_is_propagated(world, backbone):
    with pytest.raises(UnsupportedError, match=r"site 'output'.*LightGCN"):
        world(enhance(backbone, shift.Shift(site="output")))


def test_an_enhancer_that_would_do_nothing_is_refused(world):
    with pytest.raises(
        UnsupportedError, match=r"'shift' refines embeddings, and LR has no table.*works with BPR"
    ):
        world(enhance("LR", shift.Shift()))


@pytest.mark.parametrize("backbone", EIGHT)
def test_gradients_reach_backbone_and_enhancers(world, backbone):
    enhanced = world(enhance(backbone, shift.Shift(start=0.1), "rvrec"))
    losses = enhanced.model.train().calculate_loss(training_batch(enhanced))
    (sum(losses) if isinstance(losses, tuple) else losses).backward()
    for name, parameter in enhanced.model.named_parameters():
        if parameter.requires_grad and not name.startswith(("enhancers.rvrec.networks", "predict", "mlp")):
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
    networks = enhanced.model.enhancers["rvrec"].networks
    assert all(
        p.grad is not None and bool(p.grad.abs().sum() > 0)
        for n in networks.values()
        for p in [n.shift[-1].weight]
    )


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "SASRec", "BERT4Rec"])
def test_the_padding_row_stays_as_it_is(world, backbone):
    enhanced = world(enhance(backbone, shift.Shift(start=3.0)))
    for table in enhanced.model.enhancers.anatomy.tables:
        read = table.owner.weight
        assert torch.equal(read[table.first], table.raw()[0])
        ids = torch.tensor([table.first, table.first + 1])
        assert torch.equal(table.owner(ids)[0], table.raw()[0])
        torch.testing.assert_close(table.owner(ids)[1], table.raw()[1] + 3.0)
        torch.testing.assert_close(
            read[table.first + table.count :], table.owner._parameters["weight"][table.first + table.count :]
        )


def test_state_dict_keys_of_the_backbone_stay_plain(world):
    plain, enhanced = world("LightGCN"), world(enhance("LightGCN", "rvrec"))
    keys = set(enhanced.model.state_dict())
    assert set(plain.model.state_dict()) <= keys
    assert all(key.startswith("enhancers.") for key in keys - set(plain.model.state_dict()))


def test_evaluation_sees_changed_parameters(world):
    enhanced = world(enhance("BPR", shift.Shift(start=0.0)))
    before = scores(enhanced)
    with torch.no_grad():
        enhanced.model.enhancers["shift"].shift.fill_(0.7)
    after = scores(enhanced)
    with torch.no_grad():
        enhanced.model.user_embedding._parameters["weight"].mul_(2.0)
    last = scores(enhanced)
    assert not torch.allclose(before[0], after[0])
    assert not torch.allclose(after[0], last[0])


# ---------------------------------------------------------------------- RecBole's own functions


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "SASRec"])
def test_fit_checkpoint_resume_and_load(world, backbone):
    from recbole.quick_start import load_data_and_model

    cls = enhance(backbone, "rvrec")
    enhanced = world(cls, epochs=2)
    enhanced.trainer.fit(enhanced.train, enhanced.valid, saved=True, verbose=False)
    result = enhanced.trainer.evaluate(enhanced.test, load_best_model=True)
    trained = scores(enhanced)

    resumed = world(cls, epochs=2)
    resumed.trainer.resume_checkpoint(enhanced.trainer.saved_model_file)
    assert (
        resumed.model.enhancers.state.step
        == torch.load(enhanced.trainer.saved_model_file, weights_only=False)["state_dict"][
            "enhancers._extra_state"
        ]
    )
    assert resumed.trainer.evaluate(resumed.test, load_best_model=False) == result

    _, model, _, _, _, _ = load_data_and_model(enhanced.trainer.saved_model_file)
    assert is_enhanced(model)
    for one, other in zip(trained, scores(enhanced, model), strict=True):
        assert torch.equal(one, other)


def test_run_recbole_with_an_enhancers_block(small_options, tmp_path, monkeypatch):
    from recbole.quick_start import run_recbole

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    options = small_options("BPR")
    file = tmp_path / "mine.yaml"
    file.write_text("enhancers:\n  rvrec: {weight: 0.3}\n")
    shift.Shift.epochs.clear()
    plain = run_recbole("BPR", "ml-100k", config_dict=dict(options))
    block = run_recbole("BPR", "ml-100k", config_file_list=[str(file)], config_dict=dict(options))
    cls = run_recbole(enhance("BPR", "shift"), "ml-100k", config_dict=dict(options, epochs=2))
    assert plain["test_result"] != block["test_result"]
    assert cls["test_result"]
    assert shift.Shift.epochs == [0, 1]


def test_case_study(world):
    from recbole.utils.case_study import full_sort_topk

    enhanced = world(enhance("LightGCN", "rvrec"))
    users = torch.tensor([1, 2, 3]).numpy()
    values, items = full_sort_topk(users, enhanced.model, enhanced.test, k=5, device="cpu")
    assert values.shape == items.shape == (3, 5)


def test_the_configuration_shows_what_is_attached(world):
    enhanced = world(enhance("BPR"), enhancers={"rvrec": {"weight": 0.3}})
    assert is_enhanced(enhanced.model)
    assert enhanced.config["enhancers"] == {"rvrec": {"weight": 0.3}}
    assert enhancer_options(type(enhanced.model)) == {"rvrec": {"weight": 0.3}}


# ---------------------------------------------------------------------- the class


def test_the_class_keeps_the_backbones_name_and_pickles():
    cls = enhance("LightGCN", shift.Shift(start=0.5), "rvrec")
    assert cls.__name__ == "LightGCN"
    assert issubclass(cls, enhance("LightGCN"))
    assert cls is enhance("LightGCN", shift.Shift(start=0.5), "rvrec")
    assert cls is enhance(enhance("LightGCN", shift.Shift(start=0.5)), "rvrec")
    assert cls is not enhance("LightGCN", "rvrec")
    assert pickle.loads(pickle.dumps(cls)) is cls


def test_a_whole_model_pickles_and_copies(world):
    enhanced = world(enhance("BPR", "rvrec"))
    before = scores(enhanced)
    copied = copy.deepcopy(enhanced.model)
    with torch.no_grad():
        for parameter in enhanced.model.parameters():
            parameter.add_(1.0)
    for one, other in zip(before, scores(enhanced, copied), strict=True):
        assert torch.equal(one, other)
    stream = io.BytesIO()
    torch.save(copied, stream)
    stream.seek(0)
    loaded = torch.load(stream, weights_only=False)
    for one, other in zip(before, scores(enhanced, loaded), strict=True):
        assert torch.equal(one, other)


def test_refusals_name_the_thing_and_the_cure():
    with pytest.raises(UnknownNameError, match="Did you mean 'LightGCN'"):
        enhance("LightGNC", "rvrec")
    with pytest.raises(UnknownNameError, match="Did you mean 'rvrec'"):
        enhance("BPR", "rvrek")
    with pytest.raises(UnknownNameError, match=r"'temprature'.*Did you mean 'temperature'"):
        enhance("BPR", shift.register.__globals__["find_enhancer"]("rvrec")(temprature=1.0))
    with pytest.raises(ConfigurationError, match="'shift' is already attached"):
        enhance(enhance("BPR", "shift"), "shift")
    with pytest.raises(ConfigurationError, match="given twice"):
        enhance("BPR", "shift", "shift")
    with pytest.raises(UnsupportedError, match="Pop has no embeddings"):
        enhance("Pop", "rvrec")
    with pytest.raises(UnsupportedError, match="not a RecBole model class"):
        enhance(dict, "rvrec")


# ---------------------------------------------------------------------- numbers that are not finite


def test_a_table_that_is_not_finite_is_refused_at_the_start(world):
    from recbole.model.general_recommender import BPR

    class Broken(BPR):
        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            self.item_embedding.weight.data[3] = float("nan")

    Broken.__name__ = "BPR"  # RecBole finds default options by the class's name
    with pytest.raises(NonFiniteError, match=r"item_embedding.weight.*NaN"):
        world(enhance(Broken, "shift"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("enhancers.attached.shift.shift", r"parameter 'shift' of enhancer 'shift'.*step 1"),
        ("user_embedding.weight", r"table 'user_embedding.weight' of BPR.*step 1"),
    ],
)
def test_nan_stops_training_and_says_where_and_when(world, where, message):
    enhanced = world(enhance("BPR", "shift"))
    batch = training_batch(enhanced)
    enhanced.model.train().calculate_loss(batch)
    with torch.no_grad():
        dict(enhanced.model.named_parameters())[where].fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=message):
        enhanced.model.calculate_loss(batch)


# ---------------------------------------------------------------------- weights


@pytest.mark.parametrize("backbone", EIGHT)
def test_weights_on_the_backbones_own_loss(world, backbone):
    """The weighted loss is the mean of the single rows' losses times their weights, in value and gradient."""
    values = (0.5, 2.0, 0.25, 1.25)
    options = {
        "reg_weight": 0.0,
        "dropout_prob": 0.0,
        "ssl_weight": 0.0,
        "node_dropout": 0.0,
        "message_dropout": 0.0,
    }
    weighted = world(enhance(backbone, shift.Weights(values=values)), **options)
    plain = world(backbone, **options)
    if backbone == "SGL":
        for enhanced in (weighted, plain):
            enhanced.model.graph_construction()
    batch = training_batch(plain)[torch.arange(8)]
    w = torch.tensor(values).repeat(2)

    def total(losses):
        return (sum(losses) if isinstance(losses, tuple) else losses).sum()  # some are [1]

    got = total(weighted.model.eval().calculate_loss(batch))
    got.backward()
    plain.model.eval()
    # How many rows of loss an interaction has, and whether the backbone takes their mean or their sum.
    n = torch.ones(8)
    if backbone == "BERT4Rec":
        n = (batch[plain.model.MASK_INDEX] > 0).sum(1)
        assert bool((n > 0).any())
    rows = [
        total(plain.model.calculate_loss(batch[torch.tensor([row])])) * n[row]
        for row in range(8)
        if n[row] > 0
    ]
    weighted_sum = (torch.stack(rows) * w[n > 0]).sum()
    wanted = weighted_sum if backbone == "SGL" else weighted_sum / n.sum()
    wanted.backward()
    torch.testing.assert_close(got, wanted, rtol=2e-5, atol=1e-6)
    for (name, one), other in zip(plain.model.named_parameters(), weighted.model.parameters(), strict=False):
        if one.grad is not None:
            torch.testing.assert_close(
                other.grad, one.grad, rtol=1e-3, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.parametrize("name", ["", "half", "Upper", "two words"])
def test_a_name_that_no_enhancer_can_have_is_refused_before_anything_is_built(name):
    from burnish.enhancers.enhancer import Enhancer

    named = type("Named", (Enhancer,), {"name": name})
    with pytest.raises(ConfigurationError, match="lower-case identifier"):
        enhance("BPR", named())


class Moved(LightGCN):
    """As on a GPU: its graph is there from the start, its tables from the moment when the model is moved."""

    moved = False

    def _apply(self, *args, **kwargs):
        self.moved = True
        return super()._apply(*args, **kwargs)

    def forward(self):
        if not self.moved:
            raise RuntimeError("expected all tensors to be on the same device")
        return super().forward()


@pytest.mark.parametrize("enhancer", ["rvrec", "softmax", "distil"])
def test_enhancers_look_at_a_backbone_that_is_whole_on_its_device(world, enhancer):
    built = world(enhance(Moved, enhancer), n_layers=2, reg_weight=1e-5, require_pow=False)
    assert next(built.model.parameters()).device == built.config["device"]
