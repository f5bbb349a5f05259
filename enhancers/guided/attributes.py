"""What is scored: a schema of interpretable attributes of one domain, read from a YAML file.

Attributes that matter to the choice of an item, scored by a language model: Jia, Yuan, Wu, Zheng, "Improving LLM
interpretability and performance via guided embedding refinement for sequential recommendation", arXiv 2504.11658.
The attribute lists, the scale and the wording are ours.
"""

from __future__ import annotations

import hashlib
import json
import keyword
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationInfo, field_validator

from burnish.checks import is_file
from burnish.errors import ConfigurationError, unknown_name
from burnish.files.whole import write_text
from burnish.files.yamls import read_yaml
from burnish.strict import Strict, validated


class AttributeSchema(Strict):
    """The attributes of one domain, and how they are scored.

    domain: what the items are, such as "films".  scale: the lowest and the highest score, whole numbers.
    instruction: how to score, for whoever scores.  attributes: what each attribute means, by name, in order.
    contrasts: for some or all attributes what an item at either end is like, [low, high]; only sentence encoders read
    them, since they do not understand "not at all".
    """

    domain: str = Field(min_length=1)
    scale: tuple[int, int] = (0, 9)
    instruction: str = Field(min_length=1)
    attributes: dict[str, str] = Field(min_length=1)
    contrasts: dict[str, tuple[str, str]] = Field(default_factory=dict)

    @field_validator("scale")
    @classmethod
    def _rises(cls, scale: tuple[int, int]) -> tuple[int, int]:
        if not scale[0] < scale[1]:
            raise ValueError(f"the lowest score {scale[0]} must be below the highest, {scale[1]}")
        return scale

    @field_validator("attributes")
    @classmethod
    def _named(cls, attributes: dict[str, str]) -> dict[str, str]:
        for name, meaning in attributes.items():
            if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
                raise ValueError(f"the attribute name {name!r} must be lower-case letters, digits and _")
            if name in ("item_id", "user_id"):
                raise ValueError(f"{name!r} is the name of the column of ids; call the attribute otherwise")
            if name == "training_split":
                raise ValueError(
                    f"{name!r} is a column of its own in files of scores; call the attribute otherwise"
                )
            if not meaning.strip():
                raise ValueError(f"the attribute {name!r} has no description")
        return attributes

    @field_validator("contrasts")
    @classmethod
    def _of_attributes(
        cls, contrasts: dict[str, tuple[str, str]], info: ValidationInfo
    ) -> dict[str, tuple[str, str]]:
        for name, ends in contrasts.items():
            if name not in info.data.get("attributes", contrasts):
                raise ValueError(f"contrast of {name!r}, which is not an attribute of the schema")
            if not all(end.strip() for end in ends):
                raise ValueError(f"the contrast of {name!r} needs words at both ends, [low, high]")
        return contrasts

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, in order."""
        return tuple(self.attributes)

    @property
    def middle(self) -> float:
        """The middle of the scale."""
        return (self.scale[0] + self.scale[1]) / 2

    def only(self, names: Iterable[str]) -> AttributeSchema:
        """The schema with some of its attributes.  Raises `UnknownNameError` for one that it has not."""
        chosen = list(names)
        for name in chosen:
            if name not in self.attributes:
                raise unknown_name("attribute", name, self.attributes)
        kept = {
            "attributes": {name: self.attributes[name] for name in chosen},
            "contrasts": {name: self.contrasts[name] for name in chosen if name in self.contrasts},
        }
        return self.model_copy(update=kept)

    def fingerprint(self) -> str:
        """A hash of what a judge is asked: equal for equal schemas, whatever the layout of their files.

        Contrasts do not count: no language model sees them.
        """
        asked = self.model_dump(mode="json", exclude={"contrasts"})
        content = json.dumps(asked, ensure_ascii=False, sort_keys=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The text of a schema file."""
        content = self.model_dump(mode="json", exclude=None if self.contrasts else {"contrasts"})
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def make_schema(content: Mapping[str, Any], *, origin: str = "schema") -> AttributeSchema:
    """A schema from a mapping as its YAML file holds it.

    Parameters
    ----------
    content
        The fields of `AttributeSchema`.
    origin
        What messages call the source.

    Returns
    -------
    AttributeSchema
        The schema, checked.

    Raises
    ------
    UnknownNameError
        For an unknown key, with the nearest one.
    ConfigurationError
        For a bad value.
    """
    return validated(AttributeSchema, content, origin, kind="field")


def load_schema(source: str | Path) -> AttributeSchema:
    """A schema file, or a shipped schema by its domain.

    Parameters
    ----------
    source
        A YAML file, or a domain such as "films".

    Returns
    -------
    AttributeSchema
        The schema, checked.

    Raises
    ------
    UnknownNameError
        For what is neither.
    ConfigurationError
        For a file that is not a valid schema.

    Examples
    --------
    >>> load_schema("films").names[:3]
    ('story_complexity', 'dialogue_complexity', 'emotional_depth')
    """
    path = Path(source)
    if path.suffix.lower() in (".yaml", ".yml") or is_file(path):
        return make_schema(read_yaml(path), origin=str(path))
    if str(source) not in shipped_domains():
        cure = "Or give the path of a schema file (burnish guide init writes one to edit)."
        raise unknown_name("attribute domain", str(source), shipped_domains(), cure=cure)
    with resources.as_file(resources.files(__package__) / "schemas" / f"{source}.yaml") as file:
        return make_schema(read_yaml(file), origin=f"shipped schema {source!r}")


def shipped_domains() -> tuple[str, ...]:
    """The domains of the shipped schemas."""
    folder = resources.files(__package__) / "schemas"
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".yaml")))


def shipped_text(domain: str) -> str:
    """The file of a shipped schema as it is, comments and all.  Raises `UnknownNameError`."""
    if domain not in shipped_domains():
        raise unknown_name("attribute domain", domain, shipped_domains())
    file = resources.files(__package__) / "schemas" / f"{domain}.yaml"
    return file.read_text(encoding="utf-8")


def write_schema(schema: AttributeSchema | str, path: Path, *, overwrite: bool = False) -> None:
    """Write a schema file.

    Parameters
    ----------
    schema
        The schema, or its text.
    path
        The file to write.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    ConfigurationError
        Where there is a file already, unless told to overwrite.
    """
    if path.is_file() and not overwrite:
        raise ConfigurationError(f"{path} exists already; give another name, or ask to overwrite it")
    write_text(path, schema if isinstance(schema, str) else schema.to_yaml())
