"""Spans written as one tag a token: reading, writing and recognising the four usual schemes.

A tag is `prefix-label`, split at the first hyphen, so labels may contain hyphens; `O` is outside, and a bare `B`
or `I` has the empty label. Token ranges are end exclusive.

    iob1    I-X; B-X only where a span of X directly follows another span of X
    iob2    B-X begins every span, I-X goes on
    iobes   B-X, I-X, E-X; S-X for a span of one token
    bilou   the same with L for E and U for S
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .errors import DataError, UsageError, check_among

SCHEMES = ("iob1", "iob2", "iobes", "bilou")

Range = tuple[int, int, str]  # first token, end token (exclusive), label

LETTERS: dict[str, tuple[str, ...]] = {  # begin, inside, and where the scheme has them: end, single
    "iob1": ("B", "I"),
    "iob2": ("B", "I"),
    "iobes": ("B", "I", "E", "S"),
    "bilou": ("B", "I", "L", "U"),
}
_READABLE = {"iob1": "OBIES", "iob2": "OBIES", "iobes": "OBIES", "bilou": "OBILU"}
_CONLLEVAL_BREAKS = frozenset({("B", "B"), ("I", "B"), ("E", "E"), ("E", "I")})


def split(tag: str) -> tuple[str, str]:
    """(prefix, label) of a tag; the label is empty where there is no hyphen."""
    prefix, _, label = tag.partition("-")
    return prefix, label


def tag_names(labels: Sequence[str], scheme: str) -> list[str]:
    """Every tag of the scheme for these labels: `O` first, then label by label."""
    letters = LETTERS[_known(scheme)]
    return ["O", *(f"{letter}-{label}" for label in labels for letter in letters)]


def decode(tags: Sequence[str], scheme: str) -> list[Range]:
    """The spans of a tag sequence, illegal tags included: whatever is not outside belongs to a span.

    A span goes on as long as its label does and no border is seen between two tags; so an inside tag after `O` or
    after another label begins a span, and a span that was never closed ends where it stops. Under iob1 and iob2
    these are the chunks of the conlleval script, which also reads E- (a border before I- and E-) and S- (none).
    """
    letters = LETTERS[_known(scheme)]
    spans: list[Range] = []
    start, previous = 0, ("O", "")
    for position, tag in enumerate([*tags, "O"]):
        current = _parse(tag, scheme)
        inside, goes_on = previous[0] != "O", current[0] != "O"
        border = inside and goes_on and (previous[1] != current[1] or _border(previous[0], current[0], letters))
        if inside and (border or not goes_on):
            spans.append((start, position, previous[1]))
        if goes_on and (border or not inside):
            start = position
        previous = current
    return spans


def decode_strict(tags: Sequence[str], scheme: str) -> list[Range]:
    """Only the spans that are written exactly as the scheme demands (strict mode of seqeval); the rest is left out."""
    letters = LETTERS[_known(scheme)]
    if scheme == "iob1":
        raise UsageError("strict reading of iob1", "iob2, iobes or bilou", "read iob1 with `decode`")
    spans: list[Range] = []
    start: int | None = None  # of a span that is open: all its tags so far are legal
    label = ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, current = _parse(tag, scheme)
        if prefix not in ("O", *letters):
            raise DataError(f"tag {tag!r}", f"prefixes O, {', '.join(letters)} ({scheme})", "name the tags' own scheme")
        goes_on = start is not None and current == label and prefix in letters[1:3]
        if start is not None and not goes_on:
            if len(letters) == 2:  # no tag closes a span
                spans.append((start, position, label))
            start = None
        if prefix == letters[0]:
            start, label = position, current
        elif prefix in letters[3:]:
            spans.append((position, position + 1, current))
        elif start is not None and prefix in letters[2:3]:
            spans.append((start, position + 1, label))
            start = None
    return spans


def encode(spans: Iterable[Range], length: int, scheme: str) -> list[str]:
    """The tags of `length` tokens that write these spans; spans that overlap cannot be written."""
    letters = LETTERS[_known(scheme)]
    tags = ["O"] * length
    end, previous = 0, ""
    for start, stop, label in sorted(spans):
        if not 0 <= start < stop <= length:
            raise DataError(f"tokens [{start}, {stop}) of {length}", "a range of tokens", "check the span's tokens")
        if start < end:
            raise DataError(
                f"span of tokens [{start}, {stop}) overlaps one that ends at {end}",
                "spans that do not overlap: one tag a token cannot write more",
                "choose among the spans first, or use a format for nested spans",
            )
        prefixes = _prefixes(stop - start, letters)
        if scheme == "iob1" and not (start == end and previous == label and start > 0):
            prefixes[0] = "I"
        tags[start:stop] = [f"{prefix}-{label}" if label else prefix for prefix in prefixes]
        end, previous = stop, label
    return tags


def repairs(tags: Sequence[str], scheme: str) -> int:
    """How many tags are not what the scheme prescribes for the spans that `decode` reads."""
    return sum(tag != right for tag, right in zip(tags, encode(decode(tags, scheme), len(tags), scheme), strict=True))


def detect(sequences: Iterable[Sequence[str]]) -> str:
    """The scheme that explains the tags with the fewest repairs; iob2 where iob1 is no better.

    One pass: E- or S- means iobes, L- or U- means bilou; only without any of these are iob1 and iob2 compared.
    """
    seen: dict[str, str] = {}  # prefix: the first tag that had it
    wrong = {"iob2": 0, "iob1": 0}
    for tags in sequences:
        for tag in tags:
            seen.setdefault(split(tag)[0], tag)
        if seen.keys() <= set("OBI"):
            for scheme in wrong:
                wrong[scheme] += repairs(tags, scheme)
    if seen.keys() <= set("OBI"):
        return min(wrong, key=wrong.__getitem__)
    for scheme in ("iobes", "bilou"):
        if seen.keys() <= set(_READABLE[scheme]):
            return scheme
    strange = [tag for prefix, tag in seen.items() if prefix not in set("OBIESLU")]
    raise DataError(
        f"tag {strange[0]!r}" if strange else f"tags of two schemes: {', '.join(map(repr, seen.values()))}",
        "tags of one scheme among " + ", ".join(SCHEMES),
        "check which column holds the tags, and that the files belong together",
    )


def _known(scheme: str) -> str:
    check_among("tag scheme", scheme, SCHEMES)
    return scheme


def _parse(tag: str, scheme: str) -> tuple[str, str]:
    prefix, label = split(tag)
    if len(prefix) != 1 or prefix not in _READABLE[scheme]:
        raise DataError(
            f"tag {tag!r}",
            f"O, or a prefix of {scheme}, a hyphen and a label",
            "check which column holds the tags, and their scheme",
        )
    return prefix, label


def _border(previous: str, current: str, letters: tuple[str, ...]) -> bool:
    """Whether a span ends and another of the same label begins between two tags."""
    if len(letters) == 2:
        return (previous, current) in _CONLLEVAL_BREAKS
    begin, _, end, single = letters
    return current in (begin, single) or previous in (end, single)


def _prefixes(width: int, letters: tuple[str, ...]) -> list[str]:
    if len(letters) == 2:
        return ["B", *["I"] * (width - 1)]
    begin, inside, end, single = letters
    return [single] if width == 1 else [begin, *[inside] * (width - 2), end]
