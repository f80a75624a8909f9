"""Each verb end to end, through the program: the forms that other programs build on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spanbert import __version__, read_documents
from spanbert.cli import VERBS
from spanbert.documents import Document, Span
from spanbert.formats import write_documents

from .conftest import Program


def test_train_says_what_it_did_and_what_to_type_next(trained: Path):
    events = [json.loads(line) for line in (trained / "train.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events if event["event"] != "stepped"] == (
        ["started"] + ["evaluated"] * 5 + ["finished"]
    )
    names = {"README.md", "checksums.json", "config.json", "model.safetensors", "spanbert.json"}
    names |= {"tokenizer.json", "tokenizer_config.json", "train.jsonl", "outcomes.json"}
    assert {path.name for path in trained.iterdir()} == names


def test_evaluate_prints_the_promised_json(program: Program, trained: Path, toy_files: Path):
    done = program(
        "evaluate", "--model", trained, "--data", toy_files / "dev.jsonl", toy_files / "train.jsonl", "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    gold = sum(len(d.spans) for name in ("dev", "train") for d in read_documents(toy_files / f"{name}.jsonl"))
    assert set(report["micro"]) == {"precision", "recall", "f1", "support", "predicted", "f1_interval"}
    assert report["micro"]["support"] == gold
    assert report["micro"]["f1"] > 0.9
    low, high = report["micro"]["f1_interval"]
    assert low <= report["micro"]["f1"] <= high
    assert set(report["per_label"]) == {"ORG", "PERSON"}
    assert report["unreachable"] == 0


def test_evaluate_prints_a_table_for_people(program: Program, trained: Path, toy_files: Path):
    done = program("evaluate", "--model", trained, "--data", toy_files / "dev.jsonl")
    assert done.returncode == 0
    assert re.search(r"^PERSON .*\d\.\d\d", done.stdout, flags=re.MULTILINE)


def test_predict_reads_and_writes_streams(program: Program, trained: Path):
    text = "the house of Anna was big , and Acme Corp met Dora"
    done = program(
        "predict", "--model", trained, "--input", "-", "--output", "-", stdin=json.dumps({"text": text}) + "\n"
    )
    assert done.returncode == 0, done.stderr
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(s["text"], s["label"]) for s in record["spans"]] == [
        ("Anna", "PERSON"),
        ("Acme Corp", "ORG"),
        ("Dora", "PERSON"),
    ]
    for span in record["spans"]:
        assert set(span) == {"start", "end", "label", "score", "text"}
        assert text[span["start"] : span["end"]] == span["text"]
        assert 0.5 <= span["score"] <= 1.0
    assert record["coverage"] == {"characters_read": len(text), "characters": len(text), "windows": 1}


def test_predict_reads_a_long_text_file_whole(program: Program, trained: Path, tmp_path: Path):
    (tmp_path / "long.txt").write_text("the house and Carl went in . " * 300)
    done = program("predict", "--model", trained, "--input", tmp_path / "long.txt", "--output", tmp_path / "out.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    size = len((tmp_path / "long.txt").read_text())
    assert f"found 300 spans; read {size:,} of {size:,} characters in " in done.stderr
    (document,) = read_documents(tmp_path / "out.jsonl")
    assert document.id == "long"
    assert sum(span.label == "PERSON" for span in document.spans) == 300
    assert document.coverage is not None
    assert document.coverage.complete
    assert document.coverage.windows > 30


def test_a_higher_threshold_gives_a_subset(program: Program, trained: Path, toy_files: Path):
    found = []
    for threshold in ("0.01", "0.5", "0.9999"):
        done = program("predict", "--model", trained, "--input", toy_files / "dev.jsonl", "--threshold", threshold)
        assert done.returncode == 0
        records = [json.loads(line) for line in done.stdout.splitlines()]
        found.append({(r["id"], s["start"], s["end"], s["label"]) for r in records for s in r.get("spans", [])})
    assert found[0] >= found[1] >= found[2]
    assert len(found[0]) > len(found[2])


def test_predict_highlights_for_people(program: Program, trained: Path):
    done = program(
        "predict", "--model", trained, "--input", "-", "--format", "highlight", stdin="the house of Anna was big\n"
    )
    assert re.search(r"^the house of \[Anna\|PERSON \.\d\d\] was big$", done.stdout, flags=re.MULTILINE)


def test_a_failed_prediction_for_people_leaves_the_old_file(program: Program, trained: Path, tmp_path: Path):
    (tmp_path / "old.txt").write_text("kept")
    wanted = ("predict", "--model", trained, "--input", "-", "--format", "highlight", "--output", tmp_path / "old.txt")
    assert program(*wanted, stdin='{"id": "a", "text": 5}\n').returncode == 3
    assert (tmp_path / "old.txt").read_text() == "kept"
    assert program(*wanted, stdin='{"id": ":fire:", "text": "the house of Anna"}\n').returncode == 0
    assert ":fire:" in (tmp_path / "old.txt").read_text()


def test_nothing_in_a_document_steers_the_terminal(program: Program, trained: Path):
    """Escape sequences in ids and text, and a mark that turns the direction of writing, are shown as their codes."""
    record = json.dumps({"id": "\x1b[2Jid", "text": "the \x1b[31m\u202e\u00a0house of Anna"})
    wanted = ("--format", "highlight", "--threshold", "1")
    done = program("predict", "--model", trained, "--input", "-", *wanted, stdin=record + "\n")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "<U+001B>[2Jid" in done.stdout
    assert "the <U+001B>[31m<U+202E> house" in done.stdout


def test_paths_in_a_configuration_are_relative_to_it(
    program: Program, tiny_encoder: Path, toy_files: Path, tmp_path: Path
):
    program("init", tmp_path / "new", "--base-model", str(tiny_encoder))
    for name in ("train", "dev"):
        shutil.copy(toy_files / "dev.jsonl", tmp_path / "new" / f"{name}.jsonl")
    with (tmp_path / "new" / "dev.jsonl").open() as file:
        renamed = file.read().replace('"id":"toy', '"id":"dev')
    (tmp_path / "new" / "dev.jsonl").write_text(renamed)
    done = program("train", "--config", tmp_path / "new" / "spanbert.toml", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "model" / "checksums.json").is_file()


def test_a_document_without_finds_says_so(program: Program, trained: Path):
    done = program("predict", "--model", trained, "--input", "-", stdin="the river\n")
    record = json.loads(done.stdout)
    assert record["spans"] == []
    assert "found 0 spans; read 10 of 10 characters in 1 window\n" in done.stderr


def test_predict_writes_other_formats(program: Program, trained: Path, toy_files: Path, tmp_path: Path):
    out = tmp_path / "out.json"
    done = program(
        *(
            "predict",
            "--model",
            trained,
            "--input",
            toy_files / "dev.jsonl",
            "--output",
            out,
            "--format",
            "label-studio",
        )
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())[0]["predictions"]


def test_info_shows_the_card_and_json(program: Program, trained: Path):
    card = program("info", "--model", trained)
    assert "labels: ORG, PERSON" in card.stdout
    record = json.loads(program("info", "--model", trained, "--json").stdout)
    assert record["tasks"]["span-classification"]["settings"]["labels"] == ["ORG", "PERSON"]
    assert record["report"]["micro"]["f1"] > 0.9


def test_doctor_checks_itself(program: Program):
    done = program("doctor", "--json")
    record = json.loads(done.stdout)
    assert (done.returncode, record["ok"]) == (0, True), record
    assert {"python", "torch", "self-test"} <= {check["name"] for check in record["checks"]}


def test_init_writes_a_configuration_that_trains(program: Program, tiny_encoder: Path, tmp_path: Path):
    assert program("init", tmp_path / "new", "--base-model", str(tiny_encoder)).returncode == 0
    config = tmp_path / "new" / "spanbert.toml"
    sample = tmp_path / "new" / "sample.jsonl"
    assert len(list(read_documents(sample))) == 5
    settings = config.read_text().replace('["train.jsonl"]', f'["{sample}"]').replace('["dev.jsonl"]', f'["{sample}"]')
    settings = settings.replace('output = "model"', f'output = "{tmp_path / "model"}"')
    config.write_text(settings + "epochs = 3\nseed = 5\n")
    done = program("train", "--config", config, "--epochs", "1", SPANBERT_SEED="7")
    assert done.returncode == 0, done.stderr
    training = json.loads((tmp_path / "model" / "spanbert.json").read_text())["facts"]["training"]
    assert (training["epochs"], training["seed"]) == (1, 7)  # flags over environment over file
    again = program("init", tmp_path / "new")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_token_classification_and_the_spellings_of_transformers(
    program: Program, tiny_encoder: Path, toy_files: Path, tmp_path: Path
):
    done = program(
        *("train", "--task", "token-classification", "--model_name_or_path", tiny_encoder),
        *("--train_file", toy_files / "dev.jsonl", "--validation_file", toy_files / "dev.jsonl"),
        *("--output_dir", tmp_path / "m", "--num_train_epochs", "1", "--lr=0.001", "--policy", "flat"),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["documents"] == 25
    assert "BertForTokenClassification" in (tmp_path / "m" / "config.json").read_text()


def test_overlapping_training_data_are_resolved_and_counted(program: Program, tiny_encoder: Path, tmp_path: Path):
    documents = [
        Document(f"d{n}", "the house of Anna Dora", (Span(13, 17, "PERSON"), Span(13, 22, "ORG"))) for n in range(4)
    ]
    write_documents(documents, tmp_path / "t.jsonl")
    form = ("train", "--base-model", tiny_encoder, "--train", tmp_path / "t.jsonl", "--dev", tmp_path / "t.jsonl")
    done = program(*form, "--output", tmp_path / "m", "--epochs", "1", "--resolve", "first", "--json")
    assert done.returncode == 0, done.stderr
    assert "4 spans (50.00 %) cannot be learnt exactly: in conflict" in done.stderr
    report = json.loads(done.stdout)
    assert (report["micro"]["support"], report["unreachable"]) == (8, 4)  # what was dropped stays gold


def test_an_interrupted_run_is_resumed(program: Program, tiny_encoder: Path, toy_files: Path, tmp_path: Path):
    form = [
        *("train", "--base-model", str(tiny_encoder), "--train", str(toy_files / "train.jsonl")),
        *("--dev", str(toy_files / "dev.jsonl"), "--max-tokens", "128", "--epochs", "8", "--learning-rate", "0.004"),
    ]
    straight = program(*form, "--output", tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr
    out = tmp_path / "stopped"
    command = [str(Path(sys.executable).parent / "spanbert"), *form, "--output", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        log = out / "train.jsonl"
        while not (log.exists() and log.read_text().count('"stepped"') > 30):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        talk = process.communicate()[1]
    assert process.returncode == 143
    assert "all saved; go on with --resume auto" in talk
    unfinished = program("predict", "--model", out, "--input", "-", stdin="the house\n")
    assert unfinished.returncode == 3
    assert "a training run that has not come to its end" in unfinished.stderr
    begun = program("pretrain", "--corpus", toy_files, "--base-model", out, "--output", tmp_path / "further")
    assert begun.returncode == 3
    assert "a training run that has not come to its end" in begun.stderr
    assert not (out / "checksums.json").exists()
    resumed = program(*form, "--output", out, "--resume", "auto")
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed after" in resumed.stderr
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "straight" / "model.safetensors").read_bytes()


def test_version_and_help(program: Program):
    assert program("--version").stdout.strip() == __version__
    shown = program("--help").stdout
    for verb in ("init", "train", "evaluate", "predict", "info", "doctor"):
        assert verb in shown
    assert program("trane").returncode == 2


@pytest.mark.parametrize("verb", VERBS)
def test_the_flags_are_those_on_the_list(program: Program, verb: str):
    """A new flag is a promise to users: it is added to flags.txt on purpose, or not at all."""
    shown = program(verb, "--help").stdout
    flags = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown.partition("─ Options")[2])) - {"--help"})
    lines = (Path(__file__).parent / "flags.txt").read_text().splitlines()
    promised = {line.split(":")[0]: line.split(":")[1].split() for line in lines}
    assert flags == promised[verb]


SENTENCE = "the big house of Anna , Bert and Acme Corp met on the river from day to day ."


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of text to learn a language from."""
    folder = tmp_path_factory.mktemp("texts")
    words = SENTENCE.split()
    for n in range(3):
        lines = (" ".join(words[(n + k * m) % len(words)] for m in range(40)) for k in range(1, 12))
        (folder / f"{n}.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "more.jsonl").write_text(json.dumps({"text": " ".join(words * 5), "url": "x"}) + "\n", encoding="utf-8")
    return folder


def test_vocabulary_then_pretrain_then_train(program: Program, texts: Path, toy_files: Path, tmp_path: Path):
    """The three commands of the guide, and the JSON form of the second."""
    vocabulary, encoder, model = (tmp_path / name for name in ("vocabulary", "encoder", "model"))
    done = program("vocabulary", "--corpus", texts, "--size", 350, "--output", vocabulary)
    assert done.returncode == 0, done.stderr
    assert (vocabulary / "vocab.txt").exists() and "pieces is in" in done.stderr
    small = ("--window", 32, "--max-tokens", 128, "--evaluations", 2, "--device", "cpu")
    done = program(
        "pretrain", "--corpus", texts, texts / "more.jsonl", "--size", "mini", "--vocabulary", vocabulary,
        "--output", encoder, "--steps", 2, "--json", *small,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["losses"].keys() == report["perplexities"].keys() == {"masked", "boundary"}
    assert f"--base-model {encoder}" in done.stderr
    arguments = ("train", "--base-model", encoder, "--train", toy_files / "train.jsonl", "--output", model)
    done = program(*arguments, "--epochs", 1, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    done = program("predict", "--model", encoder, "--input", toy_files / "dev.jsonl")
    assert done.returncode == 2 and "an encoder, which finds nothing" in done.stderr


def test_pretrain_goes_on_and_stops_at_a_taken_folder(
    program: Program, texts: Path, tiny_encoder: Path, tmp_path: Path
):
    settings = tmp_path / "pretrain.toml"
    settings.write_text(
        f'corpus = ["{texts}"]\nbase_model = "{tiny_encoder}"\noutput = "{tmp_path / "out"}"\nsteps = 1\n'
        'masking = "token"\nboundary_weight = 0.0\nmax_tokens = 128\n',
        encoding="utf-8",
    )
    done = program("pretrain", "--config", settings)
    assert done.returncode == 0, done.stderr
    done = program("pretrain", "--config", settings)
    assert done.returncode == 2 and "not empty" in done.stderr
    done = program("pretrain", "--config", settings, "--resume", "auto")
    assert done.returncode == 0, done.stderr
    # the same texts in another place, newly written; then another text
    copied = Path(shutil.copytree(texts, tmp_path / "copied", copy_function=shutil.copyfile))
    done = program("pretrain", "--config", settings, "--corpus", copied, "--resume", "auto")
    assert done.returncode == 0 and "had come to its end" in done.stderr, done.stderr
    for path in filter(Path.is_file, copied.rglob("*")):
        path.write_bytes(path.read_bytes().replace(b"a", b"b"))
    done = program("pretrain", "--config", settings, "--corpus", copied, "--resume", "auto")
    assert done.returncode == 2 and "other data or settings" in done.stderr


def test_a_configuration_of_pretraining_is_relative_to_its_file(
    program: Program, texts: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What it names is taken from beside it; and a new encoder needs no base model that a variable names."""
    (tmp_path / "beside").mkdir()
    shutil.copytree(tiny_encoder, tmp_path / "beside" / "words")
    shutil.copytree(texts, tmp_path / "beside" / "texts")
    settings = tmp_path / "beside" / "pretrain.toml"
    settings.write_text('corpus = ["texts"]\nvocabulary = "words"\noutput = "out"\nsteps = 1\nmax_tokens = 128\n')
    monkeypatch.setenv("SPANBERT_BASE_MODEL", "unused")
    done = program("pretrain", "--config", settings, "--size", "mini")
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "beside" / "out" / "README.md").read_text()
    assert "Trained from random weights." in card and "Base model" not in card
    settings.write_text(settings.read_text().replace('"out"', '"other"') + 'size = "words"\n')
    done = program("pretrain", "--config", settings)
    assert done.returncode == 0, done.stderr
    shapes = [json.loads((tmp_path / "beside" / name / "config.json").read_text()) for name in ("words", "other")]
    assert shapes[0]["hidden_size"] == shapes[1]["hidden_size"] == 32


def test_pretrain_shows_what_it_would_hide(program: Program, texts: Path, tiny_encoder: Path):
    done = program("pretrain", "--corpus", texts, "--base-model", tiny_encoder, "--inspect", 2, "--window", 40)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pieces hidden") == 2 and "against theory" in done.stdout
    shares = re.findall(r"^ +\d+ +(\d+\.\d+)% +(\d+\.\d+)%", done.stdout, flags=re.MULTILINE)
    assert len(shares) == 10
    assert all(abs(float(drawn) - float(theory)) < 2 for drawn, theory in shares)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no --corpus"),
        (("--corpus", "{texts}"), "no --output"),
        (("--corpus", "{texts}", "--output", "{out}"), "neither --base-model nor --size"),
        (("--corpus", "{texts}", "--output", "{out}", "--size", "mini"), "no --vocabulary"),
        (("--corpus", "{texts}", "--output", "{out}", "--size", "mini", "--base-model", "{e}"), "both --size and"),
        (("--corpus", "{texts}", "--output", "{out}", "--base-model", "{e}", "--start", "random"), "without --size"),
        (("--corpus", "{texts}", "--output", "{out}", "--size", "mini", "--layers", "2"), "without --base-model"),
        (("--corpus", "{texts}", "--base-model", "{e}", "--inspect", "-1"), "inspect = -1"),
        (("--corpus", "{blank}", "--base-model", "{e}", "--inspect", "1"), "no text of which a piece could be hidden"),
        (("--corpus", "{texts}", "--output", "{out}", "--base-model", "{e}", "--window", "9"), "blocks of 7 pieces"),
        (("--corpus", "{texts}", "--output", "{out}", "--base-model", "{e}", "--masking", "spam"), "masking 'spam'"),
        (("--corpus", "{texts}/none", "--output", "{out}", "--base-model", "{e}"), "no such file"),
        (("--corpus", "{texts}", "--output", "{out}", "--base-model", "{e}", "--text-key", "b"), "no key 'b'"),
    ],
)
def test_pretrain_refuses(
    arguments: tuple, said: str, program: Program, texts: Path, tiny_encoder: Path, tmp_path: Path
):
    (blank := tmp_path / "blank.txt").write_text("\n \n", encoding="utf-8")
    filled = [word.format(texts=texts, out=tmp_path / "out", e=tiny_encoder, blank=blank) for word in arguments]
    done = program("pretrain", *filled)
    assert done.returncode in (2, 3) and said in done.stderr


def test_a_vocabulary_does_not_overwrite(program: Program, texts: Path, tmp_path: Path):
    (tmp_path / "file").write_text("precious", encoding="utf-8")
    done = program("vocabulary", "--corpus", texts, "--output", tmp_path)
    assert done.returncode == 2 and "is taken" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_that_is_read_is_overwritten(program: Program, trained: Path, tmp_path: Path):
    folder = tmp_path / "texts"
    folder.mkdir()
    text, home = folder / "a.txt", str(tmp_path)
    text.write_text("Anna ran.")
    (folder / "a.ann").write_text("")
    pairs = [(folder, text), (folder / "a.ann", text), ("~/texts/a.txt", "~/texts/a.txt")]
    for source, output in pairs:
        for verb in (("predict",), ("select", "--budget", "1")):
            done = program(*verb, "--model", trained, "--input", source, "--output", output, HOME=home)
            assert done.returncode == 2
            assert "is read and would be written" in done.stderr
    assert text.read_text() == "Anna ran."


def test_what_was_given_is_not_counted_as_found(program: Program, trained: Path, tmp_path: Path):
    question = {"id": "q", "question": "Who?", "answers": [{"start": 0, "end": 4}]}
    record = {"id": "a", "text": "Anna ran.", "spans": [], "questions": [question]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    done = program("predict", "--model", trained, "--input", tmp_path / "a.jsonl", "--threshold", "1")
    assert "found 0 spans" in done.stderr
    assert "answered" not in done.stderr


def test_a_name_that_is_not_utf8(program: Program, trained: Path, toy_files: Path, tmp_path: Path):
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/caf\xe9.jsonl")
    shutil.copy(toy_files / "dev.jsonl", path)
    done = program("evaluate", "--model", trained, "--data", path, "--report", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    Path(path).write_text('{"text": "Anna ran."}\n')
    checked = program("data", "check", "--train", path, "--json")
    assert "Traceback" not in checked.stderr
    assert json.loads(checked.stdout)


def test_a_redirected_output_goes_on(program: Program, trained: Path):
    """/dev/stdout is standard output: the file that a shell put there is not replaced."""
    done = program("predict", "--model", trained, "--input", "-", "--output", "/dev/stdout", stdin="Anna ran.")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "Anna ran."


def test_a_configuration_with_numbers_for_paths(program: Program, tmp_path: Path):
    (tmp_path / "run.toml").write_text("train = [1]\n")
    done = program("train", "--config", tmp_path / "run.toml")
    assert done.returncode == 2
    assert "train = [1]" in done.stderr and "Traceback" not in done.stderr
