"""Every supported model type, random and small: equal to its stock class, and the same packed, padded or alone."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spanbert import Document, Span, SpanModel, TrainConfig, train
from spanbert.documents import Question
from spanbert.encoder.families import FAMILIES
from spanbert.encoder.kinds import KINDS
from spanbert.encoder.loading import encoder_from, read_config, read_weights
from spanbert.errors import DataError
from spanbert.inference.torch_backend import copied
from spanbert.packing import Batch, lay_out
from spanbert.windows import Window

TYPES = [*FAMILIES, *KINDS]
BYTE_LEVEL = ("roberta", "modernbert")
SENTENCE_PIECE = ("xlm-roberta", "albert", "deberta-v2")
WORDS = ["Anna", "Bert", "Acme", "Corp", "met", "with", "in", "of", "from", "the", "went", "river", "house", "Müller"]
WORDS += ["café", "東京"]
LENGTHS = [17, 9, 9, 30, 3, 17, 16]


@pytest.fixture(scope="module", params=TYPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as `transformers` saves it, with a tokenizer of the kind that the type has."""
    kind: str = request.param
    path = tmp_path_factory.mktemp(kind)
    backend = tokenizer(kind)
    backend.save(str(path / "tokenizer.json"))
    stock_model(kind, backend.get_vocab_size(), backend.token_to_id(names(kind)[0])).save_pretrained(path)
    return path


def names(kind: str) -> tuple[str, ...]:
    """Padding, unknown, begin, end, mask."""
    if kind in ("roberta", "xlm-roberta", "mpnet"):
        return "<pad>", "<unk>", "<s>", "</s>", "<mask>"
    return "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"


def tokenizer(kind: str) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = list(names(kind))
    if kind in ("roberta", "xlm-roberta", "mpnet"):
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # the id of the padding is 1
    if kind in BYTE_LEVEL:
        backend = Tokenizer(models.BPE(unk_token=None))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer: Any = trainers.BpeTrainer(
            vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    elif kind in SENTENCE_PIECE:
        backend = Tokenizer(models.Unigram())
        backend.normalizer = normalizers.NFKC()
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token=names(kind)[1])
    else:
        backend = Tokenizer(models.WordPiece(unk_token=names(kind)[1]))
        backend.normalizer = normalizers.BertNormalizer(lowercase=False)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=special)
    backend.train_from_iterator([" ".join(WORDS)] * 20, trainer)
    if kind == "roberta":
        pair = [(name, backend.token_to_id(name)) for name in ("</s>", "<s>")]
        backend.post_processor = processors.RobertaProcessing(*pair)
    return backend


def stock_model(kind: str, vocabulary: int, padding: int) -> Any:
    from transformers import AutoConfig, AutoModel

    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 66,
        "pad_token_id": padding,
    }
    if kind == "distilbert":
        shape |= {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
    shape |= {"electra": {"embedding_size": 16}, "albert": {"embedding_size": 16}}.get(kind, {})
    if kind == "deberta-v2":
        shape |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
        shape |= {"position_biased_input": False, "norm_rel_ebd": "layer_norm", "share_att_key": True}
        shape |= {"type_vocab_size": 0}
    if kind == "modernbert":
        shape |= {"local_attention": 8, "global_attn_every_n_layers": 2}
    torch.manual_seed(1)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **shape)).eval()
    for parameter in model.parameters():  # far from the small numbers of a fresh model: differences must show
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def windows(vocabulary: int) -> list[Window]:
    draw = np.random.default_rng(0)
    rows = [draw.integers(5, vocabulary, length) for length in LENGTHS]
    return [Window(ids, np.zeros(len(ids), np.int64), np.arange(len(ids)), 0, -1, 2 * len(ids)) for ids in rows]


def batch_of(rows: list[Window]) -> Batch:
    return lay_out([[row] for row in rows], range(len(rows)))


def by_window(encoder: Any, batch: Batch) -> dict[int, np.ndarray]:
    with torch.inference_mode():
        vectors = encoder(batch).numpy()
    parts = np.split(vectors, batch.cu_seqlens[1:-1])
    return {int(batch.members[group]): part for group, part in zip(batch.groups, parts, strict=True)}


