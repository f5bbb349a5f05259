"""What gives reasons: attached enhancers, backbones that explain themselves, and the history of any model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from burnish.checks import whole_number
from burnish.enhancers.attach import split_enhanced
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.host import Host
from burnish.enhancers.registry import list_enhancers
from burnish.errors import ConfigurationError, UnsupportedError, unknown_name, warn
from burnish.own.announced import entry_points

from .folded_users import FoldedUsers
from .history_reasons import HISTORY, HistoryReasons

if TYPE_CHECKING:
    from .recommend import Recommender

#: What `enhancer` may say instead of the class name of the backbone.
BACKBONE = "backbone"


@dataclass(frozen=True)
class ReasonGiver:
    """An enhancer or a backbone with `explain(user, item)`, internal ids.

    name: of the enhancer, or of the backbone's class, or "history".  module: the enhancer, the model, or
        `HistoryReasons`.
    """

    name: str
    module: Any
    is_backbone: bool = False

    def silence(self, user: int, item: int) -> str:
        """Why there is no reason for this pair, in words.

        A backbone may say so itself, by a method `no_reason(user, item)`.
        """
        tell = getattr(self.module, "no_reason", None)
        why = tell(user, item) if tell is not None else None
        if why is None:
            why = "it knows of none for this pair"
            if isinstance(self.module, HistoryReasons):
                why = "there is no other item in the user's history"
            elif not self.is_backbone:
                why = "it needs training interactions of the user"
        return f"{self.name} has no reason to give: {why}"


def reason_givers(
    recommender: Recommender,
    name: str | None = None,
    *,
    budget: int | None = None,
    seed: int = 0,
    of: str | None = None,
) -> list[ReasonGiver]:
    """The backbone, if it explains itself, and the attached enhancers that give reasons, or the one of that name.

    What says no more than how sure the model is (`Enhancer.says_why`) comes last, beside reasons that say why.
    Where nobody gives such, and by the name "history", the user's history gives reasons (`HistoryReasons`, which
    budget, seed and of are for).

    name: of an enhancer, of the backbone's class, "backbone" or "history".
    Raises `UnsupportedError` where one that is named gives none, `UnknownNameError` for a name that is not attached,
    `ConfigurationError` for a budget, or for what reasons are of, where no reasons are from a history.
    """
    model, dataset = recommender.trained.model, str(recommender.trained.config["dataset"])
    host = getattr(model, "enhancers", None)
    attached = host.enhancers() if isinstance(host, Host) else []
    own = split_enhanced(type(model))[0].__name__
    backbone = [ReasonGiver(own, model, True)] if explains_itself(model) else []
    if name is not None and name in (BACKBONE, own):
        attached = []
    elif name is not None and name != HISTORY:
        known = [*(one.name for one in backbone), *(enhancer.name for enhancer in attached), HISTORY]
        if name not in known:
            raise unknown_name(
                "method or attached enhancer", name, [*known, *([BACKBONE] if backbone else [])]
            )
        attached, backbone = [enhancer for enhancer in attached if enhancer.name == name], []
    enhancers = [
        ReasonGiver(enhancer.name, enhancer)
        for enhancer in attached
        if gives_reasons(type(enhancer)) and getattr(enhancer, "explains", True)
    ]
    enhancers.sort(key=lambda one: not one.module.says_why)
    say_why = [*backbone, *(one for one in enhancers if one.module.says_why)]
    if name == HISTORY or (name is None and not say_why):
        history = ReasonGiver(HISTORY, HistoryReasons(recommender, budget=budget, seed=seed, of=of))
        if budget is not None and isinstance(history.module.scorer, FoldedUsers):
            whole_number("budget", budget)
            warn(
                f"budget = {budget} has no effect: reasons from histories of {own} are exact, and no histories are "
                f"scored for them; leave it out"
            )
        return [history] if name == HISTORY else [history, *enhancers]
    for option, given in (("budget", budget), ("of", of)):
        if given is None:
            continue
        raise ConfigurationError(
            f"{option} = {given}: it is for reasons from histories, and this run's are of "
            f"{', '.join(one.name for one in [*backbone, *enhancers])}; leave it out, or ask for enhancer = 'history'"
        )
    if not backbone and not enhancers:
        raise UnsupportedError(
            _nobody(own, [one.name for one in attached], dataset, backbone_named=name in (BACKBONE, own))
        )
    return [*backbone, *enhancers]


def explains_itself(model: Any) -> bool:
    """Whether a model has `explain(user, item)` and does not say by `explains` that it has nothing to tell."""
    return callable(getattr(model, "explain", None)) and bool(getattr(model, "explains", True))


#: The data set whose scores come with burnish, and enhancers that read scores or a graph.
_SCORED, _READ_FILES = "ml-100k", ("guided", "paths")


def explaining_names() -> list[str]:
    """The known enhancers whose reasons say why."""
    known = ((name, info.load()) for name, info in list_enhancers().items())
    return [name for name, enhancer in known if gives_reasons(enhancer) and enhancer.says_why]


def explaining_backbones() -> list[str]:
    """The installed backbones that explain themselves."""
    names = set()
    for entry in entry_points(group="burnish.backbones"):
        try:
            if callable(getattr(entry.load(), "explain", None)):
                names.add(entry.name)
        except ImportError:  # one that lacks a library does not help
            continue
    return sorted(names)


def gives_reasons(enhancer: type[Enhancer[Any]]) -> bool:
    """Whether this class of enhancers explains anything."""
    return enhancer.explain is not Enhancer.explain


def _nobody(own: str, attached: list[str], dataset: str, *, backbone_named: bool) -> str:
    have = own if backbone_named else ", ".join(attached) or "no enhancer is attached"
    able = [known for known in explaining_names() if known not in attached]
    # Only one data set comes with scores of its items: with others, an enhancer that reads no file is the first to try.
    able.sort(key=lambda known: dataset != _SCORED and known in _READ_FILES)
    cure = (
        f"{', '.join(able[:-1])}{' and ' if able[1:] else ''}{able[-1]} give reasons, so train with one of them: "
        f"burnish run --model BPR --dataset {dataset} --enhancers {able[0]} --output out"
        if able
        else "and no enhancer that gives any is installed"
    )
    themselves = [name for name in explaining_backbones() if name != own]
    more = f". Backbones that explain themselves: {', '.join(themselves)}" if themselves else ""
    history = "; without a name, or by the name 'history', the user's history gives reasons"
    return f"there are no reasons to be had from this model ({have}){history}; {cure}{more}"
