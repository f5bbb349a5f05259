"""What the matrix attaches, one column of its page each: enhancers with their options, as text and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import make_enhancers
from burnish.errors import ConfigurationError
from burnish.files.yamls import parse_yaml

#: The page that is shipped.  Options are such that one epoch shows what the enhancer does.
COLUMNS = (
    "probe",
    "weighing_probe",
    "rvrec",
    "euclid2d",
    "shapley: {warmup_epochs: 0}",
    "guided: {scores: scores.tsv}",
    "softmax",
    "average",
    "distil",
    "compress",
    "paths: {users: 8}",
)

_ABOUT = {
    "probe": "`probe` (in the suite) uses every hook: it refines all tables, adds a loss and weighs interactions.",
    "weighing_probe": "`weighing_probe` (in the suite) adds a loss and weighs interactions; it refines nothing.",
    "shapley: {warmup_epochs: 0}": (
        "`shapley` with `warmup_epochs: 0` and otherwise its default options: a check trains for one epoch, in which "
        "weights would all be 1 by default."
    ),
    "guided: {scores: scores.tsv}": (
        "`guided` in one stage, with scores of two attributes that are written beside the data (the matrix runs where "
        "they are). Two stages begin from reduced tables, not from the plain backbone's scores; the tests train all "
        "backbones in two stages, too."
    ),
}


def read_column(text: str) -> tuple[Enhancer[Any], ...]:
    """Enhancers from text: `rvrec`, `rvrec,euclid2d` or `shapley: {warmup_epochs: 0}` (YAML after the colon).

    Raises `ConfigurationError` for what is neither, and the errors of `make_enhancers`.
    """
    try:
        block = parse_yaml("{" + text + "}")
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"enhancers {text!r}: not a name, names separated by commas, or `name: {{option: value}}` "
            f"({' '.join(str(error).split())})"
        ) from error
    if not block:
        raise ConfigurationError(f"enhancers {text!r}: no enhancer is named; write one, such as 'rvrec'")
    return tuple(make_enhancers({str(name): options for name, options in block.items()}))


def _keys(text: str) -> list[str]:
    node = yaml.compose("{" + text + "}", Loader=yaml.SafeLoader)
    return [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []


def headings(columns: Sequence[str]) -> dict[str, str]:
    """A heading for each column, as `written` gives them: the names alone where no other column has the same."""
    names = {column: ",".join(_keys(column)) for column in columns}
    alone = [name for name in names.values() if list(names.values()).count(name) == 1]
    return {column: name if name in alone else column for column, name in names.items()}


def about(column: str) -> str:
    """What a column attaches, in a sentence."""
    if column in _ABOUT:
        return _ABOUT[column]
    parts = []
    for name, options in parse_yaml("{" + column + "}").items():
        chosen = ", ".join(f"`{_written_option(key, value)}`" for key, value in (options or {}).items())
        parts.append(f"`{name}` with {chosen or 'its default options'}")
    return " and ".join(parts) + "."


def _written_option(key: str, value: Any) -> str:
    return yaml.safe_dump({key: value}, default_flow_style=True, width=10**6).strip()[1:-1]
