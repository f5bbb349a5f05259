"""Token vectors against a loop over texts, one at a time; what is said of encoders that cannot be used."""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoder import WHOLE, save_tiny_encoder
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModel,
    AutoTokenizer,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
    T5Config,
    T5Model,
)

from burnish.backbones.text.encoder_files import find_encoder, fingerprint_of
from burnish.backbones.text.token_encoder import TokenEncoder
from burnish.errors import ConfigurationError, NonFiniteError
from burnish.text_encoder import PACKAGED


def one_text(folder: Path | str, words: list[str], most: int) -> tuple[torch.Tensor, list[int]]:
    """Token vectors and places of a text, by the obvious loop: each word's pieces, one text, no padding."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    pieces = [(piece, at) for at, word in enumerate(words) for piece in tokenizer.tokenize(word)][:most]
    ids = tokenizer.convert_tokens_to_ids([piece for piece, _ in pieces])
    with torch.no_grad():
        whole = torch.tensor([[tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]])
        states = model(input_ids=whole).last_hidden_state[0, 1:-1]
    return states, [at for _, at in pieces]


def assert_agrees(encoder: TokenEncoder, folder: Path | str, texts: list[list[str]]) -> None:
    for words, found in zip(texts, encoder.encode(texts), strict=True):
        vectors, places = one_text(folder, words, encoder.max_tokens)
        assert found.places.tolist() == places
        assert found.places.dtype == np.int32
        assert found.vectors.dtype == np.float16
        torch.testing.assert_close(torch.from_numpy(found.vectors).float(), vectors, atol=3e-3, rtol=2e-3)


def some_texts(n: int) -> list[list[str]]:
    draw = random.Random(0)
    known = [*WHOLE, "strings", "strummable", "mp3", "qu", "\u65e5\u672c\u8a9e", "o'neill"]
    return [draw.choices(known, k=draw.randint(0, 12)) for _ in range(n)]


def test_agrees_with_one_text_at_a_time(tiny: Path) -> None:
    assert_agrees(TokenEncoder(tiny, batch_size=4, max_tokens=20, device="cpu"), tiny, some_texts(15))


def test_the_packaged_encoder_agrees_too() -> None:
    texts = [["guitar", "strummable", "tone"], [], ["great"], ["\u65e5\u672c\u8a9e", "caf\u00e9"] * 3]
    assert_agrees(TokenEncoder(device="cpu", batch_size=3), find_encoder(None), texts)


def test_which_word_a_piece_is_of(tiny: Path) -> None:
    encoder = TokenEncoder(tiny, device="cpu")
    (found,) = encoder.encode([["guitar", "strings", "mp3", "\u200b", "tone"]])
    # "3" is no piece: mp3 is unknown as a whole.  The zero-width space has no piece.
    assert found.places.tolist() == [0, 1, 1, 2, 4]
    assert not found.cut


def test_long_texts_are_cut(tiny: Path) -> None:
    encoder = TokenEncoder(tiny, device="cpu", max_tokens=7)
    long, fits, nothing = encoder.encode([["guitar", "strings"] * 10000, ["amp"] * 7, []])
    assert (long.cut, fits.cut, nothing.cut) == (True, False, False)
    assert long.places.tolist() == [0, 1, 1, 2, 3, 3, 4]
    assert len(fits.vectors) == 7
    assert nothing.vectors.shape == (0, 8)


def test_nothing_to_encode(tiny: Path) -> None:
    encoder = TokenEncoder(tiny, device="cpu")
    assert encoder.encode([]) == []
    assert [len(found.places) for found in encoder.encode([[], []])] == [0, 0]


def test_random_streams_stay(tiny: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    TokenEncoder(tiny, device="cpu").encode([["guitar"]])
    assert torch.equal(torch.rand(1), expected)


def test_static_vectors_and_pieces(tiny: Path) -> None:
    encoder = TokenEncoder(tiny, device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    words = ["guitar", "strings", "qu", "\u200b"]
    assert encoder.pieces(words) == [
        tokenizer.convert_tokens_to_ids(tokenizer.tokenize(word)) for word in words
    ]
    assert encoder.pieces([]) == []
    expected = load_file(tiny / "model.safetensors")["embeddings.word_embeddings.weight"]
    torch.testing.assert_close(encoder.static_vectors(), expected)


# ---------------------------------------------------------------------- fingerprints


def test_fingerprint_is_of_weights_tokenizer_and_length(tiny: Path, tmp_path: Path) -> None:
    before = TokenEncoder(tiny).fingerprint
    assert TokenEncoder(tiny, batch_size=3).fingerprint == before
    assert TokenEncoder(tiny, max_tokens=9).fingerprint != before
    copied = tmp_path / "copy"
    shutil.copytree(tiny, copied)
    (copied / "README.md").write_text("of no weight")
    assert fingerprint_of(copied, 256) == before
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        changed = tmp_path / name
        shutil.copytree(tiny, changed)
        content = bytearray((changed / name).read_bytes())
        content[-2] ^= 1  # of the same size
        (changed / name).write_bytes(content)
        assert fingerprint_of(changed, 256) != before, name


# ---------------------------------------------------------------------- encoders that cannot be used


@pytest.mark.parametrize(
    ("options", "said"), [({"max_tokens": 0}, "max_tokens = 0"), ({"batch_size": True}, "batch_size")]
)
def test_impossible_numbers(tiny: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        TokenEncoder(tiny, **options)


def test_more_tokens_than_the_encoder_reads(tiny: Path) -> None:
    with pytest.raises(ConfigurationError, match="max_tokens: 510"):
        TokenEncoder(tiny, max_tokens=511).encode([["guitar"]])


@pytest.mark.parametrize("name", ["/nowhere/bert", "./bert", Path("bert")])
def test_no_such_folder(name: str | Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such folder.*burnish\[text\]"):
        TokenEncoder(name)


def test_a_name_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []

    def refuse(name: str, *, local_files_only: bool, **_: Any) -> str:
        asked.append(local_files_only)
        raise OSError("no way out")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(
        ConfigurationError, match=r"'bert-base-uncased'.*no way out.*hf download bert-base-uncased.*MiniLM"
    ):
        TokenEncoder("bert-base-uncased")
    assert asked == [True, False]


def test_a_name_in_the_cache_is_not_fetched(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def cached(name: str, *, local_files_only: bool, **_: Any) -> str:
        assert local_files_only
        return str(tiny)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    encoder = TokenEncoder("someone/tiny")
    assert (encoder.folder, encoder.name) == (tiny, "someone/tiny")


def test_the_default_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGED, None)
    with pytest.raises(ConfigurationError, match=r"burnish\[text\]"):
        TokenEncoder()


def test_weights_that_are_no_safetensors(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="safetensors"):
        TokenEncoder(tmp_path / "pickled")


def test_a_shard_of_the_weights_is_missing(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "sharded")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigurationError, match=r"lacks model-2\.safetensors"):
        TokenEncoder(tmp_path / "sharded")


def test_weights_that_lack_a_layer(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "lame")
    weights = load_file(tiny / "model.safetensors")
    lame = {key: value for key, value in weights.items() if "layer.1." not in key}
    save_file(lame, tmp_path / "lame" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match="random numbers"):
        TokenEncoder(tmp_path / "lame").encode([["guitar"]])


def test_damaged_weights(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "torn")
    file = tmp_path / "torn" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        TokenEncoder(tmp_path / "torn").encode([["guitar"]])


def test_weights_with_nan(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "nan")
    weights = load_file(tiny / "model.safetensors")
    weights["embeddings.LayerNorm.bias"].fill_(float("nan"))
    save_file(weights, tmp_path / "nan" / "model.safetensors", {"format": "pt"})
    with pytest.raises(NonFiniteError, match="NaN"):
        TokenEncoder(tmp_path / "nan").encode([["guitar"]])


def test_an_encoder_with_a_decoder(tiny: Path, tmp_path: Path) -> None:
    AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path)
    config = T5Config(vocab_size=90, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5Model(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="with a decoder"):
        TokenEncoder(tmp_path).encode([["guitar"]])


def test_code_of_a_model_is_not_executed(tmp_path: Path) -> None:
    save_tiny_encoder(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.EvilConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        TokenEncoder(tmp_path).encode([["guitar"]])


def test_a_byte_level_tokenizer_takes_words_with_their_space(tmp_path: Path) -> None:
    """RoBERTa's pieces of a word at the start of a text differ from those of one after a space; here none does."""
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator([" love guitar strings amp"] * 9, vocab_size=300, special_tokens=special)
    tokenizer.save_model(str(tmp_path))
    RobertaTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    RobertaModel(RobertaConfig(vocab_size=tokenizer.get_vocab_size(), **sizes)).save_pretrained(tmp_path)
    encoder = TokenEncoder(tmp_path, device="cpu")
    assert encoder.pieces(["guitar", "amp"]) == [
        tokenizer.encode(f" {word}").ids for word in ("guitar", "amp")
    ]
    found = encoder.encode([["guitar", "strings", "zyx"], ["amp"]])
    assert found[0].places.tolist() == [0, 1, *[2] * len(tokenizer.encode(" zyx").ids)]
    assert len(found[1].vectors) == 1
