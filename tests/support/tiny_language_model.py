"""A small randomly initialised causal language model and its tokenizer, made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch

from burnish.enhancers.guided.attributes import AttributeSchema
from burnish.enhancers.guided.lora.prompts import question

WORDS = {"humor": "funny", "suspense": "tense", "romance": "tender"}
FILLERS = ("red", "blue", "old", "new", "long", "short")


def make_tokenizer(folder: Path, schema: AttributeSchema, *, digits: bool = True, chat: bool = False) -> None:
    """Words, digits and punctuation are tokens; saved as the transformers package reads it."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"[a-z_A-Z]+|[0-9]+|\n|[^\w\s]"), "removed", invert=True
    )
    corpus = [
        "\n".join(question(schema)),
        " ".join(WORDS.values()),
        " ".join(FILLERS),
        "user assistant < > | :",
    ]
    corpus += [" ".join(str(d) for d in range(10))] if digits else []
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    tokenizer.train_from_iterator(corpus, trainers.WordLevelTrainer(special_tokens=special))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    if chat:
        told = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}"
        fast.chat_template = "{{ bos_token }}" + told + "assistant: "
    fast.save_pretrained(folder)


def make_model(folder: Path, kind: str = "llama") -> None:
    """Two layers of width 64 with random weights, as safetensors."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    torch.manual_seed(5)
    if kind == "llama":
        config = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.2,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    else:
        gpt = GPT2Config(vocab_size=vocabulary, n_positions=512, n_embd=64, n_layer=2, n_head=4)
        GPT2LMHeadModel(gpt).save_pretrained(folder)
