"""Which of RecBole's sequential models train on whole sequences, and that trying it leaves nothing behind."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from recbole.model.sequential_recommender.gru4rec import GRU4Rec
from recbole.model.sequential_recommender.sasrec import SASRec
from torch import nn

from burnish import RVRec, enhance
from burnish.enhancers.zoo import list_backbones
from burnish.errors import UnsupportedError
from burnish.sequences.epochs import layout_for

NO_STATE = "does not ask `gather_indexes`"
MORE = "uses more of a sequence than the state at one position"
AHEAD = "depends on items that come later"
TRANSFORM = "makes another sequence of every row"
NORM = "batch normalisation"
OTHER_LISTS = "does not hand the item lists of the batch to `forward`"

#: Every sequential model of RecBole: why it cannot train on whole sequences, or nothing.
EXPECTED = {
    "BERT4Rec": TRANSFORM,
    "CORE": NO_STATE,
    "Caser": NO_STATE,
    "DIEN": NORM,
    "DIN": NORM,
    "FDSA": "",
    "FEARec": AHEAD,
    "FOSSIL": MORE,
    "FPMC": NO_STATE,
    "GCSAN": AHEAD,
    "GRU4Rec": "",
    "GRU4RecCPR": NO_STATE,
    "GRU4RecF": "",
    "GRU4RecKG": "",
    "HGN": NO_STATE,
    "HRM": NO_STATE,
    "KSR": MORE,
    "LightSANs": AHEAD,
    "NARM": MORE,
    "NPE": NO_STATE,
    "NextItNet": NO_STATE,
    "RepeatNet": MORE,
    "S3Rec": OTHER_LISTS,  # pre-training; see below for its second stage
    "SASRec": "",
    "SASRecCPR": NO_STATE,
    "SASRecF": "",
    "SHAN": TRANSFORM,
    "SINE": NO_STATE,
    "SRGNN": MORE,
    "STAMP": MORE,
    "TransRec": NO_STATE,
}
UNIFORM = {"distribution": "uniform", "sample_num": 2}
TRANSFORMER = {
    "hidden_dropout_prob": 0.5,
    "attn_dropout_prob": 0.5,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
    "loss_type": "CE",
    "train_neg_sample_args": None,
}


def test_the_table_is_complete():
    assert set(EXPECTED) == {name for name, kind in list_backbones().items() if kind == "sequential"}


@pytest.mark.parametrize("backbone", EXPECTED)
def test_what_qualifies(world, backbone):
    built = world(backbone, sequence_training="whole")
    if not EXPECTED[backbone]:
        assert layout_for(built.trainer, built.train).n_windows < len(built.train._dataset.inter_feat)
        return
    with pytest.raises(UnsupportedError) as refusal:
        built.trainer._train_epoch(built.train, 0)
    assert EXPECTED[backbone] in str(refusal.value)
    assert backbone in str(refusal.value)
    assert "'prefix'" in str(refusal.value), "the cure"


@pytest.mark.parametrize("backbone", [name for name, reason in EXPECTED.items() if not reason])
@pytest.mark.parametrize("attached", [False, True])
def test_also_with_enhancers_and_negatives(world, backbone, attached):
    options = {"loss_type": "BPR", "train_neg_sample_args": UNIFORM}
    if backbone == "FDSA":  # RecBole's FDSA knows CE only
        options = {}
    model = enhance(backbone, RVRec()) if attached else backbone
    built = world(model, sequence_training="whole", **options)
    assert layout_for(built.trainer, built.train) is not None


def test_fine_tuning_of_s3rec(world):
    first = world("S3Rec")
    first.trainer.fit(first.train, first.valid, verbose=False, saved=False, show_progress=False)
    checkpoint = f"{first.config['checkpoint_dir']}/S3Rec-conformance-1.pth"
    second = world("S3Rec", train_stage="finetune", pre_model_path=checkpoint, sequence_training="whole")
    assert layout_for(second.trainer, second.train) is not None


@pytest.mark.parametrize("backbone", ["NARM", "NextItNet", "BERT4Rec"])
def test_auto_says_why_and_trains_on_prefixes(world, backbone):
    plain = world(backbone)
    expected = plain.trainer._train_epoch(plain.train, 0)
    auto = world(backbone, sequence_training="auto")
    with pytest.warns(UserWarning, match=f"{backbone} trains on prefixes") as caught:
        assert auto.trainer._train_epoch(auto.train, 0) == expected
    (notice,) = [str(one.message) for one in caught if one.category is UserWarning]
    assert EXPECTED[backbone] in notice
    assert "\n" not in notice
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        auto.trainer._train_epoch(auto.train, 1)


def test_auto_leaves_models_without_sequences_alone(world):
    built = world("BPR", sequence_training="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loss = built.trainer._train_epoch(built.train, 0)
    plain = world("BPR")
    assert loss == plain.trainer._train_epoch(plain.train, 0)


def snapshot(built: Any) -> list[Any]:
    model = built.model
    return [
        torch.get_rng_state(),
        built.train.generator.get_state(),
        torch.as_tensor(np.random.get_state()[1].astype(np.int64)),
        torch.as_tensor(random.getstate()[1]),
        *[value.clone() for value in model.state_dict().values() if isinstance(value, torch.Tensor)],
        torch.tensor([module.training for module in model.modules()]),
        torch.tensor([p.data_ptr() for p in model.parameters()]),
        torch.tensor([p.grad is None for p in model.parameters()]),
    ]


@pytest.mark.parametrize("model", ["SASRec", "NARM", "LightSANs", enhance("GRU4Rec", RVRec())])
def test_trying_leaves_nothing_behind(world, model):
    built = world(model, sequence_training="auto", loss_type="BPR", train_neg_sample_args=UNIFORM)
    next(iter(built.model.children())).eval()
    before = snapshot(built)
    attributes = set(vars(built.model)), list(built.train._dataset.inter_feat.interaction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layout_for(built.trainer, built.train)
    assert all(torch.equal(a, b) for a, b in zip(before, snapshot(built), strict=True))
    assert attributes == (set(vars(built.model)), list(built.train._dataset.inter_feat.interaction))


@pytest.mark.parametrize("field", ["item_id_list", "item_length"])
def test_rows_without_lists(world, field):
    built = world("SASRec", sequence_training="auto")
    del built.train._dataset.inter_feat.interaction[field]
    with pytest.warns(UserWarning, match=f"SASRec trains on prefixes.*no column '{field}'"):
        assert layout_for(built.trainer, built.train) is None


@pytest.mark.parametrize("keep", [[0], [0, 1], [0, 8]])
def test_too_little_to_try(world, keep):
    built = world("SASRec", sequence_training="auto")
    features = built.train._dataset.inter_feat
    features.interaction = {name: column[keep] for name, column in features.interaction.items()}
    features.length = built.train.sample_size = len(keep)
    with pytest.warns(UserWarning, match="no two histories, or no two prefixes of one"):
        assert layout_for(built.trainer, built.train) is None


# ---------------------------------------------------------------- models of other people


class Deeper(SASRec):
    """A causal model of somebody else: one more layer, over the outputs, and a look at the user."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.after = nn.Linear(self.hidden_size, self.hidden_size)

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.after(super().forward(item_seq, item_seq_len)))


