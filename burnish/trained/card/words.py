"""What a run optimises and what decides a recommendation, in plain words, by what its model and options are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from burnish.errors import BurnishError

from .read import Facts

#: What RecBole's kinds of losses ask for.
_LOSSES = {
    "PAIRWISE": "In every step it is shown interactions of users, each beside an item that the user did not interact "
    "with, drawn by chance, and moves so that the first scores higher.",
    "POINTWISE": "In every step it is shown pairs of a user and an item, and moves so that its score comes closer to "
    "the pair's label.",
    "LISTWISE": "In every step it is shown what users interacted with, and moves so that these items become more "
    "probable among all items of the catalogue.",
}
_RATED = (
    "In every step it is shown pairs of a user and an item, and moves so that what it predicts comes closer to the "
    "rating."
)
_SEQUENTIAL = (
    "In every step it is shown the beginning of users' histories, in order of time, and moves so that the item that "
    "came next becomes more probable."
)
#: Models of RecBole that are computed once, in closed form or by counting.
_COUNTED = {
    "Pop": "An item's score is how many interactions it has in training: everybody gets the same list.",
    "ItemKNN": "An item's score for a user is its similarity to the user's items; similar are items that the same "
    "users have.",
    "EASE": "Weights between items are computed in one step, so that each user's items predict each other as well as "
    "possible (ridge regression).",
    "Random": "Scores are drawn by chance; nothing is learned.",
}

#: What options of RecBole's models mean; others are shown without words.
_OPTIONS = {
    "embedding_size": "numbers that stand for a user or an item: more can hold more, and remember chance more",
    "hidden_size": "width of the layers",
    "learning_rate": "how far a step goes",
    "weight_decay": "how strongly numbers are pulled to zero: against learning by heart",
    "reg_weight": "how strongly numbers are pulled to zero: against learning by heart",
    "train_batch_size": "interactions looked at in a step",
    "epochs": "passes over the training data, at most",
    "stopping_step": "validations without gain after which training ends",
    "n_layers": "how far messages travel in the graph of interactions, or how many layers there are",
    "dropout_prob": "share of numbers that is left out of a step by chance",
    "hidden_dropout_prob": "share of numbers that is left out of a step by chance",
    "MAX_ITEM_LIST_LENGTH": "how many of a user's last items are looked at",
    "k": "similar items that count",
    "shrink": "how much similarities of few users count less",
    "seed": "of everything random",
    "valid_metric": "what the best epoch is chosen by, on validation data",
    "train_neg_sample_args": "how items without interaction are drawn",
    "threshold": "from which value on an interaction is a positive one",
}
#: Options that say where files are and how it is measured, not what the model is.
_NOT_OF_MODEL = {
    *("data_path", "eval_batch_size", "metrics", "topk", "eval_step", "eval_args", "split", "show_progress"),
    *(
        "benchmark_filename",
        "load_col",
        "threads",
        "metric_decimal_place",
        "gpu_id",
        "use_gpu",
        "checkpoint_dir",
    ),
    *(
        "state",
        "reproducibility",
        "beyond_accuracy",
        "cold_below",
        "log_wandb",
        "USER_ID_FIELD",
        "ITEM_ID_FIELD",
    ),
}


def objective(facts: Facts) -> list[str]:
    """Sentences on what training makes as good as possible: the backbone's own loss, then what enhancers do."""
    attached = dict(_attached(facts))
    replacing = [
        name for name in attached if name == "softmax" or facts.enhancers[name].get("objective") is True
    ]
    computed = [name for name in attached if name == "compress"]
    said = []
    if facts.model in _COUNTED and not attached:
        said.append(_COUNTED[facts.model])
    elif computed:
        said.append(
            f"Of {facts.model}'s own training nothing remains: its numbers are computed from the scores of teachers."
        )
    elif replacing:
        said.append(
            f"{facts.model}'s own recommendation loss is replaced by the one of {' and '.join(replacing)}."
        )
    else:
        said.append(_own_loss(facts))
    said += [f"`{name}`: {_summary(one)}" for name, one in attached.items()]
    said.append(_best_epoch(facts))
    return [one for one in said if one]


