"""Hidden pieces from context and from borders: against the stock class, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spanbert.encoder import loading
from spanbert.encoder.packed import EncoderConfig, PackedBert
from spanbert.errors import UsageError
from spanbert.heads import masked as module
from spanbert.heads.head import Network
from spanbert.heads.masked import PLACES, MaskedHead
from spanbert.packing import Batch, lay_out
from spanbert.targets import MaskTargets
from spanbert.windows import Window

VOCABULARY, WIDTH = 40, 16
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
}


def encoder_of(**settings: object) -> PackedBert:
    torch.manual_seed(0)
    return PackedBert(EncoderConfig(**{**SHAPE, **settings}))


def window_of(*ids: int) -> Window:
    row = np.array([3, *ids, 4])  # 1 is the padding piece of RoBERTa
    return Window(row, np.zeros_like(row), np.array([-1, *range(len(ids)), -1]), -1, 2 * len(ids))


def targets_of(*rows: tuple[int, int, int, int, int]) -> MaskTargets:
    return MaskTargets(np.array(rows, dtype=np.int64).reshape(-1, 5).T)


WINDOWS = [window_of(5, 6, 7, 8, 9), window_of(10, 11, 12, 13, 14, 15, 16)]
TARGETS = [targets_of((2, 1, 4, 0, 6), (3, 1, 4, 1, 7)), targets_of((1, 0, 2, 0, 10), (7, 6, 8, 0, 16))]


def batch_of(*members: int) -> Batch:
    return lay_out([(window,) for window in WINDOWS], list(members))


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert"])
def test_scores_are_those_of_the_stock_class(kind: str, tmp_path):
    """Saved under the stock names, the encoder and the head give the stock class's logits."""
    import transformers
    from safetensors.torch import save_file

    settings: dict[str, object] = {"model_type": kind}
    if kind == "distilbert":
        settings["type_vocab_size"] = 0
    if kind == "albert":
        settings |= {"shared_layers": True, "embedding_size": 8, "hidden_act": "gelu_new"}
    if "roberta" in kind:
        settings |= {"first_position": 2, "max_position_embeddings": 34}
    encoder = encoder_of(**settings)
    head = MaskedHead.on(encoder, 1.0)
    torch.nn.init.normal_(head.bias)
    state = head.state_dict()
    names = loading.head_names(encoder.config, "MaskedLM", "span-masking", state)
    prefix = loading.prefix(encoder.config)
    weights = {f"{prefix}.{name}": tensor for name, tensor in loading.to_stock(encoder).items()}
    weights |= {names[key]: tensor.detach().clone() for key, tensor in state.items()}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = transformers.AutoConfig.for_model(**loading.to_stock_config(encoder), tie_word_embeddings=True)
    config.save_pretrained(tmp_path)
    stock = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    batch = batch_of(1)
    with torch.no_grad():
        ours = head.scores(encoder.eval()(batch), encoder.words.weight)
        theirs = stock(torch.from_numpy(batch.ids)[None]).logits[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_loss_over_hidden_pieces_is_the_stock_loss_with_the_rest_ignored():
    encoder = encoder_of().eval()
    head = MaskedHead.on(encoder, 1.0)
    batch = batch_of(1, 0)
    vectors = encoder(batch)
    losses = head.loss(vectors, batch, [TARGETS[1], TARGETS[0]], encoder.words.weight)
    labels = torch.full((len(batch.ids),), -100)
    for start, targets in zip(batch.cu_seqlens, (TARGETS[1], TARGETS[0]), strict=False):
        at, *_, ids = targets.columns
        labels[at + start] = torch.from_numpy(ids)
    expected = F.cross_entropy(head.scores(vectors, encoder.words.weight), labels, ignore_index=-100, reduction="sum")
    torch.testing.assert_close(losses["masked"], expected)


def test_boundary_reads_the_two_borders_and_the_place_and_nothing_else():
    encoder = encoder_of().eval()
    head = MaskedHead.on(encoder, 1.0)
    batch, words = batch_of(0), encoder.words.weight
    vectors = torch.randn(len(batch.ids), WIDTH, requires_grad=True)
    loss = head.loss(vectors, batch, [TARGETS[0]], words)["boundary"]
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert gradient.abs().sum(dim=1).nonzero().flatten().tolist() == [1, 4]
    assert head.boundary is not None
    places = head.boundary["places"].weight
    assert places.shape == (PLACES, 200)
    by_hand = 0.0
    for at, left, right, offset, gold in ((2, 1, 4, 0, 6), (3, 1, 4, 1, 7)):
        assert at == left + 1 + offset
        outside = torch.cat([vectors[left], vectors[right], places[offset]])
        x = head.boundary["second"](head.boundary["first"](outside))
        by_hand -= torch.log_softmax(words @ x + head.boundary_bias, dim=0)[gold].item()
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_places_beyond_the_last_share_its_vector():
    encoder = encoder_of().eval()
    head = MaskedHead.on(encoder, 1.0)
    batch, words = batch_of(0), encoder.words.weight
    losses = [
        head.loss(encoder(batch), batch, [targets_of((2, 1, 4, place, 6))], words)["boundary"]
        for place in (PLACES - 2, PLACES - 1, PLACES, 500)
    ]
    assert losses[1] == losses[2] == losses[3] != losses[0]


def test_packed_blocks_have_the_losses_of_the_blocks_alone(monkeypatch: pytest.MonkeyPatch):
    network = Network(encoder := encoder_of(), {"span-masking": MaskedHead.on(encoder, 1.0)}).eval()
    alone = [network("span-masking", batch_of(n), [TARGETS[n]]) for n in (0, 1)]
    together = network("span-masking", batch_of(0, 1), TARGETS)
    monkeypatch.setattr(module, "ROWS", 1)
    in_rows = network("span-masking", batch_of(0, 1), TARGETS)
    for name in ("masked", "boundary"):
        torch.testing.assert_close(together[name], alone[0][name] + alone[1][name])
        torch.testing.assert_close(in_rows[name], together[name])


def test_nothing_hidden_is_a_loss_of_zero():
    encoder = encoder_of()
    losses = MaskedHead.on(encoder, 1.0).loss(encoder(batch_of(0)), batch_of(0), [targets_of()], encoder.words.weight)
    assert {name: float(loss.detach()) for name, loss in losses.items()} == {"masked": 0.0, "boundary": 0.0}


def test_without_the_boundary_objective_there_are_no_weights_for_it():
    encoder = encoder_of()
    head = MaskedHead.on(encoder, 0.0)
    assert head.weights == {"masked": 1.0}
    assert not [name for name, _ in head.named_parameters() if "boundary" in name]
    assert head.loss(encoder(batch_of(0)), batch_of(0), [TARGETS[0]], encoder.words.weight).keys() == {"masked"}


def test_the_words_learn_from_both_losses():
    """They are the encoder's own: tied, not copied."""
    network = Network(encoder := encoder_of(), {"span-masking": MaskedHead.on(encoder, 1.0)})
    losses = network("span-masking", batch_of(0, 1), TARGETS)
    for loss in losses.values():
        (gradient,) = torch.autograd.grad(loss, encoder.words.weight, retain_graph=True)
        assert (gradient[30:].abs().sum(dim=1) > 0).all()  # pieces that occur nowhere: by the softmax alone


def test_in_bf16_the_losses_stay_near():
    network = Network(encoder := encoder_of(), {"span-masking": MaskedHead.on(encoder, 1.0)}).eval()
    full = network("span-masking", batch_of(0, 1), TARGETS)
    network.precision = torch.bfloat16
    half = network("span-masking", batch_of(0, 1), TARGETS)
    for name, loss in half.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(full[name].item(), rel=0.02)
        assert math.isfinite(loss.item())


def test_other_types_are_refused():
    class Other:
        class config:
            model_type = "modernbert"

    with pytest.raises(UsageError, match="pre-training of a modernbert"):
        MaskedHead.on(Other(), 1.0)  # type: ignore[arg-type]
