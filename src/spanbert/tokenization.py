"""Text to pieces with exact character offsets.

The tokenizers are those of the `tokenizers` library; ours is the border: which case a vocabulary wants, that text
never turns into special tokens, and that a piece never ends inside a user-perceived character.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from . import graphemes
from .errors import DataError, UsageError
from .tokenizer_file import failed, read_tokenizer

_BLANK = np.array([chr(number).isspace() for number in range(0x3002)])  # U+3000 is the last white space there is
_LARGEST = 64_000_000  # bytes of a file: twice what vocabularies of a hundred languages take, written widely
IntArray = npt.NDArray[np.int64]
SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_OTHER_NAMES = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The pieces of one text. All arrays have length T; `starts`, `ends` are characters, end exclusive.

    A piece of white space alone, which some vocabularies have, covers no characters and is no part of a span's border.
    """

    ids: IntArray
    starts: IntArray
    ends: IntArray
    words: IntArray
    """Index of the word a piece belongs to."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """T, whether a piece covers characters."""
        return self.starts < self.ends

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters [start, end) of the pieces first..last (inclusive)."""
        return int(self.starts[first]), int(self.ends[last])

    def covering(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last piece that touch the characters [start, end); None where no piece does."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None

    def exact(self, start: int, end: int) -> bool:
        """True where [start, end) begins and ends on borders of pieces, so that it can be predicted."""
        run = self.covering(start, end)
        return run is not None and self.span(*run) == (start, end)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What stands around the pieces of a window: special ones, and a question or the like before them."""

    before: IntArray
    after: IntArray
    types: IntArray
    """Segment of each position of `before`."""
    type_of_pieces: int = 0
    """Segment of the pieces and of what stands after them."""

    @classmethod
    def plain(cls, first: int, last: int) -> Frame:
        """`[CLS] pieces [SEP]`, given the ids of the two."""
        return cls(np.array([first]), np.array([last]), np.zeros(1, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


class Tokenizer:
    """The tokenizer of an encoder: WordPiece, byte-level or SentencePiece. `lowercase` says what it does to case."""

    def __init__(self, backend: Backend, names: Mapping[str, str] | None = None) -> None:
        """`names`: the piece of each special role, where the folder says so."""
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True  # text that reads "[MASK]" is text
        self._backend = backend
        self._spaced = not isinstance(backend.model, models.WordPiece)  # pieces may begin with white space
        self.size: int = max(backend.get_vocab().values(), default=-1) + 1  # ids may have gaps: blank lines
        self.ids: dict[str, int] = {}
        self._names: dict[str, str] = {}
        for role, token in SPECIAL.items():
            tried = dict.fromkeys(name for name in ((names or {}).get(role), token, _OTHER_NAMES[role]) if name)
            found = ((name, number) for name in tried if (number := backend.token_to_id(name)) is not None)
            self._names[role], self.ids[role] = next(found, ("", -1))
            if not self._names[role]:
                raise DataError(
                    f"the vocabulary has no {' and no '.join(tried)}",
                    f"special pieces named as in BERT ({' '.join(SPECIAL.values())}) or in RoBERTa "
                    f"({' '.join(_OTHER_NAMES.values())}), or in tokenizer_config.json",
                    "use the vocabulary that belongs to the checkpoint",
                )
        self.cls, self.sep = self.ids["cls"], self.ids["sep"]

    @classmethod
    def from_vocabulary(cls, path: Path, *, lowercase: bool | None = None) -> Tokenizer:
        """From a `vocab.txt` (one piece a line, line number = id). `lowercase` None: decided by its entries."""
        try:
            words = path.read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 ({error})", "a piece a line, in UTF-8", "copy it again") from None
        vocabulary = {word.removesuffix("\r"): number for number, word in enumerate(words) if word}
        if lowercase is None:
            lowercase = not is_cased(vocabulary)
        backend = Backend(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=lowercase, lowercase=lowercase
        )
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        backend.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL.values() if t in vocabulary])
        return cls(backend)

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """From `tokenizer.json`, else from `vocab.txt` and what `tokenizer_config.json` says of its case, else from
        `vocab.json` and `merges.txt`.
        """
        declared = {**_declared(folder / "special_tokens_map.json"), **_declared(folder / "tokenizer_config.json")}
        names = {role: name for role in SPECIAL if (name := _name(declared.get(f"{role}_token"))) is not None}
        path, pairs = folder / "tokenizer.json", (folder / "vocab.json", folder / "merges.txt")
        for file in (path, *pairs, folder / "vocab.txt"):
            if file.is_file() and file.stat().st_size > _LARGEST:
                raise DataError(
                    f"{file} has {file.stat().st_size:,} bytes", f"at most {_LARGEST:,}", "use a smaller vocabulary"
                )
        try:
            if path.is_file():
                return cls(read_tokenizer(path), names)
            path = folder / "vocab.json"
            if all(pair.is_file() for pair in pairs) and not (folder / "vocab.txt").is_file():
                return cls(_byte_level(*map(str, pairs)), names)
        except DataError:
            raise
        except BaseException as error:  # as in `read_tokenizer`
            if not failed(error):
                raise
            raise DataError(
                f"{path} is not a tokenizer ({error})", "the tokenizer files of a checkpoint", "copy it again"
            ) from None
        if (path := folder / "vocab.txt").is_file():
            case = declared.get("do_lower_case")
            return cls.from_vocabulary(path, lowercase=case if isinstance(case, bool) else None)
        raise DataError(
            f"{folder} has neither tokenizer.json nor vocab.txt",
            "a model folder with its tokenizer",
            "copy the tokenizer files of the checkpoint into it; where it has a SentencePiece model only, save it with "
            "transformers first, which writes tokenizer.json: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        )

    @property
    def lowercase(self) -> bool:
        """Whether text is lower-cased before it is looked up."""
        normalizer = self._backend.normalizer
        return normalizer is not None and normalizer.normalize_str("A") == "a"

    @cached_property
    def ordinary(self) -> IntArray:
        """Ids of the pieces that are no special ones."""
        special = {token.content for token in self._backend.get_added_tokens_decoder().values() if token.special}
        special |= set(self._names.values())
        ids = [number for piece, number in self._backend.get_vocab().items() if piece not in special]
        return np.array(sorted(ids), dtype=np.int64)

    @property
    def fingerprint(self) -> str:
        """Changes with the vocabulary and with what is done to text before it is looked up."""
        return hashlib.sha256(self._backend.to_str().encode()).hexdigest()[:16]

    def _stock_class(self) -> dict[str, object]:
        if not isinstance(self._backend.model, models.WordPiece):
            return {"tokenizer_class": "PreTrainedTokenizerFast"}
        accents = None if self.lowercase else False
        return {"tokenizer_class": "BertTokenizer", "do_lower_case": self.lowercase, "strip_accents": accents}

    def token(self, number: int) -> str:
        """The piece with this id."""
        return str(self._backend.id_to_token(int(number)))

    def spelling(self, piece: str) -> list[int]:
        """Ids that spell a piece of another WordPiece vocabulary (`##` before one that goes on); none where none do.

        Longest match first, as WordPiece itself does. Raises UsageError where this vocabulary is no WordPiece.
        """
        if self._spaced:
            raise UsageError("a vocabulary that is no WordPiece", "one with ## before pieces that go on", "keep it")
        going_on = piece.startswith("##") and piece != "##"
        text, ids = piece.removeprefix("##") if going_on else piece, []
        if self._backend.normalizer is not None:
            text = self._backend.normalizer.normalize_str(text).strip()
        while text:
            before = "##" if going_on else ""
            ends = range(len(text), 0, -1)
            end, number = next(((e, n) for e in ends if (n := self._known(before + text[:e])) is not None), (0, 0))
            if not end:
                return []
            ids.append(number)
            text, going_on = text[end:], True
        return ids

    def _known(self, piece: str) -> int | None:
        number: int | None = self._backend.token_to_id(piece)
        return number

    def encode(self, text: str) -> Pieces:
        """Pieces with the offsets exactly as the tokenizer gives them (they may end inside a grapheme)."""
        return self._pieces([text])[0]

    def ids_and_words(self, text: str) -> tuple[IntArray, IntArray]:
        """Ids of the pieces, and the word each belongs to, where no offsets are needed."""
        (encoding,) = self._encoded([text])
        words = np.array(encoding.word_ids, dtype=np.float64)  # None becomes NaN
        ids = self._as_text(np.array(encoding.ids, dtype=np.int64))
        return ids, np.where(np.isnan(words), -1, words).astype(np.int64)

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """Pieces of each text, offsets on borders of graphemes and without white space at their edges."""
        found = self._pieces(texts)
        if self._spaced:
            found = list(map(_trim, found, texts))
        return list(map(_snap, found, texts))

    def _pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """As the tokenizer gives them: parts of arrays that are made for all at once, as most texts are short."""
        encodings = self._encoded(list(texts))
        every = [encoding.ids for encoding in encodings]
        edges = [0, *accumulate(map(len, every))]
        ids = self._as_text(np.fromiter(chain.from_iterable(every), np.int64, edges[-1]))
        pairs = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
        starts, ends = np.fromiter(pairs, np.int64, 2 * edges[-1]).reshape(-1, 2).T.copy()
        known = np.array([*chain.from_iterable(encoding.word_ids for encoding in encodings)], np.float64)  # None: NaN
        words = np.where(np.isnan(known), -1, known).astype(np.int64)
        return [Pieces(ids[a:b], starts[a:b], ends[a:b], words[a:b]) for a, b in pairwise(edges)]

    def _as_text(self, ids: IntArray) -> IntArray:
        """Unknown in place of special pieces, which some vocabularies list among their words."""
        return np.where(self._special[ids], self.ids["unk"], ids)

    @cached_property
    def _special(self) -> npt.NDArray[np.bool_]:
        """Of each id whether it is that of a special piece other than unknown."""
        special = np.zeros(self.size, dtype=bool)
        special[[number for role, number in self.ids.items() if role != "unk"]] = True
        return special

    def _encoded(self, texts: list[str]) -> Sequence[Any]:
        try:
            encodings: Sequence[Any] = self._backend.encode_batch(texts, add_special_tokens=False)
        except BaseException as error:
            if not failed(error):
                raise
            raise DataError(
                f"a tokenizer that fails on a text ({str(error)[:200]})",
                "one that reads any text",
                "use the checkpoint's own tokenizer",
            ) from None
        return encodings

    @cached_property
    def frame(self) -> Frame:
        """That of a text by itself."""
        return Frame.plain(self.cls, self.sep)

    def asking(self, question: IntArray) -> Frame:
        """That of a text after a question, given the ids of its pieces: `[CLS] question [SEP] text [SEP]`.

        Special pieces and segments are those that the encoder was trained with, as far as its tokenizer says.
        """
        borders, types = self._pair
        before = np.concatenate([[self.cls], question, np.full(borders, self.sep)])
        segments = np.concatenate([np.full(1 + len(question), types[0]), np.full(borders, types[0])])
        return Frame(before, np.array([self.sep]), segments, types[1])

    @cached_property
    def _pair(self) -> tuple[int, tuple[int, int]]:
        """How many special pieces part two texts, and the segment of each text."""
        word = self.token(int(self.ordinary[-1])) if len(self.ordinary) else ""
        if self._backend.post_processor is None or not word:
            return (1, (0, 1)) if self._names["sep"] == SPECIAL["sep"] else (2, (0, 0))
        encoding = self._backend.encode(word, word)
        sides, types = encoding.sequence_ids, encoding.type_ids
        if 0 not in sides or 1 not in sides:
            return 1, (0, 1)
        first, second = len(sides) - 1 - sides[::-1].index(0), sides.index(1)
        return max(1, second - first - 1), (types[first], types[second])

    def save(self, folder: Path, longest: int) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`; `longest` = pieces the encoder can read."""
        self._backend.save(str(folder / "tokenizer.json"), pretty=False)
        config = {
            **self._stock_class(),
            "model_max_length": longest,
            **{f"{role}_token": token for role, token in self._names.items()},
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _byte_level(vocabulary: str, merges: str) -> Backend:
    backend = Backend(models.BPE.from_file(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(t, special=True) for t in _OTHER_NAMES.values() if backend.token_to_id(t) is not None]
    )
    return backend


def is_cased(vocabulary: dict[str, int]) -> bool:
    """A vocabulary is cased when any ordinary entry has an upper-case letter."""
    return any(word != word.lower() for word in vocabulary if not (word.startswith("[") and word.endswith("]")))


def _declared(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error})", "a JSON object", "copy it again or delete it") from None
    return record if isinstance(record, dict) else {}


def _name(token: object) -> str | None:
    """The text of a special piece, which files give alone or with its properties."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _trim(pieces: Pieces, text: str) -> Pieces:
    """Without the space that a piece of a byte-level or SentencePiece vocabulary begins with.

    A piece of nothing but white space covers no characters.
    """
    starts, ends = pieces.starts, pieces.ends
    if not len(pieces) or not text:
        return pieces
    blank = _BLANK[np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), len(_BLANK) - 1)]
    if not blank[np.minimum(starts, len(text) - 1)].any() and not blank[ends - 1].any():
        return pieces
    seen = np.flatnonzero(~blank)
    places = np.append(seen, len(text))
    first = places[np.searchsorted(seen, starts)]  # the first visible character from the start on
    last = np.append(seen + 1, 0)[np.searchsorted(seen, ends) - 1]  # the end of the last one before the end
    inside = first < ends
    return Pieces(pieces.ids, np.where(inside, first, starts), np.where(inside, last, starts), pieces.words)


def _snap(pieces: Pieces, text: str) -> Pieces:
    """Widen pieces to whole graphemes: an uncased tokenizer ends the piece of "e\\u0301" before the accent."""
    known = graphemes.borders(text)
    if known is None or not len(pieces):
        return pieces
    borders = np.array(known, dtype=np.int64)
    starts = borders[np.searchsorted(borders, pieces.starts, side="right") - 1]
    ends = borders[np.searchsorted(borders, pieces.ends, side="left")]
    return Pieces(pieces.ids, starts, ends, pieces.words)
