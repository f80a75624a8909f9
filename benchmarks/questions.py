"""Question answering against the usual recipe on `transformers` (`stock_questions.py`): scores and speed.

    python -m benchmarks.questions run [SET ...]       # train and answer the test part; what is there is not run again
    python -m benchmarks.questions report              # the tables of benchmarks/README.md
    python -m benchmarks.questions speed [--rounds 5] [--kinds decoding]   # training, answering and decoding, in turn

Same encoder (that of `make demo`), epochs, positions a step, warm-up and decay; precision bf16 on both sides where the
processor computes it natively. SQuAD 1.1: training and held-out paragraphs from articles of its training part, test
from its development part. SQuAD 2.0 has no training part here: its articles are split, and what they lack for
`v2-12288` comes from the training part of SQuAD 1.1. A set is named after its number of training questions.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks import packed_json
from benchmarks.datasets import DATA
from benchmarks.duel import DEVICE, ROUNDS, dtypes, duel, keep, machine, ratio
from encoder import minilm
from spanbert import Document, SpanModel, TrainConfig, read_documents, train
from spanbert.calibration.curve import Calibration
from spanbert.calibration.fitting import Outcomes, fit
from spanbert.calibration.requirements import best_threshold
from spanbert.metrics.answers import score_squad_v1, score_squad_v2
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.probabilities import corrected_ece, ece

RESULTS = Path(__file__).resolve().parent / "results" / "questions"
SETS = {
    "v1-1024": (1024, 5),
    "v2-1024": (1024, 5),
    "v1-128": (128, 20),
    "v2-12288": (12_288, 3),
    "v1-16384": (16_384, 2),
}
"""Training questions and epochs."""
HELD_OUT, TEST, MAX_TOKENS = 400, 1500, 2048
LEAST = 1e-7
"""A probability that is told apart from none."""
SPEED_DOCUMENTS = 100
SYSTEMS = ("stock", "ends", "pairs", "shipped")
"""`shipped`: starts and ends over the encoder that the package brings along."""
CHOOSING = ("stock", "ends")
"""Those that choose a rate for themselves."""
KINDS = {
    "decoding": (("decode_ours", "decode_loops"), "windows_per_second"),
    "answering": (("answer_ours", "answer_padded"), "questions_per_second"),
    "training": (("train_ours", "train_stock_same", "train_stock_8"), "pieces_per_second"),
}
RATES, SEEDS, CHOSEN_ON = (5e-5, 1e-4, 2e-4), 3, "v1-1024"


@dataclass(frozen=True)
class Run:
    """One training and its answers to the test questions."""

    set: str
    system: str
    rate: float
    seed: int

    @property
    def path(self) -> Path:
        return RESULTS / f"{self.set}-{self.system}-{self.rate:g}-{self.seed}.json.gz"

    def read(self) -> dict[str, Any]:
        record: dict[str, Any] = packed_json.read(self.path)
        return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report", "speed"))
    parser.add_argument("sets", nargs="*", metavar="SET", help="all, unless named")
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=["stock", "ends"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="of speed")
    parser.add_argument("--dtype", help="only this one of the precisions that the machine computes natively")
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    options = parser.parse_args()
    sets = options.sets or list(SETS)
    if options.verb == "speed":
        speed(options.rounds, options.dtype, options.kinds)
    elif options.verb == "report":
        report(sets, options.systems)
    else:
        for run in runs(sets, options.systems):
            if not run.path.exists():
                execute(run)


def runs(sets: Sequence[str], systems: Sequence[str]) -> Iterator[Run]:
    """The rates first, then seed by seed, so that an unfinished table has all sets."""
    for rate in RATES:
        for system in systems:
            if system in CHOOSING:
                yield Run(CHOSEN_ON, system, rate, 0)
    for seed in range(SEEDS):
        for name in sets:
            for system in systems:
                yield Run(name, system, chosen_rate(system), seed)


def chosen_rate(system: str) -> float:
    """The one with the best F1 on held-out questions; for `shipped`, whose head it has, and `pairs` that of `ends`."""
    chosen_with = system if system in CHOOSING else "ends"
    return max(RATES, key=lambda rate: Run(CHOSEN_ON, chosen_with, rate, 0).read()["dev_f1"])


def parts_of(name: str) -> dict[str, list[Document]]:
    """Articles in the order of their hash: the first are held out, the next are for training."""
    wanted = SETS[name][0]
    first = by_article(DATA / "squad_v1.1" / "train-v1.1.json.gz")
    if name.startswith("v2"):
        second = by_article(DATA / "squad_v2.0" / "dev-v2.0.shared23.json.gz")
        train = some(second[8:], wanted)
        train += some(first[40:], wanted - sum(len(document.questions) for document in train))
        return {"dev": some(second[:3], HELD_OUT), "test": some(second[3:8], TEST), "train": train}
    return {
        "dev": some(first[:40], HELD_OUT),
        "train": some(first[40:], wanted),
        "test": some(by_article(DATA / "squad_v1.1" / "dev-v1.1.shared36.json.gz"), TEST),
    }


def by_article(path: Path) -> list[list[Document]]:
    articles: dict[str, list[Document]] = {}
    for document in read_documents(path):
        articles.setdefault(str(document.meta["title"]), []).append(document)
    return [articles[title] for title in sorted(articles, key=_hash)]


def some(articles: Sequence[Sequence[Document]], questions: int) -> list[Document]:
    """Paragraphs of all articles in the order of their hash, up to so many questions."""
    chosen: list[Document] = []
    for document in sorted((d for article in articles for d in article), key=lambda d: _hash(d.text)):
        if questions <= 0:
            break
        chosen.append(document)
        questions -= len(document.questions)
    return chosen


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def execute(run: Run) -> None:
    start = time.perf_counter()
    parts = parts_of(run.set)
    # the held-out questions choose the rate, so both parts are answered, those of dev under ids of their own
    parts["both"] = [*parts["dev"], *parts["test"]]
    answered = stock(run, parts) if run.system == "stock" else own(run, parts)
    dev = [question.id for document in parts["dev"] for question in document.questions]
    record = {
        **{name: getattr(run, name) for name in ("set", "system", "rate", "seed")},
        "epochs": SETS[run.set][1],
        "questions": sum(len(document.questions) for document in parts["train"]),
        "dev_f1": scores(parts["dev"], {id: answered[id] for id in dev})["f1"],
        "seconds": round(time.perf_counter() - start),
        "answers": answered,
    }
    packed_json.write(run.path, record)
    test = scores(parts["test"], answered)
    print(f"{run.path.stem}: dev F1 {record['dev_f1']:.2f}, test {test}, {record['seconds']} s", flush=True)


def stock(run: Run, parts: dict[str, list[Document]]) -> dict[str, Any]:
    import torch

    from benchmarks.stock_questions import train_and_predict
    from spanbert.inference.precision import choose_dtype

    found = train_and_predict(
        minilm(),
        {"train": parts["train"], "dev": parts["dev"], "test": parts["both"]},
        rate=run.rate,
        epochs=SETS[run.set][1],
        max_tokens=MAX_TOKENS,
        seed=run.seed,
        bf16=choose_dtype("auto", torch.device(DEVICE)) == torch.bfloat16,
    )
    return {id: {**told._asdict(), "doubt": min(told.doubt, 1e6)} for id, told in found.items()}


def own(run: Run, parts: dict[str, list[Document]]) -> dict[str, Any]:
    epochs = SETS[run.set][1]
    encoder, scorer = ([], "ends") if run.system == "shipped" else ([minilm()], run.system)
    model = SpanModel.create(*encoder, task="question-answering", settings={"scorer": scorer}, seed=run.seed)
    config = TrainConfig(
        epochs=epochs, patience=epochs, learning_rate=run.rate, max_tokens=MAX_TOKENS, seed=run.seed, device=DEVICE
    )
    trained = train(model, parts["train"], parts["dev"], config)
    threshold = trained.bundle.decisions["question-answering"].threshold
    found = {}
    for document in trained.predict(parts["both"]):
        for question in document.questions:
            best = question.n_best[0] if question.n_best else None
            score = 0.0 if best is None or best.score is None else best.score
            text = "" if best is None else document.text[best.start : best.end]
            found[question.id] = {"text": text, "doubt": threshold - score, "score": score, "none": question.no_answer}
    return found


def scores(documents: Sequence[Document], answered: dict[str, Any]) -> dict[str, float]:
    """Official ones, in percent; of SQuAD 2.0 an answer is given where the doubt is not above 0."""
    gold = gold_of(documents)
    if all(answers for _, answers in gold):
        v1 = score_squad_v1(gold, {id: row["text"] for id, row in answered.items()})
        return {"exact": round(v1.exact, 2), "f1": round(v1.f1, 2)}
    said = {id: row["text"] if row["doubt"] <= 0 else "" for id, row in answered.items()}
    v2 = score_squad_v2(gold, said)
    best = score_squad_v2(
        gold, {id: row["text"] for id, row in answered.items()}, {id: row["doubt"] for id, row in answered.items()}
    )
    assert v2.on_unanswerable is not None and v2.on_answerable is not None and best.best_f1 is not None
    return {
        "exact": round(v2.overall.exact, 2),
        "f1": round(v2.overall.f1, 2),
        "answerable_f1": round(v2.on_answerable.f1, 2),
        "no_answer_f1": round(v2.on_unanswerable.f1, 2),
        "best_f1": round(best.best_f1.score, 2),
    }


def gold_of(documents: Sequence[Document]) -> list[tuple[str, list[str]]]:
    return [
        (question.id, [document.text[a.start : a.end] for a in question.answers or ()])
        for document in documents
        for question in document.questions
    ]


def report(sets: Sequence[str], systems: Sequence[str]) -> None:
    """Means over seeds, and the paired intervals of the differences from the recipe (95 %) by drawing paragraphs."""
    print(
        "| set | questions | system | seeds | exact | F1 | no-answer F1 | best F1 | exact, less recipe's | F1, less |"
    )
    print("|---|--:|---|--:|--:|--:|--:|--:|:-:|:-:|")
    for name in sets:
        parts = parts_of(name)
        test = parts["test"]
        points: dict[str, list[np.ndarray]] = {}
        for system in systems:
            done = [run for seed in range(SEEDS) if (run := Run(name, system, chosen_rate(system), seed)).path.exists()]
            if not done:
                continue
            records = [run.read() for run in done]
            answered = [record["answers"] if system == "stock" else fitted(parts, record) for record in records]
            each = [scores(test, one) for one in answered]
            points[system] = [by_document(test, one) for one in answered]
            cells = [
                f"{np.mean([row[key] for row in each]):.1f}" if key in each[0] else ""
                for key in ("exact", "f1", "no_answer_f1", "best_f1")
            ]
            print(f"| {name} | {records[0]['questions']:,} | {system} | {len(done)} | " + " | ".join(cells), end=" | ")
            print(" | ".join(difference(points, system, column) if system != "stock" else "" for column in (0, 1)), "|")
    print()
    calibration(sets)


def fitted(parts: dict[str, list[Document]], record: dict[str, Any]) -> dict[str, Any]:
    """Our answers with curve and threshold fitted on the held-out ones, as at the end of training: each record follows
    the calibration as it is now.
    """
    held = outcomes_of(parts["dev"], record["answers"])
    curve = fit(held).calibration
    threshold = best_threshold(held, held.probabilities(curve))
    return retold(parts["test"], record["answers"], curve, threshold)


def retold(
    documents: Sequence[Document], answered: dict[str, Any], curve: Calibration, threshold: float = 0.0
) -> dict[str, Any]:
    told = outcomes_of(documents, answered).probabilities(curve).tolist()
    ids = [question.id for document in documents for question in document.questions]
    return {id: {**answered[id], "score": p, "doubt": threshold - p} for id, p in zip(ids, told, strict=True)}


def outcomes_of(documents: Sequence[Document], answered: dict[str, Any]) -> Outcomes:
    """With the log-odds of the record: the raw ones through its own curve, so exact where that was a straight line of
    one logit, and clipped at LEAST.
    """
    gold = gold_of(documents)
    score, none = (np.array([answered[id][name] for id, _ in gold]) for name in ("score", "none"))
    silence = np.array([not answers for _, answers in gold])
    of = np.repeat(np.arange(len(documents)), [len(document.questions) for document in documents])
    return Outcomes(
        logits=log_odds(score),
        right=exact(gold, answered),
        labels=("answer",) * len(gold),
        documents=of,
        gold={"answer": np.bincount(of[~silence], minlength=len(documents))},
        silence=silence,
        quiet=log_odds(none / np.maximum(1.0 - score, LEAST)),
    )


def log_odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, LEAST, 1.0 - LEAST)
    return np.asarray(np.log(p / (1.0 - p)))


def exact(gold: Sequence[tuple[str, list[str]]], answered: dict[str, Any]) -> np.ndarray:
    """Whether each best answer is exactly one of the gold ones."""
    return np.asarray(score_squad_v2(gold, {id: answered[id]["text"] or "?" for id, _ in gold}).raw.points[:, 0] > 0)


def by_document(documents: Sequence[Document], answered: dict[str, Any]) -> np.ndarray:
    """[documents, 3]: sums of exact and F1, and number of questions."""
    rows = []
    for document in documents:
        gold = gold_of([document])
        said = {
            id: answered[id]["text"] if all(a for _, a in gold) or answered[id]["doubt"] <= 0 else "" for id, _ in gold
        }
        rows.append([*score_squad_v2(gold, said).overall.points[:, :2].sum(0), len(gold)] if gold else [0.0] * 3)
    return np.array(rows)


def difference(points: dict[str, list[np.ndarray]], system: str, column: int) -> str:
    """Of exact (0) or F1 (1)."""
    seeds = min(len(points.get("stock", [])), len(points[system]))
    if not seeds:
        return "-"
    both = np.stack([np.mean(points[name][:seeds], axis=0) for name in (system, "stock")], axis=1)  # D x 2 x 3
    drawn = resample(both)
    drawn, total = (100 * sums[..., column] / sums[..., 2] for sums in (drawn, both.sum(0)))
    low, high = bounds(drawn[:, 0] - drawn[:, 1])
    middle = total[0] - total[1]
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


def calibration(sets: Sequence[str]) -> None:
    """Of the best answer's probability on the test part, exact match being right: fitted on the held-out questions, and
    on those of one half of the articles of the test part for the other.
    """
    print("| set | fitted on | answers | ECE | ECE less chance |\n|---|---|--:|--:|--:|")
    for name in sets:
        parts = parts_of(name)
        titles = sorted({str(document.meta["title"]) for document in parts["test"]}, key=_hash)
        halves = [[d for d in parts["test"] if titles.index(str(d.meta["title"])) % 2 == half] for half in (0, 1)]
        fits = (
            ("held-out part", parts["dev"], parts["test"]),
            *(("other half", halves[1 - k], halves[k]) for k in (0, 1)),
        )
        told: dict[str, list[np.ndarray]] = {source: [] for source, _, _ in fits}
        right: dict[str, list[np.ndarray]] = {source: [] for source in told}
        for seed in range(SEEDS):
            run = Run(name, "ends", chosen_rate("ends"), seed)
            if not run.path.exists():
                continue
            answered = run.read()["answers"]
            for source, held, test in fits:
                found = outcomes_of(test, answered)
                told[source].append(found.probabilities(fit(outcomes_of(held, answered)).calibration))
                right[source].append(found.right)
        for source in told if right["held-out part"] else ():
            p, r = np.concatenate(told[source]), np.concatenate(right[source])
            print(f"| {name} | {source} | {len(p):,} | {ece(p, r):.3f} | {corrected_ece(p, r):.3f} |")
        raw(name, parts["test"])


def raw(name: str, test: Sequence[Document]) -> None:
    """The recipe's own: the softmax over its n-best list, of the runs that kept it."""
    kept, gold = [], gold_of(test)
    for seed in range(SEEDS):
        run = Run(name, "stock", chosen_rate("stock"), seed)
        if run.path.exists() and "score" in (answered := run.read()["answers"])[gold[0][0]]:
            kept.append(([answered[id]["score"] for id, _ in gold], exact(gold, answered)))
    if kept:
        p, r = map(np.concatenate, zip(*kept, strict=True))
        print(f"| {name} | the recipe, nothing | {len(p):,} | {ece(p, r):.3f} | {corrected_ece(p, r):.3f} |")


