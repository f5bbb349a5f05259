"""What a language model is asked about a user, and its tokens: instruction, history, answer, within a budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burnish.errors import ConfigurationError, DataError, unknown_name

from ..attributes import AttributeSchema
from ..scorers.protocol import Texts
from .answers import AnswerForm

Tokens = NDArray[np.int32]

_HERE = "<<history>>"


def question(schema: AttributeSchema) -> tuple[str, str]:
    """What stands before and after a user's history."""
    low, high = schema.scale
    attributes = "\n".join(f"- {name}: {meaning}" for name, meaning in schema.attributes.items())
    before = (
        f"Below is what one customer chose among {schema.domain}, the latest last. Judge from it what this customer "
        f"looks for: for each attribute the score, from {low} to {high}, that the next choice will most likely have."
        f"\n\nAttributes:\n{attributes}\n\nHistory:\n"
    )
    after = "\n\nAnswer with one line for each attribute, in this order, as `attribute: score`, and nothing else.\n"
    return before, after


def question_fingerprint(schema: AttributeSchema) -> str:
    """A hash of all of a schema that a model is told."""
    told = json.dumps([*question(schema), list(schema.names), list(schema.scale)], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class Prompts:
    """Turns histories into prompts of at most `max_tokens` tokens, answer included.

    A history that is too long loses its oldest lines.  Raises `ConfigurationError` where the question alone is longer.
    """

    def __init__(self, tokenizer: Any, schema: AttributeSchema, form: AnswerForm, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        before, after = question(schema)
        opening = []
        if getattr(tokenizer, "chat_template", None):
            message = [{"role": "user", "content": before + _HERE + after}]
            # enable_thinking is known to some templates, which would open a train of thought before the answer
            text = tokenizer.apply_chat_template(
                message, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
            before, after = text.split(_HERE)
        elif getattr(tokenizer, "bos_token_id", None) is not None:
            opening = [tokenizer.bos_token_id]
        self.before = opening + self._encode(before)
        self.after = self._encode(after)
        self.answer: list[int] = form.tokens.tolist()
        taken = len(self.before) + len(self.after) + len(self.answer)
        self.room = max_tokens - taken
        if self.room < 8:
            raise ConfigurationError(
                f"max_tokens = {max_tokens} leaves {max(self.room, 0)} tokens for a history: question and answer "
                f"take {taken}. Give at least {taken + 64}, or fewer attributes"
            )

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode(self, history: str) -> Tokens:
        """Token ids of the prompt with one history, and of the answer but for its last token."""
        kept = self._encode(history)
        if len(kept) > self.room:
            lines = [self._encode(line) for line in history.splitlines(keepends=True)]
            total = sum(map(len, lines))
            while total > self.room and len(lines) > 1:
                total -= len(lines.pop(0))
            kept = [token for line in lines for token in line][-self.room :]
        return np.array(self.before + kept + self.after + self.answer[:-1], dtype=np.int32)

    def pad(self, prompts: Sequence[Tokens], device: torch.device) -> tuple[Tensor, Tensor]:
        """Token ids and mask, `[B, T]` each, filled up on the left so that all answers end together."""
        width = max(len(prompt) for prompt in prompts)
        filler = getattr(self.tokenizer, "pad_token_id", None) or 0
        ids = np.full((len(prompts), width), filler, dtype=np.int64)
        mask = np.zeros((len(prompts), width), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = prompt
            mask[row, width - len(prompt) :] = 1
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def histories_of(texts: Texts) -> tuple[str, ...]:
    """The histories in users' texts.  Raises `UnknownNameError` where the field `history` is missing."""
    if "history" not in texts.fields:
        cure = "Give users' texts a field 'history': what each chose in the training split, one item a line."
        if not texts.fields:
            raise DataError(f"users' texts have no fields. {cure}")
        raise unknown_name("text field", "history", texts.fields, cure=cure)
    return texts.fields["history"]
