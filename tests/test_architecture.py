"""The shape of the house: imports point downward, files and functions stay small, tasks are named in tasks/ only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import spanbert
from spanbert.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "spanbert"
FILES = sorted(SOURCE.rglob("*.py"))

# Layer of each module or folder; `design.md` section 3. Inside layer 7 the order is that of the sub-numbers.
LAYERS = {
    "errors": 0, "graphemes": 0, "durable": 0, "near_duplicates": 0, "models": 0,
    "documents": 1, "tag_schemes": 1, "pronouns": 1,
    "formats": 2,
    "tokenizer_file": 3, "tokenization": 3, "windows": 3, "packing": 3, "targets": 3, "masking": 3,
    "encoder": 4, "heads": 4,
    "decoding": 5, "calibration": 5, "metrics": 5,
    "tasks": 6,
    "bundle": 7.0, "model_card": 7.0, "inference": 7.1, "evaluation": 7.2, "selection": 7.2, "training": 7.3,
    "advice": 7.3,
    "pretraining": 7.4,
    "serving": 8, "cli": 8,
}  # fmt: skip
MAY_USE: dict[float, set[float]] = {
    0: {0},
    1: {0, 1},
    2: {0, 1, 2},
    3: {0, 1, 3},
    4: {0, 3, 4},
    5: {0, 1, 5},
    6: {0, 1, 3, 5, 6},
    7.0: {0, 1, 3, 4, 5, 6, 7.0},
    7.1: {0, 1, 3, 4, 5, 6, 7.0, 7.1},
    7.2: {0, 1, 3, 4, 5, 6, 7.0, 7.1, 7.2},
    7.3: {0, 1, 3, 4, 5, 6, 7.0, 7.1, 7.2, 7.3},
    7.4: {0, 1, 3, 4, 5, 6, 7.0, 7.1, 7.2, 7.3, 7.4},
    8: {0, 1, 2, 5, 6, 7.0, 7.1, 7.2, 7.3, 7.4, 8},
}
MEASURING = ("metrics", "calibration", "evaluation")
ADVISING = ("advice", "selection")
EXCEPTIONS = {
    ("tasks", "heads"): "inside the method that makes the head, so that tasks need no torch",
}


def test_imports_point_downward():
    wrong = []
    for path in FILES:
        home = place(path)
        if home == "__init__":
            continue
        for target, in_function in imports(path):
            if (home, target) in EXCEPTIONS and in_function:
                continue
            if LAYERS[target] not in MAY_USE[LAYERS[home]]:
                wrong.append(f"{path.relative_to(SOURCE)} imports {target}")
    assert wrong == []


def test_tasks_do_not_import_each_other():
    names = {row[0] for row in TASKS.values()}
    for path in (SOURCE / "tasks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and path.stem in names:
                assert not ({alias.name for alias in node.names} | {node.module}) & names, path


def test_files_functions_and_package_stay_small():
    sizes = {path: path.read_text().count("\n") for path in FILES}
    assert {path.name: size for path, size in sizes.items() if size > 400} == {}
    long = [
        f"{path.name}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 60
    ]
    assert long == []
    apart = {  # formats, verbs, tasks and scores grow by files, each small; pre-training and advice find no spans
        home: sum(size for path, size in sizes.items() if place(path) in home)
        for home in (
            ("formats",),
            ("cli",),
            ("serving",),
            ("tasks", "heads"),
            ("pretraining",),
            ("decoding",),
            ADVISING,
            MEASURING,
        )
    }
    assert apart[ADVISING] <= 1000 and apart[("decoding",)] <= 1815
    assert apart[("formats",)] <= 3886 and apart[("cli",)] <= 2072 and apart[("pretraining",)] <= 1389
    assert apart["serving",] <= 896
    assert apart[MEASURING] <= 5531 and apart["tasks", "heads"] <= 3287
    assert sum(sizes.values()) - sum(apart.values()) <= 6365  # the core


def test_task_names_stand_only_in_tasks():
    for path in FILES:
        if place(path) == "tasks":
            continue
        literals = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        assert not literals & set(TASKS), path


def test_no_module_is_called_utils():
    assert {path.stem for path in FILES} & {"utils", "common", "helpers", "misc"} == set()


def test_no_inheritance_deeper_than_one():
    bases: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases]
    deep = [
        name for name, own in bases.items() if any(bases.get(grand) for base in own for grand in bases.get(base, []))
    ]
    assert deep == []


def test_public_names_are_what_can_be_imported():
    assert spanbert.__all__ == sorted(spanbert.__all__, key=str)
    for name in spanbert.__all__:
        assert getattr(spanbert, name).__module__.startswith("spanbert.")
    with pytest.raises(AttributeError, match="no attribute 'Spam'"):
        spanbert.Spam  # noqa: B018


def test_version_is_the_top_of_the_changelog():
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0].split()[1] == spanbert.__version__


@pytest.mark.parametrize("statement", ["import spanbert", "from spanbert import read_documents, Document, TrainConfig"])
def test_light_imports_stay_light(statement: str):
    code = f"{statement}; import sys; print(sorted({{'torch', 'transformers', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_and_predicting_need_neither_transformers_nor_the_compiler(tiny_encoder: Path):
    """Either would double the time to the first answer."""
    code = (
        "from spanbert import SpanModel\nimport sys\n"
        f"SpanModel.create({str(tiny_encoder)!r}, task='span-classification', labels=['span']).predict('the house')\n"
        "print([name for name in ('transformers', 'torch._dynamo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def place(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules or folders of the package that a file imports, and whether inside a function; not those for types."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    in_functions = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    depth = len(path.relative_to(SOURCE).parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in for_types:
            if node.level < depth:  # a neighbour in the same folder
                continue
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            for name in names:
                if name in LAYERS:
                    yield name, id(node) in in_functions
