"""The convolution over frozen word vectors against loops and against torch's own."""

from __future__ import annotations

import pytest
import torch
from slot_reference import text_features

from burnish.backbones import text_cnn
from burnish.backbones.text_cnn import TextCNN


def make(kernel_size: int = 3, filters: int = 5, seed: int = 0) -> TextCNN:
    torch.manual_seed(seed)
    vectors = torch.randn(12, 4, dtype=torch.float64)
    vectors[0] = 0
    cnn = TextCNN(vectors, filters, kernel_size).double()
    torch.nn.init.normal_(cnn.bias)
    return cnn


TEXTS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [7, 11, 2, 0, 0, 0]])


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
def test_features_agree_with_loops(kernel_size: int) -> None:
    cnn = make(kernel_size)
    found = cnn(TEXTS)
    for row, tokens in enumerate(TEXTS.tolist()):
        expected = torch.from_numpy(text_features(cnn, tokens))
        torch.testing.assert_close(found[row].detach(), expected)
    assert not bool(found[2].any()), "a text without words has no features"


def test_gradients_agree_with_torchs_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cnn, "WINDOWS", 20)  # several parts
    cnn = make()
    torch.manual_seed(1)
    tokens = torch.randint(1, 12, (40, 9))
    weight = torch.randn(40, 5, dtype=torch.float64)
    (cnn(tokens) * weight).sum().backward()
    kernel = cnn.kernel.detach().clone().requires_grad_()
    bias = cnn.bias.detach().clone().requires_grad_()
    windows = torch.nn.functional.conv1d(
        cnn.vectors[tokens].transpose(1, 2), kernel.permute(2, 1, 0), bias, padding=1
    )
    (torch.relu(windows).amax(2) * weight).sum().backward()
    torch.testing.assert_close(cnn.kernel.grad, kernel.grad)
    torch.testing.assert_close(cnn.bias.grad, bias.grad)


def test_padding_and_neighbours_change_nothing() -> None:
    cnn = make()
    alone = torch.cat([cnn(row[row > 0].unsqueeze(0)) for row in TEXTS])
    torch.testing.assert_close(cnn(torch.nn.functional.pad(TEXTS, (0, 7))), alone)


def test_no_texts() -> None:
    assert make()(torch.zeros(0, 6, dtype=torch.long)).shape == (0, 5)


def test_the_vectors_are_neither_learned_nor_saved() -> None:
    cnn = make()
    assert set(cnn.state_dict()) == {"kernel", "bias"}
    cnn(TEXTS).sum().backward()
    assert cnn.vectors.grad is None