def test_equal_to_the_stock_class(folder: Path) -> None:
    """One by one in `transformers`, together in ours."""
    from transformers import AutoModel

    config = read_config(folder)
    encoder = encoder_from(config, read_weights(folder, config)).eval()
    stock = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    rows = windows(stock.config.vocab_size)
    found = by_window(encoder, batch_of(rows))
    for number, row in enumerate(rows):
        with torch.inference_mode():
            expected = stock(torch.from_numpy(row.ids)[None]).last_hidden_state[0].numpy()
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found[number], expected, atol=1e-4)


def test_bfloat16_is_near(folder: Path) -> None:
    """A copy in bfloat16, as predictions run: like float32 up to the three digits of its numbers."""
    config = read_config(folder)
    encoder = encoder_from(config, read_weights(folder, config)).eval()
    batch = batch_of(windows(encoder.vocabulary))
    exact = by_window(encoder, batch)
    with torch.inference_mode():
        rough = copied(encoder, torch.bfloat16)(batch).float().numpy()
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    whole = np.concatenate([exact[int(batch.members[group])] for group in batch.groups])
    assert np.linalg.norm(rough - whole) < 0.1 * np.linalg.norm(whole)


def test_company_changes_nothing(folder: Path) -> None:
    config = read_config(folder)
    encoder = encoder_from(config, read_weights(folder, config)).eval()
    rows = windows(encoder.vocabulary)
    together = by_window(encoder, batch_of(rows))
    for number, row in enumerate(rows):
        np.testing.assert_allclose(by_window(encoder, batch_of([row]))[0], together[number], atol=1e-4)


