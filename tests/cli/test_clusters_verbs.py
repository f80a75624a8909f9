"""Coreference end to end: a name goes back to the same name."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import SpanModel, read_documents
from spanbert.documents import Cluster, Document, Span
from spanbert.formats import write_documents

from .conftest import Program, run_program

NAMES = ("Anna", "Bert", "Carl", "Dora")
FILL = ("the", "a", "in", "of", "said", "then", "and", "house", "river", "day", "on", ".", "big", "met", "with")
TEXT = "the Anna said a house of Bert and then Anna met the river with Bert . Anna"


def repeated(number: int, seed: int) -> list[Document]:
    """Names among other words; all places of a name are one cluster."""
    draw, made = random.Random(seed), []
    for k in range(number):
        words: list[str] = []
        places: dict[str, list[Span]] = {}
        for _ in range(draw.randint(2, 6)):
            words += draw.choices(FILL, k=draw.randint(1, 4))
            name = draw.choice(NAMES)
            start = len(" ".join(words)) + 1
            places.setdefault(name, []).append(Span(start, start + len(name), "mention"))
            words.append(name)
        made.append(
            Document(f"{seed}-{k}", " ".join(words), clusters=tuple(Cluster(tuple(s)) for s in places.values()))
        )
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coreference")
    write_documents(repeated(300, 1), folder / "train.jsonl")
    write_documents(repeated(40, 2), folder / "dev.conll", "conll-coref")
    return folder


@pytest.fixture(scope="module")
def model(files: Path, tiny_encoder: Path) -> Path:
    done = run_program(
        *("train", "--task", "coreference", "--base-model", tiny_encoder, "--epochs", "30", "--patience", "30"),
        *("--learning-rate", "0.004", "--max-tokens", "512", "--output", files / "model"),
        *("--train", files / "train.jsonl", "--dev", files / "dev.conll"),
    )
    assert done.returncode == 0, done.stderr
    return files / "model"


def test_evaluate_prints_the_official_scores(program: Program, model: Path, files: Path):
    done = program("evaluate", "--model", model, "--data", files / "dev.conll", "--json")
    assert done.returncode == 0, done.stderr
    coref = json.loads(done.stdout)["coref"]
    assert {"muc", "bcub", "ceafe", "ceafm", "lea", "blanc", "mentions", "conll_f1"} <= set(coref)
    assert coref["conll_f1"] > 70 and coref["mentions"]["f1"] > 90
    low, high = coref["conll_f1_interval"]
    assert low <= coref["conll_f1"] <= high


def test_predict_writes_clusters(program: Program, model: Path, files: Path, tmp_path: Path):
    done = program("predict", "--model", model, "--input", "-", stdin=json.dumps({"id": "d", "text": TEXT}) + "\n")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    found = [[TEXT[s["start"] : s["end"]] for s in cluster["spans"]] for cluster in record["clusters"]]
    assert ["Anna"] * 3 in found
    for cluster in record["clusters"]:
        assert all(0 <= link["score"] <= 1 and link["to"] < link["from"] for link in cluster.get("links", ()))
        assert len(cluster.get("links", ())) == len(cluster["spans"]) - 1
    assert "clusters" in done.stderr
    done = program("predict", "--model", model, "--input", files / "dev.conll", "--output", tmp_path / "p.jsonl")
    documents = list(read_documents(tmp_path / "p.jsonl"))
    assert sum(len(document.clusters) for document in documents) > 40
    done = program("predict", "--model", model, "--input", files / "dev.conll", "--format", "highlight")
    assert "|#1]" in done.stdout


def test_a_higher_threshold_takes_links_away(model: Path):
    loaded = SpanModel.from_pretrained(model)
    links = []
    for threshold in (0.0, 0.9, 0.999999):
        clusters = loaded.predict(TEXT, threshold=threshold).clusters
        links.append({(c.spans[k.head], c.spans[k.tail]) for c in clusters for k in c.links})
    assert links[0] >= links[1] >= links[2] and len(links[0]) > len(links[2])


def test_long_documents_are_linked_across_windows(model: Path):
    """Names that stand in windows of their own: 64 positions each."""
    text = "the Anna said " + "a house of the river . " * 40 + "then Anna met the day"
    document = SpanModel.from_pretrained(model).predict(text, threshold=0.0)
    assert document.coverage.windows > 2 and document.coverage.complete
    ends = [{span.start for span in cluster.spans} for cluster in document.clusters]
    assert any({4, text.rindex("Anna")} <= starts for starts in ends)


def test_no_text_has_no_clusters(model: Path):
    assert SpanModel.from_pretrained(model).predict("").clusters == ()


def test_pronouns_and_names_of_gap(program: Program, model: Path, tmp_path: Path):
    """Its rows are answered and scored in its own form, and its data can choose the weights of a training."""
    header = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\n"
    rows = [f"g-{k}\tthe Anna met Bert and Anna said\tAnna\t22\tAnna\t4\tTRUE\tBert\t13\tFALSE\n" for k in range(3)]
    (tmp_path / "gap.tsv").write_text(header + "".join(rows))
    done = program("predict", "--model", model, "--input", tmp_path / "gap.tsv", "--format", "gap")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["g-0", "g-1", "g-2"]
    assert all(set(line[1:]) <= {"TRUE", "FALSE"} for line in lines)
    done = program("evaluate", "--model", model, "--data", tmp_path / "gap.tsv", "--json")
    right = sum(line[1] == "TRUE" for line in lines)
    said = right + sum(line[2] == "TRUE" for line in lines)
    assert json.loads(done.stdout)["gap"]["f1"] == pytest.approx(100 * 2 * right / (said + 3))
    done = program(
        *("train", "--task", "coreference", "--base-model", model, "--epochs", "1"),
        *("--train", tmp_path / "gap.tsv", "--dev", tmp_path / "gap.tsv", "--output", tmp_path / "gap-model"),
    )
    assert done.returncode == 0, done.stderr


def test_a_page_and_a_comparison(program: Program, model: Path, files: Path, tmp_path: Path):
    done = program("evaluate", "--model", model, "--data", files / "dev.conll", "--report", tmp_path / "r", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r" / "report.json").read_text())
    assert record["overall"]["value"] == pytest.approx(json.loads(done.stdout)["coref"]["conll_f1"] / 100)
    write_documents([replace(d, clusters=()) for d in read_documents(files / "dev.conll")], tmp_path / "none.jsonl")
    done = program("compare", tmp_path / "none.jsonl", model, "--data", files / "dev.conll")
    assert done.returncode == 0 and "B is better" in done.stdout and "CoNLL F1" in done.stdout


def test_a_mention_in_two_clusters_is_refused_before_anything_is_learnt(
    program: Program, model: Path, tiny_encoder: Path, files: Path, tmp_path: Path
):
    """In held-out documents, by which the epoch is chosen; those that are learnt from may have some."""
    whole = list(read_documents(files / "dev.conll"))
    span = next(cluster.spans[0] for document in whole[-1:] for cluster in document.clusters)
    twice = [*whole[:-1], replace(whole[-1], clusters=(*whole[-1].clusters, Cluster((span,))))]
    write_documents(twice, tmp_path / "twice.jsonl")
    done = program(
        *("train", "--task", "coreference", "--base-model", tiny_encoder, "--output", tmp_path / "m"),
        *("--train", files / "train.jsonl", "--dev", tmp_path / "twice.jsonl"),
    )
    assert done.returncode == 3 and "each mention in one gold cluster" in done.stderr
    assert not (tmp_path / "m" / "checkpoints").exists()
    done = program("evaluate", "--model", model, "--data", tmp_path / "twice.jsonl")
    assert done.returncode == 3 and "each mention in one gold cluster" in done.stderr
    done = program("predict", "--model", model, "--input", tmp_path / "twice.jsonl", "--output", tmp_path / "p.jsonl")
    assert done.returncode == 0, done.stderr  # nobody looks at its clusters
