"""ST-ECGFormer: a Transformer encoder on heartbeat tokens, after HeartLang (Jin et al. 2025).

A circular convolution over neighbouring tokens embeds the beats; a learned position, the lead
and the second of each beat are added, and a class token is put in front. Blocks are pre-norm,
and each head is 64 wide whatever the width of the model (S1 Table S.4 is read so).

One choice was made where the paper and the released code leave several (``docs/models.md`` has
all of them). A token that is padding is not attended to: it says nothing about the patient but
how many beats there are. A masked token is replaced after the convolution, as in the released
code, so its two neighbours still carry a trace of it.

Features are the state of the class token alone. For them the last block computes keys and values
of all tokens, but one query and one row of its feed-forward part; and records of like length go
together, with no more slots than the longest has beats (``heartbeats.parts_of``). Both give what
the full form gives, which ``EcgTransformer.in_full`` switches on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear, scaled_dot_product_attention

from scaling.models.checkpointing import run_block
from scaling.models.heartbeats import WIDTH, Heartbeats, Part, parts_of, put_back, tokenize
from scaling.models.sizes import HEAD_WIDTH, LONGEST, PLACES, TRANSFORMER, heartbeats_cannot_read

STD = 0.02  # of the tables at the start


def attend(
    q_BHQE: Tensor, k_BHSE: Tensor, v_BHSE: Tensor, real_B11S: Tensor, rate: float
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, Eq. 1) to real tokens, (B, H, Q, E).

    PyTorch's fused kernel, except in bf16 on a CPU, where plain matrix products take 0.6 of its
    time in a training step (``docs/models.md``).
    At least one token a record is real; ``rate`` is of dropout on the attention weights.
    """
    if q_BHQE.device.type != "cpu" or q_BHQE.dtype != torch.bfloat16:
        return scaled_dot_product_attention(
            q_BHQE, k_BHSE, v_BHSE, attn_mask=real_B11S, dropout_p=rate
        )
    scores_BHQS = (q_BHQE * q_BHQE.shape[-1] ** -0.5) @ k_BHSE.transpose(-1, -2)
    weights_BHQS = scores_BHQS.masked_fill(~real_B11S, -torch.inf).softmax(dim=-1)
    return dropout(weights_BHQS, rate, training=rate > 0).to(v_BHSE.dtype) @ v_BHSE


class Attention(nn.Module):
    """Multi-head self-attention; heads are ``HEAD_WIDTH`` wide."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * inner, bias=False)
        same = heads == 1 and width == HEAD_WIDTH
        self.out = nn.Identity() if same else nn.Linear(inner, width)

    def forward(self, h_BSD: Tensor, real_B11S: Tensor, first: int | None = None) -> Tensor:
        """(B, S, D) to (B, Q, D), of the ``first`` Q tokens or of all.

        Only tokens with ``real_B11S`` True are attended to.
        """
        if first is None:  # one product for all three, which is faster than two
            q, k, v = self._heads(self.qkv(h_BSD), 3)
        else:
            inner = self.heads * HEAD_WIDTH
            of_q, of_kv = torch.split(self.qkv.weight, [inner, 2 * inner])
            (q,) = self._heads(linear(h_BSD[:, :first], of_q), 1)
            k, v = self._heads(linear(h_BSD, of_kv), 2)
        mixed = attend(q, k, v, real_B11S, self.dropout if self.training else 0.0)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, joined_BSI: Tensor, parts: int) -> tuple[Tensor, ...]:
        """``parts`` tensors (B, H, S, E) that lie side by side in (B, S, ``parts`` * H * E)."""
        records, tokens, _ = joined_BSI.shape
        apart = joined_BSI.view(records, tokens, parts, self.heads, HEAD_WIDTH)
        return torch.unbind(apart.permute(2, 0, 3, 1, 4))


class TransformerBlock(nn.Module):
    """Pre-norm attention and feed-forward part, each added to what came in."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, h_BSD: Tensor, real_B11S: Tensor, first: int | None = None) -> Tensor:
        """(B, S, D) to (B, Q, D), of the ``first`` Q tokens or of all."""
        h_BQD = h_BSD[:, :first] + self.attention(self.norm1(h_BSD), real_B11S, first)
        out: Tensor = h_BQD + self.feed_forward(self.norm2(h_BQD))
        return out


