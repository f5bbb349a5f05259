"""The values of the options that were given, before RecBole's config and its models touch them."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from burnish.checks import short
from burnish.errors import ConfigurationError
from burnish.strict import validated

from .declared import Declared, declared_options, is_a, misspelt, option_schemas
from .evaluation import check_evaluation
from .machine import check_machine
from .sampling import check_sampling

#: Kinds of RecBole's general options that its property files do not tell, or tell too widely.
_KINDS = {
    **dict.fromkeys(("use_gpu", "show_progress", "shuffle", "repeatable", "tensorboard"), "truth value"),
    **dict.fromkeys(
        ("metrics", "numerical_features", "normalize_field", "benchmark_filename"), "list of texts"
    ),
    **dict.fromkeys(("alias_of_user_id", "alias_of_item_id", "alias_of_entity_id"), "list of texts"),
    **dict.fromkeys(("alias_of_relation_id", "additional_feat_suffix"), "list of texts"),
    **dict.fromkeys(("threshold", "val_interval", "seq_len", "preload_weight", "discretization"), "mapping"),
    **dict.fromkeys(("load_col", "unload_col", "unused_col", "clip_grad_norm"), "mapping"),
    **dict.fromkeys(
        ("normalize_all", "enable_amp", "enable_scaler", "filter_inter_by_user_or_item"), "truth value"
    ),
}
#: These may be null, which stands for "not used".
_OPTIONAL = frozenset(_KINDS) | {"rm_dup_inter", "transform", "encoding", "topk", "train_neg_sample_args"}
#: A single text stands for a list of one.
_ONE_OR_MORE = frozenset({"metrics", "additional_feat_suffix"})
_LEAST = {
    **dict.fromkeys(("train_batch_size", "eval_batch_size", "MAX_ITEM_LIST_LENGTH"), 1),
    **dict.fromkeys(("epochs", "eval_step", "stopping_step", "seed", "worker", "metric_decimal_place"), 0),
    **dict.fromkeys(("weight_decay", "loss_decimal_place"), 0),
}
#: Whole numbers that count or measure parts of a model, of which there is at least one.
_SIZE = re.compile(r"(_size|_dim|_dimension|n_heads|num_heads|n_factors|_num_interests)$")
#: RecBole's filters by numbers of interactions and triples.
INTERVALS = tuple(f"{what}_num_interval" for what in ("user_inter", "item_inter", "entity_kg", "relation_kg"))
#: Options that are checked elsewhere, in words of their own.
_OWN_CHECKS = frozenset(
    {*INTERVALS, "eval_args", "train_neg_sample_args", "topk", "valid_metric", "gpu_id", "enhancers"}
)
_NAMES = frozenset(
    {
        "USER_ID_FIELD",
        "ITEM_ID_FIELD",
        "NEG_PREFIX",
        "LIST_SUFFIX",
        "ITEM_LIST_LENGTH_FIELD",
        "field_separator",
    }
    | {
        "HEAD_ENTITY_ID_FIELD",
        "TAIL_ENTITY_ID_FIELD",
        "RELATION_ID_FIELD",
        "ENTITY_ID_FIELD",
        "seq_separator",
    }
    | {"LABEL_FIELD", "RATING_FIELD", "data_path", "checkpoint_dir", "POSITION_FIELD"}
)
#: Context-aware data may have neither users nor items.
_MAY_LACK = {"LABEL_FIELD", "RATING_FIELD", "USER_ID_FIELD", "ITEM_ID_FIELD"}
#: Beyond this, sums and steps of an optimizer leave single precision.
_LARGEST = 1e30
_CHOICES = {
    "learner": ("adam", "adamw", "sgd", "adagrad", "rmsprop"),
    "rm_dup_inter": ("first", "last"),
    "transform": ("mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq", "user_defined"),
    "loss_type": ("BPR", "CE"),
    "state": ("debug", "info", "warning", "error", "critical"),
}
_ANY_CASE = frozenset({"learner", "state"})


@contextmanager
def checked_options() -> Iterator[None]:
    """While this is open, RecBole's Config checks what it was given before it reads it."""
    from recbole.config import Config

    merged = Config._get_final_config_dict

    def checked(self: Any) -> dict[str, Any]:
        options: dict[str, Any] = merged(self)
        check_options(options, self.external_config_dict, self.model_class)
        return options

    Config._get_final_config_dict = checked
    try:
        yield
    finally:
        Config._get_final_config_dict = merged


def check_options(options: Mapping[str, Any], given: Collection[str], model: type) -> None:
    """Raise for the first given option whose value cannot be used.

    Parameters
    ----------
    options
        All of them, with the defaults.
    given
        The names of those that were given; defaults are RecBole's.
    model
        The class that is trained.

    Raises
    ------
    ConfigurationError
        It names the option, its value and what may be given, with the nearest word where one is misspelt.
    """
    declared = declared_options(model)
    for name in given:
        _check_one(name, options.get(name), model, declared)
    _check_single(options, given)
    check_evaluation(options, given)
    check_sampling(options, given, model)
    _check_together(options, model)


