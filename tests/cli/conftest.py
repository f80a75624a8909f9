"""The command line as a program, and a model that it trained."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch._dynamo  # noqa: F401 - imported before the forks: no child need do it, and loading a model would

import spanbert.training.loop  # noqa: F401 - likewise
from spanbert.cli import main
from spanbert.documents import Document
from spanbert.formats import write_documents

Program = Callable[..., "subprocess.CompletedProcess[str]"]
ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1", "TOKENIZERS_PARALLELISM": "false"}


def run_program(
    *arguments: object, stdin: str = "", prepare: Callable[[], object] = lambda: None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `spanbert` in a process of its own; a fork of this one, which is fifty times faster than a fresh one.

    prepare: called in that process before the program.
    """
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns of any fork of a process with threads
            child = os.fork()
        if not child:
            _become_program(words, environment, prepare, [given.fileno(), out.fileno(), err.fileno()])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            words, code, *(stream.read().decode(errors="backslashreplace") for stream in (out, err))
        )


def _become_program(
    words: list[str], environment: dict[str, str], prepare: Callable[[], object], files: list[int]
) -> NoReturn:
    code = 70
    try:
        for target, file in enumerate(files):
            os.dup2(file, target)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.update({**ENVIRONMENT, **environment})
        warnings.simplefilter("default")
        sys.argv = ["spanbert", *words]
        prepare()
        main()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)  # whatever happens: there must not be two test runs


@pytest.fixture(scope="session")
def program() -> Program:
    return run_program


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory: pytest.TempPathFactory, toy_documents: Callable[[int, int], list[Document]]) -> Path:
    """A folder with train.jsonl and dev.jsonl."""
    folder = tmp_path_factory.mktemp("toy")
    write_documents(toy_documents(100, 1), folder / "train.jsonl")
    write_documents(toy_documents(25, 2), folder / "dev.jsonl")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, toy_files: Path, tiny_encoder: Path) -> Path:
    """A span model trained by the command line."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    done = run_program(
        *("train", "--task", "span-classification", "--base-model", tiny_encoder),
        *("--train", toy_files / "train.jsonl", "--dev", toy_files / "dev.jsonl", "--output", folder),
        *("--epochs", "5", "--learning-rate", "0.004", "--max-tokens", "256"),
    )
    assert done.returncode == 0, done.stderr
    return folder
