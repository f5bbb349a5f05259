"""The table: which models need which option, which value it gets, and why.

`OPTIONS` are single options, `COLUMNS` columns that must be read (they end up in `load_col`).  Rows are taken in their
order.  None of them may apply to a run that RecBole and burnish would carry out without it (`Row.ours` aside): the
numbers of such a run stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from burnish.files.yamls import read_yaml

from .case import Case

#: Reads histories and vectors of the entities that items are linked to.
_ENTITY_VECTORS = {"GRU4RecKG": ("ent",), "KSR": ("ent", "rel")}
#: Read features of items in histories, named by this option.
_FEATURED = {
    **dict.fromkeys(("GRU4RecF", "SASRecF", "FDSA"), ("selected_features", ("token", "token_seq"))),
    "S3Rec": ("item_attribute", ("token_seq",)),
}
_BEHAVIOUR = ("DIN", "DIEN")
_LABELLED = ("CONTEXT", "DECISIONTREE")
#: Each model of these pre-trains first, and keeps its weights after every `save_step` epochs of it.
_PRETRAINED = {"S3Rec": ("pretrain",), "RaCT": ("actor_pretrain", "critic_pretrain")}
#: How RecBole tests what it ranks, unless a kind of model says otherwise (its overall.yaml).
_RANKED = {
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1},
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"},
    "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision"],
    "valid_metric": "MRR@10",
}
_IN_ORDER = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """Options that some models need.

    Parameters
    ----------
    why
        The reason, which stands before "train_neg_sample_args is null"; {model} and values of options are put in.
    values
        From a case to the options; empty where the row does not apply.
    together
        They are settled all or, where one of them was given, none; else each of them that was not given.
    ours
        Only where burnish trains: RecBole would go on without it, to figures that mean little.
    """

    why: str
    values: Callable[[Case], Values]
    together: bool = True
    ours: bool = False


@dataclass(frozen=True)
class Column:
    """Columns that some models need.

    why: what they are, which stands in the reason.  source: of which file.  names: from a case to the columns, those
    that are not there or read already included.
    """

    why: str
    source: str
    names: Callable[[Case], Iterable[str]]


# ---------------------------------------------------------------------- single options


def _no_negatives(case: Case) -> Values:
    """RecBole refuses drawn negatives beside a loss over the catalogue."""
    ce = case.kind == "SEQUENTIAL" and case.input is None and case.options.get("loss_type") == "CE"
    return {"train_neg_sample_args": None} if ce and case.samples() else {}


def _no_negatives_for_targets(case: Case) -> Values:
    """Its class says POINTWISE, so drawn items become rows, and its loss takes every row's item for a target."""
    return {"train_neg_sample_args": None} if case.name == "RepeatNet" and case.samples() else {}


def _entity_vectors(case: Case) -> Values:
    sources = _ENTITY_VECTORS.get(case.name, ())
    if not sources or not all(case.has(source, f"{source}_id", f"{source}_emb") for source in sources):
        return {}
    options: dict[str, Any] = {
        "additional_feat_suffix": list(sources),
        "preload_weight": {f"{source}_id": f"{source}_emb" for source in sources},
    }
    aliases = {"ent": "alias_of_entity_id", "rel": "alias_of_relation_id"}
    return {**options, **{aliases[source]: [f"{source}_id"] for source in sources}}


def _histories_in_order(case: Case) -> Values:
    """RecBole's file for these models leaves the order out."""
    return {"eval_args": _IN_ORDER} if case.name in _ENTITY_VECTORS and case.order()[0] != "TO" else {}


def _item_features(case: Case) -> Values:
    """Other columns where the item file has not those of ml-100k."""
    option, kinds = _FEATURED.get(case.name, ("", ()))
    if not option or not case.beside.columns("item"):
        return {}
    wanted = _listed(case.options.get(option))
    if case.has("item", *wanted):
        return {}
    found = case.beside.features("item", kinds, (case.column("ITEM_ID_FIELD"),))
    if not found:
        return {}
    return {option: found if option == "selected_features" else found[0]}


def lacks_label(case: Case) -> bool:
    """Whether a model learns from labels, and none is read as things are: such a run is refused."""
    if case.kind not in _LABELLED or case.samples():
        return False
    threshold = case.options.get("threshold")
    if threshold:
        return not all(case.loads("inter", column) for column in _labels(case))
    label = case.column("LABEL_FIELD")
    return not (case.has("inter", label) and case.loads("inter", label))


def _label_of_ratings(case: Case) -> Values:
    rating = case.column("RATING_FIELD")
    if (
        not lacks_label(case)
        or case.options.get("threshold")
        or case.has("inter", case.column("LABEL_FIELD"))
    ):
        return {}
    # Ratings that are not read are to stay so where somebody said what is.
    if case.beside.columns("inter").get(rating) != "float" or not _may_load(case, "inter", rating):
        return {}
    least = upper_quarter(case.beside.levels(rating))
    return {} if least is None else {"threshold": {rating: least}}


def upper_quarter(levels: list[float]) -> int | float | None:
    """The least rating in the upper quarter of a scale: 4 of 1 to 5, 8 of 1 to 10, 1 of 0 and 1.

    It follows from the values that there are, not from how often: nothing is learnt from rows that are tested on.
    None where there are no two.
    """
    if len(levels) < 2:
        return None
    bound = levels[0] + 0.75 * (levels[-1] - levels[0])
    least = next(level for level in levels if level >= bound)
    return int(least) if least == int(least) else least


