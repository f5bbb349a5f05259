"""Losses, gradients and batches of whole-sequence training, against RecBole's own prefix rows."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import cat_interactions
from torch.utils.data import DistributedSampler

from burnish import RVRec, enhance, speed
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.errors import ConfigurationError, UnsupportedError
from burnish.sequences.batches import ShardedWindowSampler, by_windows
from burnish.sequences.encoder import encoding_windows
from burnish.sequences.epochs import layout_for
from burnish.sequences.layout import PLACE_FIELD, WINDOW_FIELD, lay_out

WITHIN = {"MAX_ITEM_LIST_LENGTH": 20}  # no history of the small data is longer
UNIFORM = {"distribution": "uniform", "sample_num": 1}
BPR = {"loss_type": "BPR", "train_neg_sample_args": UNIFORM}
MODELS = ["SASRec", "GRU4Rec", "SASRecF", "GRU4RecF", "GRU4RecKG"]
CASES = [(name, {}) for name in [*MODELS, "FDSA"]] + [(name, BPR) for name in MODELS]
CASES += [("SASRec", {**BPR, "train_neg_sample_args": {**UNIFORM, "sample_num": 3}})]


class Recorded:
    """The batches that a trainer's epochs hand to the model's loss."""

    def __init__(self, built: Any) -> None:
        self.batches: list[Any] = []
        layout_for(built.trainer, built.train)  # which computes a loss too
        loss = built.model.calculate_loss

        def record(batch: Any) -> Any:
            self.batches.append(batch)
            return loss(batch)

        built.model.calculate_loss = record


def identity(batch: Any) -> list[tuple[int, ...]]:
    """What tells one training row from another: the user and the whole list with its target."""
    return [
        (int(u), int(t), *row)
        for u, t, row in zip(batch["user_id"], batch["item_id"], batch["item_id_list"].tolist(), strict=True)
    ]


def gradients(model: Any, loss: torch.Tensor) -> list[torch.Tensor]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]


@contextmanager
def plain_model(built: Any) -> Any:
    """Without dropout and in float64."""
    built.model.double().eval()
    yield built.model


@pytest.mark.parametrize(("backbone", "options"), CASES)
@pytest.mark.parametrize("stride", [None, "exact"])
def test_an_epoch_is_the_sum_over_prefixes(world, backbone, options, stride):
    """Within the maximum length with any stride; beyond it where the stride is exact."""
    length = WITHIN if stride is None else {}
    built = world(backbone, sequence_training="whole", sequence_stride=stride, **length, **options)
    layout, loader = layout_for(built.trainer, built.train), built.train
    assert layout.exact.all()
    with plain_model(built) as model, by_windows(loader, layout):
        batches = list(loader)
        whole: list[Any] = []
        for batch in batches:
            with encoding_windows(model, batch) as passes:
                loss = model.calculate_loss(batch) * len(batch)
            assert passes.encoded == 1
            whole.append((loss.detach(), gradients(model, loss)))
    rows = cat_interactions(batches)
    times = len(rows) // len(loader._dataset.inter_feat)
    assert Counter(identity(rows)) == Counter(identity(loader._dataset.inter_feat) * times)
    for name in (WINDOW_FIELD, PLACE_FIELD):
        del rows.interaction[name]
    loss = model.calculate_loss(rows) * len(rows)  # RecBole's own, of all rows at once
    torch.testing.assert_close(sum(one for one, _ in whole), loss.detach(), rtol=1e-10, atol=0)
    for number, expected in enumerate(gradients(model, loss)):
        total = sum(one[number] for _, one in whole)
        torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-9)


def test_longer_histories_get_the_context_that_is_documented(world):
    """Each row's state is that of its window's last `context` items, computed alone."""
    built = world("SASRec", sequence_training="whole", sequence_stride=3)
    layout, dataset = layout_for(built.trainer, built.train), built.train._dataset
    items, lengths = dataset.inter_feat["item_id_list"], dataset.inter_feat["item_length"]
    with plain_model(built) as model, by_windows(built.train, layout):
        for window in range(layout.n_windows):
            rows = layout.rows_of(torch.tensor([window]))
            other = layout.rows_of(torch.tensor([(window + 1) % layout.n_windows]))
            batch = built.train.collate_fn([*rows.tolist(), *other.tolist()])
            with encoding_windows(model, batch):
                states = model.forward(batch["item_id_list"], batch["item_length"])[: len(rows)]
            last = items[rows[-1]][: lengths[rows[-1]]]
            for place, state in enumerate(states):
                context = last[: len(last) - (len(rows) - 1 - place)]
                padded = torch.zeros_like(items[:1])
                padded[0, : len(context)] = context
                alone = model.forward(padded, torch.tensor([len(context)]))[0]
                torch.testing.assert_close(state, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [10, 64, 128, 10_000])
@pytest.mark.parametrize("fast", [True, False])
def test_batches_have_the_sizes_of_prefix_training(world, size, fast):
    plain = world("SASRec", train_batch_size=size, **BPR)
    built = world("SASRec", train_batch_size=size, sequence_training="whole", **BPR)
    recorded, expected = Recorded(built), Recorded(plain)
    with nullcontext() if fast else speed.without():
        for epoch in range(2):
            plain.trainer._train_epoch(plain.train, epoch)
            built.trainer._train_epoch(built.train, epoch)
    assert [len(batch) for batch in recorded.batches] == [len(batch) for batch in expected.batches]
    half = len(recorded.batches) // 2
    rows = Counter(identity(built.train._dataset.inter_feat))
    for epoch in (recorded.batches[:half], recorded.batches[half:]):
        assert Counter(one for batch in epoch for one in identity(batch)) == rows
    first = [identity(batch) for batch in recorded.batches[:half]]
    assert first != [identity(batch) for batch in recorded.batches[half:]], "another order each epoch"


def test_the_order_is_the_generators(world):
    orders = []
    for seed in (3, 3, 4):
        built = world("SASRec", sequence_training="whole", seed=seed)
        recorded = Recorded(built)
        built.trainer._train_epoch(built.train, 0)
        orders.append([one for batch in recorded.batches for one in identity(batch)])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_without_shuffling_windows_come_in_order(world):
    built = world("SASRec", sequence_training="whole", shuffle=False)
    recorded = Recorded(built)
    built.trainer._train_epoch(built.train, 0)
    layout = lay_out(built.train._dataset, 3)
    rows = identity(built.train._dataset.inter_feat)
    trained_rows = [one for batch in recorded.batches for one in identity(batch)]
    assert trained_rows == [rows[row] for row in layout.order.tolist()]


def test_the_same_negatives_for_the_same_rows(world):
    built = world("SASRec", sequence_training="whole", **BPR)
    layout = layout_for(built.trainer, built.train)
    rows = [5, 1, 80, 30, 31]
    np.random.seed(3)
    plain = built.train.collate_fn(rows)
    np.random.seed(3)
    with by_windows(built.train, layout):
        whole = built.train.collate_fn(rows)
    assert set(whole.interaction) - set(plain.interaction) == {WINDOW_FIELD, PLACE_FIELD}
    for name, column in plain.interaction.items():
        assert torch.equal(column, whole[name]), name


def test_dynamic_negatives_see_prefixes(world):
    dynamic = {**UNIFORM, "dynamic": True, "candidate_num": 2}
    built = world("SASRec", sequence_training="whole", **{**BPR, "train_neg_sample_args": dynamic})
    built.train.get_model(built.model)
    assert np.isfinite(built.trainer._train_epoch(built.train, 0))


@pytest.mark.parametrize("mode", [None, "prefix", "whole"])
def test_nothing_is_left_after_an_epoch(world, mode):
    built = world("SASRec", sequence_training=mode)
    sampler, columns = built.train.batch_sampler.sampler, set(built.train._dataset.inter_feat.interaction)
    attributes = set(vars(built.model)), set(vars(built.trainer)) | {"_burnish_epoch"}
    built.trainer._train_epoch(built.train, 0)
    assert built.train.batch_sampler.sampler is sampler
    assert set(built.train._dataset.inter_feat.interaction) == columns
    assert attributes == (set(vars(built.model)), set(vars(built.trainer)) | {"_burnish_epoch"})


def test_nothing_is_left_after_an_error(world):
    built = world("SASRec", sequence_training="whole")
    attributes, columns = set(vars(built.model)), set(built.train._dataset.inter_feat.interaction)
    sampler, calls = built.train.batch_sampler.sampler, []

    def fail(batch: Any) -> Any:
        built.model.forward(batch["item_id_list"], batch["item_length"])
        calls.append(len(batch))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built.trainer._train_epoch(built.train, 0, fail)
    assert calls
    assert set(vars(built.model)) == attributes
    assert built.train.batch_sampler.sampler is sampler
    assert set(built.train._dataset.inter_feat.interaction) == columns
    assert np.isfinite(built.trainer._train_epoch(built.train, 0)), "and training can begin again"


def test_prefix_is_what_recbole_does(world):
    plain, prefix = world("SASRec"), world("SASRec", sequence_training="prefix")
    states = []
    for built in (plain, prefix):
        torch.manual_seed(1)
        built.trainer._train_epoch(built.train, 0)
        states.append(built.model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_fit_evaluate_and_load(world):
    built = world("SASRec", sequence_training="whole", epochs=3)
    built.trainer.fit(built.train, built.valid, verbose=False, saved=True, show_progress=False)
    result = built.trainer.evaluate(built.test, load_best_model=True, show_progress=False)
    saved = torch.load(built.trainer.saved_model_file, weights_only=False)
    plain = world("SASRec")
    plain.model.load_state_dict(saved["state_dict"])
    assert plain.trainer.evaluate(plain.test, load_best_model=False, show_progress=False) == result
    assert saved["config"]["sequence_training"] == "whole"


# ---------------------------------------------------------------- enhancers


class EveryOther(Enhancer[EnhancerConfig]):
    """Weights of training interactions that tell them all apart."""

    name = "every_other"

    def bind(self, anatomy: Any, dataset: Any) -> None:
        n = len(dataset.inter_feat)
        weights = 0.5 + torch.arange(n, dtype=torch.float32) / n
        self.weights = weights / weights.mean()

    def interaction_weights(self) -> torch.Tensor:
        return self.weights


class Resampled(EveryOther):
    """The same by drawing."""

    name = "resampled"
    weighs_by = "resampling"


@pytest.mark.parametrize("enhancer", [RVRec(), EveryOther()])
@pytest.mark.parametrize("backbone", ["SASRec", "GRU4Rec"])
@pytest.mark.parametrize("options", [{}, BPR])
def test_enhanced_losses_are_those_of_prefixes(world, enhancer, backbone, options):
    built, twin = (
        world(enhance(backbone, enhancer), sequence_training="whole", **WITHIN, **options) for _ in range(2)
    )
    with by_windows(built.train, layout_for(built.trainer, built.train)):
        batches = list(built.train)
    layout_for(twin.trainer, twin.train)
    model, other_model = built.model.eval(), twin.model.eval()
    for batch in batches:
        with encoding_windows(model, batch) as passes:
            loss = model.calculate_loss(batch)
        assert passes.encoded
        expected = other_model.calculate_loss(batch)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
        for one, other in zip(gradients(model, loss), gradients(other_model, expected), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_each_target_has_its_own_weight(world):
    built = world(enhance("SASRec", EveryOther()), sequence_training="whole", sequence_stride="exact")
    layout = layout_for(built.trainer, built.train)
    weights = built.model.enhancers["every_other"].weights
    model = built.model.eval()
    with by_windows(built.train, layout):
        rows = layout.order[:60]
        batch = built.train.collate_fn(rows.tolist())
        singles = [built.train.collate_fn([row]) for row in rows.tolist()]
    with encoding_windows(model, batch):
        loss = model.calculate_loss(batch)
    own = super(type(model).__mro__[1], model).calculate_loss
    terms = torch.stack([own(single) for single in singles])
    torch.testing.assert_close(loss, (weights[rows] * terms).mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("enhancer", [RVRec(), EveryOther(), Resampled()])
def test_enhanced_training_goes_down(world, enhancer):
    built = world(enhance("GRU4Rec", enhancer), sequence_training="whole")
    losses = [built.trainer._train_epoch(built.train, epoch) for epoch in range(4)]
    assert losses[-1] < losses[0]


def test_rows_drawn_by_weight_are_encoded_right(world):
    """Drawn rows stand in no order at all: the same loss as from prefixes all the same."""
    built = world("SASRec", sequence_training="whole", sequence_stride="exact")
    layout = layout_for(built.trainer, built.train)
    drawn = torch.randint(352, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    with plain_model(built) as model, by_windows(built.train, layout):
        batch = built.train.collate_fn(drawn)
        with encoding_windows(model, batch) as passes:
            loss = model.calculate_loss(batch)
        assert passes.gathered == 1
        torch.testing.assert_close(loss, model.calculate_loss(batch), rtol=1e-10, atol=0)


# ---------------------------------------------------------------- several processes


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_shards_hold_every_row(world, processes):
    built = world("SASRec", sequence_training="whole")
    layout = layout_for(built.trainer, built.train)
    n = len(layout.order)
    plain = [DistributedSampler(range(n), processes, rank, shuffle=True, seed=5) for rank in range(processes)]
    shards = [ShardedWindowSampler(layout, one) for one in plain]
    epochs = []
    for epoch in range(2):
        for one in plain:
            one.set_epoch(epoch)
        rows = [list(shard) for shard in shards]
        assert [len(one) for one in rows] == [len(list(one)) for one in plain] == [len(s) for s in shards]
        flat = [row for one in rows for row in one]
        assert set(flat) == set(range(n))
        assert len(flat) - n < processes
        cuts = sum(len({int(layout.windows[row]) for row in one}) for one in rows)
        assert cuts <= layout.n_windows + 2 * processes, "windows stay together"
        epochs.append(flat)
    assert epochs[0] != epochs[1]


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sequence_training": "hole"}, "sequence_training = 'hole'.*Did you mean 'whole'"),
        ({"sequence_training": True}, "sequence_training = True"),
        ({"sequence_stride": 0}, "sequence_stride = 0.*from 1 to 6"),
        ({"sequence_stride": 7}, "sequence_stride = 7"),
        ({"sequence_stride": "exakt"}, "Did you mean 'exact'"),
        ({"sequence_stride": 1.5}, r"sequence_stride = 1\.5"),
        ({"sequence_stride": True}, "sequence_stride = True"),
    ],
)
def test_options_are_checked(world, options, words):
    with pytest.raises(ConfigurationError, match=words):
        world("SASRec", **options)


@pytest.mark.parametrize(("stride", "expected"), [(None, 3), (2, 2), ("4", 4), ("exact", 1), ("EXACT", 1)])
def test_strides(world, stride, expected):
    built = world("SASRec", sequence_training="WHOLE", sequence_stride=stride)
    layout = layout_for(built.trainer, built.train)
    assert layout.starts.tolist() == lay_out(built.train._dataset, expected).starts.tolist()


def test_whole_needs_sequences(world):
    with pytest.raises(UnsupportedError, match=r"BPR trains on no sequences.*'auto'"):
        world("BPR", sequence_training="whole")
