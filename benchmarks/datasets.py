"""The named-entity corpora of the shared data folder as our own JSONL, each split into train, dev and test.

    python benchmarks/datasets.py [--data DIR] [--output DIR] [NAME ...]    # all, unless named; prints what they hold

The test part is the official one; where only an official dev part is at hand, that one (so nothing may be chosen on
it). Every other part is taken out of train, whose texts are put in the order of their SHA-256: the split is the same on
any machine, its sizes are exact, and a text that occurs twice never falls into two parts. Official parts may repeat
texts of train; the table counts them.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from spanbert import Document, Relation, Span, SpanbertError, durable, read_documents, tag_schemes, write_documents
from spanbert.errors import UsageError, check_among
from spanbert.formats import ReadReport

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
OUTPUT = ROOT / "build" / "benchmarks" / "datasets"
PARTS = ("train", "dev", "test")
COLUMNS = ("documents", "tokens", "spans", "labels", "nested", "longest", "repeated")  # longest: words of a span;
ROW = "{:20}{:6}" + "{:>10}" * len(COLUMNS)  # repeated: texts of the parts above that stand here again
CHUNK = 20  # sentences of a filing that make a document: whole filings are too few to split

Range = tuple[int, int, str]  # first token of the sentence, end token (exclusive), label
Sentence = tuple[Sequence[str], Sequence[Range]]
Reader = Callable[[Path, ReadReport], Iterator[Document]]


@dataclass(frozen=True)
class Corpus:
    """Where a corpus lies, how it is read and how it is split."""

    name: str
    licence: str
    read: Reader
    train: str
    """The file of train; dev and test are taken out of it unless they have files of their own."""
    dev: str = ""
    test: str = ""
    dev_percent: int = 0
    """How many of the texts of the train file make the dev part."""
    test_percent: int = 0
    nested: bool = False
    """Spans lie inside others by design: one tag a token cannot write them."""
    folder: str = ""
    """Where the files lie in the data folder, if not under the corpus's name."""

    def sources(self, data: Path) -> dict[str, Path]:
        """The file of each official part."""
        files = {"train": self.train, "dev": self.dev, "test": self.test}
        return {part: data / (self.folder or self.name) / file for part, file in files.items() if file}


@dataclass(frozen=True)
class Split:
    """The files of a prepared corpus."""

    train: Path
    dev: Path
    test: Path
    notes: Path
    """A line with the version of this script, then what reading repaired, left out or doubted, counted."""


@dataclass
class Figures:
    """What a part holds."""

    documents: int = 0
    tokens: int = 0
    spans: int = 0
    labels: set[str] = field(default_factory=set)
    nested: int = 0
    """Spans that lie inside another one."""
    longest: int = 0
    """Words (runs without white space) of the longest span."""
    texts: set[str] = field(default_factory=set)


def prepare(name: str, data: Path = DATA, output: Path = OUTPUT) -> Split:
    """The three files of a corpus, written where they are absent or older than their source or than this script.

    Raises UsageError for an unknown name or a file that is not in the data folder.
    """
    check_among("unknown corpus", name, CORPORA)
    sources = CORPORA[name].sources(data)
    for source in sources.values():
        if not source.is_file():
            raise UsageError(f"no file {source}", "the folder of shared data", "name it with --data")
    folder = output / name
    split = Split(*(folder / file for file in ("train.jsonl", "dev.jsonl", "test.jsonl", "notes.txt")))
    if not is_current(split, sources.values()):
        report = ReadReport()
        for part, documents in read_parts(CORPORA[name], sources, report).items():
            write_documents(documents, vars(split)[part])
        durable.write(split.notes, "\n".join([version(), *report.summary()]) + "\n")  # last: it vouches for the others
    return split


def is_current(split: Split, sources: Iterable[Path]) -> bool:
    if not all(path.is_file() for path in vars(split).values()):
        return False
    written = split.notes.stat().st_mtime
    same = split.notes.read_text(encoding="utf-8").partition("\n")[0] == version()
    return same and all(source.stat().st_mtime <= written for source in sources)


def version() -> str:
    return f"datasets.py {durable.digest(Path(__file__))[:16]}"


def read_parts(corpus: Corpus, sources: Mapping[str, Path], report: ReadReport) -> dict[str, list[Document]]:
    parts: dict[str, list[Document]] = {part: [] for part in PARTS}
    for part, source in sources.items():
        parts[part] = [replace(each, id=f"{corpus.name}-{each.id}") for each in corpus.read(source, report)]
    drawn = draw({document.text for document in parts["train"]}, corpus)
    for document in parts["train"]:
        if document.text in drawn:
            parts[drawn[document.text]].append(document)
    parts["train"] = [document for document in parts["train"] if document.text not in drawn]
    return parts


