"""Static word vectors: pieces against the tokenizer, vectors against scikit-learn's PCA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from transformers import AutoTokenizer

from burnish.backbones.text import static as module
from burnish.backbones.text.cleaning import Cleaner
from burnish.backbones.text.static import StaticWords, open_static, reduced
from burnish.backbones.text.token_encoder import TokenEncoder
from burnish.errors import ConfigurationError

TEXTS = ["I love these guitars", "", "the", "strummable guitar, guitar", "Love! \u65e5\u672c\u8a9e " * 300]


@pytest.fixture
def opened(tiny: Path) -> StaticWords:
    return open_static(TEXTS, encoder=tiny, width=4, max_tokens=30)


def test_pieces_are_those_of_the_tokenizer(opened: StaticWords, tiny: Path) -> None:
    tokenizer, table = AutoTokenizer.from_pretrained(tiny), reduced(TokenEncoder(tiny).static_vectors(), 4)
    assert len(opened.offsets) == len(TEXTS) + 1
    assert opened.ids.dtype == torch.int32
    for number, text in enumerate(TEXTS):
        lemmas = " ".join(word.lemma for word in Cleaner().words(text))
        expected = tokenizer(lemmas, add_special_tokens=False)["input_ids"][:30]
        ids = opened.ids[opened.offsets[number] : opened.offsets[number + 1]].long()
        assert torch.equal(opened.vectors[ids], table[torch.tensor(expected, dtype=torch.long)])
    assert opened.ids.unique().tolist() == list(range(1, len(opened.vectors)))  # only pieces that occur
    assert not opened.vectors[0].any()


def test_padded(opened: StaticWords) -> None:
    asked = torch.tensor([3, 1, 4, 0])
    counts = opened.counts(asked).tolist()
    assert counts == (opened.offsets[asked + 1] - opened.offsets[asked]).tolist()
    assert counts[1:3] == [0, 30]
    for length in (1, 5, 40):
        found = opened.padded(asked, length)
        assert found.shape == (4, length)
        assert found.dtype == torch.long
        for row, number in zip(found, asked.tolist(), strict=True):
            ids = opened.ids[opened.offsets[number] : opened.offsets[number + 1]][:length].tolist()
            assert row.tolist() == ids + [0] * (length - len(ids))
    assert opened.padded(torch.tensor([], dtype=torch.long), 3).shape == (0, 3)
    for impossible in ([-1], [5]):
        with pytest.raises(IndexError, match="from 0 to 4"):
            opened.padded(torch.tensor(impossible), 3)


def test_reduced_agrees_with_scikit_learn() -> None:
    table = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 9) + 3
    for width in (1, 3, 8):
        found = reduced(table, width).double().numpy()
        expected = PCA(width, svd_solver="full").fit_transform(table.double().numpy())
        expected /= np.sqrt(np.mean(expected**2))
        signs = np.sign((found * expected).sum(0))
        np.testing.assert_allclose(found, expected * signs, atol=1e-5)
        assert found.var(0).tolist() == sorted(found.var(0).tolist(), reverse=True)


def test_signs_do_not_depend_on_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    table = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    expected = reduced(table, 3)
    solve = torch.linalg.eigh

    class Mirrored:
        def __init__(self, matrix: torch.Tensor) -> None:
            self.eigenvectors = -solve(matrix).eigenvectors

    monkeypatch.setattr(torch.linalg, "eigh", Mirrored)
    torch.testing.assert_close(reduced(table, 3), expected)


def test_large_tables_are_sampled_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reduced(table, 2, seed=1), reduced(table, 2, seed=2))
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    assert torch.equal(reduced(table, 2, seed=1), reduced(table, 2, seed=1))
    assert not torch.equal(reduced(table, 2, seed=1), reduced(table, 2, seed=2))


def test_no_words_at_all(tiny: Path) -> None:
    for texts in ([], ["", "the"]):
        found = open_static(texts, encoder=tiny, width=4)
        assert found.vectors.shape == (1, 4)
        assert found.offsets.tolist() == [0] * (len(texts) + 1)
        assert found.padded(torch.arange(len(texts)), 3).tolist() == [[0, 0, 0]] * len(texts)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"width": 9}, "from 1 to 8"), ({"width": 0}, "from 1 to 8"), ({"max_tokens": 0}, "max_tokens = 0")],
)
def test_impossible_options(tiny: Path, options: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_static(TEXTS, encoder=tiny, **{"width": 4, **options})
