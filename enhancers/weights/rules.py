"""How weights enter the loss of each of RecBole's models: one rule a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from burnish.errors import unknown_name

Route = Literal["modules", "reductions"]
Layout = Literal["rows", "tiled", "interleaved", "first", "part"]
Cells = Literal["none", "likelihood", "reduced", "history"]


@dataclass(frozen=True)
class Rule:
    """How weights enter one model's loss.

    route: "modules" asks the loss modules for rows; "reductions" intercepts sums and means while the loss runs.
    layout: which rows of a loss belong to interaction b of B: "rows" row b of B; "tiled" rows b, b + B, b + 2 B, …;
        "interleaved" rows k b to k b + k - 1; "first" row b, those from B on are not interactions; "part" row b,
        and the loss has fewer rows than the batch.
    only: with "reductions", which full reductions of tensors with gradient are meant, counted in a loss
        computation from 0; None for all that have the right shape.
    batch_sums: with "reductions", which sums over the first of three dimensions are sums over the batch.
    plain: methods (dotted paths from the model) whose terms are not the recommendation loss.
    cells: where the batch consists of users, how a weight for one of a user's interactions enters: "likelihood"
        the product of log-softmax and history; "reduced" the `[B, n_items]` tensor that is reduced; "history" the
        `[B, longest history]` tensor that is reduced; "none" not at all.
    cells_stage: the training stage in which `cells` holds; in others a user's mean weight is used.
    summed: whether the recommendation loss is a sum over the batch's interactions, and not a mean.
    exact, exact_interactions: whether the weighted loss is the ideal one for weights on rows of the batch, and for
        weights on interactions.  note: what to know about it.
    """

    route: Route
    layout: Layout = "rows"
    only: frozenset[int] | None = None
    batch_sums: frozenset[int] = frozenset()
    plain: tuple[str, ...] = ()
    cells: Cells = "none"
    cells_stage: str | None = None
    summed: bool = False
    exact: bool = True
    exact_interactions: bool = True
    note: str = ""


_MODULES = Rule("modules")
_REDUCTIONS = Rule("reductions")
_LIKELIHOOD = Rule(
    "reductions",
    cells="likelihood",
    note="a row is a user: `weigh` counts the whole evidence bound of a user, interaction weights the target's terms",
)

_GENERAL = (
    "BPR", "DGCF", "DMF", "FISM", "LightGCN", "NAIS", "NCL", "NeuMF", "NGCF", "NNCF", "SpectralCF",
)  # fmt: skip
_CONTEXT = (
    "AFM", "AutoInt", "DCN", "DCNV2", "DeepFM", "DSSM", "EulerNet", "FFM", "FiGNN", "FM", "FNN", "FwFM", "KD_DAGFM",
    "LR", "NFM", "PNN", "WideDeep", "xDeepFM",
)  # fmt: skip
_SEQUENTIAL = (
    "Caser", "CORE", "DIEN", "DIN", "FDSA", "FEARec", "FOSSIL", "FPMC", "GCSAN", "GRU4Rec", "GRU4RecCPR", "GRU4RecF",
    "GRU4RecKG", "HGN", "HRM", "KSR", "LightSANs", "NARM", "NextItNet", "NPE", "SASRec", "SASRecF", "SHAN", "SINE",
    "SRGNN", "STAMP", "TransRec",
)  # fmt: skip
_KNOWLEDGE = ("CKE", "KGAT", "KGIN", "KTUP", "MKR", "RippleNet")

#: The rule of every RecBole model that is trained by gradients on tables, by name.
RULES: dict[str, Rule] = dict.fromkeys(_GENERAL + _CONTEXT + _SEQUENTIAL + _KNOWLEDGE, _MODULES) | {
    "ConvNCF": replace(_REDUCTIONS, only=frozenset({0}), summed=True),
    "LINE": replace(_REDUCTIONS, note="all four terms of an edge count with its weight"),
    "SGL": replace(_REDUCTIONS, plain=("calc_ssl_loss",), summed=True),
    "SimpleX": replace(
        _REDUCTIONS,
        layout="part",
        only=frozenset({0}),
        note="the batch repeats its interactions, one block a negative; the loss has one row an interaction",
    ),
    "SASRecCPR": _REDUCTIONS,
    "RepeatNet": replace(
        _REDUCTIONS,
        plain=("repeat_explore_loss",),
        note="the joint repeat/explore term couples rows and stays plain",
    ),
    "BERT4Rec": replace(_REDUCTIONS, layout="interleaved", note="one row a masked position of the sequence"),
    "S3Rec": replace(
        _REDUCTIONS,
        layout="interleaved",
        note="in pre-training a sequence's four self-supervised terms are its row",
    ),
    "GCMC": replace(_MODULES, layout="tiled"),
    "KGCN": replace(_MODULES, layout="tiled"),
    "KGNNLS": replace(_MODULES, layout="tiled", plain=("calculate_ls_loss",)),
    "MCCLK": replace(_MODULES, layout="tiled"),
    "CFKG": Rule("reductions", layout="first", note="triples of the graph share the loss; they stay plain"),
    "ENMF": Rule(
        "reductions",
        only=frozenset({1}),
        batch_sums=frozenset({1}),
        cells="history",
        note="interaction weights count the positive terms; the sum over all pairs stays plain",
    ),
    "CDAE": Rule(
        "reductions",
        only=frozenset({0}),
        cells="reduced",
        note="interaction weights count the cells of positives",
    ),
    "DiffRec": Rule(
        "reductions",
        cells="reduced",
        note="interaction weights count the squared errors of positives; the history that steers the sampling of "
        "diffusion steps sees them too",
    ),
    "MultiDAE": _LIKELIHOOD,
    "MultiVAE": _LIKELIHOOD,
    "MacridVAE": _LIKELIHOOD,
    "RecVAE": _LIKELIHOOD,
    "LDiffRec": replace(
        _LIKELIHOOD,
        note="interaction weights count the decoder's terms; the diffusion in the latent space has none",
    ),
    "RaCT": replace(
        _LIKELIHOOD,
        cells_stage="actor_pretrain",
        exact_interactions=False,
        note="exact while the actor is pre-trained; the critic's losses have no term for an interaction, so a user "
        "counts there with the mean weight of their interactions",
    ),
}


def weighting_of(name: str) -> Rule:
    """The rule of one RecBole model; `UnknownNameError` for a name without one.

    A backbone of another package has no rule: its way is found by a probe on the first batch.
    """
    if name not in RULES:
        raise unknown_name("backbone with a weighting rule", name, RULES)
    return RULES[name]


def rule_for(model: type) -> Rule | None:
    """The rule that fits a model class: that of the RecBole class whose loss it uses; None where it has its own."""
    for cls in model.__mro__:
        if "recipe" in vars(cls) or cls.__module__.startswith("burnish.enhancers."):
            continue  # an enhanced class, which hands on the loss of its backbone
        if "calculate_rs_loss" in vars(cls) or "calculate_loss" in vars(cls):
            return RULES.get(cls.__name__) if cls.__module__.startswith("recbole.model.") else None
    return None
