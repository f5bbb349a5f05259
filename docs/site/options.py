"""For the pages made from docstrings: options of enhancers, one line each, from `Field(description=...)`.

Read from the source, as everything on these pages: nothing of burnish is imported to build them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import griffe

_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


class Options(griffe.Extension):
    """Gives the docstrings of classes of options a section with their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Keep what a field says of itself."""
        call = getattr(node, "value", None)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Field":
            given = {str(keyword.arg): keyword.value for keyword in call.keywords}
            limits = [f"{word} {ast.unparse(given[sign])}" for sign, word in _LIMITS.items() if sign in given]
            default = f"default {ast.unparse(given['default'])}" if "default" in given else ""
            facts = ", ".join(fact for fact in (*limits, default) if fact)
            self.fields[attr.path] = f"{_text(given.get('description'))}{f' ({facts})' if facts else ''}"

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """All is read: write the sections."""
        for cls in list(_classes(pkg)):
            if cls.name.endswith("Config"):
                fields = {
                    name: attribute
                    for one in (*reversed(cls.mro()), cls)
                    for name, attribute in one.attributes.items()
                    if attribute.path in self.fields
                }
                lines = [
                    f"{name} : {attribute.annotation}\n    {self.fields[attribute.path]}"
                    for name, attribute in fields.items()
                ]
                if lines and cls.docstring is not None:
                    cls.docstring.value += "\n\nAttributes\n----------\n" + "\n".join(lines)


def _classes(module: griffe.Module) -> Iterator[griffe.Class]:
    for member in module.members.values():
        if isinstance(member, griffe.Class):
            yield member
        elif isinstance(member, griffe.Module):
            yield from _classes(member)


def _text(node: ast.expr | None) -> str:
    """Text that stands in a file; of what is put into it when it is read, the name."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"`{ast.unparse(part.value)}`"
            for part in node.values
            if isinstance(part, (ast.Constant, ast.FormattedValue))
        )
    return str(node.value) if isinstance(node, ast.Constant) else ""