def speed(rounds: int, only: str | None, kinds: Sequence[str]) -> None:
    facts = machine()
    chosen = [dtype for dtype in dtypes(facts) if only in (None, dtype)]
    for dtype in chosen:
        for kind in kinds:
            names, unit = KINDS[kind]
            if kind == "decoding" and dtype != chosen[0]:  # it computes in its own precision, whatever the encoder does
                continue
            listed = [*names, *(["train_stock_8_fp32"] if kind == "training" and dtype != "float32" else [])]
            listed += ["answer_padded_fp32"] if kind == "answering" and dtype != "float32" else []
            found = duel("benchmarks.questions", listed, {"dtype": dtype}, rounds)
            rows = {
                name: {unit: round(result.made / result.median), "ours_is_faster": ratio(result, found[names[0]])}
                for name, result in found.items()
            }
            for name, row in rows.items():
                print(f"{dtype} {kind} {name:20} {row}", flush=True)
            keep("questions", {"kind": kind, "dtype": dtype, "rows": rows, **facts})


# The contestants; see `duel.py`. Each round makes a number of pieces, questions or windows.


def speed_documents() -> list[Document]:
    return parts_of("v1-1024")["train"][:SPEED_DOCUMENTS]


def train_ours(dtype: str) -> Iterator[Any]:
    listed = speed_documents()
    pieces = pieces_of(listed)
    model = SpanModel.create(minilm(), task="question-answering")
    config = TrainConfig(epochs=1, max_tokens=MAX_TOKENS, dtype=dtype, device=DEVICE)
    made: Any = None
    while True:
        yield made
        train(model, listed, listed[:1], config)
        made = pieces


