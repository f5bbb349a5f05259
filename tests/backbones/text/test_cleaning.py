"""Texts to words: what is dropped, what lemma a form has, and what is said of impossible options."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import simplemma

from burnish.backbones.text.cleaning import Cleaner, Word
from burnish.backbones.text.corrections import CORRECTIONS
from burnish.errors import ConfigurationError

CLEANER = Cleaner()


def lemmas(text: str, cleaner: Cleaner = CLEANER) -> list[str]:
    return [word.lemma for word in cleaner.words(text)]


def test_surface_and_lemma() -> None:
    assert CLEANER.words("These Guitars are GREAT for playing") == [
        Word("Guitars", "guitar"),
        Word("GREAT", "great"),
        Word("playing", "play"),
    ]


@pytest.mark.parametrize(
    "text", ["", "   \t\n", "the", "It is", "...!?", "100 4 57", "\u200b", "<br />", "&nbsp;"]
)
def test_nothing_is_left_of_texts_without_words(text: str) -> None:
    assert CLEANER.words(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I don't, doesn't, won't, I've, it's, they'll", []),
        ("I don\u2019t", []),
        ("the guitar's and my guitars' neck", ["guitar", "guitar", "neck"]),
        ("rock'n'roll O'Neill", ["rock'n'roll", "o'neill"]),
        (
            "'single' ''double'' \u201ccurly\u201d \"straight\" `back`",
            ["single", "double", "curly", "straight", "back"],
        ),
        ("well-made state-of-the-art", ["state", "art"]),
        ("mp3 sm57 57 12-string 10's", ["mp3", "sm57", "string"]),
        ("caf\u00e9 cafe\u0301 \u00c9COLE", ["caf\u00e9", "caf\u00e9", "\u00e9cole"]),
        ("snake_case", ["snake", "case"]),
        ("lone \ud83d surrogate", ["lone", "surrogate"]),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    none = Cleaner(
        stop_words=["i", "do", "does", "will", "it", "they", "the", "and", "my", "of", "make", "well"]
    )
    assert lemmas(text, none) == found


def test_marks_stay_with_their_letters() -> None:
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940"
    assert lemmas(f"{hindi} \u65e5\u672c\u8a9e") == [hindi, "\u65e5\u672c\u8a9e"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bright<br />warm<br>bass", ["bright", "warm", "bass"]),
        ('a <a href="http://x.example/y?z=1">pedal</a>', ["pedal"]),
        ("&quot;warm&quot; &amp;#34;bright&amp;#34; &#39;amp&#39;", ["warm", "bright", "amp"]),
        ("I <3 guitar, tone < bass and bass > drum", ["guitar", "tone", "bass", "bass", "drum"]),
        ("see www.shop.example/guitar?x=1 or https://a.example pedal", ["pedal"]),
        ("[[ASIN:B000ABC Fender Amp]] [[VIDEOID:mo123]]", ["fender", "amp"]),
    ],
)
def test_markup(text: str, found: list[str]) -> None:
    assert lemmas(text) == found


def test_every_correction_is_of_a_form_that_the_dictionary_gets_wrong() -> None:
    for form, lemma in CORRECTIONS.items():
        assert simplemma.lemmatize(form, lang="en") != lemma, form
        assert lemmas(form, Cleaner(stop_words="none")) == [lemma]


def test_without_lemmas_or_small_letters() -> None:
    assert lemmas("Guitars Playing", Cleaner(lemmatise=False)) == ["guitars", "playing"]
    assert lemmas("Guitars Playing", Cleaner(lemmatise=False, lower=False)) == ["Guitars", "Playing"]
    assert lemmas("THE Marshall", Cleaner(lower=False)) == ["Marshall"]


def test_another_language() -> None:
    assert lemmas("H\u00e4user", Cleaner(stop_words="none", language="de")) == ["haus"]


def test_stop_words_of_a_file_and_a_list(tmp_path: Path) -> None:
    file = tmp_path / "stop.txt"
    file.write_text("\ufeffGuitar # the instrument\n\n# amp\nbass\n", encoding="utf-8")
    text = "the guitars bass amp"
    assert lemmas(text, Cleaner(stop_words=file)) == ["the", "amp"]
    assert lemmas(text, Cleaner(stop_words=str(file))) == ["the", "amp"]
    assert lemmas(text, Cleaner(stop_words=["Guitar", "bass"])) == ["the", "amp"]
    assert lemmas(text, Cleaner(stop_words="none")) == ["the", "guitar", "bass", "amp"]


def test_fingerprint_is_that_of_the_words(tmp_path: Path) -> None:
    file = tmp_path / "stop.txt"
    file.write_text("bass\nguitar\n")
    same = {
        Cleaner(stop_words=given).fingerprint
        for given in (file, ["guitar", "bass"], ["bass", "guitar", "bass"])
    }
    assert len(same) == 1
    others = [
        Cleaner(),
        Cleaner(lemmatise=False),
        Cleaner(language="de"),
        Cleaner(lower=False),
        Cleaner(stop_words="none"),
    ]
    assert len({cleaner.fingerprint for cleaner in others} | same) == 6
    assert Cleaner().fingerprint == CLEANER.fingerprint
    file.write_text("bass\n")
    assert Cleaner(stop_words=file).fingerprint not in same


def test_equal_copied_and_pickled() -> None:
    for other in (copy.deepcopy(CLEANER), pickle.loads(pickle.dumps(CLEANER))):
        assert other == CLEANER
        assert hash(other) == hash(CLEANER)
        assert other.words("my guitars") == [Word("guitars", "guitar")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "eng"}, r"language = 'eng'.*'en'"),
        ({"language": None}, "language = None"),
        ({"stop_words": "englisch"}, r"stop_words = 'englisch'.*Did you mean 'english'"),
        ({"stop_words": Path("/nowhere/stop.txt")}, r"stop_words = '/nowhere/stop.txt'.*no such file"),
        ({"stop_words": Path("/")}, "cannot be read"),
        ({"stop_words": [1, 2]}, r"stop_words = \[1, 2\]"),
        ({"stop_words": None}, "stop_words = None"),
    ],
)
def test_impossible_options(options: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Cleaner(**options)


def test_simplemma_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "simplemma", None)
    with pytest.raises(ConfigurationError, match=r"burnish\[text\]"):
        Cleaner()
    assert Cleaner(lemmatise=False).words("guitars")
