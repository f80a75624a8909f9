"""What a new encoder begins with in place of random numbers.

Much of a short pre-training is spent on what can be said in seconds. So word vectors begin with which pieces stand
beside which (`cooccurrence.py`), the biases of the output with how often each piece occurs, places as waves (Vaswani
et al. 2017, section 3.5), which keep some columns for themselves, and each head looks at one place near its own
(Raganato et al. 2020 fix such patterns; these are learnt on from).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .. import durable
from ..encoder.packed import Layer, PackedBert
from ..errors import UsageError
from ..heads.masked import MaskedHead
from .cooccurrence import word_vectors
from .corpus import BlockCorpus

LENGTH = 4.0
"""Of a word vector, in those of random ones, which places are as long as: beside its place, it counts."""
WAVES = 2.4, 210.0
"""Positions of the shortest wave and of the longest."""
SHARPNESS = 7.5
"""Nats by which a head of the first layer prefers the place it looks at to far ones; of what it sees, that is 0.7."""
CARRIED = 0.5
"""Length of what the heads of a layer bring together, in that of the vector which it is added to."""


def check(encoder: PackedBert) -> None:
    """UsageError for a shape in which places have no columns of their own beside those of words."""
    heads = encoder.config.num_attention_heads
    if heads == 1 or encoder.width // heads % 2:
        found = f"attention heads of {encoder.width // heads} columns, {heads} of them"
        raise UsageError(found, "two or more, with an even number of columns", "give --start random")


def begin(encoder: PackedBert, head: MaskedHead, corpus: BlockCorpus) -> None:
    """Put it into a new encoder and its head, whose other weights stay as they are.

    The word vectors, each of length 1, lie beside the corpus once they are made: on another processor they would differ
    in the last bit, and a resumed run would be another one.
    """
    config = encoder.config
    own = encoder.width // config.num_attention_heads
    made = corpus.folder / f"vectors-{encoder.width - own}.npy"
    try:
        vectors = torch.from_numpy(np.load(made))
    except (OSError, ValueError, EOFError):  # not there yet, or damaged
        vectors = F.normalize(torch.from_numpy(word_vectors(corpus, encoder.vocabulary, encoder.width - own)))
        with durable.on_disk(made), durable.replacing(made) as stream:
            np.save(stream, vectors.numpy())
    counted, random = vectors.any(dim=1), config.initializer_range * encoder.width**0.5
    frequency = 1.0 + torch.from_numpy(corpus.occurrences(encoder.vocabulary))
    with torch.no_grad():
        for table in (encoder.words, encoder.types):
            if table is not None:
                table.weight[:, :own] = 0.0
        encoder.words.weight[counted, own : own + vectors.shape[1]] = LENGTH * random * vectors[counted]
        encoder.positions.weight.zero_()[:, :own] = random * waves(np.arange(config.longest), own)
        for layer in encoder.layers:
            assert isinstance(layer, Layer)
            look_near(layer, config.initializer_range)
        for bias in (head.bias, *([head.boundary_bias] if head.boundary is not None else ())):
            bias.copy_((frequency / frequency.sum()).log())


def waves(places: np.ndarray, columns: int) -> torch.Tensor:
    """`places` x `columns`, each row of length 1: of two, the product depends on their distance alone."""
    angles = places[:, None] * (2 * np.pi / np.geomspace(*WAVES, columns // 2))
    return torch.from_numpy((2 / columns) ** 0.5 * np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).float()


def look_near(layer: Layer, std: float) -> None:
    """Let its heads look at the place before, the place after, the second before, and so on; what they bring is random
    as it was, but longer, and leaves the columns of places alone.
    """
    width, heads = layer.out.in_features, layer.heads
    own = width // heads
    query, key, value = layer.qkv.weight.view(3, heads, own, width)
    # of the vectors' length, the root of the width, places have this share squared
    gain = (SHARPNESS * own**0.5 * (1 + LENGTH**2) / width) ** 0.5
    turn = waves(np.arange(-heads, heads + 1), own) * (own / 2) ** 0.5
    for part in (query, key):
        part.zero_()
    key[:, :, :own] = gain * torch.eye(own)
    for head in range(heads):
        distance = (1 + head // 2) * (1 if head % 2 else -1)
        sin, cos = map(torch.diag, turn[heads + distance].chunk(2))
        query[head, :, :own] = gain * torch.cat([torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)])
    longer = (CARRIED / (std**2 * width)) ** 0.5
    value.mul_(longer)
    layer.out.weight.mul_(longer)[:own] = 0.0
