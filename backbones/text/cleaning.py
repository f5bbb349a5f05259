"""Cleaning of review texts: markup off, words found, stop words dropped, lemmas looked up.

The steps are those of the paper on DReX (stop words, tokens, lemmas); how each is done is ours.
"""

from __future__ import annotations

import functools
import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from burnish.errors import ConfigurationError, nearest

from .corrections import CORRECTIONS

#: Part of every fingerprint: texts are cleaned anew where the rules below change.
RULES = 1
#: What `stop_words` may say instead of a list or a file.
ENGLISH, NO_WORDS = "english", "none"

_INSTALL = "pip install 'burnish[text]'"
# Tags, addresses, and what Amazon's editor left in reviews ([[ASIN:B000...]], [[VIDEOID:...]]).
_MARKUP = re.compile(
    r"<[/!]?[a-zA-Z][^<>]{0,200}>|\b(?:https?://|www\.)\S+|\[\[[A-Z]+:[^\s\]]*", re.IGNORECASE
)
_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc\u2032\uff07`", "''''''")
# Auxiliaries and negations that English writes into the word before; also the possessive.
_JOINED = re.compile(r"(?:n't|'(?:s|re|ve|ll|d|m))$")


class Word(NamedTuple):
    """A word of a text as it stands there, and the lemma that stands for all its forms."""

    surface: str
    lemma: str


@dataclass(frozen=True)
class Cleaner:
    """Texts to words.

    stop_words: words that are left out: "english" (the 318 of scikit-learn), "none", the path of a file with one a
        line (# starts a comment), or the words themselves.  A word goes if it, its lemma, or what an English ending
        such as n't or 'll is written on, is in the list: don't, doesn't and I've go with do and I.
    lemmatise: whether forms are brought to their lemma by simplemma's dictionaries (guitars to guitar).
    language: of the lemmas, such as en or de; simplemma knows 54.
    lower: whether lemmas are in small letters.

    A word is a run of letters and digits of any script, with apostrophes inside; hyphens divide.  Words without a
    letter, such as numbers, punctuation and symbols, are dropped; mp3 and sm57 stay.  HTML entities are resolved, and
    tags and web addresses dropped.

    Raises `ConfigurationError` for an unknown language, a file that is missing, and where simplemma is.
    """

    stop_words: str | Path | Sequence[str] = ENGLISH
    lemmatise: bool = True
    language: str = "en"
    lower: bool = True
    _stop: frozenset[str] = field(init=False, repr=False, compare=False)
    # Lemma of each form met so far, None for a stop word: a look-up in simplemma takes microseconds.
    _known: dict[str, str | None] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.stop_words, str | Path):
            object.__setattr__(self, "stop_words", tuple(_checked(self.stop_words)))
        object.__setattr__(self, "_stop", _stop_words(self.stop_words))
        if self.lemmatise:
            _check_language(self.language)

    def words(self, text: str) -> list[Word]:
        """The words of a text in their order, without stop words; maybe none."""
        words = []
        for surface in word_pattern().findall(plain_text(text)):
            lemma = self._known.get(surface, "")
            if lemma == "":
                lemma = self._known[surface] = self._lemma(surface)
            if lemma is not None:
                words.append(Word(surface, lemma))
        return words

    @property
    def fingerprint(self) -> str:
        """The same for cleaners that give the same words: of the rules, the stop words and the dictionary."""
        version = ""
        if self.lemmatise:
            import simplemma

            version = f"{simplemma.__version__} {self.language}"
        parts = [RULES, sorted(self._stop), version, self.lower, sorted(CORRECTIONS.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _lemma(self, surface: str) -> str | None:
        """What stands for a word; None for a word to leave out."""
        small = surface.lower()
        base = _JOINED.sub("", small)
        if small in self._stop or base in self._stop or not any(letter.isalpha() for letter in surface):
            return None
        lemma = surface
        if self.lemmatise:
            lemma = _lemma_of(small if self.lower else surface, self.language)
        if lemma.lower() in self._stop or not any(letter.isalpha() for letter in lemma):
            return None
        return lemma.lower() if self.lower else lemma


def plain_text(text: str) -> str:
    """A text without markup, composed (NFC), with one kind of apostrophe."""
    if "&" in text:
        text = html.unescape(html.unescape(text))  # published reviews have &amp;quot; as well
    text = _MARKUP.sub(" ", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_APOSTROPHES)


@functools.cache
def word_pattern() -> re.Pattern[str]:
    """Letters and digits with the marks that scripts such as Devanagari write on them, and apostrophes between."""
    # Python's \w leaves marks out, and cuts Hindi words at every vowel sign.
    marks = [chr(code) for code in range(0x300, 0x11000) if unicodedata.category(chr(code))[0] == "M"]
    letter = rf"[^\W_][{''.join(marks)}\u200c\u200d]*"
    return re.compile(rf"(?:{letter})+(?:'(?:{letter})+)*")


def _stop_words(given: str | Path | Sequence[str]) -> frozenset[str]:
    if given == ENGLISH:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return frozenset(ENGLISH_STOP_WORDS)
    if given == NO_WORDS:
        return frozenset()
    if not isinstance(given, str | Path):
        return frozenset(word.lower() for word in given)
    guess = nearest(str(given), (ENGLISH, NO_WORDS))
    hint = f" Did you mean {guess!r}?" if guess else ""
    cure = f"give {ENGLISH}, {NO_WORDS}, a list of words, or a UTF-8 file with one a line"
    try:
        lines = Path(given).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"stop_words = {str(given)!r}: there is no such file.{hint} Or {cure}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"stop_words = {str(given)!r} cannot be read: {error}; {cure}") from error
    words = (line.partition("#")[0].strip().lower() for line in lines)
    return frozenset(word for word in words if word)


def _checked(given: Any) -> list[str]:
    if not isinstance(given, Sequence | set | frozenset) or not all(isinstance(word, str) for word in given):
        raise ConfigurationError(
            f"stop_words = {given!r}: give {ENGLISH}, {NO_WORDS}, a list of words, or a file with one a line"
        )
    return sorted(given)


def _check_language(language: str) -> None:
    try:
        import simplemma
    except ImportError as error:
        raise ConfigurationError(f"lemmas need simplemma: {_INSTALL}, or set lemmatise to false") from error
    try:
        simplemma.lemmatize("a", lang=language)
    except (ValueError, TypeError) as error:
        from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES

        known = sorted(SUPPORTED_LANGUAGES)
        guess = nearest(str(language), known)
        hint = f" Did you mean {guess!r}?" if guess else ""
        raise ConfigurationError(
            f"language = {language!r}: there are no lemmas for it.{hint} Known: {', '.join(known)}. Without lemmas "
            f"(lemmatise false) any language will do"
        ) from error


@functools.lru_cache(maxsize=2**17)
def _lemma_of(form: str, language: str) -> str:
    import simplemma

    if language == "en":
        corrected = CORRECTIONS.get(form.lower())
        if corrected is not None:
            return corrected
        form = form.removesuffix("'s")  # simplemma knows few possessives
    return str(simplemma.lemmatize(form, lang=language))
