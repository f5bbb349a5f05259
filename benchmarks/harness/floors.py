"""Floors of a comparison: what every table shows first, because little work goes a long way.

Some need no backbone and are run once for a plan's data (`SHARED`): popularity, neighbours of items, and a linear
model in closed form; and any other model that a plan names and that reads and ranks as these do, such as PathWalks.
Others are enhancers that need nothing but the backbone (`OF_BACKBONE`): a popularity prior on its scores, and its
training with a softmax over the catalogue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import Field, field_validator

from burnish.errors import BurnishError, ConfigurationError, nearest, placed, unknown_name
from burnish.own.classes import is_place
from burnish.strict import Strict
from burnish.training.classes import check_class, class_name
from burnish.training.inputs.declared import option_schemas

from .problems import Problems
from .ranges import Space, as_lists, size
from .space_checks import as_given
from .spaces import checked_space, plain_options, some_points, with_parts
from .tried_values import MOST_POINTS, check_fixed, check_points, check_tried

#: RecBole models that need no backbone, each with what is tuned unless the plan says otherwise.
SHARED: dict[str, Space] = {
    "Pop": {},
    "ItemKNN": {"k": [20, 50, 100, 200, 500, 1000], "shrink": [0.0, 10.0, 100.0]},
    "EASE": {"reg_weight": [10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0]},
}
#: Enhancers that are floors of each backbone, with what is tuned beside the plan's own options.
OF_BACKBONE: dict[str, Space] = {
    "prior": {},
    "softmax": {"softmax.temperature": [0.1, 0.2, 0.5]},
}
#: Floors that `default` stands for; a plan may name other models.
NAMES = (*SHARED, *OF_BACKBONE)
DEFAULT = "default"
#: The folder of floors that need no backbone, in the place of a backbone's label.
FOLDER = "floors"


def is_shared(name: str) -> bool:
    """Whether a floor needs no backbone, and is run once for all of them."""
    return name not in OF_BACKBONE


def label_of(name: str) -> str:
    """What tables call a floor: its name; a class of one's own without where it is."""
    return name.rpartition(":")[2].rpartition(".")[2] if is_place(name) else name


def plain_class(name: str | type) -> type:
    """The model class of a place; `ConfigurationError` for one that a plan's runs could not be made with."""
    from burnish.enhancers.attach import is_enhanced
    from burnish.enhancers.zoo import find_backbone

    cls = find_backbone(name)
    shown = name if isinstance(name, str) else cls.__qualname__
    if is_enhanced(cls):
        raise ConfigurationError(
            f"{shown} has enhancers attached; name the plain class here, and the enhancers in an arm"
        )
    check_class(cls, kept=False)
    return cls


class Floor(Strict):
    """One floor's own settings.

    options: RecBole's, and `enhancer.option` for those of an enhancer; for a model's option that is a mapping, parts of
    it as `walks.hide`.  tune: what to try, instead of the default.
    trials: how many points of it at most; by default all, and for enhancers as many as the plan's arms have.
    """

    options: dict[str, Any] = Field(default_factory=dict)
    tune: Space | None = None
    trials: int | None = Field(default=None, ge=1)

    @field_validator("options")
    @classmethod
    def _same_cases(cls, options: dict[str, Any]) -> dict[str, Any]:
        """A floor that is asked for something else than the arms is none."""
        if "eval_args" in options:
            raise ValueError(
                "option 'eval_args' has no place here: floors are asked for what the plan's arms are; say it in the "
                "plan's `options`, and leave it out here"
            )
        return plain_options(options)

    _lists = field_validator("tune", mode="before")(as_given)

    @field_validator("tune")
    @classmethod
    def _not_empty(cls, space: Space | None) -> Space | None:
        return None if space is None else checked_space(cls._same_cases(space))