def documents() -> list[Document]:
    """Names of people and firms, some of letters that take several bytes."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(24):
        words = [str(draw.choice(WORDS)) for _ in range(draw.integers(3, 30))]
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        spans = [
            Span(int(start), int(start) + len(word), "PER" if word != "Acme" else "ORG")
            for start, word in zip(starts, words, strict=False)
            if word in ("Anna", "Müller", "東京", "Acme")
        ]
        made.append(Document(f"d{number}", " ".join(words), tuple(spans)))
    return made


def trained(folder: Path, task: str, **settings: object) -> SpanModel:
    model = SpanModel.create(folder, task=task, labels=["PER", "ORG"], settings=settings)
    config = TrainConfig(epochs=1, max_tokens=256, learning_rate=1e-3, dtype="float32")  # in which spans are promised
    return SpanModel(train(model, documents()[:16], documents()[16:], config).bundle, "cpu", "float32")


def test_trains_saves_loads_and_predicts(folder: Path, tmp_path: Path) -> None:
    """The same spans and scores after saving, alone and in company; offsets never begin or end with white space."""
    model = trained(folder, "span-classification")
    model.save_pretrained(tmp_path / "model")
    again = SpanModel.from_pretrained(tmp_path / "model", "cpu", "float32")
    texts = [document.text for document in documents()[16:]]
    together = model.predict(texts, threshold=0.0)
    assert again.predict(texts, threshold=0.0) == together
    assert sum(len(document.spans) for document in together) > 0
    for text, document in zip(texts, together, strict=True):
        alone = model.predict(text, threshold=0.0)
        assert [(s.start, s.end, s.label) for s in alone.spans] == [(s.start, s.end, s.label) for s in document.spans]
        for one, other in zip(alone.spans, document.spans, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert text[one.start : one.end].strip() == text[one.start : one.end] != ""


def test_gold_spans_are_found_exactly(folder: Path) -> None:
    """Whatever the vocabulary, every gold span of these words begins and ends on a border of pieces."""
    model = SpanModel.create(folder, task="span-classification", labels=["PER", "ORG"])
    tokenizer = model.bundle.tokenizer
    for document in documents():
        (pieces,) = tokenizer.pieces([document.text])
        assert ((pieces.starts < pieces.ends) == pieces.visible).all()
        assert pieces.visible.mean() > 0.7
        assert (np.diff(pieces.starts) >= 0).all()
        assert (np.diff(pieces.ends) >= 0).all()
        assert all(pieces.exact(span.start, span.end) for span in document.spans)


def test_a_model_of_tags_loads_in_the_stock_class(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = trained(folder, "token-classification")
    model.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    if config["model_type"] == "modernbert":  # its stock class has a layer more
        assert config["architectures"] == ["ModernBertModel"]
        return
    stock = AutoModelForTokenClassification.from_pretrained(tmp_path / "model").eval()
    text = "Anna met Müller in 東京"
    inputs = AutoTokenizer.from_pretrained(tmp_path / "model")(text, return_tensors="pt")
    with torch.inference_mode():
        expected = stock(**inputs).logits[0].numpy()
    network, tokenizer = model.bundle.network.eval(), model.bundle.tokenizer
    (pieces,) = tokenizer.pieces([text])
    ids = np.array([tokenizer.cls, *pieces.ids, tokenizer.sep])
    assert inputs["input_ids"][0].tolist() == ids.tolist() or config["model_type"] != "bert"
    row = Window(ids, np.zeros(len(ids), np.int64), np.arange(len(ids)), 0, -1, 2 * len(ids))
    with torch.inference_mode():
        vectors = network.encoder(batch_of([row]))
        found = network.heads["token-classification"].classifier(vectors).numpy()
    if inputs["input_ids"][0].tolist() == ids.tolist():
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_answers_questions(folder: Path, tmp_path: Path) -> None:
    """Framed as the type's own tokenizer frames two texts; the same alone, in company and after saving."""
    from transformers import AutoTokenizer

    asked = [
        Document(
            d.id, d.text, questions=(Question(d.id, "Müller met", tuple(replace(s, label="answer") for s in d.spans)),)
        )
        for d in documents()
    ]
    model = SpanModel.create(folder, task="question-answering", settings={"longest_question": 16})
    config = TrainConfig(epochs=1, max_tokens=256, learning_rate=1e-3, dtype="float32")
    model = SpanModel(train(model, asked[:16], asked[16:], config).bundle, "cpu", "float32")
    model.save_pretrained(tmp_path / "model")
    again = SpanModel.from_pretrained(tmp_path / "model", "cpu", "float32")
    together = model.predict(asked[16:], threshold=0.0)
    assert again.predict(asked[16:], threshold=0.0) == together
    for document, found in zip(asked[16:], together, strict=True):
        (alone,), (question,) = model.predict(document, threshold=0.0).questions, found.questions
        assert [(s.start, s.end) for s in alone.n_best] == [(s.start, s.end) for s in question.n_best] != []
    if json.loads((folder / "config.json").read_text())["model_type"] == "roberta":
        pair = AutoTokenizer.from_pretrained(folder)("Müller met", "Anna in the river")
        document = Document("d", "Anna in the river", questions=(Question("q", "Müller met"),))
        (pieces,) = model.bundle.tokenizer.pieces([document.text])
        (example,) = model.bundle.tasks["question-answering"].examples(document, pieces, None)
        assert example.windows[0].ids.tolist() == pair["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 8192, "num_hidden_layers": 64, "intermediate_size": 65_536, "num_attention_heads": 64},
        {"hidden_size": 10**9},
        {"num_attention_heads": 5},
        {"max_position_embeddings": None},
        {"pad_token_id": 10**6},
        {"layer_norm_eps": float("nan"), "norm_eps": float("nan")},
        {"hidden_act": "print", "hidden_activation": "print"},
        {"hidden_act": {"a": [[[[[[1]]]]]]}, "hidden_activation": ["x"] * 2000},
        {"auto_map": {"AutoModel": "evil.Model"}, "num_hidden_layers": 4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_settings_that_cannot_be_are_refused_at_once(kind: str, changes: dict[str, object], tmp_path: Path) -> None:
    """Weights of a small encoder, settings of a huge or senseless one: told before memory is taken."""
    model = stock_model(kind, 80, 0)
    model.save_pretrained(tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(record | changes))
    began = time.monotonic()
    with pytest.raises(DataError):
        config = read_config(tmp_path)
        encoder_from(config, read_weights(tmp_path, config))
    assert time.monotonic() - began < 20


def test_positions_are_kept_where_the_padding_is_not_that_of_the_tokenizer(tmp_path: Path) -> None:
    """A RoBERTa that names no padding counts from 2; its tokenizer's padding has the id 0."""
    backend = tokenizer("bert")
    backend.save(str(tmp_path / "tokenizer.json"))
    stock_model("roberta", backend.get_vocab_size(), 1).save_pretrained(tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    del record["pad_token_id"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    model = SpanModel.create(tmp_path, task="span-classification", labels=["PER"])
    model.save_pretrained(tmp_path / "saved")
    again = SpanModel.from_pretrained(tmp_path / "saved")
    assert again.bundle.network.encoder.config == model.bundle.network.encoder.config
    assert again.bundle.network.encoder.config.first_position == 2  # type: ignore[union-attr]
