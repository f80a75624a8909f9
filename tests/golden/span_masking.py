"""The cases of `span_masking` in the schema of `expected`, and the chi-square test that goes with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spanbert import masking
from spanbert.tasks.span_masking import RANDOM, SHOWN_AS_MASK

Case = dict[str, Any]
SEQUENCES = 400


def span_masking(case: Case) -> Case:
    return {
        "pmf": pmf,
        "tolerance": tolerance,
        "chi2": chi2,
        "growth": growth,
        "monte_carlo": monte_carlo,
        "replacement": replacement,
    }[case["kind"]](case)


def pmf(case: Case) -> Case:
    """Lengths from `lower` on are those from one on, given that they are that long."""
    lower, upper, p = case["lower"], case["upper"], case["geometric_p"]
    shares = masking.geometric(upper - lower + 1, p)
    lengths = np.arange(lower, upper + 1)
    mean = float(shares @ lengths)
    variance = float(shares @ (lengths - mean) ** 2)
    if (lower, upper, p) != (1, 10, 0.2):  # of the others the vectors give no more
        return {"pmf": shares.tolist(), "mean": mean}
    normaliser = 1 - (1 - p) ** (upper - lower + 1)
    wrong = shares * normaliser
    wrong[-1] += 1 - normaliser
    return {
        "pmf": shares.tolist(),
        "cdf": np.cumsum(shares).tolist(),
        "mean": mean,
        "variance": variance,
        "sd": math.sqrt(variance),
        "normaliser": normaliser,
        "wrong_variant_mass_at_upper": {"pmf": wrong.tolist(), "mean": float(wrong @ lengths)},
    }


def chi2(case: Case) -> Case:
    counts = np.array(case["counts_for_lengths_1_to_10"])
    value = chi_square(counts)
    p_value = chi_square_tail(value)
    return {
        "chi2": value,
        "df": 9,
        "p_value": p_value,
        "reject_at_1e-4": p_value < 1e-4,
        "sample_mean": float(counts @ np.arange(1, 11) / counts.sum()),
    }


def tolerance(case: Case) -> Case:
    number, shares = case["N"], masking.geometric(10)
    expected = number * shares
    wrong = 0.2 * 0.8 ** np.arange(10)
    wrong[-1] += 1 - wrong.sum()
    variance = float(shares @ (np.arange(1, 11) - shares @ np.arange(1, 11)) ** 2)
    return {
        "N": number,
        "df": 9,
        "chi2_critical": {level: critical(float(level)) for level in ("0.05", "0.01", "0.001", "0.0001", "1e-06")},
        "expected_counts": expected.tolist(),
        "per_bin_prob_4sigma": (4 * np.sqrt(shares * (1 - shares) / number)).tolist(),
        "mean_4sigma": 4 * math.sqrt(variance / number),
        "min_expected_count": float(expected.min()),
        "chi2_noncentrality_of_wrong_clip": float(number * ((wrong - shares) ** 2 / shares).sum()),
    }


def growth(case: Case) -> Case:
    begins = begins_of(case["word_piece_counts"])
    used = []

    def scripted():
        for length, anchor in case["draws_length_anchor"]:
            used.append(length)
            yield length, anchor

    budget = masking.budget_of(len(begins), case["mask_ratio"])
    spans = list(masking.grown(begins, budget, scripted(), cut=True))
    masked = np.zeros(len(begins), dtype=bool)
    for first, last in spans:
        masked[first : last + 1] = True
    merged = masking.runs(masked).tolist()
    return {
        "budget": budget,
        "masked_positions": np.flatnonzero(masked).tolist(),
        "spans_inclusive_before_merge": [list(span) for span in spans],
        "spans_inclusive_merged": merged,
        # the reference lists the pairs inside the block; at its ends [CLS] and [SEP] are the borders
        "sbo_boundary_pairs_external": [[a - 1, b + 1] for a, b in merged if a > 0 and b + 1 < len(begins)],
        "draws_consumed": len(used),
    }


def monte_carlo(case: Case) -> Case:
    """What an observer sees of SEQUENCES blocks; [value, standard error] as in the reference."""
    draw = np.random.default_rng(0)
    total, values = case["sequence_length"], case["pieces_per_word_values"]
    budget = masking.budget_of(total, case["mask_ratio"])
    numbers, sizes, words = [], [], []
    for _ in range(SEQUENCES):
        counts = draw.choice(values, size=total, p=case["pieces_per_word_probs"])
        begins = begins_of(counts.tolist())[:total]
        spans = list(masking.grown(begins, budget, masking.draws(total, masking.geometric(10), draw), cut=True))
        masked = np.zeros(total, dtype=bool)
        for first, last in spans:
            masked[first : last + 1] = True
            words.append(int(begins[first : last + 1].sum()))
        assert masked.sum() == budget
        merged = masking.runs(masked)
        numbers.append(len(merged))
        sizes += (merged[:, 1] - merged[:, 0] + 1).tolist()
    return {
        "sequences": SEQUENCES,
        "masked_fraction_exact": budget / total,
        "masked_fraction_observed": budget / total,
        "merged_runs_per_sequence": observed(numbers),
        "merged_run_length_tokens_mean": observed(sizes),
        "merged_run_length_tokens_hist_prob_se": histogram(sizes),
        "unmerged_span_length_words_hist_prob_se": histogram(words),
    }


def replacement(case: Case) -> Case:
    return {
        "unit": "merged span (one draw for the whole merged run, --replacement-method span)",
        "p_mask": SHOWN_AS_MASK,
        "p_random": round(RANDOM - SHOWN_AS_MASK, 12),
        "p_keep": round(1 - RANDOM, 12),
        "random_tokens_drawn": "independently per token position, from the corpus unigram distribution",
        "loss_targets": "every token in the masked set, whatever the replacement",
    }


def begins_of(counts: list[int]) -> np.ndarray:
    """Whether each piece begins a word, for words of so many pieces."""
    return np.concatenate([[True] + [False] * (count - 1) for count in counts]).astype(bool)


def chi_square(counts: np.ndarray) -> float:
    """Of counts of the lengths 1 to 10 against theory."""
    expected = counts.sum() * masking.geometric(10)
    return float(((counts - expected) ** 2 / expected).sum())


def chi_square_tail(value: float, degrees: int = 9) -> float:
    """P(chi-square >= value) for an odd number of degrees of freedom (Abramowitz and Stegun 26.4.4)."""
    root, term, total = math.sqrt(value), 0.0, 0.0
    for r in range(1, (degrees - 1) // 2 + 1):
        term = root if r == 1 else term * value / (2 * r - 1)
        total += term
    return math.erfc(root / math.sqrt(2)) + math.sqrt(2 / math.pi) * math.exp(-value / 2) * total


def critical(level: float) -> float:
    """The value that is passed with this probability."""
    low, high = 0.0, 200.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_tail(middle) > level else (low, middle)
    return low


def observed(values: list[int]) -> list[float]:
    return [float(np.mean(values)), float(np.std(values) / math.sqrt(len(values)))]


def histogram(values: list[int]) -> dict[str, list[float]]:
    counts = np.bincount(np.minimum(values, 25), minlength=26)[1:] / len(values)
    names = [*map(str, range(1, 25)), ">=25"]
    return {name: [p, math.sqrt(p * (1 - p) / len(values))] for name, p in zip(names, counts.tolist(), strict=True)}
