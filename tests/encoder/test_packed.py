"""The packed encoder is the stock encoder, whatever else is in the batch."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from spanbert.encoder import packed as module
from spanbert.encoder.loading import to_stock
from spanbert.encoder.packed import (
    ACTIVATIONS,
    PLAIN_LENGTH,
    EncoderConfig,
    PackedBert,
    _attention,
    dropped,
    rounded,
    rows_of,
)
from spanbert.packing import Batch, lay_out
from spanbert.windows import Window

SHAPE = EncoderConfig(
    vocab_size=50,
    hidden_size=24,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=40,
    max_position_embeddings=32,
    type_vocab_size=3,
)
LENGTHS = (32, 2, 17, 17, 9, 3, 32, 9)  # ragged, the longest possible among them, some of equal length


def windows(seed: int = 0) -> list[Window]:
    """Any id but 0: the stock class gives no gradient to its padding, and we have none."""
    draw = np.random.default_rng(seed)
    return [
        Window(draw.integers(1, 50, n), draw.integers(0, 3, n), np.r_[-1, np.arange(n - 2), -1], -1, 2 * n)
        for n in LENGTHS
    ]


def packed(chosen: list[Window]) -> Batch:
    return lay_out([(window,) for window in chosen], range(len(chosen)))


def parts(vectors: Tensor, batch: Batch) -> list[Tensor]:
    """The vectors of each window, in the order the windows were given in."""
    pieces = vectors.split(batch.lengths.tolist())
    return [pieces[k] for k in np.argsort(batch.groups)]


def encoder(seed: int = 0, **changes: object) -> PackedBert:
    """Random weights, larger than at the start of training, and biases and norms that are not trivial."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = PackedBert(dataclasses.replace(SHAPE, **changes))
        for parameter in made.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made.eval()


def stock(ours: PackedBert) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(**dataclasses.asdict(ours.config))
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    missing, unexpected = model.load_state_dict(to_stock(ours), strict=False)
    assert not unexpected
    assert not [name for name in missing if "position_ids" not in name]
    return model


def run_stock(model: torch.nn.Module, window: Window) -> Tensor:
    ids, types = (torch.from_numpy(column)[None] for column in (window.ids, window.token_types))
    return model(input_ids=ids, token_type_ids=types).last_hidden_state[0]


@pytest.mark.parametrize(
    ("kind", "card", "width", "fuses"),
    [
        ("cuda", (8, 0), 64, True), ("cuda", (9, 0), 256, True), ("cuda", (7, 5), 64, False),
        ("cuda", (9, 0), 60, False), ("cuda", (9, 0), 264, False), ("cpu", (9, 0), 64, False),
    ],
)  # fmt: skip
def test_where_windows_of_all_lengths_are_one_call(
    monkeypatch: pytest.MonkeyPatch, kind: str, card: tuple[int, int], width: int, fuses: bool
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: card)
    assert module._fuses(torch.device(kind), width) is fuses


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("copied", [True, False])
def test_on_a_gpu_windows_of_all_lengths_are_one_call(copied: bool, monkeypatch: pytest.MonkeyPatch):
    """In bfloat16, weights copied or autocast: vectors and gradients of one call for all windows are, to its three
    digits, those in fp32 on the processor, and the same call by call where heads have an odd width."""
    batch = packed(windows())
    calls = []
    for name in ("all_at_once", "run_by_run"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, name=name, real=real: calls.append(name) or real(*a))
    for width, call in ((32, "all_at_once"), (24, "run_by_run")):
        ours = encoder(hidden_size=width)
        expected = ours(batch)
        asked = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
        (expected * asked).mean().backward()
        theirs = copy.deepcopy(ours).to("cuda", torch.bfloat16 if copied else None)
        theirs.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=not copied):
            found = theirs(batch)
        assert calls[-2:] == ["run_by_run", call]
        (found.float() * asked.to(found.device)).mean().backward()
        near = (found.float().cpu() - expected).norm() / expected.norm()
        assert near < 0.02
        for (label, mine), other in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            assert (mine.grad.float().cpu() - other.grad).norm() / other.grad.norm() < 0.1, label


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_vectors_are_those_of_the_stock_class(activation: str):
    """Each window alone through the stock class, all of them packed through ours: 1e-5 apart at most."""
    ours = encoder(hidden_act=activation)
    theirs = stock(ours)
    batch = packed(windows())
    with torch.no_grad():
        vectors = ours(batch)
        assert vectors.shape == (sum(LENGTHS), 24)
        for window, mine in zip(windows(), parts(vectors, batch), strict=True):
            torch.testing.assert_close(mine, run_stock(theirs, window), atol=1e-5, rtol=0)