def _own_loss(facts: Facts) -> str:
    if facts.kind("eval_type") == "VALUE" or _rates(facts):
        return _RATED
    if facts.model in _COUNTED:
        return _COUNTED[facts.model]
    if facts.kind("MODEL_TYPE") == "TRADITIONAL":
        return "It is computed from the training interactions in one step; there is no training by epochs."
    if facts.kind("MODEL_TYPE") == "SEQUENTIAL":
        return _SEQUENTIAL
    return _LOSSES.get(facts.kind("MODEL_INPUT_TYPE"), "")


def _rates(facts: Facts) -> bool:
    from burnish.backbones.rating_model import RatingModel
    from burnish.enhancers.zoo import find_backbone

    if ":" in facts.model:
        return False
    try:
        return issubclass(find_backbone(facts.model), RatingModel)
    except BurnishError:
        return False


def _best_epoch(facts: Facts) -> str:
    best, allowed = facts.result.get("best_epoch"), facts.config.get("epochs")
    done, counted = facts.result.get("n_epochs"), facts.result.get("counted", "epochs")
    metric = str(facts.result.get("valid_metric", "")).upper()
    if not best or not done or done == 1:
        return ""
    if counted == "candidates":
        return f"Of {done} candidates the one with the best {metric} on validation data is kept."
    end = "" if done != allowed else ": the last one allowed, so that more might have been better"
    end = end if best == done else ""
    return f"The epoch with the best {metric} on validation data is kept, {best} of {done}{end}."


def deciding(facts: Facts) -> list[str]:
    """Sentences on what a recommendation depends on: the main parameters, and how much each is known to count."""
    said = [_history(facts), *_columns(facts), *_inputs_of_enhancers(facts)]
    said += _popularity(facts)
    said.append(
        "What a user does after the training data were collected counts once the model is trained again; an item that "
        "training does not have is not recommended before that."
    )
    if facts.has_model:
        said.append(
            f"What speaks for a single recommendation: `burnish explain {facts.folder} --user USER`, with ids of the "
            f"data."
        )
    return [one for one in said if one]


def _history(facts: Facts) -> str:
    if facts.model == "Pop":
        return "How often items were chosen by all users together; who asks makes no difference."
    if facts.model == "Random":
        return "Nothing: lists are drawn by chance."
    activity = _of_users(facts)
    kind = facts.kind("MODEL_TYPE")
    what = (
        "the ratings that a user gave"
        if _rates(facts)
        else "what a user interacted with in the training data"
    )
    order = (
        f", in order of time, the last {facts.config.get('MAX_ITEM_LIST_LENGTH', 50)} at most"
        if kind == "SEQUENTIAL"
        else ""
    )
    return f"First of all {what}{order}{activity}, and what other users with some of the same items chose."


def _of_users(facts: Facts) -> str:
    if facts.per_user is None or "n_training" not in facts.per_user:
        return ""
    counts = facts.per_user.groupby("user")["n_training"].first()
    low, middle, high = (int(counts.quantile(share)) for share in (0.05, 0.5, 0.95))
    if low == high:
        return f" (most of the tested users have {low:,})"
    return f" (half of the tested users have {middle:,} or fewer; most have {low:,} to {high:,})"


def _columns(facts: Facts) -> Iterator[str]:
    """Columns of users and items that a model which looks at columns reads."""
    loaded = facts.config.get("load_col") or {}
    if facts.kind("MODEL_TYPE") not in ("CONTEXT", "DECISIONTREE") or not isinstance(loaded, dict):
        return
    for table, owner in (("user", "users"), ("item", "items")):
        names = [name for name in loaded.get(table) or () if name not in ("user_id", "item_id")]
        if names:
            yield f"Of {owner}: {', '.join(names)}."


#: What enhancers and models read beside interactions.
_READS = {
    "guided": "scores of the items on attributes that have names (see attributes.yaml), given by a language model or "
    "by people",
    "paths": "a graph of what items and users have in common; its walks taught the model and are not asked when it "
    "recommends",
    "shapley": "what each interaction was found to be worth in training",
    "distil": "in training, the scores of its teachers",
}
_REVIEWED = {"DReX", "DReXMLP", "DeepCoNN", "NARRE", "HRDR", "PESI"}


