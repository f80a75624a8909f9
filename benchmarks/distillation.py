"""From scratch with a teacher: span masking, and in the same step the vectors that MiniLM has for the words.

    python -m benchmarks.distillation   # pre-train `distilled`, kept and resumable, as in `pretraining_value.py`

The student has shape, vocabulary, start (neighbours), text and number of positions of `neighbours-sixth` there, five
million. The teacher reads what is hidden from the student. Its vector of a word, the mean over the pieces that it has
for it, is to be had by one linear layer from the mean of the student's: squared error, after the mean and the spread of
each vector are taken away. `benchmarks.base_models` fine-tunes both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.accuracy import minilm
from benchmarks.datasets import DATA, ROOT
from benchmarks.pretraining_value import PIECES, SIZE, WINDOW, files_in, read, vocabulary_of
from spanbert import new_model
from spanbert.bundle import load_base
from spanbert.heads.masked import MaskedHead
from spanbert.inference.torch_backend import copied
from spanbert.packing import Batch, lay_out
from spanbert.pretraining.config import TASK
from spanbert.targets import MaskTargets
from spanbert.tokenization import Tokenizer
from spanbert.windows import Window

WORK = ROOT / "build" / "pretraining_value"
TOKENS, WEIGHT = 5_000_000, 5.0
"""Positions that are read; and how much the teacher's error counts beside the loss of a hidden piece."""
TEACHER_LAYERS = 4
"""Those of the teacher that speak: the last two serve what it was made for, one vector for a whole text."""


class Teacher:
    """The first layers of MiniLM over the words of windows."""

    def __init__(self, student: Tokenizer) -> None:
        folder = minilm()
        encoder, tokenizer = load_base(folder)
        self.encoder = copied(encoder, torch.bfloat16).eval().requires_grad_(False)  # noqa: FBT003
        self.encoder.layers = self.encoder.layers[:TEACHER_LAYERS]
        self.width, self.longest = encoder.width, encoder.longest
        self.tokenizer = tokenizer
        self.pieces = [student.token(number) or "" for number in range(student.size)]
        self.known: dict[str, np.ndarray] = {}

    def vectors(self, windows: Sequence[np.ndarray]) -> tuple[np.ndarray, Tensor]:
        """windows: ids of the student's pieces. The word of each of all their pieces, -1 where it is beyond what the
        teacher can read, and the words' vectors, without their means and spreads."""
        owners, members, pieces, total = [], [], [], 0
        for ids in windows:
            texts = [self.pieces[number] for number in ids.tolist()]
            begins = np.array([not text.startswith("##") for text in texts])
            begins[0] = True
            numbers = np.cumsum(begins) - 1
            words = ["" for _ in range(int(numbers[-1]) + 1)]
            for text, number in zip(texts, numbers.tolist(), strict=True):
                words[number] += text.removeprefix("##")
            mine = [self._pieces(word) for word in words]
            fits = int(np.searchsorted(np.cumsum(list(map(len, mine))), self.longest - 2, side="right"))
            owners.append(np.where(numbers < fits, numbers + total, -1))
            members.append(np.repeat(np.arange(fits) + total, list(map(len, mine[:fits]))))
            pieces.append(np.concatenate(mine[:fits]))
            total += fits
        order = sorted(range(len(windows)), key=lambda k: -len(pieces[k]))
        batch = lay_out([(self._window(pieces[k]),) for k in order], range(len(order)))
        with torch.inference_mode():
            read = self.encoder(batch).float()[torch.from_numpy(np.flatnonzero(batch.pieces >= 0))]
        told = means(read, np.concatenate([members[k] for k in order]), total)
        return np.concatenate(owners), F.layer_norm(told, (self.width,)).clone()

    def _pieces(self, word: str) -> np.ndarray:
        if word not in self.known:
            self.known[word] = self.tokenizer.ids_and_words(word)[0]
        return self.known[word]

    def _window(self, pieces: np.ndarray) -> Window:
        frame = self.tokenizer.frame
        ids = np.concatenate([frame.before, pieces, frame.after])
        places = np.concatenate([[-1], np.arange(len(pieces)), [-1]])
        return Window(ids, np.zeros(len(ids), dtype=np.int64), places, 0, len(pieces))


def means(vectors: Tensor, owner: np.ndarray, number: int) -> Tensor:
    """The mean of the vectors of each owner, 0 to number - 1; rows of -1 have none."""
    kept = np.flatnonzero(owner >= 0)
    rows = torch.from_numpy(owner[kept])
    counts = torch.from_numpy(np.bincount(owner[kept], minlength=number)).clamp(min=1)
    summed = vectors.new_zeros((number, vectors.shape[1])).index_add(0, rows, vectors[torch.from_numpy(kept)])
    return summed / counts[:, None]


@cache
def teacher(folder: Path) -> Teacher:
    return Teacher(Tokenizer.from_folder(folder))


class Taught(MaskedHead):
    """The head of span masking, whose loss in training has the teacher's in it."""

    vocabulary: Path
    says: nn.Linear

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[MaskTargets], words: Tensor) -> dict[str, Tensor]:
        losses = dict(super().loss(vectors, batch, targets, words))
        if self.training:
            hidden = sum(each.columns.shape[1] for each in targets)
            losses["masked"] = losses["masked"] + WEIGHT * hidden * self.error(vectors.float(), batch, targets)
        return losses

    def error(self, vectors: Tensor, batch: Batch, targets: Sequence[MaskTargets]) -> Tensor:
        ids = batch.ids.copy()
        for window, group in enumerate(batch.groups.tolist()):
            columns = targets[group].columns
            ids[batch.cu_seqlens[window] + columns[0]] = columns[4]
        windows = [
            ids[first + 1 : last - 1] for first, last in zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True)
        ]
        owners, told = teacher(self.vocabulary).vectors(windows)
        inner = vectors[torch.from_numpy(np.flatnonzero(batch.pieces >= 0))]
        with torch.autocast(vectors.device.type, enabled=False):
            said = F.layer_norm(self.says(means(inner, owners, len(told))), (told.shape[1],))
            return F.mse_loss(said, told)


def distilled(seed: int) -> Path:
    """The folder, pre-trained where it is not there yet."""
    folder = WORK / f"distilled-{seed}"
    if (folder / "checksums.json").exists():
        return folder
    vocabulary = vocabulary_of(files_in(DATA), PIECES, WORK / "vocabulary")
    model = new_model(SIZE, vocabulary, settings={"window": WINDOW}, seed=seed)
    head = model.bundle.network.heads[TASK]
    head.__class__ = Taught
    head.vocabulary = vocabulary
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head.says = nn.Linear(model.bundle.network.encoder.width, teacher(vocabulary).width)
    return read(model, folder, DATA, seed, tokens=TOKENS)


if __name__ == "__main__":
    distilled(1)
