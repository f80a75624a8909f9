"""What every test runs under: no network but loopback, one thread, a tiny encoder that learns toy data in seconds."""

from __future__ import annotations

import json
import os
import random
import resource
import runpy
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: more threads only wait for each other
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would not be there in a fork

from spanbert.documents import Document, Span

GUARD = Path(__file__).parent / "guard"
os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])])
runpy.run_path(str(GUARD / "sitecustomize.py"))  # for this process and its forks; PYTHONPATH is for all others

# No deadlines: a busy machine is no fault. In CI the same examples every time, so that a failure is the change's own.
settings.register_profile(
    "house", deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", settings.get_profile("house"), max_examples=10_000, derandomize=False)
settings.load_profile("house")  # `--hypothesis-profile=soak` wins over it

SHARED = Path(__file__).resolve().parents[2] / "shared"
NAMES, ORGS, KINDS = ("Anna", "Bert", "Carl", "Dora"), ("Acme", "Bolt", "Core"), ("Corp", "Ltd")
FILL = (
    "the", "a", "met", "with", "in", "of", "from", "went", "said", "then", "and", "house", "river", "day", "on", ".",
    ",", "was", "big",
)  # fmt: skip
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *NAMES, *ORGS, *KINDS, *FILL, "un", "##able", "##do"]


class Ended(NamedTuple):
    """How an action in a fork ended: what it returned, the name of the exception, or that of the signal."""

    how: str
    said: str


def in_fork(action: Callable[[], object], *, seconds: float = 60.0, memory: int | None = None) -> Ended:
    """Do it in a copy of this process, which is a hundred times faster than a fresh one and has all imports.

    seconds: of the clock, after which it is killed. memory: bytes that it may take beyond what this process has.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as told:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns of any fork of a process with threads
            child = os.fork()
        if not child:
            how = "returned"
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                if memory is not None:
                    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
                    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
                said = str(action())
            except BaseException as error:
                how, said = type(error).__name__, str(error)
                traceback.print_exc()
            finally:
                try:
                    told.write(f"{how}\n{said}")
                    told.flush()
                finally:
                    os._exit(0)  # whatever happens: there must not be two test runs
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told.seek(0)
        how, _, said = told.read().partition("\n")
        return Ended(signal.Signals(-code).name if code < 0 else how, said)


@pytest.fixture(scope="session", name="in_fork")
def _in_fork() -> Callable[..., Ended]:
    return in_fork


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data and golden vectors; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder is not here")
    return SHARED


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of 2 layers, 32 wide, 64 positions, and a cased vocabulary for `toy_documents`."""
    import torch
    from safetensors.torch import save_file

    from spanbert.encoder.loading import to_stock, to_stock_config
    from spanbert.encoder.packed import EncoderConfig, PackedBert

    folder = tmp_path_factory.mktemp("tiny-encoder")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    shape = EncoderConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = PackedBert(shape)
    (folder / "config.json").write_text(json.dumps(to_stock_config(encoder)), encoding="utf-8")
    save_file(to_stock(encoder), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def toy_documents() -> Callable[[int, int], list[Document]]:
    """`toy_documents(number, seed)`: 5 to 30 words each, names are PERSON, `Acme Corp` and the like are ORG."""
    return make_toy_documents


def make_toy_documents(number: int, seed: int) -> list[Document]:
    draw = random.Random(seed)
    documents = []
    for k in range(number):
        words: list[str] = []
        spans: list[Span] = []
        for _ in range(draw.randint(5, 30)):
            kind = draw.random()
            start = sum(len(word) + 1 for word in words)
            if kind < 0.12:
                words.append(draw.choice(NAMES))
                spans.append(Span(start, start + len(words[-1]), "PERSON"))
            elif kind < 0.22:
                words.append(f"{draw.choice(ORGS)} {draw.choice(KINDS)}")
                spans.append(Span(start, start + len(words[-1]), "ORG"))
            else:
                words.append(draw.choice(FILL))
        documents.append(Document(f"toy-{seed}-{k}", " ".join(words), tuple(spans)))
    return documents
