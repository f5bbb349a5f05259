"""The token store: its tokens against the encoder's, and a cache that is reused, torn, foreign or fought over."""

from __future__ import annotations

import copy
import logging
import pickle
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import save_tiny_encoder

from burnish import telling
from burnish.backbones.text import store as module
from burnish.backbones.text.cleaning import Cleaner
from burnish.backbones.text.store import TokenStore, default_folder, open_store
from burnish.backbones.text.token_encoder import TokenEncoder
from burnish.errors import ConfigurationError
from burnish.telling import stages_of, stages_told_to

TEXTS = [
    "I love these guitars and the strings",
    "",
    "the",
    "Great \u201cwarm\u201d tone,\tbright amps; strummable",
    "I love these guitars and the strings",
    "Guitar! \ud83d \u65e5\u672c\u8a9e",
    "string " * 200,
]
Open = Callable[..., TokenStore]


@pytest.fixture
def opened(tiny: Path, tmp_path: Path) -> Open:
    return partial(
        open_store, encoder=tiny, folder=tmp_path / "cache", show_progress=False, device="cpu", max_tokens=40
    )


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that reach the encoder, as their lemmas, in the order in which they do."""
    seen: list[str] = []
    whole = TokenEncoder.encode_batches

    def counting(self, texts):
        for some, found in whole(self, texts):
            seen.extend(" ".join(texts[number]) for number in some)
            yield some, found

    monkeypatch.setattr(TokenEncoder, "encode_batches", counting)
    return seen


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("cache/*/*.shard"))


def test_whoever_watches_the_run_is_told(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the run's own display, and in no second bar."""
    monkeypatch.setattr(telling, "FIRST", 1e-9)
    said: list[str] = []
    with stages_told_to(said.append), stages_of("the teacher 'x'"):
        open_store(TEXTS, encoder=tiny, folder=tmp_path / "cache", device="cpu")
    assert said[0].startswith("the teacher 'x', texts encoded by tiny: 2 of 6 (")
    assert capsys.readouterr().err == ""


def assert_right(store: TokenStore, tiny: Path, texts: list[str] = TEXTS) -> None:
    """Everything in the store, text by text, against cleaner and encoder."""
    cleaner, encoder = Cleaner(), TokenEncoder(tiny, device="cpu", max_tokens=40)
    assert len(store) == len(texts)
    assert len(store.offsets) == len(texts) + 1
    assert store.offsets.dtype == torch.long
    assert len(store.words) == store.offsets[-1]
    assert store.words.dtype == torch.int32
    assert len(set(store.vocabulary)) == len(store.vocabulary)
    for number, text in enumerate(texts):
        words = cleaner.words(text)
        (one,) = encoder.encode([[word.lemma for word in words]])
        taken = store.take(torch.tensor([number]))
        assert taken.dtype == torch.float32
        # Half precision, and sums that depend on how texts are padded together.
        torch.testing.assert_close(taken, torch.from_numpy(one.vectors).float(), atol=4e-3, rtol=2e-3)
        part = slice(int(store.offsets[number]), int(store.offsets[number + 1]))
        assert [store.vocabulary[word] for word in store.words[part]] == [
            words[at].lemma for at in one.places
        ]
        assert store.surface(number) == [words[at].surface for at in one.places]


def test_holds_what_the_encoder_gives(opened: Open, tiny: Path) -> None:
    store = opened(TEXTS)
    assert_right(store, tiny)
    assert store.width == 8
    assert store.n_cut == 1
    assert store.vocabulary[:3] == ["love", "guitar", "string"]
    assert store.surface(0)[:2] == ["love", "guitars"]


