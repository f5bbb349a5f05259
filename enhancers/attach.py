"""`enhance`: a backbone class and enhancers in, a class out that RecBole takes wherever it took the first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from torch import nn

from burnish.errors import ConfigurationError, UnsupportedError

from .anatomy.methods import methods_of
from .enhancer import Enhancer
from .host import Host, Losses
from .kept_embeddings import clear_kept
from .recipe import RecipeType
from .registry import check_name, make_enhancers
from .table_places import TablePlaces
from .zoo import find_backbone

#: Where the tensors of enhancers wait that came with a pre-training stage's checkpoint.
_PRETRAINED = "_burnish_pretrained"


class EnhancedMixin(nn.Module):
    """What an enhanced class adds to its backbone class; it stands before the backbone in the resolution order."""

    enhancers: Host
    passes_forward = True  # `forward` takes what the backbone's takes (see anatomy.propagation)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        # RecBole moves a model when it is made; what it keeps beside its parameters (graphs) is on the device already,
        # and enhancers look at the scores of both together.
        self.to(config["device"])
        _add_host(self, config, dataset)
        self.enhancers.to(config["device"])
        earlier = self.__dict__.pop(_PRETRAINED, None)
        if earlier:
            self.enhancers.load_state_dict(earlier, strict=False)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As torch's.  What belongs to enhancers waits until they are there.

        S3Rec and RaCT load their pre-training stage's checkpoint while they are built, before any enhancer is.
        """
        if "enhancers" not in self._modules:
            prefix = "enhancers."
            own = {name: value for name, value in state_dict.items() if not name.startswith(prefix)}
            rest = {name.removeprefix(prefix): v for name, v in state_dict.items() if name not in own}
            self.__dict__[_PRETRAINED] = rest
            state_dict = own
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def calculate_loss(self, interaction: Any, *args: Any, **kwargs: Any) -> Losses:
        """The backbone's loss, each interaction weighted, plus the enhancers' losses."""
        calculate = super().calculate_loss  # type: ignore[misc]
        return self._enhanced_loss(lambda batch: calculate(batch, *args, **kwargs), interaction)

    def _enhanced_loss(self, own_loss: Callable[[Any], Losses], interaction: Any) -> Losses:
        host = self.enhancers
        host.places.check()
        host.observe(interaction, own_loss)
        with host.step():
            own = host.backbone_loss(interaction, own_loss)
            return host.add_losses(own, interaction)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        result = super().forward(*args, **kwargs)
        host = self._modules.get("enhancers")  # absent while the backbone's own __init__ runs
        return host.on_forward(result) if isinstance(host, Host) else result

    def predict(self, interaction: Any, *args: Any, **kwargs: Any) -> Any:
        scores = super().predict(interaction, *args, **kwargs)  # type: ignore[misc]
        return self._rescored(scores, interaction, interaction)

    def full_sort_predict(self, interaction: Any, *args: Any, **kwargs: Any) -> Any:
        scores = super().full_sort_predict(interaction, *args, **kwargs)  # type: ignore[misc]
        return self._rescored(scores, interaction, None)

    def _rescored(self, scores: Any, interaction: Any, pairs: Any) -> Any:
        host = self._modules.get("enhancers")  # absent while enhancers look at the backbone's own scores
        if not isinstance(host, Host):
            return scores
        user = host.anatomy.fields.user
        users = interaction[user] if user in interaction else None  # noqa: SIM401 (it has no `get`)
        return host.rescored(scores, None if pairs is None else pairs[host.anatomy.fields.item], users)

    def train(self, mode: bool = True) -> Any:
        host = self._modules.get("enhancers")
        if isinstance(host, Host):
            host.forget()
            host.state.belongs_to(self)
        return super().train(mode)

    def other_parameter(self) -> dict[str, Any]:
        """What RecBole puts into a checkpoint beside the state dict.

        Without modules (DIN's `embedding_layer`): the state dict has their tensors, and a module read back from a
        file would stand in the place of the one that enhancers are attached to.
        """
        kept: dict[str, Any] = super().other_parameter()  # type: ignore[misc]
        return {name: value for name, value in kept.items() if not isinstance(value, nn.Module)}

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """Take back what `other_parameter` gave; modules in a plain backbone's checkpoint are left out."""
        kept = {name: value for name, value in (para or {}).items() if not isinstance(value, nn.Module)}
        super().load_other_parameter(kept)  # type: ignore[misc]

    def begin_epoch(self, epoch: int) -> None:
        """Called before each training epoch by RecBole's trainers (see `burnish.plugin`)."""
        self.enhancers.state.belongs_to(self)
        self.enhancers.on_epoch(epoch)


