"""Sentence vectors and their principal components; what is said where there is no encoder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from burnish import telling
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.sentence_encoder import SentenceEncoder
from burnish.enhancers.guided.text_vectors import principal_components, text_vectors
from burnish.errors import ConfigurationError, DataError
from burnish.telling import summaries_told_to
from burnish.text_encoder import PACKAGED

TEXTS = Texts(
    ("1", "2", "3", "4", "5"),
    {
        "title": ("A love story", "The war", "", "A wedding", "The battle"),
        "year": ("1990", "", "", "", "1991"),
    },
)


def test_components_are_those_of_scikit_learn() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 7)) @ np.diag(np.arange(1.0, 8))
    found = principal_components(rows, 3, seed=1)
    wanted = PCA(3, svd_solver="full").fit_transform(rows)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-9)
    np.testing.assert_array_equal(found, principal_components(rows, 3, seed=1))
    signs = {tuple(np.sign(principal_components(rows, 3, seed)[0])) for seed in range(100)}
    assert len(signs) == 8
    with pytest.raises(ConfigurationError, match="40 texts with vectors of 7 numbers have 7 components"):
        principal_components(rows, 8)


def test_vectors_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    before = torch.get_rng_state()
    ids, vectors = text_vectors(TEXTS, 2)
    assert torch.equal(before, torch.get_rng_state())
    assert ids == TEXTS.ids
    assert vectors.shape == (5, 2)
    assert np.isnan(vectors[2]).all()
    np.testing.assert_allclose(np.nanmean(vectors, axis=0), 0, atol=1e-6)
    first = np.sign(vectors[:, 0])
    assert (
        first[0] == first[3] == -first[1] == -first[4]
    )  # love and wedding on one side, war and battle opposite
    encoder = SentenceEncoder()
    texts = ["A love story. 1990", "The war", "", "A wedding", "The battle. 1991"]
    rows = encoder.vectors(texts)
    said: list[str] = []
    monkeypatch.setattr(telling, "FIRST", 1e-9)
    encoder.batch_size = 1
    with summaries_told_to(said.append):
        np.testing.assert_allclose(encoder.vectors(texts), rows, atol=1e-5)
    assert said[0].startswith("texts encoded by all-MiniLM-L6-v2: batch 1 of 4 (")
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 0, 1, 1], atol=1e-5)
    np.testing.assert_allclose(
        np.abs(vectors[[0, 1, 3, 4]]),
        np.abs(PCA(2).fit_transform(rows[[0, 1, 3, 4]].astype(float))),
        atol=1e-5,
    )
    assert encoder.vectors(["", ""]).shape == (2, encoder.width)


def test_what_cannot_be_given() -> None:
    with pytest.raises(ConfigurationError, match="width = 0"):
        text_vectors(TEXTS, 0)
    with pytest.raises(DataError, match="none of the 1 ids has a text"):
        text_vectors(Texts(("1",), {"title": (" ",)}), 1)
    with pytest.raises(ConfigurationError, match="batch_size = 0"):
        SentenceEncoder(batch_size=0)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGED, None)
    with pytest.raises(ConfigurationError, match=r"default sentence encoder.*pip install 'burnish\[text\]'"):
        SentenceEncoder()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'burnish\[text\]'"):
        SentenceEncoder()


def test_a_model_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError, match=r"'no-such/model' cannot be loaded.*packaged MiniLM"):
        SentenceEncoder("no-such/model")
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        SentenceEncoder(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match=r"must be a folder with config.json"):
        SentenceEncoder(tmp_path)


def test_no_code_of_a_folder_is_executed(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Module: ...\n")
    (tmp_path / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}])
    )
    with pytest.raises(ConfigurationError, match=r"asks for 'evil.Module', code that is not part of"):
        SentenceEncoder(tmp_path)
    (tmp_path / "modules.json").write_text("[1]")
    with pytest.raises(ConfigurationError, match="is not a list of modules"):
        SentenceEncoder(tmp_path)
    assert not (tmp_path / "ran").exists()
