"""What `compress` tries: every combination of mixture, ridge and rank, those that share work one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.enhancers.teachers.options import EASE

from .options import CompressConfig


@dataclass(frozen=True)
class Candidate:
    """One pair of tables to try: the teachers' shares, EASE's ridge where it has one, and the rank."""

    shares: tuple[tuple[str, float], ...]
    ridge: float | None
    rank: int

    def __str__(self) -> str:
        parts = [
            f"{share:.3g} {name}{f' (ridge {self.ridge:g})' if name == EASE else ''}"
            for name, share in self.shares
        ]
        return f"{' + '.join(parts)}, rank {self.rank}"


def candidates_of(options: CompressConfig, ranks: Sequence[int]) -> tuple[Candidate, ...]:
    """All candidates, each once: ridge by ridge, mixture by mixture, rank by rank; mixtures without EASE at the end."""
    mixtures = [tuple(shares.items()) for shares in options.mixtures()]
    with_ease = [shares for shares in mixtures if any(name == EASE for name, _ in shares)]
    return tuple(
        Candidate(shares, ridge, rank)
        for ridge, some in [
            *((ridge, with_ease) for ridge in dict.fromkeys(options.ridge)),
            (None, [shares for shares in mixtures if shares not in with_ease]),
        ]
        for shares in some
        for rank in ranks
    )