Recipe = tuple[tuple[type[Enhancer[Any]], str], ...]


def enhance(model: str | type, *enhancers: Enhancer[Any] | type[Enhancer[Any]] | str) -> type:
    """A class that behaves as `model` with the enhancers attached.

    RecBole accepts the class wherever it accepts the backbone's: Config, trainers, evaluation, checkpoints, resume and
    case study.  Equal arguments give the same class, and it can be pickled.  What depends on the backbone's tables is
    checked when the class is instantiated, before anything is changed.

    Parameters
    ----------
    model
        A backbone by name ("LightGCN"), class, or where that is ("mine.py:Tower"); an already enhanced class gets the
        new enhancers added.
    *enhancers
        Enhancers (`RVRec(weight=0.1)`), or names ("rvrec"), classes or places ("own.py:Gain") of enhancers with default
        options.

    Returns
    -------
    type
        The enhanced class; the backbone's own class without any enhancer.

    Raises
    ------
    UnknownNameError
        For a name that does not exist, with the nearest one.
    ConfigurationError
        For an enhancer that is given twice.
    UnsupportedError
        For a model that cannot be enhanced, with the reason.

    Examples
    --------
    >>> import burnish
    >>> enhanced = burnish.enhance("BPR", burnish.RVRec(weight=0.1), "shapley")
    >>> enhanced
    <class 'recbole.model.general_recommender.bpr.BPR[rvrec, shapley]'>
    >>> burnish.enhance("BPR", burnish.RVRec(weight=0.1), "shapley") is enhanced
    True
    """
    cls = find_backbone(model)
    base, earlier = split_enhanced(cls) if isinstance(cls, RecipeType) else (cls, ())
    added = make_enhancers(enhancers)
    _check(base, earlier, added)
    recipe = earlier + recipe_of(added)
    return enhanced_class(base, recipe) if recipe else base


def attach(model: nn.Module, recipe: Recipe, config: Any, dataset: Any) -> nn.Module:
    """Attach enhancers to a model that exists already, trained or not, in place.

    recipe: enhancer classes with their options, as `split_enhanced` gives them.
    config, dataset: RecBole's, as the model was made with (`dataset` is the training split).
    Everything is checked before the model is changed; the errors are those of `enhance` and of making the class.
    """
    base: Any = type(model)
    _check(base, (), [enhancer_from(*part) for part in recipe])
    model.__class__ = enhanced_class(base, recipe)
    try:
        _add_host(model, config, dataset)
    except BaseException:
        model.__class__ = base
        raise
    example = next(p for p in model.parameters() if p.is_floating_point())
    model.get_submodule("enhancers").to(example.device, example.dtype).train(model.training)
    return model


def _add_host(model: Any, config: Any, dataset: Any) -> None:
    """Build and bind the enhancers of a model whose class is enhanced already."""
    recipes = [enhancer_from(*part) for part in split_enhanced(type(model))[1]]
    try:
        host = Host(model, recipes, config, dataset)
    except UnsupportedError as error:
        narrow = [name for name in ("embedding_size", "hidden_size") if config[name] == 1]
        if not narrow:
            raise
        raise UnsupportedError(
            f"{error} Here {narrow[0]} is 1: one column is a bias, not an embedding; use 2 or more."
        ) from error
    host.places = TablePlaces(
        model, [table for one in host.state.refinements.values() for table, _ in one.spans]
    )
    host.backbone_config = config
    model.enhancers = host
    host.state.belongs_to(model)
    clear_kept(model)


def is_enhanced(model: Any) -> bool:
    """Whether a class, or the class of an instance, was made by `enhance`."""
    cls = model if isinstance(model, type) else type(model)
    return issubclass(cls, EnhancedMixin)