@pytest.mark.parametrize("changes", [{"layer_norm_eps": 0.1}, {"num_attention_heads": 1}, {"num_hidden_layers": 1}])
def test_the_shape_is_followed(changes: dict[str, object]):
    ours = encoder(**changes)
    batch = packed(windows())
    with torch.no_grad():
        mine = parts(ours(batch), batch)[2]
        torch.testing.assert_close(mine, run_stock(stock(ours), windows()[2]), atol=1e-5, rtol=0)


def test_gradients_are_those_of_the_stock_class():
    """The loss is a random weighting of all vectors; every weight's gradient agrees to 1e-5 of its largest entry."""
    ours = encoder()
    theirs = stock(ours)
    batch = packed(windows())
    weighting = [torch.randn(n, 24, generator=torch.Generator().manual_seed(n)) for n in LENGTHS]
    sum((v * w).sum() for v, w in zip(parts(ours(batch), batch), weighting, strict=True)).backward()
    sum((run_stock(theirs, x) * w).sum() for x, w in zip(windows(), weighting, strict=True)).backward()
    # gradients under stock names: the same table that renames weights renames them
    named = copy.deepcopy(ours)
    named.load_state_dict({name: parameter.grad for name, parameter in ours.named_parameters()})
    gradients = to_stock(named)
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        bound = max(1e-5 * expected[name].abs().max().item(), 1e-4 if ".key.bias" in name else 0)  # of a key: 0
        torch.testing.assert_close(
            gradient, expected[name], atol=bound, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_alone_as_in_company():
    ours = encoder()
    batch = packed(windows())
    with torch.no_grad():
        together = parts(ours(batch), batch)
        for window, mine in zip(windows(), together, strict=True):
            torch.testing.assert_close(ours(packed([window])), mine, atol=1e-5, rtol=0)


def test_attention_stays_inside_a_window():
    """Changing one window of a run of two changes nothing in the other, not by a bit."""
    ours = encoder()
    first, second = windows()[2:4]
    with torch.no_grad():
        before = ours(packed([first, second]))[: len(first.ids)]
        after = ours(packed([first, dataclasses.replace(second, ids=second.ids[::-1].copy())]))[: len(first.ids)]
    assert torch.equal(before, after)


def test_bfloat16_is_near():
    ours = encoder()
    batch = packed(windows())
    with torch.no_grad():
        exact = ours(batch)
        near = copy.deepcopy(ours).to(torch.bfloat16)(batch)
    assert near.dtype == torch.bfloat16
    assert not torch.equal(near.float(), exact)
    assert ((near.float() - exact).abs().max() / exact.abs().max()).item() < 0.05


@pytest.mark.parametrize("length", [9, PLAIN_LENGTH, PLAIN_LENGTH + 1])
def test_attention_learns_alike_in_both_precisions(length: int):
    """With a gradient in bfloat16 it takes another way: same outputs and gradients, whichever way."""
    draw = torch.Generator().manual_seed(length)
    inputs = [torch.randn(2, 3, length, 8, generator=draw) for _ in range(3)]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        mine = [x.clone().to(dtype).requires_grad_() for x in inputs]
        out = _attention(*mine, None)
        (out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        found.append([out, *(x.grad for x in mine)])
    for exact, near in zip(*found, strict=True):
        assert ((near.float() - exact).norm() / exact.norm()).item() < 0.02


def test_rows_are_rounded_to_few_numbers():
    """28 to 32; 100 lies between 64 and 128, whose steps are 4, at least 16; 2000 between 1024 and 2048: 64."""
    assert [rounded(n) for n in (1, 16, 28, 100, 2000, 4096, 4097)] == [16, 16, 32, 112, 2048, 4096, 4352]
    assert all(n <= rounded(n) <= max(16, n + 15, 1.07 * n) for n in range(1, 5000))
    assert len({rounded(n) for n in range(1, 8193)}) <= 140


def windows_of(*lengths: int) -> list[Window]:
    return [
        dataclasses.replace(windows()[0], ids=1 + np.arange(n) % 49, token_types=np.zeros(n, int), pieces=np.arange(n))
        for n in lengths
    ]


def test_windows_are_filled_to_sixteens_by_hand():
    """70 becomes 80 and its last position fills it; 64 is full, 5 short enough to stay; 154 rows become 160."""
    rows = rows_of(packed(windows_of(70, 64, 5, 5)), fill=True)
    assert rows.source.tolist() == [*range(70), *[69] * 10, *range(70, 144), *[143] * 6]
    assert rows.places.tolist() == [*range(70), *range(80, 154)]
    assert [(number, length) for number, length, _ in rows.runs] == [(1, 80), (1, 64), (2, 5)]
    assert [seen is None for *_, seen in rows.runs] == [False, True, True]
    assert rows.runs[0][2].tolist() == [[True] * 70 + [False] * 10]


def test_windows_of_one_filled_length_are_one_call():
    rows = rows_of(packed(windows_of(80, 79, 65, 63)), fill=True)
    assert [(number, length) for number, length, _ in rows.runs] == [(3, 80), (1, 63)]
    assert rows.runs[0][2].sum(1).tolist() == [80, 79, 65]


def test_in_fp32_each_position_has_one_row():
    rows = rows_of(packed(windows_of(70, 64, 5)), fill=False)
    assert rows.source.tolist() == rows.places.tolist() == list(range(139))
    assert [seen for *_, seen in rows.runs] == [None] * 3


@pytest.mark.parametrize("learns", [False, True])
def test_filled_rows_change_nothing(learns: bool):
    """Vectors and gradients in bfloat16, where windows are filled, are those in fp32, where they are not."""
    exact = encoder(max_position_embeddings=80, initializer_range=0.3)
    batch = packed(windows_of(70, 66, 64, 9))
    near = copy.deepcopy(exact).bfloat16()
    with torch.set_grad_enabled(learns):
        found = [ours(batch) for ours in (exact, near)]
    assert found[0].shape == found[1].shape == (209, 24)
    for mine, other in zip(*(parts(x, batch) for x in found), strict=True):
        assert ((other.float() - mine).norm() / mine.norm()).item() < 0.02
    if learns:
        weighting = torch.randn(found[0].shape, generator=torch.Generator().manual_seed(0))
        for vectors in found:
            (vectors.float() * weighting).sum().backward()
        for (name, mine), other in zip(exact.named_parameters(), near.parameters(), strict=True):
            assert (other.grad.float() - mine.grad).norm() <= 0.1 * mine.grad.norm(), name


def test_dropout_in_training_only():
    ours = encoder()
    batch = packed(windows())
    with torch.no_grad(), torch.random.fork_rng():
        assert torch.equal(ours(batch), ours(batch))
        ours.train()
        assert not torch.equal(ours(batch), ours(batch))
        still = encoder(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        assert torch.equal(still(batch), still(batch))


def test_attention_is_never_dropped():
    batch = packed(windows())
    with torch.no_grad(), torch.random.fork_rng():
        ours = encoder(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5).train()
        assert torch.equal(ours(batch), ours(batch))
        ours = encoder(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0).train()
        assert not torch.equal(ours(batch), ours(batch))


def test_embeddings_are_dropped_too():
    """Without layers, half of the numbers are 0 and the others are doubled."""
    ours = encoder(hidden_dropout_prob=0.5)
    ours.layers = torch.nn.ModuleList()
    batch = packed(windows())
    with torch.no_grad(), torch.random.fork_rng():
        plain, dropped = ours(batch), ours.train()(batch)
    kept = dropped != 0
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.05)
    torch.testing.assert_close(dropped[kept], 2 * plain[kept])


def test_a_new_encoder_starts_as_bert_does():
    """Matrices normal with the given deviation, biases 0, norms 1 and 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = PackedBert(dataclasses.replace(SHAPE, vocab_size=5000, initializer_range=0.07))
    assert made.words.weight.std().item() == pytest.approx(0.07, rel=0.02)
    assert made.words.weight.mean().item() == pytest.approx(0, abs=0.002)
    for layer in made.layers:
        assert layer.up.weight.std().item() == pytest.approx(0.07, rel=0.1)
        assert not layer.qkv.bias.any()
        assert (layer.output_norm.weight == 1).all()
    assert (made.width, made.longest) == (24, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_leaves_out_its_share_and_keeps_the_mean(dtype: torch.dtype):
    torch.manual_seed(0)
    x = torch.full((999, 401), 2.0, dtype=dtype, requires_grad=True)
    y = dropped(x, 0.1, training=True)
    assert abs(float((y == 0).float().mean()) - 0.1) < 0.003  # 6 standard deviations of a share of 400,599 draws
    kept = 1 - round(0.1 * 2**16) / 2**16  # the share that is drawn, not quite the one that was asked for
    assert set(y.unique().tolist()) == {0.0, float((torch.tensor(1 / kept, dtype=dtype) * 2).to(dtype))}
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0)
    rows = (y == 0).float()
    assert abs(float((rows[:, :-1] * rows[:, 1:]).mean()) - 0.01) < 0.002  # neighbours share random words, no bits
    torch.manual_seed(0)
    assert torch.equal(dropped(x, 0.1, training=True), y)


def test_dropout_of_nothing_and_of_nearly_everything():
    x = torch.ones(50, 50)
    assert dropped(x, 0.0, training=True) is x and dropped(x, 0.5, training=False) is x
    assert float((dropped(x, 0.999999, training=True) == 0).float().mean()) > 0.99