class Gated(SASRec):
    """Adds the mean of the whole sequence, at a strength that is 0 at first."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        hidden = self.trm_encoder(self.item_embedding(item_seq), self.get_attention_mask(item_seq))[-1]
        hidden = hidden + self.gate * hidden.mean(1, keepdim=True)
        return self.gather_indexes(hidden, item_seq_len - 1)


class OfTarget(GRU4Rec):
    """Gives the state, and something of the row's own with it."""

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        return super().forward(item_seq, item_seq_len) + 0.1 * self.seen

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        self.seen = self.item_embedding(interaction[self.USER_ID] % self.n_items)
        return super().calculate_loss(interaction)


class Normalised(SASRec):
    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.norm = nn.BatchNorm1d(self.hidden_size)


class FromTheEnd(SASRec):
    """Counts positions from the last item, so that what a prefix gives is not found in a longer sequence."""

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        shifts = item_seq_len[:, None] - 1 - torch.arange(item_seq.shape[1], device=item_seq.device)
        embedded = self.item_embedding(item_seq) + self.position_embedding(shifts.clamp(min=0))
        hidden = self.trm_encoder(embedded, self.get_attention_mask(item_seq))[-1]
        return self.gather_indexes(hidden, item_seq_len - 1)


class Failing(SASRec):
    """Fails whatever it is given."""

    def calculate_loss(self, interaction: Any) -> torch.Tensor:
        raise RuntimeError("out of order.\nwith details")


def test_a_causal_subclass_qualifies(world):
    built = world(Deeper, sequence_training="whole", **TRANSFORMER)
    assert layout_for(built.trainer, built.train) is not None
    assert np.isfinite(built.trainer._train_epoch(built.train, 0))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Gated, AHEAD),
        (FromTheEnd, "what it computes for a prefix is not what it computes there"),
        (Normalised, NORM),
        (Failing, r"\(out of order\)"),
    ],
)
def test_other_subclasses_do_not(world, model, reason):
    built = world(model, sequence_training="whole", category="sequential", **TRANSFORMER)
    with pytest.raises(UnsupportedError, match=reason):
        layout_for(built.trainer, built.train)


def test_a_row_of_each_target_inside_the_encoder_keeps_its_row(world):
    built = world(OfTarget, sequence_training="whole", **TRANSFORMER, dropout_prob=0.0)
    assert layout_for(built.trainer, built.train) is not None