def pieces_of(documents: Sequence[Document]) -> int:
    """Positions of all windows of question and context."""
    from transformers import AutoTokenizer

    from benchmarks.stock_questions import Windows, asked

    tokenizer = AutoTokenizer.from_pretrained(minilm())
    return sum(len(row["input_ids"]) for row in Windows(asked(documents), tokenizer, 384).rows)


def train_stock(dtype: str, batch: int | None) -> Iterator[Any]:
    import tempfile

    from transformers import AutoTokenizer

    from benchmarks.stock_questions import Windows, asked, loop

    tokenizer = AutoTokenizer.from_pretrained(minilm())
    windows = Windows(asked(speed_documents()), tokenizer, 384)
    pieces = sum(len(row["input_ids"]) for row in windows.rows)
    size = batch or max(1, round(MAX_TOKENS * len(windows) / pieces))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"num_train_epochs": 1, "per_device_train_batch_size": size, "bf16": dtype == "bfloat16"}
        trainer = loop(minilm(), windows, None, tokenizer, folder, **settings)
        made: Any = None
        while True:
            yield made
            trainer.train()
            made = pieces


def train_stock_same(dtype: str) -> Iterator[Any]:
    yield from train_stock(dtype, None)


def train_stock_8(dtype: str) -> Iterator[Any]:
    yield from train_stock(dtype, 8)