def check_value(name: str, value: Any, model: type) -> None:
    """`burnish.training.values.check_value`, for the options that `check_options` looks at."""
    alone = {name: value}
    _check_one(name, value, model, declared_options(model))
    _check_single(alone, alone)
    check_evaluation(alone, alone)
    if name in INTERVALS:
        check_interval(name, value)


def _check_one(name: str, value: Any, model: type, declared: Mapping[str, Declared]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{name} = {value!r}: give a number that is finite")
    check_machine(name, value)
    schema = option_schemas(model).get(name)
    if schema is not None:
        _check_schema(name, value, schema)
    elif name in _CHOICES:
        _check_choice(name, value, model)
    elif name not in _OWN_CHECKS:
        kind = _KINDS.get(name) or (declared[name].kind if name in declared else None)
        optional = name in _OPTIONAL or (name in declared and declared[name].default in (None, "None"))
        _check_kind(name, value, kind, optional)
    _check_range(name, value)


def _check_schema(name: str, value: Any, schema: type[BaseModel]) -> None:
    if value is not None and not isinstance(value, Mapping):
        first = next(iter(schema.model_fields))
        raise ConfigurationError(f"{name} = {short(value)}: give a mapping, as in {{{first}: ...}}")
    validated(schema, value or {}, name)


def _check_kind(name: str, value: Any, kind: str | None, optional: bool) -> None:
    if name in _NAMES - _MAY_LACK and value is None:
        raise ConfigurationError(f"{name} = None: give a text; RecBole cannot do without")
    if kind is None or (value is None and (optional or name in _MAY_LACK | {"TIME_FIELD"})):
        return
    if name in _ONE_OR_MORE and isinstance(value, str) and value:
        return
    if not is_a(value, kind):
        raise ConfigurationError(f"{name} = {value!r}: give a {kind}{_for_example(kind)}")
    if name in _NAMES and value == "":
        raise ConfigurationError(f"{name} = '': give a text that is not empty")
    if isinstance(value, list | tuple) and len({str(one) for one in value}) < len(value) and "texts" in kind:
        raise ConfigurationError(f"{name} = {value!r}: a name stands there twice; give each once")


def _for_example(kind: str) -> str:
    examples = {"truth value": "true or false", "list of texts": "[one, two]", "mapping": "{key: value}"}
    return f", as in {examples[kind]}" if kind in examples else ""


def _check_choice(name: str, value: Any, model: type) -> None:
    if value is None and name in ("rm_dup_inter", "transform"):
        return
    choices = _CHOICES[name]
    if name == "loss_type" and (hasattr(model, "input_type") or name not in declared_options(model)):
        return  # it has losses of its own, or does not read the option
    if name in _ANY_CASE and isinstance(value, str) and value.lower() in choices:
        return
    if value in choices if isinstance(value, str) else False:
        return
    cure = "RecBole's models have no sparse gradients, which it needs." if value == "sparse_adam" else ""
    raise misspelt(f"{name} =", value if isinstance(value, str) else str(value), choices, cure=cure)


def _check_range(name: str, value: Any) -> None:
    if name == "learning_rate" and is_a(value, "number") and value <= 0:
        raise ConfigurationError(f"learning_rate = {value!r}: give a number above 0")
    if is_a(value, "number") and abs(value) > _LARGEST and name != "seed":
        raise ConfigurationError(
            f"{name} = {short(value)}: torch computes in single precision, which ends at 3.4e38; give a number of "
            f"{_LARGEST:g} at most"
        )
    if name == "tail_ratio" and value is not None:
        _check_tail(value)
    if name == "seed" and is_a(value, "whole number") and value >= 2**32:
        raise ConfigurationError(f"seed = {value!r}: give a whole number below 4294967296")
    if name.endswith(("decimal_place",)) and is_a(value, "whole number") and value > 300:
        raise ConfigurationError(f"{name} = {value!r}: give a whole number of decimals, such as 4")
    least = _LEAST.get(name, 1 if _SIZE.search(name) else None)
    if least is None or name == "neighbor_sample_size":
        return
    for one in value if isinstance(value, list | tuple) else [value]:
        if is_a(one, "number") and one < least:
            what = "a number" if name == "weight_decay" else "a whole number"
            raise ConfigurationError(f"{name} = {value!r}: give {what}, {least} or more")
    if ("dropout" in name or name.endswith("_prob")) and is_a(value, "number") and not 0 <= value <= 1:
        raise ConfigurationError(f"{name} = {value!r}: give a probability, between 0 and 1")


def _check_tail(value: Any) -> None:
    """RecBole takes whatever it cannot use for 0.1."""
    if not is_a(value, "number") or value <= 0 or (value > 1 and value != int(value)):
        raise ConfigurationError(
            f"tail_ratio = {value!r}: give the share of items that are the tail, above 0 to 1, as in 0.1; or a whole "
            f"number of interactions that they have at most"
        )


def _check_single(options: Mapping[str, Any], given: Collection[str]) -> None:
    """Options with a form of their own."""
    if "encoding" in given and options.get("encoding") is not None:
        encoding = options["encoding"]
        if not _is_text_encoding(encoding):
            raise misspelt("encoding =", str(encoding), _ENCODINGS, cure="These are encodings of text.")
    clip = options.get("clip_grad_norm")
    if "clip_grad_norm" in given and clip is not None:
        for key in clip:
            if key not in ("max_norm", "norm_type"):
                raise misspelt("clip_grad_norm: key", str(key), ("max_norm", "norm_type"))
        if not is_a(clip.get("max_norm"), "number") or clip["max_norm"] <= 0:
            raise ConfigurationError(f"clip_grad_norm = {clip!r}: give {{max_norm: 1.0}}, a number above 0")
        if not is_a(clip.get("norm_type", 2.0), "number"):
            raise ConfigurationError(f"clip_grad_norm = {clip!r}: norm_type is a number, such as 2")
    gpu = options.get("gpu_id")
    if "gpu_id" in given and not re.fullmatch(r"|-1|\d+(,\d+)*", str(gpu).replace(" ", "")):
        raise ConfigurationError(f"gpu_id = {gpu!r}: give numbers of devices, as in '0' or '0,1'")


#: Some of those that there are, for messages.
_ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252", "gb18030", "shift_jis")


def _is_text_encoding(name: Any) -> bool:
    """Whether files can be read in an encoding: Python also has codecs of bytes, such as hex, and of host names."""
    head = "user_id:token\titem_id:token\n"
    try:
        if codecs.lookup(name).name in ("punycode", "idna"):
            return False
        written = head.encode(name)
        return written.decode(name) == head and b"\n" in written  # files are read line by line
    except (LookupError, TypeError, ValueError):
        return False


_INTERVAL = re.compile(r"\s*[\[(]\s*([^,;\s]+)\s*,\s*([^,;\s]+)\s*[\])]\s*")


def check_interval(option: str, value: Any) -> None:
    """Raise `ConfigurationError` unless the value is None or intervals such as "[5,inf)" or "[0,2];(4,5]".

    RecBole warns of an interval that it cannot read, and goes on without it.
    """
    if value is None:
        return
    for part in str(value).split(";"):
        match = _INTERVAL.fullmatch(part)
        ends = [_end(end) for end in match.groups()] if match else [None, None]
        if ends[0] is None or ends[1] is None:
            raise ConfigurationError(
                f'{option} = {value!r}: {part.strip()!r} is an illegal interval; write "[5,inf)" for 5 or more, '
                f'"(0,5]" for above 0 to 5, and join several by ;'
            )
        if ends[0] > ends[1]:
            raise ConfigurationError(
                f"{option} = {value!r}: {part.strip()!r} is an illegal interval, nothing lies between {ends[0]:g} "
                f"and {ends[1]:g}; the lower end comes first"
            )


def _end(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if number != number else number


def _check_together(options: Mapping[str, Any], model: type) -> None:
    """Options that exclude each other."""
    user, item = options.get("USER_ID_FIELD"), options.get("ITEM_ID_FIELD")
    kind = getattr(getattr(model, "type", None), "name", None)
    if (user is None or item is None) and (user != item or kind not in ("CONTEXT", "DECISIONTREE")):
        raise ConfigurationError(
            f"USER_ID_FIELD = {user!r} and ITEM_ID_FIELD = {item!r}: {model.__name__} needs both; name the columns"
        )
    if options.get("normalize_field") and options.get("normalize_all") is True:
        raise ConfigurationError(
            f"normalize_field = {options['normalize_field']!r} and normalize_all = True: give one of the two"
        )
    decay, penalty = options.get("weight_decay"), options.get("reg_weight")
    if decay and isinstance(penalty, list):
        raise ConfigurationError(
            f"weight_decay = {decay!r} and reg_weight = {penalty!r}: RecBole multiplies the two, and cannot with a "
            f"list; leave weight_decay out, which is the same penalty again"
        )
    fields = ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "LABEL_FIELD")
    columns = [(name, options.get(name)) for name in fields if options.get(name) is not None]
    for place, (name, column) in enumerate(columns):
        for other, same in columns[:place]:
            if column == same:
                raise ConfigurationError(
                    f"{name} = {column!r} and {other} = {same!r}: one column cannot be both; name another"
                )