def _ranked_instead(case: Case) -> Values:
    """Where there is nothing to make labels of."""
    if not lacks_label(case) or case.kind != "CONTEXT" or {"threshold", "topk"} & set(case.given):
        return {}
    columns, rating = case.beside.columns("inter"), case.column("RATING_FIELD")
    if not columns or case.has("inter", case.column("LABEL_FIELD")):
        return {}
    rated = columns.get(rating) == "float" and upper_quarter(case.beside.levels(rating)) is not None
    return {} if rated or case.options.get("threshold") else _RANKED


def _clusters(case: Case) -> Values:
    """k-means of fewer users than clusters stops."""
    number = case.options.get("num_clusters")
    if case.name != "NCL" or not isinstance(number, int):
        return {}
    fewest = case.beside.fewest((case.column("USER_ID_FIELD"), case.column("ITEM_ID_FIELD")), number)
    return {"num_clusters": max(1, fewest // 10)} if fewest < number else {}


def _saved_in_time(case: Case) -> Values:
    epochs, step = case.options.get("pretrain_epochs"), case.options.get("save_step")
    pretrains = case.options.get("train_stage") in _PRETRAINED.get(case.name, ())
    if not pretrains or not isinstance(epochs, int) or not isinstance(step, int):
        return {}
    return {"save_step": epochs} if 0 < epochs < step else {}


def _of_trees(case: Case) -> Values:
    """RecBole has a file of defaults for each, looks for it by the model's name, and wrote it in small letters."""
    if case.kind != "DECISIONTREE":
        return {}
    spec = find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "properties" / "model" / f"{case.name.lower()}.yaml"
    defaults = read_yaml(file) if file.is_file() else {}
    return {name: value for name, value in defaults.items() if value is not None and name not in case.options}


OPTIONS = (
    Row("{model}'s loss CE takes no drawn negatives", _no_negatives),
    Row(
        "{model}'s loss compares with every item and would take drawn negatives for targets",
        _no_negatives_for_targets,
        ours=True,
    ),
    Row("{model} reads vectors of entities, which lie beside the interactions", _entity_vectors),
    Row("{model} reads histories, which are in the order of time", _histories_in_order, ours=True),
    Row("{model} reads features of items, and these columns describe them", _item_features),
    Row(
        "{model} learns from labels, which are made of ratings (1 in the upper quarter)",
        _label_of_ratings,
    ),
    Row("{model} learns from labels, and the data have none: items are drawn and ranked", _ranked_instead),
    Row("{model} groups users and items, of which there are few", _clusters),
    Row("{model}'s default, which RecBole keeps in a file of another name", _of_trees, together=False),
    Row("{model} keeps its weights every save_step epochs of pretrain_epochs", _saved_in_time),
)

# ---------------------------------------------------------------------- columns


def _listed(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()


def _may_load(case: Case, source: str, column: str) -> bool:
    return "load_col" not in case.given or case.loads(source, column)


def _ids(case: Case) -> Iterable[str]:
    return filter(None, (case.column("USER_ID_FIELD"), case.column("ITEM_ID_FIELD")))


def _times(case: Case) -> Iterable[str]:
    order, split = case.order()
    return [case.column("TIME_FIELD")] if case.kind == "SEQUENTIAL" or order == "TO" or split == "TS" else []


def _labels(case: Case) -> list[str]:
    threshold = case.options.get("threshold")
    if threshold:  # what cannot be one is refused later
        return [str(column) for column in threshold] if isinstance(threshold, Mapping) else []
    return [case.column("LABEL_FIELD")] if case.kind in _LABELLED and not case.samples() else []


def _described(source: str, key: str) -> Callable[[Case], Iterable[str]]:
    """Features of users or items of models that read them all, where without more columns a run would be refused."""

    def names(case: Case) -> Iterable[str]:
        behaviour = case.name in _BEHAVIOUR and not case.loads("inter", case.column("TIME_FIELD"))
        if not behaviour and not case.lacked_label:
            return []
        kinds = ("token",) if behaviour else ("token", "token_seq")
        return case.beside.features(source, kinds, (case.column(key),))

    return names


def _of_items(case: Case) -> Iterable[str]:
    option, _ = _FEATURED.get(case.name, ("", ()))
    return _listed(case.options.get(option)) if option else ()


def _of_graph(source: str, *fields: str) -> Callable[[Case], Iterable[str]]:
    def names(case: Case) -> Iterable[str]:
        reads = case.kind == "KNOWLEDGE" or case.name in _ENTITY_VECTORS
        return [case.column(field) for field in fields] if reads else []

    return names


def _of_vectors(source: str) -> Callable[[Case], Iterable[str]]:
    def names(case: Case) -> Iterable[str]:
        return [f"{source}_id", f"{source}_emb"] if source in _ENTITY_VECTORS.get(case.name, ()) else []

    return names


COLUMNS = (
    Column("ids", "inter", _ids),
    Column("features of users", "user", _described("user", "USER_ID_FIELD")),
    Column("features of items", "item", _described("item", "ITEM_ID_FIELD")),
    Column("features of items", "item", _of_items),
    Column("labels", "inter", _labels),
    Column("times", "inter", _times),
    Column(
        "the graph",
        "kg",
        _of_graph("kg", "HEAD_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD"),
    ),
    Column("the graph", "link", _of_graph("link", "ITEM_ID_FIELD", "ENTITY_ID_FIELD")),
    Column("vectors of entities", "ent", _of_vectors("ent")),
    Column("vectors of relations", "rel", _of_vectors("rel")),
)
