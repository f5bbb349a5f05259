"""A convolution over word vectors with the maximum over time, made quick for vectors that are not trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: So many windows are computed at a time: what fits a processor's cache; on a GPU, which waits between parts, more.
WINDOWS = 1 << 13
WINDOWS_ON_GPU = 1 << 18


class TextCNN(nn.Module):
    """Text features `o_f = max over t of relu(sum over j of v_(t+j) . K_(j,f) + b_f)`, as in Kim (2014).

    A window is centred on each word of a text; what it covers before the first and after the last word is zeros.
    (Ours: windows centred on padding take no part, so a text's features do not depend on how far it is padded.)

    The vectors are frozen, so each of a window's words is multiplied with the kernel once a call, not once for each
    place where it occurs; the windows are then sums.  Gradients reach the kernel through the largest windows only,
    and these alone are computed with them.

    vectors: `[V + 1, width]`, row 0 zeros; not part of the state.
    """

    def __init__(self, vectors: Tensor, filters: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        self.vectors: Tensor
        self.filters, self.kernel_size = filters, kernel_size
        bound = 1 / math.sqrt(kernel_size * vectors.shape[1])
        self.kernel = nn.Parameter(
            torch.empty(kernel_size, vectors.shape[1], filters).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(filters))

    def forward(self, tokens: Tensor) -> Tensor:
        """Features of texts, `[n, filters]`.

        tokens: rows of `vectors`, `[n, length]`, a text's first; 0 after its last one.  A text without words gets 0.
        """
        if not tokens.numel():
            return self.bias.new_zeros(len(tokens), self.filters)
        tokens = tokens.long()
        before = (self.kernel_size - 1) // 2
        padded = nn.functional.pad(tokens, (before, self.kernel_size - 1 - before))
        products = torch.matmul(self.vectors, self.kernel)
        with torch.no_grad():
            largest = self._largest(tokens, padded, products.detach())
        sums = sum(
            (products[j].gather(0, padded.gather(1, largest + j)) for j in range(self.kernel_size)), self.bias
        )
        return torch.relu(sums) * (tokens[:, :1] > 0)

    def _largest(self, tokens: Tensor, padded: Tensor, products: Tensor) -> Tensor:
        """The window with the largest value for each text and filter, `[n, filters]`."""
        lengths, order = (tokens > 0).sum(1).sort()
        largest = torch.zeros(len(tokens), self.filters, dtype=torch.long, device=tokens.device)
        windows_at_once = WINDOWS if tokens.device.type == "cpu" else WINDOWS_ON_GPU
        some = max(1, windows_at_once // tokens.shape[1])
        for rows, counts in zip(order.split(some), lengths.split(some), strict=True):
            # Sorted by length: each part is only as long as its longest text.
            longest = max(1, int(counts[-1]))
            part = padded[rows]
            windows = nn.functional.embedding(part[:, :longest], products[0])  # quicker than indexing
            for j in range(1, self.kernel_size):
                windows += nn.functional.embedding(part[:, j : j + longest], products[j])
            windows.masked_fill_((tokens[rows, :longest] == 0).unsqueeze(2), -math.inf)
            largest[rows] = windows.argmax(1)
        return largest