def test_takes_texts_in_the_order_asked(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEXTS_A_SHARD", 2)
    store = opened(TEXTS)
    asked = torch.tensor([6, 1, 0, 3, 3, 2, 5])
    taken = store.take(asked)
    assert torch.equal(taken, torch.cat([store.take(asked[at : at + 1]) for at in range(len(asked))]))
    assert store.counts(asked).tolist() == [
        40,
        0,
        *(len(store.surface(k)) for k in (0, 3, 3)),
        0,
        len(store.surface(5)),
    ]
    assert store.take(torch.tensor([1, 2])).shape == (0, 8)
    assert store.take(torch.tensor([], dtype=torch.long)).shape == (0, 8)
    for impossible in ([-1], [0, 7]):
        with pytest.raises(IndexError, match="from 0 to 6"):
            store.take(torch.tensor(impossible))


def test_equal_texts_are_encoded_once_and_the_cache_is_reused(
    opened: Open, encoded: list[str], tiny: Path
) -> None:
    first = opened(TEXTS)
    assert len(encoded) == 4  # one twice, two without words
    encoded.clear()
    second = opened(TEXTS[::-1])
    assert encoded == []
    assert torch.equal(second.take(torch.tensor([6, 3])), first.take(torch.tensor([0, 3])))
    opened([*TEXTS, "a new pedal"])
    assert encoded == ["new pedal"]


def test_a_complete_cache_needs_no_loaded_encoder(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(TEXTS)
    monkeypatch.setattr(TokenEncoder, "_model", property(lambda self: pytest.fail("loaded")))
    assert opened(TEXTS[:3]).width == 8


@pytest.mark.parametrize("texts", [[], ["", "the"]])
def test_nothing_to_keep(opened: Open, texts: list[str]) -> None:
    for _ in range(2):
        store = opened(texts)
        assert (len(store), store.width, store.vocabulary) == (len(texts), 8, [])
        assert store.take(torch.arange(len(texts))).shape == (0, 8)


def test_other_settings_have_other_caches(opened: Open, encoded: list[str], tmp_path: Path) -> None:
    other = save_tiny_encoder(tmp_path / "other", seed=1)
    here = torch.tensor([0])
    found = [
        opened(TEXTS[:1]).take(here),
        opened(TEXTS[:1], encoder=other).take(here),
        opened(TEXTS[:1], max_tokens=2).take(here),
        opened(TEXTS[:1], cleaner=Cleaner(stop_words="none")).take(here),
    ]
    assert len(encoded) == 4
    assert len({len(one) for one in found}) > 1
    assert not torch.allclose(found[0], found[1])
    assert len(list((tmp_path / "cache").iterdir())) == 4


# ---------------------------------------------------------------------- damage


def cut_short(shard: Path) -> None:
    file = shard / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-16])


def zeroed(shard: Path) -> None:
    """As after a power cut: the size is right."""
    file = shard / "vectors.npy"
    file.write_bytes(file.read_bytes()[:128] + bytes(file.stat().st_size - 128))


def another_array(shard: Path) -> None:
    np.save(shard / "vectors.npy", np.zeros((2, 3), dtype=np.float16))


def index_cut_short(shard: Path) -> None:
    file = shard / "index.parquet"
    file.write_bytes(file.read_bytes()[:-16])


def index_altered(shard: Path) -> None:
    file = shard / "index.parquet"
    content = bytearray(file.read_bytes())
    content[40] ^= 255
    file.write_bytes(content)


def no_index(shard: Path) -> None:
    (shard / "index.parquet").unlink()


def emptied(shard: Path) -> None:
    for file in shard.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    "damage", [cut_short, zeroed, another_array, index_cut_short, index_altered, no_index, emptied]
)
def test_a_damaged_shard_is_made_anew(
    damage: Callable[[Path], None],
    opened: Open,
    encoded: list[str],
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "TEXTS_A_SHARD", 3)
    opened(TEXTS)
    before = shards(tmp_path)
    assert len(before) == 2
    damage(before[0])
    encoded.clear()
    with caplog.at_level(logging.WARNING, "burnish.text"):
        store = opened(TEXTS)
    again = list(encoded)
    assert_right(store, tiny)
    assert caplog.text.count("encoded anew") == 1
    assert 0 < len(again) < 4  # those of one shard
    assert before[0] not in shards(tmp_path)
    assert before[1] in shards(tmp_path)


def test_a_shard_of_another_encoder_is_not_used(
    opened: Open, encoded: list[str], tiny: Path, tmp_path: Path
) -> None:
    opened(TEXTS)
    (mine,) = shards(tmp_path)
    opened(TEXTS, encoder=save_tiny_encoder(tmp_path / "other", seed=1))
    (foreign,) = set(shards(tmp_path)) - {mine}
    foreign.rename(mine.parent / foreign.name)
    shutil.rmtree(mine)
    encoded.clear()
    store = opened(TEXTS)
    assert len(encoded) == 4
    assert_right(store, tiny)


