"""Documents that a model was made with are known again by their texts."""

from __future__ import annotations

from spanbert.documents import Document
from spanbert.evaluation import seen


def some(first: int, end: int) -> list[Document]:
    return [Document(f"d{n}", f"text {n}") for n in range(first, end)]


def test_learnt_from_and_chosen_by():
    """Of texts 8 to 29: 8 and 9 were taught, 10 to 14 chose the checkpoint, 20 to 24 the thresholds later."""
    facts = {"learnt": {"train": seen.marks(some(0, 10)), "held_out": seen.marks(some(10, 15))}}
    facts["learnt"]["calibrated"] = seen.marks(some(20, 25))
    assert seen.seen(facts, some(8, 30)) == (2, 10)
    other_ids = [Document(f"other {document.id}", document.text) for document in some(0, 3)]
    assert seen.seen(facts, other_ids) == (3, 0)
    assert seen.seen({}, some(0, 5)) == (0, 0)


def test_tasks_that_were_added_have_their_own():
    facts = {
        "learnt": {"held_out": seen.marks(some(0, 5))},
        "added": {"x": {"learnt": {"train": seen.marks(some(3, 6))}}},
    }
    assert seen.seen(facts, some(0, 10)) == (3, 3)  # what was taught counts as that


def test_a_calibration_is_remembered_where_its_tasks_are():
    facts = {"learnt": {"train": [1]}, "added": {"x": {"report": {}}, "y": {"learnt": {"train": [2]}}}, "about": {}}
    told = {"calibrated": seen.marks(some(0, 5))}
    all_of_them = seen.calibrated(facts, {"spans", "y"}, some(0, 5))
    assert all_of_them == {
        "learnt": {"train": [1], **told},
        "added": {"x": {"report": {}}, "y": {"learnt": {"train": [2], **told}}},
        "about": {},
    }
    assert seen.calibrated(facts, {"x"}, some(0, 5))["learnt"] == {"train": [1]}
    assert seen.calibrated({}, {"spans"}, some(0, 5)) == {"learnt": told}
    assert seen.seen(all_of_them, some(3, 10)) == (0, 2)
    assert facts["learnt"] == {"train": [1]}  # untouched


def test_texts_of_nothing_are_no_acquaintances():
    assert seen.seen({"learnt": {"train": seen.marks([Document("a", "")])}}, [Document("b", "")]) == (0, 0)


def test_of_many_a_part_is_remembered():
    many = some(0, 3 * seen.MOST)
    kept = seen.marks(many)
    assert len(kept) == seen.MOST and kept == sorted(kept)
    assert seen.seen({"learnt": {"train": kept}}, many) == (seen.MOST, 0)
