"""A vocabulary of one's own: the size asked for, the same every time, and read by stock classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spanbert.documents import Document
from spanbert.errors import DataError, UsageError
from spanbert.pretraining.vocabulary import UNUSED, train_vocabulary, write_vocabulary
from spanbert.tokenization import SPECIAL, Tokenizer

ROOT = Path(__file__).resolve().parents[2]
TEXT = ROOT / "examples" / "data" / "filing" / "annual_report.txt"


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return [Document(str(n), part) for n, part in enumerate(TEXT.read_text(encoding="utf-8").split("\n\n"))]


@pytest.fixture(scope="module")
def tokenizer(documents: list[Document]) -> Tokenizer:
    return train_vocabulary(documents, 1000)


def test_size_and_special_pieces(tokenizer: Tokenizer):
    assert tokenizer.size == 1000
    assert [tokenizer.token(number) for number in range(5)] == [*SPECIAL.values()]
    assert [tokenizer.token(5 + number) for number in range(UNUSED)] == [
        f"[unused{number}]" for number in range(UNUSED)
    ]
    assert len({tokenizer.token(number) for number in range(1000)}) == 1000


def test_case_is_kept_unless_it_is_folded(tokenizer: Tokenizer, documents: list[Document]):
    assert not tokenizer.lowercase
    folded = train_vocabulary(documents, 1000, lowercase=True)
    assert folded.lowercase
    assert not [n for n in folded.ordinary if (piece := folded.token(n)) != piece.lower() and "[" not in piece]


def test_frequent_words_are_pieces_and_all_of_ascii_can_be_written(tokenizer: Tokenizer):
    assert len(tokenizer.encode("Company")) == 1
    pieces = tokenizer.encode("".join(map(chr, range(33, 127))) + " Zyzzyva qqxxzz")
    assert tokenizer.ids["unk"] not in pieces.ids


def test_the_same_texts_give_the_same_vocabulary(documents: list[Document], tokenizer: Tokenizer):
    """In this process and in others, whose hash tables are in another order, with threads and without."""
    assert train_vocabulary(documents, 1000).fingerprint == tokenizer.fingerprint
    code = (
        "import sys\nfrom pathlib import Path\nfrom spanbert.documents import Document\n"
        "from spanbert.pretraining.vocabulary import train_vocabulary\n"
        f"texts = Path({str(TEXT)!r}).read_text(encoding='utf-8').split('\\n\\n')\n"
        "print(train_vocabulary([Document(str(n), t) for n, t in enumerate(texts)], 1000).fingerprint)"
    )
    for parallel in ("true", "false"):
        environment = {"PATH": "/usr/bin:/bin", "TOKENIZERS_PARALLELISM": parallel, "PYTHONHASHSEED": "7"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == tokenizer.fingerprint


def test_signs_inside_words_are_numbered_alike_in_every_process():
    code = (
        "from spanbert.documents import Document\n"
        "from spanbert.pretraining.vocabulary import train_vocabulary\n"
        "texts = ['Heated to 30\u00b0C for 20\u20ac by Acme\u2122 in 3\u00d74 mm, \u00b15 %. ' * 3] * 9\n"
        "print(train_vocabulary([Document(str(n), t) for n, t in enumerate(texts)], 1200).fingerprint)"
    )
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(found) == 1


def test_written_and_read_again(tokenizer: Tokenizer, tmp_path: Path):
    import transformers

    write_vocabulary(tokenizer, tmp_path / "v", 512)
    text = "The Company's shares were sold for $1.5 billion, says Zoë."
    expected = tokenizer.encode(text).ids.tolist()
    assert Tokenizer.from_folder(tmp_path / "v").encode(text).ids.tolist() == expected
    assert Tokenizer.from_vocabulary(tmp_path / "v" / "vocab.txt").encode(text).ids.tolist() == expected
    stock = transformers.AutoTokenizer.from_pretrained(tmp_path / "v")
    assert stock(text, add_special_tokens=False)["input_ids"] == expected
    assert stock.mask_token == "[MASK]" and stock.model_max_length == 512


def test_a_vocabulary_too_small_or_of_nothing(documents: list[Document]):
    with pytest.raises(UsageError, match="a vocabulary of 100"):
        train_vocabulary(documents, 100)
    for texts in ([], [Document("a", " \n ")], [Document("a", "abc def")]):
        with pytest.raises(DataError, match="without words"):
            train_vocabulary(texts, 1000)


def test_a_word_without_end_takes_no_time_without_end():
    """Its square: three million letters would take hours."""
    blob = Document("d", "the house " * 20 + "x" * 300_000 + "yz" * 100_000)
    tokenizer = train_vocabulary([blob], 350)
    assert tokenizer.size <= 350


def test_scripts_of_many_letters():
    """Chinese is read letter by letter: a vocabulary of letters is one. Syllables of Hangul are letters too, and more
    of them have a piece than of a script that has few; with the form that words go on with they take half of it."""
    chinese = "".join(chr(0x4E00 + number % 300) for number in range(1200))
    made = train_vocabulary([Document("zh", chinese)], 2000)
    assert made.ids["unk"] not in made.pieces([chinese])[0].ids
    syllables = [chr(0xAC00 + number) for number in range(900)]
    korean = " ".join("".join(syllables[k % 900 : k % 900 + 3]) for k in range(0, 5400, 3))
    for size, known in ((8000, 900), (2000, 2000 // 4 - 94)):  # the letters of ASCII come first
        vocabulary = train_vocabulary([Document("ko", korean)], size)
        assert len({vocabulary.token(number) for number in range(vocabulary.size)} & set(syllables)) == known