def train_stock_8_fp32(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    yield from train_stock("float32", 8)


def answer_ours(dtype: str) -> Iterator[Any]:
    from benchmarks.stock_questions import WINDOW, shared

    listed, alike = parts_of("v1-1024")["test"][:100], {"window": WINDOW, "overlap": shared(WINDOW)}
    model = SpanModel.create(minilm(), task="question-answering", settings=alike)
    model = SpanModel(model.bundle, DEVICE, dtype)
    made: Any = None
    while True:
        yield made
        found = model.predict(listed)
        made = sum(len(document.questions) for document in found)


def answer_padded(dtype: str) -> Iterator[Any]:
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer, DataCollatorWithPadding

    from benchmarks.stock_questions import Windows, answers, asked

    tokenizer = AutoTokenizer.from_pretrained(minilm())
    model = AutoModelForQuestionAnswering.from_pretrained(minilm()).eval().to(getattr(torch, dtype))
    members = asked(parts_of("v1-1024")["test"][:100])
    made: Any = None
    while True:
        yield made
        windows = Windows(members, tokenizer, 384)
        starts, ends = [], []
        for batch in DataLoader(windows, 32, collate_fn=DataCollatorWithPadding(tokenizer)):
            inputs = {key: value for key, value in batch.items() if not key.endswith("positions")}
            with torch.inference_mode():
                out = model(**inputs)
            starts += list(out.start_logits.float().numpy())
            ends += list(out.end_logits.float().numpy())
        made = len(answers(members, windows.owner, windows.places, starts, ends))


def answer_padded_fp32(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    yield from answer_padded("float32")


def windows_for_decoding() -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of 500 windows of 384 positions: noise, and a hill where the reader suspects the answer."""
    draw = np.random.default_rng(0)
    away = np.arange(384) - draw.integers(20, 364, size=(500, 1))
    hill = 6.0 * np.exp(-0.5 * (away / 12.0) ** 2)
    return draw.normal(size=(500, 384)) + hill, draw.normal(size=(500, 384)) + hill


def decode_ours(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    import torch

    from spanbert.heads.answers import AnswerHead
    from spanbert.packing import lay_out
    from spanbert.tokenization import Frame, Pieces
    from spanbert.windows import cut

    places = np.arange(366)
    pieces = Pieces(places, 2 * places, 2 * places + 1, places)
    frame = Frame(np.arange(17), np.array([1]), np.zeros(17, dtype=np.int64))
    (window,) = cut(pieces, 384, 0, frame)
    batches = [lay_out([[window]] * 50, range(50)) for _ in range(10)]
    starts, ends = windows_for_decoding()
    head = AnswerHead(2, 30).eval()
    head.qa_outputs = torch.nn.Identity()  # the loop begins with scores too
    vectors = [
        torch.from_numpy(np.stack([starts[k : k + 50].ravel(), ends[k : k + 50].ravel()], 1)).float()
        for k in range(0, 500, 50)
    ]
    made: Any = None
    while True:
        yield made
        with torch.inference_mode():
            for batch, part in zip(batches, vectors, strict=True):
                head(part, batch, -np.inf)
        made = 500


def decode_loops(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    """The recipe's n-best lists: a loop over the best 20 starts and ends, sorted, and a softmax over the best 20."""
    starts, ends = windows_for_decoding()
    made: Any = None
    while True:
        yield made
        for start, end in zip(starts, ends, strict=True):
            found = []
            for i in np.argsort(start)[:-21:-1].tolist():
                for j in np.argsort(end)[:-21:-1].tolist():
                    if 17 <= i <= j < min(i + 30, 383):
                        found.append((start[i] + end[j], 2 * (i - 17), 2 * (j - 17) + 1))
            best = sorted(found, reverse=True)[:20]
            scores = np.array([score for score, *_ in best])
            probabilities = np.exp(scores - scores.max()) if best else scores
            probabilities /= probabilities.sum()
        made = 500


if __name__ == "__main__":
    main()