class HeartbeatEncoder(nn.Module):
    """S tokens to hidden states of D; the Transformer itself, and both halves of VQ-HBR.

    ``hidden`` is the width inside the feed-forward part; ``dropout`` acts there, in attention and
    after the embedding.
    """

    def __init__(
        self,
        input_width: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        tokens: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(
            input_width, width, 3, padding=1, padding_mode="circular", bias=False
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, tokens + 1, width))
        self.lead = nn.Embedding(PLACES, width)
        self.second = nn.Embedding(PLACES, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, hidden, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self._initialise()

    def _initialise(self) -> None:
        """Xavier-uniform matrices (Glorot and Bengio 2010), zero biases, tables of 0.02.

        The usual 0.02 for matrices is made for widths of hundreds: at 8 to 64, blocks would start
        as good as absent, which measurably costs loss (``docs/models.md``). The convolution keeps
        PyTorch's own uniform start, which is wide enough for beats of 0.1 mV.
        """
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        tables = (self.mask_token, self.cls_token, self.position)
        for table in (*tables, self.lead.weight, self.second.weight):
            nn.init.trunc_normal_(table, std=STD)

    def forward(
        self,
        input_BSW: Tensor,
        beats: Heartbeats,
        masked_BS: Tensor | None = None,
        first: int | None = None,
    ) -> Tensor:
        """Hidden states (B, 1 + S, D), the class token's first; (B, Q, D) of the ``first`` Q.

        Args:
            input_BSW: (B, S, W) values of the tokens; zero where they are padding. S may be less
                than the slots there are: they are then the first ones.
            beats: lead, second and presence of each token.
            masked_BS: (B, S) bool, tokens whose embedding is replaced by the mask token.
            first: how many states are read; the last block computes no others.
        """
        h_BSD = self.embed(input_BSW.transpose(1, 2)).transpose(1, 2)
        if masked_BS is not None:
            h_BSD = torch.where(masked_BS[..., None], self.mask_token.to(h_BSD.dtype), h_BSD)
        h_BSD = h_BSD + self.lead(beats.leads_BS) + self.second(beats.times_BS)
        cls = self.cls_token.expand(len(h_BSD), -1, -1).to(h_BSD.dtype)
        h_BSD = torch.cat([cls, h_BSD], dim=1)
        h_BSD = self.dropout(h_BSD + self.position[:, : h_BSD.shape[1]])
        real_B11S = nn.functional.pad(beats.real_BS, (1, 0), value=True)[:, None, None]
        last = len(self.blocks) - 1
        for place, block in enumerate(self.blocks):
            read = first if place == last else None
            h_BSD = run_block(block, h_BSD, real_B11S, read)
        states: Tensor = self.norm(h_BSD[:, :first])
        return states


class EcgTransformer(nn.Module):
    """The backbone: records to the state of the class token.

    Args:
        size: point on the ladder ``TRANSFORMER``, such as ``l1d24h1``.
        leads: input leads. Leads are told apart by their place among those the model
            is built for, so weights go with the lead names of their training.
        dropout: rate in attention, after the embedding and in the feed-forward part.

    Set ``in_full`` to compute all slots of all records in every block, as the released code does
    and S1 counts: other last digits, and more time.

    Raises:
        ValueError: more leads than the table of leads has rows (15 beside padding).
    """

    def __init__(self, size: str, leads: int = 12, dropout: float = 0.0) -> None:
        super().__init__()
        if problem := heartbeats_cannot_read(LONGEST, leads):
            raise ValueError(problem)
        shape = TRANSFORMER[size]
        self.encoder = HeartbeatEncoder(
            WIDTH, shape.width, shape.layers, shape.heads, shape.hidden, shape.tokens, dropout
        )
        self.features, self.tokens, self.in_full = shape.width, shape.tokens, False

    def tokenize(self, x_BLT: Tensor, r_peaks_BP: Tensor, slots: int | None = None) -> Heartbeats:
        """The heartbeats of records (B, L, T) at 100 Hz with R peaks (B, P), in the first slots.

        Raises:
            ValueError: records too short or too long; see ``heartbeats.tokenize``.
        """
        return tokenize(x_BLT, r_peaks_BP, self.tokens if slots is None else slots)

    def encode(self, beats: Heartbeats, masked_BS: Tensor | None = None) -> Tensor:
        """Hidden states (B, 1 + S, D), the class token's first; see ``HeartbeatEncoder``."""
        states: Tensor = self.encoder(beats.beats_BSW, beats, masked_BS)
        return states

    def parts(self, x_BLT: Tensor, r_peaks_BP: Tensor) -> list[Part]:
        """Which records of a batch are best computed together, and with how many slots."""
        return parts_of(x_BLT, r_peaks_BP, self.tokens)

    def forward(self, x_BLT: Tensor, r_peaks_BP: Tensor | None = None) -> Tensor:
        """Records (B, L, T) in millivolts and their R peaks (B, P) to features (B, F).

        Without R peaks, records are cut on a fixed grid. Slots of padding are left out where R
        peaks are on the CPU: a GPU would have to be waited for to know how many there are.
        """
        if r_peaks_BP is None:
            where = "meta" if x_BLT.is_meta else "cpu"
            r_peaks_BP = torch.full((len(x_BLT), 1), -1, dtype=torch.int16, device=where)
        if self.in_full:
            return self.encode(self.tokenize(x_BLT, r_peaks_BP))[:, 0]
        parts = self.parts(x_BLT, r_peaks_BP)
        found = [self._read(x_BLT[p.rows], r_peaks_BP[p.rows], p.slots) for p in parts]
        return put_back(found, parts)

    def _read(self, x_BLT: Tensor, r_peaks_BP: Tensor, slots: int) -> Tensor:
        """States of the class token (B, D)."""
        beats = self.tokenize(x_BLT, r_peaks_BP, slots)
        states: Tensor = self.encoder(beats.beats_BSW, beats, first=1)
        return states[:, 0]
