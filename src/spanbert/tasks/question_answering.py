"""Extractive question answering: the spans of a document that answer a question about it, or that none does.

A window reads `[CLS] question [SEP] a stretch of the document [SEP]`. The head (`heads/answers.py`) tells each pair of
pieces by its odds against the window's first position, which stands for "no answer here"; `decoding/answers.py` makes
one distribution of them over all windows of the document. Under the policy arg-max a question has one answer or none;
under flat it may have several, which do not overlap. A bundle of this task is a stock question-answering checkpoint
too, and such checkpoints are read.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..decoding.answers import FARTHEST, NBest, one_answer, several_answers
from ..documents import ANSWER, Answers, Candidate, Decoded, Document, Judged, Question, Span
from ..errors import SpanbertWarning, UsageError, check_among, check_whole
from ..metrics.answers import normalized
from ..metrics.questions import accepted, answer_report, scored_questions
from ..metrics.report import Report
from ..targets import AnswerTargets
from ..tokenization import IntArray, Pieces, Tokenizer
from ..windows import Table, Window, cut
from . import gold
from .gold import ARG_MAX
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head

POLICIES = (ARG_MAX, "flat")
SCORERS = ("ends", "pairs")
SHORTEST = 30
"""Pieces that an answer may have at least, whatever the training data."""
NARROWEST = 9
"""Positions of a window, so that question and text both have room."""


@dataclass(frozen=True, kw_only=True)
class AnswerSettings(Settings):
    """Settings of question answering."""

    labels: tuple[str, ...] = (ANSWER,)
    """Always answer."""
    policy: str = ARG_MAX
    """How many answers a question may have: arg-max (one or none) or flat (several that do not overlap)."""
    scorer: str = "ends"
    """What scores a pair of pieces: ends (a start and an end) or pairs (the span scorer)."""
    longest_question: int = 64
    """Pieces of a question that are read, at most half a window; the rest is cut off, with a warning."""
    longest_answer: int | None = None
    """Pieces that an answer may have; none given: those of the longest training answer, but no fewer than 30."""
    n_best: int = 20
    """Answers that are told of each question, the improbable ones included."""
    null_windows: int | None = 2
    """Windows without an answer that are drawn of each question in an epoch; 0: all are read. With the scorer ends what
    is learnt is as probable as if all were read."""
    unanswerable: bool | None = None
    """Whether a question may have no answer; none given: whether one of the training data has none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("policy", POLICIES), ("scorer", SCORERS)):
            check_among(name, getattr(self, name), choices, where="for questions")
        if self.window < NARROWEST:
            raise UsageError(f"window = {self.window} for questions", f"at least {NARROWEST}", "leave it out")
        if self.labels != (ANSWER,):
            raise UsageError(f"labels {', '.join(self.labels)} for questions", ANSWER, "leave the labels out")
        least = {"longest_question": 1, "longest_answer": 1, "n_best": 1, "null_windows": 0}
        for name, lowest in least.items():
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), lowest)


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: AnswerSettings
    tokenizer: Tokenizer
    tells: ClassVar[tuple[str, ...]] = ("questions",)
    adopts = "QuestionAnswering"
    pipeline = "question-answering"
    example = 'question = model.answer("When does it end?", "Text of any length.")'
    command = 'ask --model {model} --document FILE "QUESTION"'

    @classmethod
    def adopted(cls, config: Mapping[str, object]) -> AnswerSettings:  # noqa: ARG003 - it says nothing of questions
        """Settings of a stock checkpoint."""
        return AnswerSettings()

    @property
    def stock(self) -> str | None:
        """None has a span scorer."""
        return self.adopts if self.settings.scorer == "ends" else None

    @property
    def threshold(self) -> float:
        """What is more likely right than not; where every question has an answer, the best one however improbable."""
        return 0.5 if self.settings.unanswerable or self.settings.policy != ARG_MAX else 0.0

    @property
    def selection(self) -> str:
        """Of one answer the official F1 at its best threshold; of several the area under precision and recall, as most
        questions have none, so that always saying nothing would look good.
        """
        return "squad_v2/best_f1" if self.settings.policy == ARG_MAX else "cuad/aupr"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Start and end, or pairs."""
        return ("start", "end") if self.settings.scorer == "ends" else ("pair",)

    @property
    def longest_answer(self) -> int:
        """Pieces."""
        return self.settings.longest_answer or SHORTEST

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:
        """The longest answer, windows that share it and some context, and whether a question may have none."""
        s = gold.adapted(self.settings, documents, longest_span)
        silent = any(question.answers == () and not question.texts for d in documents for question in d.questions)
        return replace(
            self,
            settings=replace(
                s,
                longest_answer=s.longest_answer or max(SHORTEST, min(longest_span, s.window)),
                unanswerable=silent if s.unanswerable is None else s.unanswerable,
            ),
        )

    def annotations(self, document: Document) -> tuple[Span, ...]:
        """The answers to all questions."""
        return tuple(
            replace(answer, label=ANSWER) for question in document.questions for answer in question.answers or ()
        )

    def visible(self, document: Document) -> Document:
        """The text and the questions."""
        asked = tuple(Question(question.id, question.text) for question in document.questions)
        return Document(document.id, document.text, questions=asked)

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """A window each, for every question that was answered or said to have no answer (predicting: for every one)."""
        ids = [found.ids for found in self.tokenizer.pieces([question.text for question in document.questions])]
        for unit, (question, asked) in enumerate(zip(document.questions, ids, strict=True)):
            if len(asked) > self._room:
                warnings.warn(  # the same words each time, so that a file of long questions tells it once
                    f"of questions longer than {self._room} pieces the first {self._room} are read",
                    SpanbertWarning,
                    stacklevel=2,
                )
            if draw is None:
                yield from (Example((window,), None) for window in self._windows(pieces, asked, unit))
            elif question.answers or (question.answers == () and not question.texts):
                windows = self._windows(pieces, asked, unit)
                yield from self._taught(windows, _runs(question, pieces), draw)

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """Answers with a border inside a piece, too long, or whole in no window beside their question."""
        found: list[tuple[Span, str]] = []
        ids = [asked.ids for asked in self.tokenizer.pieces([question.text for question in document.questions])]
        for question, asked in zip(document.questions, ids, strict=True):
            windows = self._windows(pieces, asked, 0) if question.answers else []
            for answer in question.answers or ():
                reason = self._reason(answer, pieces, windows)
                found += [(replace(answer, label=ANSWER), reason)] * bool(reason)
        return tuple(dict.fromkeys(found))

    def head(self, encoder: Encoder) -> Head:
        """Starts and ends, or the span scorer."""
        several = self.settings.policy != ARG_MAX
        if self.settings.scorer == "pairs":
            from ..heads.answer_pairs import AnswerPairs

            return AnswerPairs(encoder.width, self.longest_answer, several=several)
        from ..heads.answers import AnswerHead

        return AnswerHead(encoder.width, self.longest_answer, several=several)

    def candidates(self, document: Document, pieces: Pieces, table: Table) -> tuple[Candidate, ...]:
        """The n-best of all questions."""
        return tuple(each for answers in self.decode(document, pieces, table).answers for each in answers.candidates)

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:
        """For each question its n-best, and the log-odds that it has no answer."""
        units = table["unit"] if table else np.zeros(0, dtype=np.int64)
        found = []
        for unit in range(len(document.questions)):
            rows = {name: column[units == unit] for name, column in table.items()}
            found.append(self._answers(document, pieces, rows))
        return Decoded(answers=tuple(found))

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """An answer is right where it says what one of the gold answers does, as the official scorers compare them."""
        logits, right, silence, quiet, gold_answers = [], [], [], [], 0
        several = self.settings.policy != ARG_MAX
        for question, answers in zip(document.questions, decoded.answers, strict=True):
            if not question.judged:
                continue
            right_texts = {normalized(text) for text in accepted(document.text, question)}
            gold_answers += len(set(question.answers or ())) if several else bool(right_texts)
            for candidate in answers.candidates[: answers.most]:
                logits.append(candidate.logit)
                right.append(normalized(document.text[candidate.start : candidate.end]) in right_texts)
                if not several:
                    silence.append(not right_texts)
                    quiet.append(answers.quiet)
        labels, gold = (ANSWER,) * len(logits), Counter({ANSWER: gold_answers})
        return Judged(labels, tuple(logits), tuple(right), gold, tuple(silence), tuple(quiet))

    def scored(
        self, gold: Sequence[Document], predicted: Sequence[Document]
    ) -> tuple[Sequence[Document], Sequence[Document]]:
        """Documents with a question of which gold says something."""
        return scored_questions(gold, predicted)

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """The official scores."""
        return answer_report(gold, predicted, policy=self.settings.policy)

    @property
    def _room(self) -> int:
        """Pieces of a question that are read."""
        return min(self.settings.longest_question, self.settings.window // 2)

    def _reason(self, answer: Span, pieces: Pieces, windows: Sequence[Window]) -> str:
        """Why an answer cannot be predicted exactly; nothing: it can."""
        run = pieces.covering(answer.start, answer.end)
        if run is None:
            return gold.NO_PIECE
        if not pieces.exact(answer.start, answer.end):
            return gold.INSIDE_PIECE
        if run[1] - run[0] >= self.longest_answer:
            return gold.TOO_LONG
        whole = any(_holds(window, np.array([run])) for window in windows)
        return "" if whole else gold.NO_WINDOW if windows else gold.NO_QUESTION

    def _windows(self, pieces: Pieces, question: IntArray, unit: int) -> list[Window]:
        """Of one question; one without any piece has none."""
        if not len(question):
            return []
        frame = self.tokenizer.asking(question[: self._room])
        overlap = self.settings.window // 2 if self.settings.overlap is None else self.settings.overlap
        return cut(pieces, self.settings.window, overlap, frame, unit)

    def _taught(self, windows: Sequence[Window], answers: IntArray, draw: np.random.Generator) -> Iterator[Example]:
        """Those with an answer, and some of those without; how many more of these there are is told to the loss."""
        holds = [_holds(window, answers) for window in windows]
        silent = [number for number, has in enumerate(holds) if not has]
        most = self.settings.null_windows or len(silent)
        kept = set(silent)
        if len(silent) > most:
            kept = set(draw.choice(silent, most, replace=False).tolist())
        targets = AnswerTargets(answers, len(silent) / len(kept) if kept else 1.0)
        for number, window in enumerate(windows):
            if holds[number] or number in kept:
                count = 1.0 if self.settings.scorer == "ends" else float((window.pieces >= 0).sum())
                yield Example((window,), targets, {"answers": count})

    def _answers(self, document: Document, pieces: Pieces, rows: Table) -> Answers:
        exclusive = self.settings.policy == ARG_MAX
        most = 1 if exclusive else self.settings.n_best
        if not rows or not len(rows["first"]):
            return Answers((), FARTHEST, most, exclusive)
        pairs = rows["first"] >= 0
        first, last, odds = (rows[name][pairs] for name in ("first", "last", "logit"))
        short = last - first < self.longest_answer
        first, last, odds = first[short], last[short], odds[short]
        mass = rows["logit"][~pairs] if not pairs.all() else odds
        starts, ends = pieces.starts[first], pieces.ends[last]
        chosen = self._chosen(document.text, starts, ends, odds, mass)
        columns = starts[chosen.indices], ends[chosen.indices], chosen.log_odds
        found = zip(*(column.tolist() for column in columns), strict=True)
        beaten = chosen.no_answer > max(chosen.log_odds, default=-np.inf)
        if self.settings.unanswerable is None and most == 1 and beaten:
            most = 0  # a foreign reader: nothing is known of its data, so "none" is one more candidate
        candidates = tuple(Candidate(a, b, ANSWER, z) for a, b, z in found)
        return Answers(candidates, chosen.no_answer, most, exclusive)

    def _chosen(self, text: str, starts: IntArray, ends: IntArray, odds: np.ndarray, mass: np.ndarray) -> NBest:
        if self.settings.policy != ARG_MAX:
            return several_answers(starts, ends, odds, mass, self.settings.n_best)
        said = [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        return one_answer(starts, ends, odds, mass, self.settings.n_best, said)


def _runs(question: Question, pieces: Pieces) -> IntArray:
    """A x 2: first and last piece of each answer; a border inside a piece is moved out to the piece's own."""
    runs = {run for answer in question.answers or () if (run := pieces.covering(answer.start, answer.end)) is not None}
    return np.array(sorted(runs), dtype=np.int64).reshape(-1, 2)


def _holds(window: Window, answers: IntArray) -> bool:
    """Whether an answer stands whole in the window."""
    low, high = window.bounds
    return bool(((answers[:, 0] >= low) & (answers[:, 1] <= high)).any())