def listed_floors(value: Any) -> Any:
    """A mapping of names to settings from names ("Pop,EASE" or a list), or from such a mapping; `default` is one.

    A class of one's own stands by where it is (`mine.py:Tower`) or, in Python, for itself.

    Raises `ValueError` for what is neither.  Whether there are such floors is for `check_floors` to say.
    """
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, type):
        value = [value]
    if isinstance(value, list) and all(isinstance(name, str | type) for name in value):
        value = [_by_its_name(name) for name in value]
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f"{name!r} is listed twice")
        value = dict.fromkeys(value)
    if not isinstance(value, Mapping):
        raise ValueError(
            f"give {DEFAULT}, a list of {', '.join(NAMES)} and other models, or a mapping of these to options and "
            f"tune; [] for none"
        )
    value = {_by_its_name(name): settings for name, settings in value.items()}
    for name, settings in value.items():
        _check_label(name, value)
        if name == DEFAULT and settings not in (None, True, False, {}, Floor(), Floor().model_dump()):
            raise ValueError(
                f"{DEFAULT} stands for a list and has no settings; give those of a floor by its name"
            )
    given = {name: settings for name, settings in value.items() if settings is not False}
    return {name: {} if settings in (None, True) else settings for name, settings in given.items()}


def _by_its_name(name: Any) -> Any:
    """How a class of one's own is found again in this process; any other name as it is."""
    return class_name(plain_class(name)) if isinstance(name, type) or is_place(name) else name


def _check_label(name: Any, names: Iterable[Any]) -> None:
    """Raise `ConfigurationError` for a class of one's own that another floor is called like."""
    others = [*NAMES, DEFAULT, *(label_of(str(one)) for one in names if one != name)]
    if is_place(name) and label_of(name) in others:
        raise ConfigurationError(
            f"{name} would be called {label_of(name)}, as another floor is; give the class another name"
        )


def _check_known(name: str) -> None:
    """Raise `UnknownNameError` for a name that is neither of a floor nor of a model."""
    from burnish.enhancers.zoo import list_backbones

    known = list_backbones()
    if name not in known:
        close = nearest(name, [*NAMES, DEFAULT, *known])
        listed = [*NAMES, DEFAULT, *([close] if close in known and close not in NAMES else [])]
        raise unknown_name("floor", name, listed, cure="Other models can be floors, too: `burnish models`.")


def check_floors(floors: Mapping[str, Floor], models: Collection[type], problems: Problems) -> None:
    """Note floors that a plan names and that cannot be made: the name, its enhancer, its options, what is tried for it.

    models: the plan's backbones.
    """
    for name, floor in floors.items():
        with problems.noted():
            if name not in (*NAMES, DEFAULT) and not is_place(name):  # that was imported already
                _check_known(str(name))
            if name == DEFAULT:
                continue
            if is_shared(name):
                _check_model(name, floor, models, problems)
            else:
                _check_of_backbone(name, floor, models, problems)


def _check_of_backbone(name: str, floor: Floor, models: Collection[type], problems: Problems) -> None:
    """Note what is wrong with a floor that is an enhancer; or raise, where the rest cannot be judged."""
    for option in (*floor.options, *(floor.tune or {})):
        enhancer, dot, _ = option.partition(".")
        if dot and enhancer != name:
            raise unknown_name(f"floors.{name}: enhancer", enhancer, [name])
    fixed = {option.partition(".")[2]: value for option, value in floor.options.items() if "." in option}
    _check_enhancer(name, fixed)
    for option, value in floor.options.items():
        with problems.noted():
            check_fixed(f"floors.{name}.options", {option: value}, models)
    before = len(problems.errors)
    check_tried({f"floors.{name}.tune": as_lists(floor.tune or {})}, {name: fixed}, models, problems)
    if len(problems.errors) > before:
        return
    space = floor.tune or {}
    # Else a draw, known with the plan's seed.
    all_tried = size(space) <= min(floor.trials or MOST_POINTS, MOST_POINTS)
    points = some_points(space, MOST_POINTS, seed=0) if all_tried else [{}]
    check_points(f"floors.{name}", points, {name: fixed}, models)


