"""Documents that stand in the data twice, or nearly so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..documents import Document
from ..near_duplicates import LEAST, repeats
from .findings import SHOWN, WARNING, Example, Finding, several


def copies(train: Sequence[Document], dev: Sequence[Document]) -> Iterator[Finding]:
    """Exact copies (but for case and white space) and near ones, within the training documents and across to the
    held-out ones."""
    documents = [*train, *dev]
    exact, near = _earlier(documents)
    for later, first in list(exact.items()):  # of a held-out one that is like a training document: it is so too
        if first in near and first >= len(train) > near[first]:
            near[later] = near[first]
            del exact[later]
    for kind, pairs, how in (("same", exact, "the text of"), ("near", near, f"{LEAST:.0%} of the word triples of")):
        within = {later: first for later, first in pairs.items() if later < len(train)}
        leaked = {later: first for later, first in pairs.items() if first < len(train) <= later}
        if within:
            odd = sum(_marks(documents[later]) != _marks(documents[first]) for later, first in within.items())
            unequal = f"; {odd:,} of these pairs are annotated differently" if odd and kind == "same" else ""
            yield Finding(
                f"{kind}-text",
                WARNING,
                len(within),
                f"{several(len(within), 'training document')} with {how} an earlier one{unequal}",
                "keep one of each: copies count double, and disagree where they are annotated differently",
                _shown(documents, within),
            )
        if leaked:
            yield Finding(
                f"{kind}-text-held-out",
                WARNING,
                len(leaked),
                f"{several(len(leaked), 'held-out document')} with {how} a training document",
                "move both to the same side: measured on what was learnt, figures are too good",
                _shown(documents, leaked),
            )


def _earlier(documents: Sequence[Document]) -> tuple[dict[int, int], dict[int, int]]:
    """For each copy, the first document that it copies: exactly; nearly. Short texts have exact copies only."""
    first: dict[str, int] = {}
    exact = {}
    distinct = []
    for number, document in enumerate(documents):
        plain = " ".join(document.text.lower().split())
        if plain and first.setdefault(plain, number) != number:
            exact[number] = first[plain]
        else:
            distinct.append(number)
    near = repeats([documents[number].text for number in distinct])
    return exact, {distinct[later]: distinct[earlier] for later, earlier in near.items()}


def _marks(document: Document) -> list[tuple[str, str]]:
    spans = ((span.label, " ".join(document.text[span.start : span.end].lower().split())) for span in document.spans)
    return sorted(spans)


def _shown(documents: Sequence[Document], pairs: Mapping[int, int]) -> tuple[Example, ...]:
    rows = list(pairs.items())[:SHOWN]
    return tuple(Example(f"{documents[later].id} and {documents[first].id}") for later, first in rows)
