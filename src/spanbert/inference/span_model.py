"""The model as its users hold it."""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack, overload

import numpy as np
import torch

from .. import bundle as bundles
from ..calibration.decision import Decision
from ..calibration.requirements import NEVER
from ..decoding import POLICIES
from ..decoding.n_best import n_best_flat
from ..documents import Candidate, Document, Question, Span, check_text
from ..encoder.files import locate
from ..errors import UsageError, check_among, check_threshold, nearest
from ..models import BASE
from ..tasks import ANNOTATED, LEARNS_FROM_TEXT, settings_of, task_class
from ..tasks.gold import ARG_MAX
from ..tasks.task import Task
from .precision import DTYPES, choose_device, choose_dtype
from .predictor import Predictor, in_one_pass, read_chunk
from .torch_backend import TorchBackend


class Choices(TypedDict, total=False):
    """How predictions are chosen; see `SpanModel.predict`."""

    threshold: float | None
    policy: str | None
    operating_point: str | None
    given_spans: bool


class SpanSet(NamedTuple):
    """Spans that may stand together, `score` the share of all sets that hold the span; and the share of this set."""

    spans: tuple[Span, ...]
    probability: float


class SpanModel:
    """An encoder with a head for each of its tasks, on a device, ready to predict, to be trained and to be saved."""

    def __init__(self, bundle: bundles.Bundle, device: str = "auto", dtype: str = "auto") -> None:
        self.bundle = bundle
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)

    @classmethod
    def create(
        cls,
        base_model: str | Path = BASE,
        *,
        task: str | Sequence[str],
        labels: Sequence[str] = (),
        settings: Mapping[str, object] | None = None,
        seed: int = 0,
    ) -> SpanModel:
        """An untrained model on a pretrained encoder.

        base_model: a model folder, a model inside the package (`spanbert.models`), or the name of a hub model such as
        "SpanBERT/spanbert-base-cased".
        task: its name, or those of several that share the encoder; the first is the one that `evaluate` reports.
        labels: what to find; none given, training takes the labels of its data. Of several tasks, the first one's.
        settings: other settings, such as {"policy": "nested"}; each goes to the tasks that have it.
        seed: draws the new head.
        """
        if isinstance(labels, str):
            raise UsageError(f"labels {labels!r}", "a list of labels", f"write [{labels!r}]")
        names = [task] if isinstance(task, str) else list(task)
        chosen = settings_of(names, {**(settings or {}), **({"labels": tuple(labels)} if labels else {})})
        folder = locate(base_model)
        encoder, tokenizer = bundles.load_base(folder)
        tasks = {
            name: task_class(name)(replace(each, window=min(each.window, encoder.longest)), tokenizer)
            for name, each in chosen.items()
        }
        # a local path says nothing to others, and may say too much
        local = Path(base_model).expanduser().exists()
        facts = {"base_model": {"name": folder.resolve().name if local else str(base_model)}}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(bundles.Bundle.build(encoder, tokenizer, tasks, facts))

    def adding(
        self, task: str, *, labels: Sequence[str] = (), settings: Mapping[str, object] | None = None, seed: int = 0
    ) -> SpanModel:
        """This model with one task more, whose head is new; arguments as in `create`. Training it teaches all tasks.

        To leave the others as they are: train a model of that task alone over the same encoder, frozen, and `join` it.
        """
        known = self.bundle
        if isinstance(labels, str):
            raise UsageError(f"labels {labels!r}", "a list of labels", f"write [{labels!r}]")
        if task in known.tasks:
            raise UsageError(f"task {task}, which this model has", "another task", "train it anew, or leave it out")
        chosen = settings_of([task], {**(settings or {}), **({"labels": tuple(labels)} if labels else {})})[task]
        window = min(chosen.window, known.network.encoder.longest)
        made = task_class(task)(replace(chosen, window=window), known.tokenizer)
        network = copy.deepcopy(known.network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if made.ready:
                network.heads[task] = made.head(network.encoder)
        bundle = replace(
            known,
            network=network,
            tasks={**known.tasks, task: made},
            decisions={**known.decisions, task: Decision(made.threshold)},
        )
        return SpanModel(bundle, str(self.device), self.precision)

    def join(self, other: SpanModel) -> SpanModel:
        """This model with the tasks of another one over the same encoder; all say what they said, up to rounding.

        The facts are this model's; those of the other stand in them under `added`. Raises UsageError where the encoders
        differ, or both have the same task.
        """
        mine, theirs = self.bundle, other.bundle
        if both := set(mine.tasks) & set(theirs.tasks):
            raise UsageError(f"task {min(both)} in both models", "different tasks", "leave one out")
        states = [bundle.network.encoder.state_dict() for bundle in (mine, theirs)]
        if states[0].keys() != states[1].keys() or not all(
            torch.equal(tensor.cpu(), states[1][name].cpu()) for name, tensor in states[0].items()
        ):
            raise UsageError(
                "models over different encoders",
                "one whose encoder was frozen while the other's task was learnt",
                "train it over this model with freeze_encoder",
            )
        told = {key: theirs.facts.get(key, {}) for key in ("training", "report", "learnt")}
        network = copy.deepcopy(mine.network)
        network.heads.update(dict(copy.deepcopy(theirs.network).heads.items()))
        bundle = replace(
            mine,
            network=network,
            tasks={**mine.tasks, **theirs.tasks},
            decisions={**mine.decisions, **theirs.decisions},
            facts={**mine.facts, "added": {**mine.facts.get("added", {}), **dict.fromkeys(theirs.tasks, told)}},
        )
        return SpanModel(bundle, str(self.device), self.precision)

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "auto", dtype: str = "auto") -> SpanModel:
        """A trained model: "spanbert-ner", a folder of ours, or a stock checkpoint for tags or questions.

        device: auto, cpu or cuda. dtype: auto (bf16 where the processor computes it natively), float32, bfloat16.
        """
        return cls(bundles.read(locate(path)), device, dtype)

    def save_pretrained(self, path: str | Path, dtype: str = "float32") -> None:
        """Write the model folder. Files of an older model in it are replaced, others stay.

        dtype: of the weights in the file: float32, or bfloat16, which halves it and rounds to three digits.
        """
        check_among("dtype", dtype, DTYPES, "float32 keeps every digit")
        bundles.write(self.bundle, Path(path).expanduser(), DTYPES[dtype])

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of all tasks, in their order."""
        return tuple(dict.fromkeys(label for task in self.bundle.tasks.values() for label in task.settings.labels))

    @overload
    def predict(self, texts: str | Document, **choices: Unpack[Choices]) -> Document: ...  # type: ignore[overload-overlap]  # a str is a sequence of str to the checker
    @overload
    def predict(self, texts: Sequence[str | Document], **choices: Unpack[Choices]) -> list[Document]: ...
    def predict(
        self, texts: str | Document | Sequence[str | Document], **choices: Unpack[Choices]
    ) -> Document | list[Document]:
        """Documents with the predicted spans, for one text or a list of them; each may be of any length.

        threshold: least probability; None: the model's own. policy: flat, nested, overlapping or arg-max (the one best
        span, however improbable); None: as trained. operating_point: thresholds stored under this name. given_spans:
        take the spans that documents have as they are, and find what relates them.
        """
        if isinstance(texts, str | Document):
            return next(self.predict_stream([texts], **choices))
        return list(self.predict_stream(texts, **choices))

    @overload
    def answer(self, questions: str, text: str | Document, **choices: Unpack[Choices]) -> Question: ...  # type: ignore[overload-overlap]  # as above
    @overload
    def answer(self, questions: Sequence[str], text: str | Document, **choices: Unpack[Choices]) -> list[Question]: ...
    def answer(
        self, questions: str | Sequence[str], text: str | Document, **choices: Unpack[Choices]
    ) -> Question | list[Question]:
        """Questions about a text of any length: answers as spans of it, and how probable it is that it has none.

        `question.answers` are those that are probable enough, `question.n_best` all that were considered. The text is
        tokenised once for all questions, and read anew for each: to the encoder, a question changes every piece.
        choices: as in `predict`.
        """
        asked = (
            [questions] if isinstance(questions, str) else list(questions) if isinstance(questions, Sequence) else []
        )
        if (
            not asked
            or not all(isinstance(question, str) for question in asked)
            or not isinstance(text, str | Document)
        ):
            raise UsageError(
                f"questions {questions!r:.80} about a {type(text).__name__}",
                "one question or a list of them, and one text or Document",
                'write model.answer("Who?", text)',
            )
        for question in asked:
            check_text(question)
        listed = tuple(Question(f"question-{number}", question) for number, question in enumerate(asked))
        document = Document("text", text) if isinstance(text, str) else text
        found = list(self.predict(replace(document, questions=listed), **choices).questions)
        if any(question.no_answer is None for question in found):
            raise UsageError("a model that answers no questions", "one trained for them", "see docs/questions.md")
        return found[0] if isinstance(questions, str) else found

    def predict_stream(self, texts: Iterable[str | Document], **choices: Unpack[Choices]) -> Iterator[Document]:
        """Like `predict`, for any number of texts in constant memory, in their order."""
        return self.predictor(**choices)(_documents(texts, self.lacking(Document("text", "text"))))

    @property
    def asks(self) -> bool:
        """Whether all it does is to answer questions."""
        return all(task.tells == ("questions",) for task in self.bundle.tasks.values())

    def lacking(self, document: Document) -> UsageError | None:
        """Why there is nothing in the document that this model could work on; None where there is."""
        if self.asks and not document.questions:
            return UsageError(
                "no question in the documents",
                "documents with questions: SQuAD files, MRQA files, or JSON lines with `questions`",
                'to ask about one text: spanbert ask --model DIR --document FILE "QUESTION"',
            )
        if all(task.reads_spans for task in self.bundle.tasks.values()) and not document.spans:
            return UsageError(
                "no spans in the documents",
                "documents with spans: this model finds relations between them",
                "give annotated documents, or train a model that finds spans as well",
            )
        return None

    @property
    def precision(self) -> str:
        """What it computes in: float32 or bfloat16."""
        return str(self.dtype).removeprefix("torch.")

    def predictor(
        self,
        *,
        threshold: float | None = None,
        policy: str | None = None,
        operating_point: str | None = None,
        given_spans: bool = False,
    ) -> Predictor:
        """Everything that turns documents into predictions, under these choices (see `predict`)."""
        points = self.bundle.operating_points
        if operating_point is not None and (operating_point not in points or threshold is not None):
            raise UsageError(
                f"the operating point {operating_point!r}" + (" and a threshold" if threshold is not None else ""),
                f"one of {', '.join(points)}" if points else "no operating point, as this model has none",
                nearest(operating_point, points, "spanbert calibrate --require makes one"),
            )
        if threshold is not None:
            check_threshold(threshold)
        if operating_point is not None and policy is not None:
            raise UsageError(
                f"the operating point {operating_point!r} under the policy {policy}",
                "the policy that its thresholds were found under: the model's own",
                "leave out the policy, or give a threshold instead",
            )
        tasks = self._tasks(policy)
        alone: Sequence[str] = ()
        if given_spans:
            if not any("relations" in task.tells for task in tasks.values()):
                raise UsageError("given spans", "a model that relates spans", "leave it out: this model finds its own")
            alone = in_one_pass(tasks)  # whose other curves and thresholds are about what is found together
            if alone and operating_point is not None:
                raise UsageError(
                    f"the operating point {operating_point!r} with given spans",
                    "spans that the model finds, as where its thresholds were found",
                    "give a threshold instead, or leave out the spans",
                )
        promised = points[operating_point].thresholds if operating_point is not None else None
        decisions = {}
        for name, task in tasks.items():
            own = self.bundle.decisions[name]
            if task != self.bundle.tasks[name]:  # whose threshold was found under another policy
                own = replace(own, threshold=task.threshold)
            if name in alone:
                own = replace(own, given=own.given or Decision(task.threshold))
            # of a task without a promise nothing is told under an operating point
            least = NEVER if promised is not None and name not in promised else threshold
            decisions[name] = own if least is None else own.at(least)
        return Predictor(self.bundle.tokenizer, tasks, self.backend, decisions, promised or {}, given_spans)

    def span_scores(self, text: str, top: int = 20) -> list[Span]:
        """The `top` most probable pairs of start and end with their labels, before decoding: they may overlap."""
        document = Document("text", text)
        floors = dict.fromkeys(self.bundle.tasks, -math.inf)
        reading = read_chunk([document], self.bundle.tokenizer, self._tasks(None), self.backend, floors)[0]
        spans = []
        for name, task in self.bundle.tasks.items():
            best = heapq.nlargest(
                top, task.candidates(document, reading.pieces, reading.tables[name]), key=lambda c: (c.logit, -c.start)
            )
            scores = self.bundle.decisions[name].calibration.probabilities(
                [candidate.logit for candidate in best], [candidate.label for candidate in best]
            )
            spans += [Span(c.start, c.end, c.label, score) for c, score in zip(best, scores.tolist(), strict=True)]
        return spans[:top] if len(self.bundle.tasks) == 1 else sorted(spans, key=lambda s: -(s.score or 0.0))[:top]

    def span_sets(self, text: str, top: int = 5) -> list[SpanSet]:
        """The `top` most probable sets of flat spans, each with its share among all flat sets of the candidates.

        For models that score every span (span classification) under the policy flat; others raise UsageError. A set
        weighs as much as the product of its members' calibrated odds, so limits on labels are left aside.
        """
        document = Document("text", text)
        floors = {name: task.floor for name, task in self.bundle.tasks.items()}
        reading = read_chunk([document], self.bundle.tokenizer, self._tasks(None), self.backend, floors)[0]
        found, odds = list[Candidate](), list[float]()
        for name, task in self.bundle.tasks.items():
            policy = getattr(task.settings, "policy", "")
            if "spans" not in task.tells and len(self.bundle.tasks) > 1:
                continue
            if not task.weighs_sets or policy != "flat":
                raise UsageError(
                    f"sets of spans of a {name} model" + (f" with policy {policy}" if policy else ""),
                    "a model that scores every span, with policy flat",
                    "predict gives the best spans of any model",
                )
            candidates = task.candidates(document, reading.pieces, reading.tables[name])
            p = self.bundle.decisions[name].calibration.probabilities(
                [each.logit for each in candidates], [each.label for each in candidates]
            )
            found += candidates
            odds += (np.log(np.maximum(p, 1e-12)) - np.log(np.maximum(1 - p, 1e-12))).tolist()
        places = np.array([(each.start, each.end) for each in found], dtype=np.int64).reshape(-1, 2)
        labels = [each.label for each in found]
        numbers = np.unique(labels, return_inverse=True)[1] if labels else np.zeros(0, dtype=np.int64)
        best = n_best_flat(places[:, 0], places[:, 1], numbers, np.array(odds, dtype=np.float64), top)
        return [
            SpanSet(
                tuple(
                    Span(found[k].start, found[k].end, found[k].label, float(best.marginals[k]))
                    for k in sorted(each.indices, key=lambda k: found[k].start)
                ),
                each.probability,
            )
            for each in best.sets
        ]

    @cached_property
    def backend(self) -> TorchBackend:
        """The runtime, made at the first prediction."""
        return TorchBackend(self.bundle.network, self.device, self.dtype)

    def _tasks(self, policy: str | None) -> Mapping[str, Task]:
        """The tasks under another policy; refuses a model that has nothing to find yet."""
        for name, task in self.bundle.tasks.items():
            if name in LEARNS_FROM_TEXT:
                remedy = f'make one of it: SpanModel.create(FOLDER, task="{ANNOTATED[0]}"), then train'
                raise UsageError("an encoder, which finds nothing by itself", "a trained model", remedy)
            if not task.settings.labels:
                remedy = "train it, or create it with labels"
                raise UsageError(f"the {name} of this model has no labels yet", "a trained model", remedy)
        if policy is None:
            return self.bundle.tasks
        check_among("policy", policy, (*POLICIES, ARG_MAX))
        chosen: dict[str, Task] = dict(self.bundle.tasks)
        for name, task in self.bundle.tasks.items():
            if hasattr(task.settings, "policy"):  # pairs and clusters have none
                chosen[name] = replace(task, settings=replace(task.settings, policy=policy))  # type: ignore[type-var, call-arg]
        return chosen


def _documents(texts: Iterable[str | Document], lacking: UsageError | None) -> Iterator[Document]:
    """lacking: what a bare text is refused with; None: it will do."""
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        raise UsageError(
            "one text" if isinstance(texts, str) else f"a {type(texts).__name__}",
            "a text, a Document, or a list or stream of these",
            "use predict for one, or put it into a list; Document(id, text) makes one",
        )
    for number, text in enumerate(texts):
        if not isinstance(text, str | Document):
            raise UsageError(f"a {type(text).__name__} to predict on", "text or a Document", "convert it first")
        if isinstance(text, str) and lacking is not None:
            raise lacking
        yield Document(f"text-{number}", text) if isinstance(text, str) else text
