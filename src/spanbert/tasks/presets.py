"""Published recipes by name: settings of a run and of its task, in our terms.

`squad1`, `squad2`, `mrqa`: Joshi et al. 2020 (SpanBERT), appendix B, and its README: rate 2e-5, 32 windows a step,
4 epochs, windows of 512 positions at steps of 128 pieces, questions of at most 64 pieces, answers of at most 30, 20
best, warm-up over 10 %, weight decay 0.01, clipping at 1. A step of 32 windows is one of as many positions here;
windows at steps of 128 pieces share all but 128 of theirs, of which ours share at most half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import check_among

_SPANBERT: dict[str, Any] = {
    "task": "question-answering",
    "learning_rate": 2e-5,
    "epochs": 4,
    "max_tokens": 32 * 180,  # the mean length of a SQuAD window is some 180 positions
    "warmup": 0.1,
    "weight_decay": 0.01,
    "clip": 1.0,
    "window": 512,
    "overlap": 256,
    "longest_question": 64,
    "longest_answer": 30,
    "n_best": 20,
    "null_windows": 0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "squad1": {**_SPANBERT, "unanswerable": False},
    "squad2": {**_SPANBERT, "unanswerable": True},
    "mrqa": {**_SPANBERT, "unanswerable": False, "max_tokens": 32 * 300},
}


def preset(name: str) -> Mapping[str, Any]:
    """Settings by name. Raises UsageError."""
    check_among("preset", name, PRESETS, "leave it out")
    return PRESETS[name]