def draw(texts: Iterable[str], corpus: Corpus) -> dict[str, str]:
    """The part of each text that leaves train: the first in the order of their hashes are dev, the next are test."""
    order = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())
    dev, both = (
        round(len(order) * percent / 100) for percent in (corpus.dev_percent, corpus.dev_percent + corpus.test_percent)
    )
    return dict.fromkeys(order[:dev], "dev") | dict.fromkeys(order[dev:both], "test")


# Readers: the documents of one file, with ids that are unique in the corpus.


def conll(path: Path, report: ReadReport) -> Iterator[Document]:
    """A document a sentence, in files that mark no documents."""
    return read_documents(path, "conll", report)


def filings(path: Path, report: ReadReport) -> Iterator[Document]:
    """Consecutive sentences of a filing, CHUNK at a time; the last document of a filing may be shorter."""
    for filing in read_documents(path, "conll", report):
        lines, start = filing.text.split("\n"), 0
        for first in range(0, len(lines), CHUNK):
            text = "\n".join(lines[first : first + CHUNK])
            end = start + len(text)
            spans = tuple(
                Span(span.start - start, span.end - start, span.label)
                for span in filing.spans
                if start <= span.start < end
            )
            tokens = [[a - start, b - start] for a, b in tokens_of(filing) if start <= a < end]
            yield Document(f"{filing.id}-{first + 1}", text, spans, meta={**filing.meta, "tokens": tokens})
            start = end + len("\n")


def genia(path: Path, report: ReadReport) -> Iterator[Document]:
    """A document an abstract."""
    for doc_id, group in groupby(json_lines(path), key=lambda line: str(line["doc_id"])):
        yield joined(
            doc_id, [(line["tokens"], ranges(line["entity_mentions"], "entity_type")) for line in group], report
        )


def litbank(path: Path, report: ReadReport) -> Iterator[Document]:
    """A document a work, from its layers of tags: columns 2 to 5, the outermost spans first."""
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                yield layered(Path(member.name).stem.removesuffix("_brat"), stream.read().decode(), report)


def layered(id: str, table: str, report: ReadReport) -> Document:
    sentences: list[Sentence] = []
    for has_tokens, lines in groupby(table.split("\n"), key=lambda line: bool(line.strip())):
        if has_tokens:
            tokens, *layers = list(zip(*(line.split("\t")[:5] for line in lines), strict=True))
            sentences.append((tokens, [span for tags in layers for span in tag_schemes.decode(tags, "iob2")]))
    return joined(id, sentences, report)


def fire(path: Path, report: ReadReport) -> Iterator[Document]:
    """A document an instance."""
    for instance in json.loads(content(path)):
        document = joined(str(instance["orig_id"]), [(instance["tokens"], ranges(instance["entities"]))], report)
        yield related(document, instance, report)


def kpi_edgar(path: Path, report: ReadReport) -> Iterator[Document]:
    """A document a sentence; `false_positive` marks what is no entity."""
    for line in json_lines(path):
        entities = [entity for entity in line["entities"] if entity["type"] != "false_positive"]
        if left_out := len(line["entities"]) - len(entities):
            report.warn("spans of false_positive (left out)", times=left_out)
        document = joined(f"{line['doc']}-{line['sent_id']}", [(line["tokens"], ranges(entities))], report)
        yield related(document, line, report)


def redocred(path: Path, report: ReadReport) -> Iterator[Document]:
    """A document an article; its mentions, whatever entity they belong to."""
    for number, article in enumerate(json.loads(content(path)), start=1):
        mentions: dict[int, list[Range]] = defaultdict(list)
        for mention in (mention for entity in article["vertexSet"] for mention in entity):
            mentions[mention["sent_id"]].append((*mention["pos"], mention["type"]))
        sentences = [(tokens, mentions[index]) for index, tokens in enumerate(article["sents"])]
        yield joined(str(number), sentences, report, between=" ")


def content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def json_lines(path: Path) -> Iterator[Any]:
    for line in content(path).splitlines():
        yield json.loads(line)


def ranges(entities: Iterable[Mapping[str, Any]], label: str = "type") -> list[Range]:
    return [(entity["start"], entity["end"], entity[label]) for entity in entities]