def _check_model(name: str, floor: Floor, models: Collection[type], problems: Problems) -> None:
    """As `_check_of_backbone`, of a floor that is a model: whether it can be one, its options and values."""
    model = _model(name)
    if name not in SHARED:
        _check_ranks_plainly(name, model)
        if models and set(models) == {model}:
            raise ConfigurationError(
                f"floors.{name}: {name} is the plan's backbone, whose plain arm stands in every table; leave it out"
            )
    mappings = option_schemas(model)
    space = as_lists(floor.tune or {})
    for option in (*floor.options, *space):
        first, dot, _ = option.partition(".")
        if dot and first not in mappings:
            kind = "option" if mappings else "enhancer"
            raise unknown_name(f"floors.{name}: {kind}", first, mappings)
    inside = {option: values for option, values in space.items() if option.partition(".")[0] in mappings}
    fixed = {option: value for option, value in floor.options.items() if "." not in option}
    for option, value in fixed.items():
        with problems.noted():
            check_fixed(f"floors.{name}.options", {option: value}, [model])
    outside = {option: values for option, values in space.items() if option not in inside}
    check_tried({f"floors.{name}.tune": outside}, {}, [model], problems)
    place = f"floors.{name}.{'tune' if inside else 'options'}"
    for point in some_points(inside, MOST_POINTS, seed=0):
        together = with_parts(floor.options, point)
        check_fixed(place, {option: together[option] for option in mappings if option in together}, [model])


def _check_ranks_plainly(name: str, model: type) -> None:
    """Raise `ConfigurationError` for a model that is not asked what the other floors are."""
    from recbole.utils import ModelType

    from burnish.backbones.rating_model import RatingModel

    kind = getattr(model, "type", None)
    why = None
    if issubclass(model, RatingModel):
        why = "it predicts ratings, and a floor ranks the catalogue"
    elif kind not in (ModelType.GENERAL, ModelType.TRADITIONAL):
        why = f"a {getattr(kind, 'name', 'strange').lower()} model reads other rows or files than floors do"
    elif getattr(model, "dataset_class", None) is not None:
        why = "it reads the data in a way of its own"
    if why is not None:
        raise ConfigurationError(f"floors.{name}: {why}; compare it as one of the plan's `backbones`")


def _check_enhancer(name: str, options: Mapping[str, Any]) -> None:
    from burnish.enhancers.registry import make_enhancers

    try:
        make_enhancers({name: options})
    except BurnishError as error:
        raise placed(f"floor {name!r}", error) from error


def _model(name: str) -> type:
    from burnish.enhancers.zoo import find_backbone

    return find_backbone(name)


def all_floors(floors: Mapping[str, Floor]) -> dict[str, Floor]:
    """A plan's floors by name, in one order for all; of the default ones those whose enhancers are there."""
    given = {name: floor for name, floor in floors.items() if name != DEFAULT}
    if DEFAULT in floors:
        from burnish.enhancers.registry import list_enhancers

        known = {*SHARED, *list_enhancers()}
        given = {name: Floor() for name in NAMES if name in known} | given
    return {name: given[name] for name in (*NAMES, *given) if name in given}


def arm_that_is(name: str, arms: Mapping[str, Any]) -> str | None:
    """The label of a plan's own arm that is this floor: the enhancer alone, by this name or without options.

    arms: `Arm`s by label.
    """
    for label, arm in arms.items():
        alone = list(arm.enhancers) == [name]
        if alone and (label == name or not (arm.options or arm.enhancers[name])):
            return label
    return None


def own_space(name: str, floor: Floor) -> Space:
    """What is tried for a floor: what its settings say, else the default; options its enhancer lacks are left out."""
    if floor.tune is not None:
        return floor.tune
    if is_shared(name):
        return {
            option: values for option, values in SHARED.get(name, {}).items() if option not in floor.options
        }
    from burnish.enhancers.registry import find_enhancer

    known = find_enhancer(name).Config.model_fields
    return {
        option: values
        for option, values in OF_BACKBONE[name].items()
        if option.partition(".")[2] in known and option not in floor.options
    }
