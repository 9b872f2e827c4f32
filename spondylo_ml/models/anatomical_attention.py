"""Attention of corner queries to the film and to each other, with an anatomical bias.

Shapes: N films, T tokens, K = 4 V queries, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CODE_GRID = 16  # learned positions along each axis, interpolated for other grids
# Initial bias: corners of the same vertebra, of adjacent ones, the same corner of adjacent ones, all others.
SAME, ADJACENT, SAME_CORNER, DISTANT = 0.5, 0.2, 0.3, -0.1
CORNERS_PER_VERTEBRA = 4
CODE_STD = 0.02


class PositionCode(nn.Module):
    """Sum of learnable codes of row and column, interpolated to the grid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(CODE_STD * torch.randn(1, width, CODE_GRID))
        self.columns = nn.Parameter(CODE_STD * torch.randn(1, width, CODE_GRID))

    def forward(self, height: int, width: int) -> Tensor:
        """(1, height * width, d) codes, row by row."""
        rows, columns = (
            F.interpolate(code, size=size, mode="linear", align_corners=False)
            for code, size in ((self.rows, height), (self.columns, width))
        )
        return (rows[..., None] + columns[..., None, :]).flatten(2).transpose(1, 2)


class CornerQueries(nn.Module):
    """One learnable query per corner, plus a code of its vertebra, edge, side and height on the spine."""

    def __init__(self, n_slots: int, width: int) -> None:
        super().__init__()
        part = width // 4
        self.own = nn.Parameter(CODE_STD * torch.randn(CORNERS_PER_VERTEBRA * n_slots, width))
        self.vertebra, self.edge, self.side = (nn.Embedding(n, part) for n in (n_slots, 2, 2))
        self.height = nn.Sequential(nn.Linear(1, part), nn.GELU(), nn.Linear(part, part))
        slot, corner = (
            torch.arange(CORNERS_PER_VERTEBRA * n_slots).div(CORNERS_PER_VERTEBRA, rounding_mode="floor"),
            torch.arange(CORNERS_PER_VERTEBRA),
        )
        self.register_buffer("slot", slot, persistent=False)
        self.register_buffer("edge_of", corner.div(2, rounding_mode="floor").repeat(n_slots), persistent=False)
        self.register_buffer("side_of", (corner % 2).repeat(n_slots), persistent=False)
        self.register_buffer("row", slot[:, None].float() / max(1, n_slots - 1), persistent=False)

    def forward(self) -> Tensor:
        """(K, d) queries."""
        parts = [
            self.vertebra(self.slot),
            self.edge(self.edge_of),
            self.side(self.side_of),
            self.height(self.row),
        ]
        queries: Tensor = self.own + torch.cat(parts, dim=1)
        return queries


class AttentionLayer(nn.Module):
    """Pre-norm: attention to the tokens, attention among the queries, feed-forward.

    Xiong et al., On Layer Normalization in the Transformer Architecture (ICML 2020), for the norms' place.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.among = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.forward_part = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """(N, K, d) queries after the layer, and the (N, K, T) attention to the tokens, mean over the heads."""
        attended, weights = self.cross(self.norms[0](queries), tokens, tokens)
        queries = queries + self.dropout(attended)
        normed = self.norms[1](queries)
        mask = None if bias is None else bias.to(normed.dtype)
        exchanged, _ = self.among(normed, normed, normed, attn_mask=mask, need_weights=False)
        queries = queries + self.dropout(exchanged)
        return queries + self.dropout(self.forward_part(self.norms[2](queries))), weights


class VertebralAttention(nn.Module):
    """Corner queries passed through several `AttentionLayer`s that share one anatomical bias."""

    def __init__(self, n_slots: int, width: int, heads: int, layers: int, dropout: float, with_bias: bool) -> None:
        super().__init__()
        self.queries = CornerQueries(n_slots, width)
        self.bias = nn.Parameter(anatomical_bias(n_slots)) if with_bias else None
        self.layers = nn.ModuleList(AttentionLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, d) tokens to (N, K, d) queries and the (N, K, T) attention of the last layer."""
        # Not len(tokens): a plain number would fix the batch size of an exported network.
        queries = self.queries().expand(tokens.shape[0], -1, -1)
        weights = tokens.new_zeros(0)
        for layer in self.layers:
            queries, weights = layer(queries, tokens, self.bias)
        return self.norm(queries), weights


def anatomical_bias(n_slots: int) -> Tensor:
    """(K, K) initial bias on the attention among the corners."""
    slot = torch.arange(CORNERS_PER_VERTEBRA * n_slots).div(CORNERS_PER_VERTEBRA, rounding_mode="floor")
    corner = torch.arange(CORNERS_PER_VERTEBRA).repeat(n_slots)
    apart = (slot[:, None] - slot[None]).abs()
    same_corner = corner[:, None] == corner[None]
    bias = torch.full(apart.shape, DISTANT)
    bias[apart == 1] = ADJACENT
    bias[(apart == 1) & same_corner] = SAME_CORNER
    bias[apart == 0] = SAME
    return bias
