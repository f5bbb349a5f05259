"""The form of an answer, one line `attribute: score` each, as tokens: where scores stand and which tokens they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from burnish.errors import ConfigurationError

from ..attributes import AttributeSchema


@dataclass(frozen=True)
class AnswerForm:
    """The answer that a model is shown, with one middling score at every attribute.

    tokens: `[L]`, token ids of the answer.  positions: `[m]`, where the scores stand, in the schema's order.
    choices: `[m, S]`, the token of every score of the scale at each attribute.  scores: `[S]`, their values.
    """

    tokens: Tensor
    positions: Tensor
    choices: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device) -> AnswerForm:
        """The same on a device."""
        moved = (tensor.to(device) for tensor in (self.tokens, self.positions, self.choices, self.scores))
        return AnswerForm(*moved)


def answer_text(names: tuple[str, ...], scores: list[int]) -> str:
    """The answer with these scores: lines `name: score`."""
    return "\n".join(f"{name}: {score}" for name, score in zip(names, scores, strict=True))


def make_form(tokenizer: Any, schema: AttributeSchema) -> AnswerForm:
    """The form of an answer in the tokens of a tokenizer (of the transformers package).

    How a tokenizer joins a score with what stands before it is its own affair: so the answer is tokenized with every
    score at every attribute, and where the token ids differ, there the score stands.

    Raises `ConfigurationError` where a score is not exactly one token, or two scores are the same token.
    """
    low, high = schema.scale
    scale = list(range(low, high + 1))
    middle = scale[(len(scale) - 1) // 2]
    encode = _encoder(tokenizer)
    shown = encode(answer_text(schema.names, [middle] * len(schema.names)))
    positions, choices = [], []
    for number, name in enumerate(schema.names):
        answers = []
        for score in scale:
            scores = [middle] * len(schema.names)
            scores[number] = score
            answers.append(encode(answer_text(schema.names, scores)))
        position = _where(name, scale, shown, answers)
        tokens = [answer[position] for answer in answers]
        _check_tokens(tokenizer, name, scale, tokens)
        positions.append(position)
        choices.append(tokens)
    end = getattr(tokenizer, "eos_token_id", None)
    return AnswerForm(
        torch.tensor(shown + ([] if end is None else [end])),
        torch.tensor(positions),
        torch.tensor(choices),
        torch.tensor(scale, dtype=torch.float32),
    )


def _encoder(tokenizer: Any) -> Any:
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def _where(name: str, scale: list[int], shown: list[int], answers: list[list[int]]) -> int:
    """The one position in which answers differ that differ in one attribute's score."""
    places = set()
    for score, answer in zip(scale, answers, strict=True):
        if len(answer) != len(shown):
            raise _not_one_token(name, score, scale)
        places |= {i for i, (a, b) in enumerate(zip(answer, shown, strict=True)) if a != b}
    if len(places) != 1:
        raise _not_one_token(name, scale[-1], scale)
    return places.pop()


def _not_one_token(name: str, score: int, scale: list[int]) -> ConfigurationError:
    return ConfigurationError(
        f"scale = {[scale[0], scale[-1]]}: this tokenizer does not write the score {score} of {name!r} as one token "
        f"of its own, so its probability cannot be read in one step. Take a scale of single digits in the schema "
        f"(scale: [0, 9]), or a model whose tokenizer has the digits as tokens"
    )


def _check_tokens(tokenizer: Any, name: str, scale: list[int], tokens: list[int]) -> None:
    unknown = getattr(tokenizer, "unk_token_id", None)
    for score, token in zip(scale, tokens, strict=True):
        if token == unknown or tokens.count(token) > 1:
            raise ConfigurationError(
                f"this tokenizer has no token of its own for the score {score} of {name!r}; take a model whose "
                f"tokenizer has the digits as tokens"
            )