def joined(id: str, sentences: Sequence[Sentence], report: ReadReport, between: str = "\n") -> Document:
    """Tokens with a space between them, in the form in which the CoNLL reader gives them."""
    places: list[tuple[int, int]] = []
    spans: list[Span] = []
    position = 0
    for tokens, mentions in sentences:
        first = len(places)
        for token in tokens:
            places.append((position, position + len(token)))
            position += len(token) + 1
        spans += [Span(places[first + start][0], places[first + end - 1][1], label) for start, end, label in mentions]
    text = between.join(" ".join(tokens) for tokens, _ in sentences)
    unique = sorted(set(spans), key=lambda span: (span.start, -span.end, span.label))
    visible = [[start, end] for start, end in places if text[start:end].strip()]
    if twice := len(spans) - len(unique):
        report.repair("spans given twice (removed)", times=twice)
    if blank := len(places) - len(visible):
        report.warn("tokens of white space (kept in the text, not counted)", times=blank)
    return Document(id, text, tuple(unique), meta={"detokenised": True, "tokens": visible})


def related(document: Document, record: Mapping[str, Any], report: ReadReport) -> Document:
    """With the relations of its record, whose arguments are numbers of entities; of entities left out, these too."""
    ends = np.cumsum([len(token) + 1 for token in record["tokens"]]) - 1
    starts = ends - [len(token) for token in record["tokens"]]
    spans = [Span(int(starts[each["start"]]), int(ends[each["end"] - 1]), each["type"]) for each in record["entities"]]
    pairs = [(spans[each["head"]], spans[each["tail"]], each["type"]) for each in record.get("relations", ())]
    known = set(document.spans)
    kept = tuple(Relation(head, tail, label) for head, tail, label in pairs if {head, tail} <= known and head != tail)
    if left_out := len(pairs) - len(kept):
        report.warn("relations of a span that was left out, or of one with itself (left out)", times=left_out)
    return replace(document, relations=tuple(dict.fromkeys(kept)))


def tokens_of(document: Document) -> list[list[int]]:
    tokens = document.meta["tokens"]
    assert isinstance(tokens, list)
    return tokens


CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus("wnut17", "CC BY 4.0", conll, "wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
        Corpus("ncbi_disease", "public domain", conll, "train.txt.gz", test="dev.txt", dev_percent=15),
        *(
            Corpus(
                f"crossner_{domain}",
                "MIT",
                conll,
                "train.txt",
                test="dev.txt",
                dev_percent=25,
                folder=f"crossner/{domain}",
            )
            for domain in ("ai", "literature", "music", "politics", "science")
        ),
        Corpus("sec_filings_ner", "CC BY 3.0", filings, "FIN5.txt", test="FIN3.txt", dev_percent=20),
        Corpus("genia", "CC BY 3.0", genia, "genia_dev.jsonl.gz", dev_percent=10, test_percent=20, nested=True),
        Corpus(
            "litbank", "CC BY 4.0", litbank, "litbank_entities_tsv.tar.gz", dev_percent=10, test_percent=20, nested=True
        ),
        Corpus("fire", "CC BY 4.0", fire, "fire_train.json.gz", test="fire_dev.json", dev_percent=15),
        Corpus(
            "kpi_edgar", "MIT", kpi_edgar, "kpi_edgar_train.jsonl.gz", test="kpi_edgar_valid.jsonl.gz", dev_percent=15
        ),
        Corpus("redocred", "MIT", redocred, "dev_revised.json.gz", dev_percent=10, test_percent=20),
    )
}


def figures(path: Path) -> Figures:
    """What a file of a `Split` holds; it is our own, so it is read without checks."""
    found = Figures()
    with path.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            spans = record.get("spans", [])
            found.documents += 1
            found.tokens += len(record["meta"]["tokens"])
            found.spans += len(spans)
            found.texts.add(record["text"])
            reach = 0
            for span in sorted(spans, key=lambda span: (span["start"], -span["end"])):
                found.labels.add(span["label"])
                found.nested += span["end"] <= reach
                found.longest = max(found.longest, len(span["text"].split()))
                reach = max(reach, span["end"])
    return found


def show(name: str, split: Split) -> None:
    seen: set[str] = set()
    for part in PARTS:
        found = figures(vars(split)[part])
        numbers = (found.documents, found.tokens, found.spans, len(found.labels), found.nested, found.longest)
        print(ROW.format(name, part, *(f"{number:,}" for number in (*numbers, len(found.texts & seen)))))
        seen |= found.texts
    for note in split.notes.read_text(encoding="utf-8").splitlines()[1:]:
        print(f"{'':20}{note}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CORPORA))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of shared data (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the parts are written (%(default)s)")
    options = parser.parse_args()
    print(ROW.format("corpus", "part", *COLUMNS))
    try:
        for name in options.names or CORPORA:
            show(name, prepare(name, options.data, options.output))
    except SpanbertError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
