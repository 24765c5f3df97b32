"""Residual vector quantisation while it is trained: moving averages, k-means at the start, codes that died.

After van den Oord et al., "Neural discrete representation learning" (2017), and Zeghidour et al.,
"SoundStream" (2021). The residual is detached from level to level, and a code that died is put on a vector
of the batch after the moving averages were applied, so that they do not undo it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from valle.audio.builtin.network import CodecShape

KEEP = 0.99
DEAD = 0.05


def nearest(vectors: Tensor, book: Tensor) -> Tensor:
    """The index of the nearest row of the book for each vector [count, latent]."""
    return (book.pow(2).sum(1) - 2 * vectors @ book.t()).argmin(1)


def k_means(
    vectors: Tensor, size: int, generator: torch.Generator, rounds: int = 12
) -> tuple[Tensor, Tensor, Tensor]:
    """Centres [size, latent], the centre of each vector, and how many vectors each centre has."""
    centres = vectors[torch.randperm(len(vectors), generator=generator)[:size]].clone()
    for _ in range(rounds):
        index = nearest(vectors, centres)
        counts = torch.bincount(index, minlength=size).to(vectors)
        sums = torch.zeros_like(centres).index_add_(0, index, vectors)
        strays = vectors[torch.randint(len(vectors), (size,), generator=generator)]
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], strays)
    index = nearest(vectors, centres)
    return centres, index, torch.bincount(index, minlength=size).to(vectors)


class TrainedQuantiser(nn.Module):
    """Trains the codebooks of a codec's network in place; holds the moving averages."""

    counts: Tensor
    sums: Tensor

    def __init__(self, codebooks: Tensor, shape: CodecShape) -> None:
        super().__init__()
        self._codebooks = codebooks
        self.register_buffer("counts", torch.ones(shape.levels, shape.size))
        self.register_buffer("sums", torch.zeros(shape.levels, shape.size, shape.latent))

    @torch.no_grad()
    def start(self, vectors: Tensor, batch_vectors: int, generator: torch.Generator) -> None:
        """Put the codebooks on the k-means centres of vectors [count, latent], level by level."""
        for level, book in enumerate(self._codebooks):
            centres, index, counts = k_means(vectors, len(book), generator)
            counts = counts.clamp_min(0.5) * batch_vectors / len(vectors)
            book.copy_(centres)
            self.counts[level] = counts
            self.sums[level] = centres * counts[:, None]
            vectors = vectors - centres[index]

    @torch.no_grad()
    def _learn(self, level: int, vectors: Tensor, index: Tensor, generator: torch.Generator) -> None:
        book, counts, sums = self._codebooks[level], self.counts[level], self.sums[level]
        found = torch.bincount(index, minlength=len(book)).to(vectors)
        counts.mul_(KEEP).add_(found, alpha=1 - KEEP)
        sums.mul_(KEEP).add_(torch.zeros_like(book).index_add_(0, index, vectors), alpha=1 - KEEP)
        book.copy_(sums / counts.clamp_min(1e-5)[:, None])
        dead = (counts < DEAD).nonzero()[:, 0]
        if len(dead):
            revived = vectors[torch.randint(len(vectors), (len(dead),), generator=generator)]
            usual = len(vectors) / len(book)
            book[dead], counts[dead], sums[dead] = revived, usual, revived * usual

    def forward(
        self, latents: Tensor, levels: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantised latents, those of the first level alone (gradients pass through), commitment loss."""
        vectors = latents.flatten(0, 1)
        rest, total, first = vectors, torch.zeros_like(vectors), vectors
        commitment = latents.new_zeros(())
        for level in range(levels):
            index = nearest(rest.detach(), self._codebooks[level])
            chosen = self._codebooks[level][index]
            if self.training:
                self._learn(level, rest.detach(), index, generator)
            commitment = commitment + functional.mse_loss(rest, chosen)
            total = total + chosen
            first = chosen if level == 0 else first
            rest = rest - chosen
        through = [(vectors + (made - vectors).detach()).view_as(latents) for made in (total, first)]
        return through[0], through[1], commitment / levels
