"""What a model is asked: everything of the schema, the newest part of a long history, nothing beyond the budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.guided.lora.answers import make_form
from burnish.enhancers.guided.lora.prompts import Prompts, histories_of
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.errors import ConfigurationError, DataError, UnknownNameError


@pytest.fixture(params=["model_folder", "gpt2_folder"])
def tokenizer(request):
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))


def prompts_of(tokenizer, schema, max_tokens: int) -> Prompts:
    return Prompts(tokenizer, schema, make_form(tokenizer, schema), max_tokens)


def test_a_prompt_holds_attributes_history_and_the_form_of_the_answer(tokenizer, schema):
    tokens = prompts_of(tokenizer, schema, 400).encode("red funny\nold tense")
    text = " ".join(tokenizer.decode(tokens).split())
    for name, meaning in schema.attributes.items():
        assert f"- {name} : {meaning}" in text
    assert "red funny old tense" in text
    assert text.endswith("humor : 4 suspense : 4 romance : 4")
    assert text.count("<s>") == 1
    if tokenizer.chat_template:
        assert "user :" in text
        assert text.endswith("assistant : humor : 4 suspense : 4 romance : 4")


def test_a_long_history_loses_its_oldest_lines(tokenizer, schema):
    roomy = prompts_of(tokenizer, schema, 500)
    question = len(roomy.encode(""))
    budget = question + 1 + 12
    history = "\n".join(["red funny"] * 30 + ["old tense", "blue tender"])
    tokens = prompts_of(tokenizer, schema, budget).encode(history)
    text = " ".join(tokenizer.decode(tokens).split())
    assert len(tokens) <= budget - 1
    assert "old tense blue tender" in text
    assert text.count("red funny") == 4 - 2  # four lines of two words and their line ends fit, at most
    short = "red funny\nold tense"
    assert np.array_equal(prompts_of(tokenizer, schema, budget).encode(short), roomy.encode(short))


def test_one_endless_line_is_cut(tokenizer, schema):
    prompts = prompts_of(tokenizer, schema, 300)
    assert len(prompts.encode("red " * 900 + "tense")) == 299
    assert "red tense" in " ".join(tokenizer.decode(prompts.encode("red " * 900 + "tense")).split())


def test_prompts_are_filled_up_on_the_left(tokenizer, schema):
    prompts = prompts_of(tokenizer, schema, 400)
    short, long = prompts.encode("red"), prompts.encode("red funny\nold tense")
    ids, mask = prompts.pad([short, long], torch.device("cpu"))
    assert ids.shape == mask.shape == (2, len(long))
    assert mask.sum(1).tolist() == [len(short), len(long)]
    assert ids[0, -len(short) :].tolist() == short.tolist()
    assert mask[0, : len(long) - len(short)].sum() == 0


def test_a_budget_without_room_is_refused_with_a_number_that_works(tokenizer, schema):
    with pytest.raises(ConfigurationError, match="max_tokens = 40") as caught:
        prompts_of(tokenizer, schema, 40)
    enough = int(str(caught.value).split("Give at least ")[1].split(",")[0])
    assert prompts_of(tokenizer, schema, enough).room == 64


def test_texts_without_histories_are_refused():
    with pytest.raises(UnknownNameError, match="text field 'history' is not known"):
        histories_of(Texts(("u",), {"histories": ("a",)}))
    with pytest.raises(DataError, match="no fields"):
        histories_of(Texts(("u",), {}))