def test_interrupted_and_resumed(
    opened: Open, encoded: list[str], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEXTS_A_SHARD", 2)
    texts = [f"guitar {'amp ' * k}" for k in range(1, 8)]
    states = TokenEncoder._hidden
    calls = []

    def interrupted(self, rows):
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return states(self, rows)

    monkeypatch.setattr(TokenEncoder, "_hidden", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(texts)
    assert len(shards(tmp_path)) == 2
    assert len(encoded) == 4
    store = opened(texts)
    assert len(encoded) == len(set(encoded)) == 7
    assert_right(store, tiny, texts)


def test_leftovers_of_a_killed_process_go(opened: Open, tmp_path: Path) -> None:
    opened(TEXTS[:1])
    (cache,) = (tmp_path / "cache").iterdir()
    (cache / "dead.shard.tmp").mkdir()
    (cache / "dead.shard.tmp" / "vectors.npy").write_bytes(b"half")
    (cache / ".about.json.4711").write_text("{")
    assert len(opened(TEXTS[:1])) == 1
    opened(TEXTS)
    assert not [*cache.glob("*.tmp"), *cache.glob(".about*")]


def test_a_failed_write_leaves_nothing(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", full)
        with pytest.raises(ConfigurationError, match=r"text_folder.*No space left"):
            opened(TEXTS)
    assert not list(tmp_path.glob("cache/*/*.shard*"))
    assert len(opened(TEXTS)) == len(TEXTS)


def test_a_folder_that_cannot_be_written_to(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="text_folder"):
        opened(TEXTS, folder=tmp_path / "file")


def test_two_writers_take_turns(opened: Open, encoded: list[str], tiny: Path, tmp_path: Path) -> None:
    found: dict[int, TokenStore] = {}

    def open_it(number: int) -> None:
        found[number] = opened(TEXTS[number:])

    threads = [threading.Thread(target=open_it, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(encoded) == len(set(encoded)) == 4
    for number in range(3):
        assert_right(found[number], tiny, TEXTS[number:])


# ---------------------------------------------------------------------- copies, memory, the rest


def test_copies_and_pickles_read_the_same(opened: Open) -> None:
    store = opened(TEXTS)
    everything = torch.arange(len(TEXTS))
    expected = store.take(everything)
    for other in (
        copy.deepcopy(store),
        pickle.loads(pickle.dumps(store)),
        pickle.loads(pickle.dumps(store.hold())),
    ):
        assert torch.equal(other.take(everything), expected)
        assert other.surface(3) == store.surface(3)


def test_held_in_memory(opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "TEXTS_A_SHARD", 2)
    store = opened(TEXTS)
    asked = torch.tensor([6, 1, 0, 3, 4, 2, 5])
    expected = store.take(asked)
    assert store.hold() is store
    shutil.rmtree(tmp_path / "cache")
    assert torch.equal(store.take(asked), expected)
    assert torch.equal(store.hold().take(asked), expected)


def test_held_where_it_fits(opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a model on a GPU does once, here on the CPU: the arithmetic is the same."""
    cpu, asked = torch.device("cpu"), torch.tensor([6, 1, 0, 3, 4, 2, 5, 1])
    store, bytes_needed = opened(TEXTS), []
    expected, counts = store.take(asked), store.counts(asked)
    need = 2 * store.width * int(store.offsets[-1])
    monkeypatch.setattr(module, "free_memory", lambda device: bytes_needed.append(device) or 2 * need - 1)
    store.hold_where_it_fits(cpu).hold_where_it_fits(cpu)
    assert bytes_needed == [cpu]  # asked once
    assert store._held is None
    monkeypatch.setattr(module, "free_memory", lambda device: 2 * need)
    again = copy.deepcopy(store).hold_where_it_fits(cpu)
    shutil.rmtree(tmp_path / "cache")
    assert torch.equal(again.take(asked), expected)
    assert torch.equal(again._gathered(asked), expected)
    assert torch.equal(again._held_lengths[asked], counts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(opened: Open, tmp_path: Path) -> None:
    store, asked = opened(TEXTS), torch.tensor([6, 1, 0, 3])
    expected = store.take(asked)
    on_gpu = opened(TEXTS, device="cuda", folder=tmp_path / "gpu")
    torch.testing.assert_close(on_gpu.take(asked), expected, atol=4e-3, rtol=2e-3)
    for one in (store, store.hold("cuda")):
        taken = one.take(asked.cuda())
        assert taken.is_cuda
        assert torch.equal(taken.cpu(), expected)
        assert torch.equal(one.counts(asked.cuda()).cpu(), one.counts(asked))


def test_says_once_how_many_texts_are_cut(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "burnish.text"):
        opened(TEXTS)
    assert caplog.text.count("1 of 7 texts are longer than max_tokens = 40") == 1


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "burnish" / "text"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "burnish" / "text"
