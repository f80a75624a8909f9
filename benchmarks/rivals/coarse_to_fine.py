"""The published coarse-to-fine coreference model in small, as a rival: Lee et al. 2018, segments as Joshi et al. 2019.

Independent segments; a span is [first, last, attention over its pieces, width]; mention scores, of which the best 0.4 a
piece are kept; a bilinear score names 50 antecedents of each, and a feed-forward one of [span, antecedent, product,
distance] chooses, with hidden layers of 150; the loss is the marginal likelihood of all right antecedents. No higher
order, speakers or genre. It knows no singletons: a mention without an antecedent is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, get_linear_schedule_with_warmup

from benchmarks.duel import DEVICE
from spanbert import Document, Span
from spanbert.decoding.clusters import components
from spanbert.documents import MENTION, Cluster
from spanbert.metrics.coreference import conll_f1, count_documents
from spanbert.tokenization import Pieces, Tokenizer

SEGMENT, TOGETHER, WIDEST, SHARE, ANTECEDENTS, FEATURE = 384, 3, 20, 0.4, 50, 20  # 98 % of mentions are as short
HIDDEN, DROPOUT = 150, 0.3
HEAD_RATE = 1e-3
Gold = dict[tuple[int, int], int]


class CoarseToFine(nn.Module):
    """Mentions and antecedents of a run of segments."""

    def __init__(self, encoder: Path) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
        width = self.encoder.config.hidden_size
        size = 3 * width + FEATURE
        self.attention = nn.Linear(width, 1)
        self.widths, self.width_scores = nn.Embedding(WIDEST, FEATURE), nn.Embedding(WIDEST, FEATURE)
        self.distances, self.far = nn.Embedding(10, FEATURE), nn.Embedding(10, 1)
        self.mention, self.width_prior = feed_forward(size), feed_forward(FEATURE)
        self.coarse = nn.Linear(size, size)
        self.fine = feed_forward(3 * size + FEATURE)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, segments: Sequence[Tensor]) -> tuple[np.ndarray, Tensor, Tensor, Tensor]:
        """Of pieces of each segment (special tokens included): kept spans M x 2, and for each its antecedents M x K,
        whether these are real, and the scores M x (1 + K), "none" first."""
        lengths = [len(segment) - 2 for segment in segments]
        ones = [torch.ones_like(segment) for segment in segments]
        padded, mask = (nn.utils.rnn.pad_sequence(each, batch_first=True).to(DEVICE) for each in (list(segments), ones))
        states = self.encoder(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        vectors = self.dropout(torch.cat([states[k, 1 : 1 + n] for k, n in enumerate(lengths)]))
        home = np.repeat(np.arange(len(lengths)), lengths)
        first = np.repeat(np.arange(len(vectors)), WIDEST)
        last = first + np.tile(np.arange(WIDEST), len(vectors))
        inside = (last < len(vectors)) & (home[first] == home[np.minimum(last, len(vectors) - 1)])
        first, last = first[inside], last[inside]
        spans = self.spans(vectors, first, last)
        scores = self.mention(spans) + self.width_prior(self.width_scores(torch.from_numpy(last - first).to(DEVICE)))
        best = scores.squeeze(1).topk(min(len(scores), max(2, int(SHARE * len(vectors))))).indices
        at = best.cpu().numpy()
        order = np.lexsort((last[at], first[at]))
        best, at = best[order], at[order]
        kept = np.stack([first[at], last[at]], 1)
        return kept, *self.antecedents(spans[best], scores[best].squeeze(1))

    def spans(self, vectors: Tensor, first: np.ndarray, last: np.ndarray) -> Tensor:
        weights = self.attention(vectors).squeeze(1).float()
        weights = (weights - weights.max()).clamp(min=-15).exp()  # of a span the softmax, by sums up to its ends
        sums = F.pad(torch.cat([weights[:, None], weights[:, None] * vectors], 1).double().cumsum(0), (0, 0, 1, 0))
        a, b = (torch.from_numpy(column).to(DEVICE) for column in (first, last))
        total = (F.embedding(b + 1, sums) - F.embedding(a, sums)).float()
        width = self.dropout(self.widths(b - a))
        mean = total[:, 1:] / total[:, :1]
        return torch.cat([F.embedding(a, vectors), F.embedding(b, vectors), mean, width], 1)

    def antecedents(self, spans: Tensor, mention: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        number = len(spans)
        order = torch.arange(number, device=DEVICE)
        gap = order[:, None] - order[None]
        coarse = mention[:, None] + mention[None] + self.dropout(self.coarse(spans)) @ spans.T
        coarse = coarse + self.far(bucket(gap.clamp(min=1))).squeeze(2)
        coarse = coarse.masked_fill(gap < 1, -math.inf)
        score, chosen = coarse.topk(min(ANTECEDENTS, number), dim=1)
        real = score > -math.inf
        distance = self.dropout(self.distances(bucket((order[:, None] - chosen).clamp(min=1))))
        # the first layer is linear: of a span and of its antecedent each once, of their product for every pair
        of_one, of_other, of_both, of_far = self.fine[0].weight.split([spans.shape[1]] * 3 + [FEATURE], 1)
        own, other = spans @ of_one.T + self.fine[0].bias, spans @ of_other.T
        both = (spans[:, None] * F.embedding(chosen, spans)) @ of_both.T
        fine = self.fine[1:](own[:, None] + F.embedding(chosen, other) + both + distance @ of_far.T).squeeze(2)
        total = (score + fine).masked_fill(~real, -math.inf)
        return chosen, real, torch.cat([total.new_zeros(number, 1), total], 1)


def feed_forward(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 1))


def bucket(distance: Tensor) -> Tensor:
    """1, 2, 3, 4, 5-7, 8-15, 16-31, 32-63, 64 and more."""
    return torch.where(distance <= 4, distance, 3 + distance.float().log2().floor().long()).clamp(max=9)


def loss_of(kept: np.ndarray, chosen: Tensor, real: Tensor, scores: Tensor, gold: Gold) -> Tensor:
    number = torch.tensor([gold.get((a, b), -1) for a, b in kept.tolist()], device=DEVICE)
    same = (number[:, None] == number[chosen]) & (number[:, None] >= 0) & real
    right = torch.cat([~same.any(1, keepdim=True), same], 1)
    return (scores.logsumexp(1) - scores.masked_fill(~right, -math.inf).logsumexp(1)).sum()


def segments_of(pieces: Pieces, tokenizer: Tokenizer) -> list[tuple[int, Tensor]]:
    """First piece of each segment, and what the encoder reads of it."""
    room = SEGMENT - 2
    return [
        (begin, torch.tensor([tokenizer.cls, *pieces.ids[begin : begin + room].tolist(), tokenizer.sep]))
        for begin in range(0, len(pieces), room)
    ]


def train_and_predict(
    encoder: Path, parts: dict[str, list[Document]], *, epochs: int, rate: float, seed: int
) -> tuple[float, list[Document]]:
    """CoNLL F1 on dev at the best epoch, and the test documents with clusters by its weights. rate: the encoder's."""
    torch.manual_seed(seed)
    tokenizer, draw = Tokenizer.from_folder(encoder), np.random.default_rng(seed)
    model = CoarseToFine(encoder).to(DEVICE)
    theirs = set(model.encoder.parameters())
    groups = [
        {"params": list(theirs), "lr": rate},
        {"params": [p for p in model.parameters() if p not in theirs], "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimizer, 10, epochs * len(parts["train"]))
    best, kept = -1.0, {}
    pieces = {part: tokenizer.pieces([d.text for d in documents]) for part, documents in parts.items()}
    for _ in range(epochs):
        model.train()
        for k in draw.permutation(len(parts["train"])).tolist():
            document, own = parts["train"][k], pieces["train"][k]
            listed = segments_of(own, tokenizer)
            first = int(draw.integers(0, max(1, len(listed) - TOGETHER + 1)))
            chosen = listed[first : first + TOGETHER]
            gold = gold_of(document, own, chosen[0][0])
            with torch.autocast(DEVICE, dtype=torch.bfloat16):
                loss = loss_of(*model([ids for _, ids in chosen]), gold)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        found = predict(model, parts["dev"], pieces["dev"], tokenizer)
        score = float(conll_f1(count_documents(dropped(parts["dev"]), found).ratios.sum(0)))
        print(f"dev {100 * score:.1f}", flush=True)
        if score > best:
            best, kept = score, {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(kept)
    return best, predict(model, parts["test"], pieces["test"], tokenizer)


def gold_of(document: Document, pieces: Pieces, begin: int) -> Gold:
    """Of pieces counted from `begin`, the cluster of each mention."""
    gold: Gold = {}
    for number, cluster in enumerate(document.clusters):
        for span in cluster.spans:
            run = pieces.covering(span.start, span.end)
            if run is not None and len(cluster.spans) > 1:
                gold[run[0] - begin, run[1] - begin] = number
    return gold


@torch.no_grad()
def predict(
    model: CoarseToFine, documents: Sequence[Document], pieces: Sequence[Pieces], tokenizer: Tokenizer
) -> list[Document]:
    model.eval()
    found = []
    for document, own in zip(documents, pieces, strict=True):
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            kept, chosen, _, scores = model([ids for _, ids in segments_of(own, tokenizer)])
        best = scores.float().argmax(1)
        links = [(k, int(chosen[k, b - 1])) for k, b in enumerate(best.tolist()) if b > 0]
        spans = [Span(int(own.starts[a]), int(own.ends[b]), MENTION) for a, b in kept.tolist()]
        clusters = [group for group in components(len(spans), links) if len(group) > 1]
        made = tuple(Cluster(tuple(dict.fromkeys(spans[k] for k in group))) for group in clusters)
        found.append(Document(document.id, document.text, clusters=made))
    return found


def dropped(documents: Sequence[Document]) -> list[Document]:
    """Without singletons."""
    return [
        Document(d.id, d.text, clusters=tuple(cluster for cluster in d.clusters if len(cluster.spans) > 1))
        for d in documents
    ]
