"""Explanations as tables on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from burnish.explanation import Explanation
    from burnish.files.data_names import DataNames


class Profiles(dict[tuple[str, str], dict[str, float]]):
    """Profiles by ("user" or "item", id).

    words: whether they are of words, each with words of its own, and not all of the same attributes.
    """

    words = False


def show(
    console: Console, explanations: Sequence[Explanation], profiles: Profiles | None, names: DataNames
) -> None:
    """A table a user, for people; before it their profile beside those of the items, where it is wanted."""
    for user in dict.fromkeys(one.user for one in explanations):
        recommended = [one for one in explanations if one.user == user]
        if profiles is not None:
            table = word_table if profiles.words else profile_table
            console.print(table(f"{names.user} {user}", user, recommended, profiles))
        console.print(reason_table(user, recommended, names))


def reason_table(user: str, recommended: Sequence[Explanation], names: DataNames) -> Any:
    """The recommendations of one user, each with its reasons line by line."""
    from rich.table import Table
    from rich.text import Text

    from burnish.explanation import PARTS
    from burnish.trained.explanation_formats import line

    shares = [one.share for one in recommended]
    table = Table(title=Text(f"{names.user} {user}"), title_justify="left", show_lines=True)
    table.add_column(Text(names.item))
    table.add_column("score", justify="right")
    if any(part is not None for part in shares):
        table.add_column("by attributes", justify="right")
    weights = {reason.kind for one in recommended for reason in one.reasons} - set(PARTS)
    table.add_column("reasons, with their weight" if weights else "what adds to it, or takes from it")
    for one, part in zip(recommended, shares, strict=True):
        lines = [line(reason) for reason in one.reasons]
        lines += [f"({one.note})"] if one.note else []
        level = "" if one.average is None else f"\n(average item: {one.average:.4f})"
        cells = [one.name, f"{one.shown:.4f}{level}"]
        if len(table.columns) == 4:
            cells.append("" if part is None else f"{part:.0%}")
        table.add_row(*(Text(cell) for cell in [*cells, "\n".join(lines)]))
    return table


def profile_table(name: str, user: str, recommended: Sequence[Explanation], profiles: Profiles) -> Any:
    """What a user likes, most liked first, and what each of the items is like."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"attributes: {name} and the items, in standard deviations"), title_justify="left"
    )
    table.add_column("attribute")
    for head in (name, *(one.name for one in recommended)):
        table.add_column(Text(head), justify="right")
    for attribute, value in profiles["user", user].items():
        row = [value, *(profiles["item", one.item][attribute] for one in recommended)]
        table.add_row(attribute, *(f"{number:+.1f}" for number in row))
    return table


def word_table(name: str, user: str, recommended: Sequence[Explanation], profiles: Profiles) -> Any:
    """The words of a user and of each of the items, a column each, with the sum of attention on them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"words: {name} and the items, with the attention on them"), title_justify="left"
    )
    columns = [profiles["user", user], *(profiles["item", one.item] for one in recommended)]
    for head in (name, *(one.name for one in recommended)):
        table.add_column(Text(head))
    for place in range(max(map(len, columns))):
        cells = [list(column.items())[place : place + 1] for column in columns]
        table.add_row(*(Text(f"{cell[0][0]} {cell[0][1]:.2f}" if cell else "") for cell in cells))
    return table
