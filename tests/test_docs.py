"""Every command and every Python block of the README and the guides runs, in order, in one folder with toy files."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert.documents import ANSWER, Cluster, Document, Question, Relation
from spanbert.formats import write_documents

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVER = "spanbert serve "
BY_CI = ("make ", "git clone", "cd ")  # .ci/run types these
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def workplace(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, toy_documents: Callable[[int, int], list[Document]]
) -> Path:
    """The files that the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(tiny_encoder, folder / "encoder")
    for name, number, seed in (("train", 60, 1), ("dev", 15, 2), ("test", 15, 3)):
        write_documents(toy_documents(number, seed), folder / f"{name}.jsonl")
    write_documents(toy_documents(150, 6), folder / "held-out.jsonl")
    for name, number, seed in (("questions", 40, 1), ("questions-dev", 40, 2)):
        write_documents(questions_on(toy_documents(number, seed)), folder / f"{name}.json", "squad")
    for name, number, seed in (("related", 60, 1), ("related-dev", 20, 2)):
        write_documents(map(related, toy_documents(number, seed)), folder / f"{name}.jsonl")
    for name, number, seed in (("clusters", 60, 1), ("clusters-dev", 30, 2)):
        write_documents(map(clustered, toy_documents(number, seed)), folder / f"{name}.jsonl")
    (folder / "texts").mkdir()
    for name, seed in (("a", 4), ("b", 5)):
        texts = "\n".join(document.text for document in toy_documents(150, seed))
        (folder / "texts" / f"{name}.txt").write_text(texts)
    (folder / "report.txt").write_text("the house of Anna was big\n" * 40)
    return folder


def related(document: Document) -> Document:
    """Neighbours are related, a firm to a person another way than a person to a firm."""
    spans = sorted(document.spans, key=lambda span: span.start)
    pairs = [(a, b) for a, b in itertools.pairwise(spans) if a.label != b.label]
    return replace(document, relations=tuple(Relation(a, b, f"{a.label}-first") for a, b in pairs))


def clustered(document: Document) -> Document:
    """All persons are one, all firms another."""
    groups = [tuple(span for span in document.spans if span.label == label) for label in ("PERSON", "ORG")]
    clusters = tuple(Cluster(tuple(replace(span, label="mention") for span in group)) for group in groups if group)
    return replace(document, spans=(), clusters=clusters)


def questions_on(documents: list[Document]) -> list[Document]:
    """Who is in a text, and which firm: answered by its first span, or by none."""
    return [
        replace(
            document,
            spans=(),
            questions=tuple(
                Question(
                    f"{number}-{label}",
                    f"{word} was in the house?",
                    tuple(replace(span, label=ANSWER) for span in document.spans if span.label == label)[:1],
                )
                for word, label in (("Who", "PERSON"), ("Which", "ORG"))
            ),
            meta={"title": f"toy {number}"},
        )
        for number, document in enumerate(documents)
    ]


@pytest.mark.parametrize("page", sorted(PAGES, key=lambda page: page.name != "training.md"), ids=lambda page: page.name)
def test_page(page: Path, workplace: Path):
    """training.md comes first: it trains the model that the others use."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore::ResourceWarning",
        "SPANBERT_EPOCHS": "1",
        "SPANBERT_MAX_TOKENS": "256",
        "SPANBERT_STEPS": "2",
    }
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    with ExitStack() as servers:
        for kind, block in blocks:
            commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
            for command in commands if kind == "console" else [[sys.executable, "-c", block]]:
                shell = isinstance(command, str)
                if shell and command.startswith(BY_CI):
                    continue
                if shell and command.startswith(SERVER):
                    servers.close()
                    servers.enter_context(serving(command, workplace, environment))
                    continue
                done = subprocess.run(
                    command, shell=shell, cwd=workplace, env=environment, capture_output=True, text=True
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert blocks or page.name == "experiments.md"


@contextmanager
def serving(command: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """While the block runs, the server of this command answers."""
    words = shlex.split(command)
    with subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while "serving" not in said:
                line = process.stderr.readline()
                assert line, f"{command}\n{said}"
                said += line
            yield
        finally:
            process.terminate()
        assert process.wait(30) == 0