def _inputs_of_enhancers(facts: Facts) -> Iterator[str]:
    for name in facts.enhancers:
        if name in _READS:
            yield f"`{name}`: {_READS[name]}."
        if name == "compress":
            from burnish.enhancers.compress.options import CompressConfig

            teachers = facts.enhancers[name].get("teachers") or CompressConfig().teachers
            yield f"`compress`: the scores of {' and '.join(str(one) for one in teachers)}, mixed."
    if facts.model in _REVIEWED:
        yield "What users wrote in their reviews of the training data, and what was written of the items."
    if facts.kind("MODEL_TYPE") == "KNOWLEDGE":
        yield "A knowledge graph of the items, which training reads as well."


def _popularity(facts: Facts) -> Iterator[str]:
    beyond, deciles = facts.result.get("beyond") or {}, facts.result.get("popularity_deciles") or {}
    name, listed = next(((k, v) for k, v in beyond.items() if k.startswith("averagepopularity@")), ("", None))
    if listed is None or not deciles.get("items"):
        return
    mean = sum(deciles["interactions"]) / max(1, sum(deciles["items"]))
    k = name.partition("@")[2]
    times = f"{listed / mean:.1f} times" if mean else "more than"
    yield (
        f"How popular an item is, through the above: an item in a list of {k} has {listed:,.0f} training interactions "
        f"on average, {times} those of an item of the catalogue ({mean:,.0f})."
    )


def settings(facts: Facts) -> list[tuple[str, str, str]]:
    """Rows of option, value and meaning: what was given to RecBole, and what of enhancers is not at its default."""
    rows = [
        (name, _value(value), _OPTIONS.get(name, f"option of {facts.model} or of RecBole"))
        for name, value in {**_always(facts), **facts.given}.items()
        if name not in _NOT_OF_MODEL
    ]
    for name, one in _attached(facts):
        fields = getattr(getattr(one, "Config", None), "model_fields", {})
        rows += [
            (f"{name}.{option}", _value(value), getattr(fields.get(option), "description", None) or "")
            for option, value in facts.enhancers[name].items()
        ]
    return rows


def _always(facts: Facts) -> dict[str, Any]:
    """Options that say what a model is, given or not."""
    if facts.kind("MODEL_TYPE") == "TRADITIONAL":
        return {}
    names: tuple[str, ...] = ("embedding_size", "hidden_size")
    if "compress" not in facts.enhancers:  # which trains nothing
        names = (*names, "learning_rate", "weight_decay", "train_batch_size", "epochs")
    return {name: facts.config[name] for name in names if facts.config.get(name) is not None}


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "yes" if value is True else "no" if value is False else str(value)


def split_in_words(facts: Facts) -> str:
    """How training, validation and test data were told apart."""
    if facts.config.get("benchmark_filename"):
        return "The parts are files of their own: training, validation and test."
    args = facts.config.get("eval_args") or {}
    way, shares = next(iter((args.get("split") or {"": None}).items()))
    ungrouped = str(args.get("group_by", "user")).lower() == "none"
    whole = "all interactions" if ungrouped else "each user's interactions"
    timed = args.get("order") == "TO"
    if way == "LS":
        order = "last" if timed else "drawn"
        return f"Of each user the {order} interaction is for the test and one for validation."
    if way != "RS" or not shares:
        return f"RecBole's split {args.get('split')}."
    train, valid, test = (f"{100 * float(share) / sum(map(float, shares)):.0f}%" for share in shares)
    order = "the first in time" if timed else "drawn by chance"
    return f"{train} of {whole}, {order}, are for training, {valid} for validation and {test} for the test."


def _attached(facts: Facts) -> Iterator[tuple[str, Any]]:
    """The enhancers' classes by name; None for one that is a person's own and not loaded here."""
    from burnish.enhancers.registry import find_enhancer, list_enhancers

    known = list_enhancers()
    for name in facts.enhancers:
        yield name, find_enhancer(name) if name in known else None


def _summary(enhancer: Any) -> str:
    import inspect

    if enhancer is None:
        return "an enhancer of its maker's own."
    text = inspect.cleandoc(enhancer.__doc__ or "").partition("\n")[0]
    return text if text.endswith(".") else f"{text}."
