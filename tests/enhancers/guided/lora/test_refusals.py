"""What tuning refuses, before it starts, and the cure that it names."""

from __future__ import annotations

import sys

import pytest
import torch

from burnish.enhancers.guided.lora import tune
from burnish.enhancers.guided.lora.model import load_language_model
from burnish.enhancers.guided.scorers.protocol import Scores, Texts
from burnish.errors import ConfigurationError, DataError, UnknownNameError


def test_missing_packages_are_named_with_the_cure(model_folder, schema, planted, monkeypatch):
    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    for package in ("peft", "transformers"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(ConfigurationError, match=rf"{package}.*pip install 'burnish\[llm-local\]'"):
                tune(*args)


def test_misuse_is_told_with_the_cure(model_folder, schema, planted, tmp_path):
    users, items = planted.interactions
    args = (schema, planted.items, planted.texts, planted.interactions)
    with pytest.raises(UnknownNameError, match="learning_rate"):
        tune(model_folder, *args, options={"learnin_rate": 1})
    with pytest.raises(ConfigurationError, match="LoRA: rank = 0"):
        tune(model_folder, *args, options={"rank": 0})
    with pytest.raises(ConfigurationError, match=r"nowhere.*safetensors"):
        tune(tmp_path / "nowhere", *args)
    with pytest.raises(ConfigurationError, match="q_proj"):
        tune(model_folder, *args, options={"target_modules": ["query"]})
    with pytest.raises(ConfigurationError, match="max_tokens = 64"):
        tune(model_folder, *args, options={"max_tokens": 64})
    with pytest.raises(ConfigurationError, match="device = 'abacus'"):
        tune(model_folder, *args, options={"device": "abacus"})
    with pytest.raises(DataError, match="none of 1 interactions"):
        tune(model_folder, schema, planted.items, planted.texts, (["x"], ["y"]))
    with pytest.raises(DataError, match="one item a user"):
        tune(model_folder, schema, planted.items, planted.texts, (users, items[:-1]))
    with pytest.raises(UnknownNameError, match="history"):
        tune(model_folder, schema, planted.items, Texts(("u1",), {"histroy": ("a",)}), (users, items))
    other = Scores(planted.items.ids, schema.names, planted.items.values / 9, scale=(0, 1))
    with pytest.raises(DataError, match="same scale"):
        tune(model_folder, schema, other, planted.texts, (users, items))
    with pytest.raises(DataError, match="outside the schema's scale"):
        tune(
            model_folder, schema, Scores(planted.items.ids, schema.names, planted.items.values + 5), *args[2:]
        )


def test_a_model_without_safetensors_is_refused(model_folder, schema, planted, tmp_path):
    from transformers import AutoModelForCausalLM

    for file in model_folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    network = AutoModelForCausalLM.from_pretrained(model_folder)
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="safetensors"):
        load_language_model(tmp_path)


def test_a_broken_state_is_told(model_folder, schema, planted, tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"not a tensor file")
    args = (model_folder, schema, planted.items, planted.texts, planted.interactions)
    with pytest.raises(ConfigurationError, match="remove it to start anew"):
        tune(*args, options={"device": "cpu"}, folder=tmp_path)
