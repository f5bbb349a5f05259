"""Sentences of training reviews as word numbers: what the generator learns to write, and with which words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from burnish.backbones.drex.sentences import readable, sentences
from burnish.backbones.text.cleaning import Cleaner, word_pattern

from .features import FeatureWords, IntArray

#: The first numbers of every vocabulary: nothing, the beginning and the end of a sentence, and an unknown word.
PAD, BEGIN, END, UNKNOWN = range(4)
_SIGNS = ("", "<begin>", "<end>", "<unknown>")
#: Words with fewer training sentences are `UNKNOWN`, so that nobody's own spelling or name is written.
LEAST_SENTENCES = 2
#: A shorter sentence is chosen only where a review has no longer one.
LEAST_WORDS = 3

_MARKS = re.compile(r"[.,!?;:…。！？、，]")


class SentenceReader:
    """Reviews as sentences of words in small letters; punctuation marks are words.

    cleaner: gives the lemmas.  length: words that are read of a sentence.
    """

    def __init__(self, cleaner: Cleaner, length: int) -> None:
        self.cleaner = cleaner
        self.length = length
        self._token = re.compile(f"(?:{word_pattern().pattern})|(?:{_MARKS.pattern})")
        self._lemmas: dict[str, str | None] = {}

    def sentences(self, text: str) -> list[list[str]]:
        """The sentences of a review that have a word, whole, in their order."""
        plain = readable(text)
        split = ([word.lower() for word in self._token.findall(plain[a:b])] for a, b in sentences(plain))
        return [words for words in split if any(not _MARKS.fullmatch(word) for word in words)]

    def lemma(self, word: str) -> str | None:
        """What stands for all forms of a word; None for a stop word and for a mark."""
        if word not in self._lemmas:
            found = self.cleaner.words(word)
            self._lemmas[word] = found[0].lemma if found else None
        return self._lemmas[word]

    def lemmas(self, words: Iterable[str]) -> set[str]:
        """The different lemmas of words."""
        return {lemma for lemma in map(self.lemma, words) if lemma is not None}

    def telling(self, text: str, features: FeatureWords, most: int) -> list[list[str]]:
        """The sentences that say most of the item, cut at `length` words; at most `most`.

        Those with the largest sum of weights of their feature words; of equal ones the first.
        """
        cut = [words[: self.length] for words in self.sentences(text)]
        cut = [words for words in cut if len(words) >= LEAST_WORDS] or cut

        def weight(words: list[str]) -> float:
            return float(
                sum(features.weights[number] for number in sorted(features.among(self.lemmas(words))))
            )

        return sorted(cut, key=weight, reverse=True)[:most]


@dataclass(frozen=True)
class TrainingSentences:
    """The sentences that a generator learns from, and their vocabulary.

    words: by number; the first four are `PAD`, `BEGIN`, `END` and `UNKNOWN`, then the more frequent first.
    features: the feature words of the training reviews.
    held: which feature words each text has, `[n_texts, F]` of 0 and 1.
    codes: the words of each sentence, then `END`, then `PAD`: `[n_sentences, length + 1]`.
    of_text: which sentences each text gives, the most telling first, -1 after the last: `[n_texts, most]`.
    reader: how they were read.

    Nothing but the given texts is read: the vocabulary and the features are those of the training split.
    """

    words: list[str]
    features: FeatureWords
    held: sparse.csr_matrix
    codes: Tensor
    of_text: Tensor
    reader: SentenceReader

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        events: tuple[IntArray, IntArray],
        reader: SentenceReader,
        most: int,
        size: int,
    ) -> TrainingSentences:
        """events: the text and the item of each interaction that has a text.

        most: sentences of a text.  size: words of the vocabulary, the most frequent ones.
        """
        lemmas = [reader.lemmas(word for words in reader.sentences(text) for word in words) for text in texts]
        features = FeatureWords.find([lemmas[text] for text in events[0].tolist()], events[1].tolist())
        chosen = [reader.telling(text, features, most) for text in texts]
        counts = Counter(word for some in chosen for words in some for word in set(words))
        known = sorted(
            (word for word, n in counts.items() if n >= LEAST_SENTENCES), key=lambda w: (-counts[w], w)
        )
        words = [*_SIGNS, *known[:size]]
        numbers = {word: number for number, word in enumerate(words) if number > UNKNOWN}
        rows = [[numbers.get(word, UNKNOWN) for word in words] for some in chosen for words in some]
        codes = torch.zeros(len(rows), reader.length + 1, dtype=torch.long)
        for row, code in enumerate(rows):
            codes[row, : len(code) + 1] = torch.tensor([*code, END])
        of_text = torch.full((len(texts), most), -1, dtype=torch.long)
        first = 0
        for text, some in enumerate(chosen):
            of_text[text, : len(some)] = torch.arange(first, first + len(some))
            first += len(some)
        return cls(words, features, _held(lemmas, features), codes, of_text, reader)

    def spoken(self) -> IntArray:
        """The word of the vocabulary that says each feature word: its most frequent form, 0 where none is known."""
        forms = np.zeros(len(self.features), dtype=np.int64)
        for number in range(len(self.words) - 1, UNKNOWN, -1):
            for feature in self.features.among([self.reader.lemma(self.words[number])]):
                forms[feature] = number
        return forms

    def reference(self, text: str) -> list[str] | None:
        """The most telling sentence of any review, whole of known words or not; None where it has no words."""
        found = self.reader.telling(text, self.features, 1)
        return found[0] if found else None

    def said(self, words: Iterable[str]) -> set[str]:
        """The feature words that a sentence names."""
        return {self.features.names[number] for number in self.features.among(self.reader.lemmas(words))}

    def code(self, words: Sequence[str]) -> Tensor:
        """The row of `codes` that a sentence of known words would be, cut where it is too long: `[length + 1]`."""
        numbers = {word: number for number, word in enumerate(self.words)}
        code = [*(numbers.get(word, UNKNOWN) for word in words[: self.codes.shape[1] - 1]), END]
        return torch.tensor([*code, *[PAD] * (self.codes.shape[1] - len(code))])

    def sentence(self, code: Tensor) -> list[str]:
        """The words of a row of `codes`."""
        return [self.words[number] for number in code.tolist() if number not in (PAD, BEGIN, END)]


def readable_sentence(words: Sequence[str]) -> str:
    """Words as one reads them: no blank before a mark, a capital letter first."""
    text = ""
    for word in words:
        text += word if _MARKS.fullmatch(word) or not text else f" {word}"
    text = re.sub(r"\bi\b(?=[ ']|$)", "I", text)
    return text[:1].upper() + text[1:]


def _held(lemmas: Sequence[set[str]], features: FeatureWords) -> sparse.csr_matrix:
    found = [sorted(features.among(some)) for some in lemmas]
    ends = np.cumsum([0, *map(len, found)])
    columns = np.array([number for some in found for number in some], dtype=np.int64)
    return sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(lemmas), len(features)))
