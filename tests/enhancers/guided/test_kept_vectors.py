"""Sentence vectors on disk: found by the same texts and encoder, by nobody else, never believed when damaged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from burnish.backbones.text.store import default_folder
from burnish.enhancers.guided import kept_vectors as kept
from burnish.enhancers.guided import sentence_encoder
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.text_vectors import text_vectors

Vectors = NDArray[np.float32]
TEXTS = ["a film", "another", ""]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sentences"


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """What stands for an encoder: its files are digested, never read otherwise."""
    folder = tmp_path / "own encoder"
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "1_Pooling/config.json"):
        (folder / name).write_text(name)
    return folder


class Counted:
    """Gives other vectors each time that it is asked to encode."""

    def __init__(self, n: int = 3) -> None:
        self.n, self.times = n, 0

    def __call__(self) -> Vectors:
        self.times += 1
        return np.full((self.n, 4), self.times / 3, dtype=np.float32)


def ask(
    encode: Callable[[], Vectors], encoder: Path | str, texts: list[str] = TEXTS, size: int = 64
) -> Vectors:
    return kept.kept_vectors(texts, encode, model=encoder, device="cpu", batch_size=size)


def test_texts_are_encoded_once(cache: Path, encoder: Path) -> None:
    encode = Counted()
    first = ask(encode, encoder)
    again = ask(encode, str(encoder))
    assert encode.times == 1
    np.testing.assert_array_equal(first, again)
    assert first.dtype == again.dtype
    (file,) = cache.iterdir()
    assert file.name.startswith("own-encoder-")
    assert file.suffix == ".safetensors"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: {"texts": ["a film", "another", "x"]},
        lambda folder: {"texts": ["another", "a film", ""]},
        lambda folder: {"texts": ["a filmanother", "", ""]},
        lambda folder: {"size": 32},
        lambda folder: (folder / "model.safetensors").write_text("other weights") and {},
        lambda folder: (folder / "1_Pooling" / "config.json").write_text("max") and {},
    ],
)
def test_what_decides_the_vectors_decides_the_file(
    cache: Path, encoder: Path, change: Callable[[Path], dict[str, object]]
) -> None:
    encode = Counted()
    ask(encode, encoder)
    ask(encode, encoder, **(change(encoder) or {}))  # type: ignore[arg-type]
    assert encode.times == 2
    assert len([*cache.iterdir()]) == 2


def test_a_damaged_file_is_told_of_and_written_anew(cache: Path, encoder: Path) -> None:
    encode = Counted()
    ask(encode, encoder)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    for times, content in enumerate((whole[:-4], b"not at all", b"", flipped), start=2):
        file.write_bytes(content)
        with pytest.warns(UserWarning, match=r"own-encoder-.*\.safetensors is damaged \("):
            ask(encode, encoder)
        assert encode.times == times
        ask(encode, encoder)
        assert encode.times == times


def test_a_file_of_other_texts_under_the_name(cache: Path, encoder: Path) -> None:
    ask(Counted(), encoder)
    ask(Counted(2), encoder, ["b", "c"])
    one, other = sorted(cache.iterdir(), key=lambda file: file.stat().st_size)
    other.write_bytes(one.read_bytes())
    encode = Counted()
    with pytest.warns(UserWarning, match="it does not hold what was written"):
        assert ask(encode, encoder).shape == (3, 4)
    assert encode.times == 1


def test_it_can_be_switched_off_and_moved(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("BURNISH_CACHE", "off")
    encode = Counted()
    ask(encode, encoder)
    ask(encode, encoder)
    assert encode.times == 2
    assert not (tmp_path / "xdg").exists()
    assert default_folder() == tmp_path / "xdg" / "burnish" / "text"
    monkeypatch.delenv("BURNISH_CACHE")
    ask(encode, encoder)
    assert len([*(tmp_path / "xdg" / "burnish" / "sentences").iterdir()]) == 1
    monkeypatch.setenv("BURNISH_CACHE", str(tmp_path / "elsewhere"))
    assert default_folder() == tmp_path / "elsewhere" / "text"
    ask(encode, encoder)
    assert len([*(tmp_path / "elsewhere" / "sentences").iterdir()]) == 1


def test_where_nothing_can_be_written(cache: Path, encoder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.parent.mkdir()
    cache.write_text("a file in the place of the folder")
    assert ask(Counted(), encoder).shape == (3, 4)
    assert "encoded texts are not kept: " in caplog.text


def test_an_encoder_that_is_not_here_is_asked(cache: Path) -> None:
    encode = Counted()
    ask(encode, "nobody/has-this-encoder")
    assert encode.times == 1
    assert not cache.exists()


def test_two_at_once_encode_once(cache: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()
    monkeypatch.setattr(kept, "_told", lambda *_: waits.set())
    second, found = Counted(), []
    other = threading.Thread(target=lambda: found.append(ask(second, encoder)))

    def encode() -> Vectors:
        other.start()
        assert waits.wait(60)
        return np.ones((3, 4), np.float32)

    first = ask(encode, encoder)
    other.join(60)
    assert second.times == 0
    np.testing.assert_array_equal(found[0], first)


def test_runs_find_what_other_processes_encoded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors of the control `guided: {control: embedding}`, with the packaged encoder."""
    pytest.importorskip("sentence_transformers")
    texts = Texts(("a", "b", "c"), {"title": ("A love story", "The war", "A wedding")})
    sentence_encoder.remembered_vectors.cache_clear()
    first = text_vectors(texts, 2)[1]
    sentence_encoder.remembered_vectors.cache_clear()  # as in another process

    def load(*_: object) -> None:
        raise AssertionError("the encoder is loaded again")

    monkeypatch.setattr(sentence_encoder, "_load", load)
    np.testing.assert_array_equal(text_vectors(texts, 2)[1], first)
    sentence_encoder.remembered_vectors.cache_clear()
    os.remove(next(iter(cache.iterdir())))
    with pytest.raises(AssertionError, match="loaded again"):
        text_vectors(texts, 2)