def split_enhanced(cls: type) -> tuple[type, Recipe]:
    """The plain backbone class behind a class, and the enhancers on it: `(base, ())` for a plain one."""
    # A user may have derived a class from an enhanced one: the nearest made class holds the recipe.
    for ancestor in cls.__mro__:
        if isinstance(ancestor, RecipeType) and issubclass(ancestor, EnhancedMixin):
            base, recipe = ancestor.recipe[1]  # type: ignore[attr-defined]
            return base, recipe
    return cls, ()


def enhancer_options(cls: type) -> dict[str, dict[str, Any]]:
    """The options of every enhancer on a class, by name, as an `enhancers:` block would write them."""
    return {e.name: e.config.model_dump(exclude_defaults=True) for e in enhancers_of(cls)}


def enhancers_of(cls: type) -> list[Enhancer[Any]]:
    """The enhancers on a class, unbound, with their options."""
    return [enhancer_from(*part) for part in split_enhanced(cls)[1]]


def enhancer_from(cls: type[Enhancer[Any]], options: str) -> Enhancer[Any]:
    """An unbound enhancer from one part of a recipe."""
    return cls(cls.configure(json.loads(options)))


def _check(base: type, earlier: Recipe, added: list[Enhancer[Any]]) -> None:
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.utils import ModelType

    if not (isinstance(base, type) and issubclass(base, AbstractRecommender)):
        raise UnsupportedError(
            f"{base!r} is not a RecBole model class; give the name of a backbone or a class that derives from "
            f"recbole.model.abstract_recommender.AbstractRecommender"
        )
    if issubclass(base, EnhancedMixin):
        raise UnsupportedError(
            f"{base.__name__} derives from an enhanced class; derive from the backbone's class instead and enhance "
            f"the result, or give all enhancers at once"
        )
    names = {cls.name for cls, _ in earlier}
    for enhancer in added:
        check_name(type(enhancer))
        if enhancer.name in names:
            raise ConfigurationError(
                f"enhancer {enhancer.name!r} is already attached to this {base.__name__}; give all its options at once"
            )
    if added and getattr(base, "type", None) in (ModelType.TRADITIONAL, ModelType.DECISIONTREE):
        raise UnsupportedError(
            f"{base.__name__} has no embeddings and no gradient training, so there is nothing to enhance. "
            f"Backbones with learned embeddings can be: BPR, LightGCN, NeuMF, SASRec, … (`burnish models`)."
        )


def _calculate_rs_loss(self: EnhancedMixin, interaction: Any) -> Losses:
    """The backbone's recommendation loss, each interaction weighted, plus the enhancers' losses."""
    return self._enhanced_loss(super(EnhancedMixin, self).calculate_rs_loss, interaction)  # type: ignore[misc]


def enhanced_class(base: type, recipe: Recipe) -> type:
    """The class that `enhance` gives, for a plain class and enhancer classes with their options; equal for equal.

    Pickles hold the call of this function, with options as the burnish that wrote them knew them.
    """
    return _enhanced_class(base, recipe_of(enhancer_from(*part) for part in recipe))


def recipe_of(enhancers: Iterable[Enhancer[Any]]) -> Recipe:
    """Enhancers as a class is made of them: their classes, and all their options."""
    return tuple((type(enhancer), enhancer.config.model_dump_json()) for enhancer in enhancers)


@cache
def _enhanced_class(base: type, recipe: Recipe) -> type:
    # The name stays the backbone's own: RecBole finds the model's default options and its trainer by it.
    body: dict[str, Any] = {"__module__": base.__module__, "__doc__": base.__doc__}
    if hasattr(base, "calculate_rs_loss"):  # MKR's trainer asks for this one, and for `calculate_kg_loss`
        body["calculate_rs_loss"] = _calculate_rs_loss
    body.update(methods_of(base))
    enhanced = RecipeType(base.__name__, (EnhancedMixin, base), body)
    enhanced.__qualname__ = f"{base.__qualname__}[{', '.join(cls.name for cls, _ in recipe)}]"
    enhanced.recipe = (enhanced_class, (base, recipe))
    return enhanced
