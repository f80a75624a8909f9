"""The three files that the official SQuAD 2.0 scripts and their users read; for writing only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import Document, Question
from ..errors import UsageError
from . import strict_json
from .format import not_held
from .report import ReadReport
from .sinks import new_folder, write_text
from .sources import Source
from .squad import tell

SUFFIXES: tuple[str, ...] = ()
PREDICTIONS, N_BEST, NULL_ODDS = "predictions.json", "nbest_predictions.json", "null_odds.json"
_LEAST = 1e-12


def recognises(source: Source) -> bool:  # noqa: ARG001 - it is written only
    """Never."""
    return False


def read(source: Source, report: ReadReport) -> Iterator[Document]:  # noqa: ARG001 - likewise
    """Raises UsageError: predictions hold no texts."""
    raise UsageError("predictions to read", "a file with texts", "name the data set instead: --input-format squad")


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """A folder: answers by question id, n-best lists with probabilities, and odds of no answer (natural logarithm of
    its probability over that of the best answer).
    """
    answers: dict[str, str] = {}
    n_best: dict[str, list[dict[str, str | float]]] = {}
    odds: dict[str, float] = {}
    lost: Counter[str] = Counter()
    with new_folder(target) as folder:
        for document in documents:
            lost += not_held(document, "questions", "coverages", "scores") + Counter({"spans": len(document.spans)})
            told = tell(document, answers)
            del told["lists of n-best answers"]
            lost += told
            for question in document.questions:
                n_best.setdefault(question.id, _listed(question, document.text))
                best = max((span.score or 0.0 for span in question.n_best), default=0.0)
                doubt = math.log(max(question.no_answer or 0.0, _LEAST)) - math.log(max(best, _LEAST))
                odds.setdefault(question.id, doubt)
        if all(answers.values()):  # as of SQuAD 1.1, in whose lists the reference scripts have no empty text
            n_best = {id: [row for row in rows if row["text"]] for id, rows in n_best.items()}
        for name, content in ((PREDICTIONS, answers), (N_BEST, n_best), (NULL_ODDS, odds)):
            write_text(folder / name, strict_json.dump(content).decode() + "\n")
    return +lost


def _listed(question: Question, text: str) -> list[dict[str, str | float]]:
    """The n-best, "no answer" among them as an empty text, the most probable first."""
    rows = [(text[span.start : span.end], span.score or 0.0) for span in question.n_best]
    if question.no_answer is not None:
        rows.append(("", question.no_answer))
    rows.sort(key=lambda row: -row[1])
    return [{"text": said, "probability": score} for said, score in rows]
