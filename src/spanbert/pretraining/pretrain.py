"""Pre-train an encoder on text: from scratch, or on from a checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from .. import bundle as bundles
from ..bundle import CHECKSUMS, Bundle
from ..documents import JSON, Document, only_documents
from ..durable import is_folder
from ..encoder.files import locate
from ..encoder.loading import Encoder, read_config
from ..encoder.packed import EncoderConfig, PackedBert
from ..errors import DataError, MachineError, UsageError, check_among
from ..heads.masked import MaskedHead
from ..inference.precision import choose_device
from ..inference.span_model import SpanModel
from ..models import shipped
from ..tasks import settings_from, task_class
from ..tasks.task import Task
from ..tokenization import Tokenizer
from ..training.checkpoint import other_run
from ..training.identity import digest, weights
from ..training.loop import held, learn
from ..training.signals import Request, leave
from ..training.tracking import Observer, Warned
from . import start
from .config import NEIGHBOURS, RANDOM, SIZES, TASK, PretrainConfig
from .corpus import BlockCorpus, fault, joined, write_corpus
from .curves import draw_curves
from .material import Blocks, Stream
from .transplant import transplanted

CONFIG, CORPUS, CURVES = "config.json", "corpus", "curves.svg"
_FROM_SCRATCH, _ON = (5e-4, 5e-4), (1e-4, 1e-3)
"""Peak rates of encoder and heads at a width of 384. At twice that a new encoder may learn nothing but frequencies."""


def new_model(
    size: str | Path, vocabulary: str | Path, *, settings: Mapping[str, object] | None = None, seed: int = 0
) -> SpanModel:
    """An encoder with random weights. size: mini, small, base, or a folder with the `config.json` of a BERT, of which
    all is taken but the number of pieces and of positions; vocabulary: a folder with a tokenizer.
    """
    tokenizer = Tokenizer.from_folder(locate(vocabulary))
    chosen = settings_from(TASK, settings or {})
    config = dataclasses.replace(
        _shape(size),
        vocab_size=-(-tokenizer.size // 64) * 64,  # a multiple that matrix units like
        max_position_embeddings=chosen.window,  # others would be there, and never have learnt anything
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tasks = {TASK: task_class(TASK)(chosen, tokenizer)}
        facts = {"base_model": {"name": Path(size).name, "new_weights": True}}
        return SpanModel(Bundle.build(PackedBert(config), tokenizer, tasks, facts))


def _shape(size: str | Path) -> EncoderConfig:
    folder = Path(size).expanduser()
    folder = folder.parent if folder.name == CONFIG else folder
    folder = folder if is_folder(folder) else shipped().get(str(size), folder)  # as in `locate`, but for the hub
    if size in SIZES or not is_folder(folder):
        check_among("size", size, SIZES, f"name one of these, or a folder with the {CONFIG} of a BERT")
        width, layers = SIZES[str(size)]
        return EncoderConfig(
            vocab_size=0,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            intermediate_size=4 * width,
        )
    config = read_config(folder)
    if not isinstance(config, EncoderConfig) or config.model_type != "bert":
        raise DataError(f"the shape of a model of type {config.model_type} in {size}", "that of a bert", "take another")
    return config


def continued(
    base_model: str | Path,
    *,
    vocabulary: str | Path | None = None,
    layers: int | None = None,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
) -> SpanModel:
    """The encoder of a checkpoint, and its heads for hidden pieces where it has them.

    vocabulary: a folder with another tokenizer to read with from now on; layers: keep the first so many. Either makes
    another encoder of it (`transplanted`), whose heads are new.
    """
    folder = locate(base_model)
    new = None if vocabulary is None else Tokenizer.from_folder(locate(vocabulary))
    if new is not None and new.fingerprint == Tokenizer.from_folder(folder).fingerprint:
        new = None  # it is its own

    def tasks(encoder: Encoder, tokenizer: Tokenizer) -> Mapping[str, Task]:
        chosen = settings_from(TASK, settings or {})
        chosen = dataclasses.replace(chosen, window=min(chosen.window, encoder.longest))
        return {TASK: task_class(TASK)(chosen, tokenizer)}

    facts: dict[str, object] = {"name": folder.resolve().name}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if new is None and layers is None:
            bundle = bundles.pretrained(folder, tasks)
        else:
            encoder, old = bundles.load_base(folder)
            new = old if new is None else new
            MaskedHead.on(encoder, 0)  # which refuses encoders that cannot be pre-trained
            assert isinstance(encoder, PackedBert)
            encoder = transplanted(encoder, old, new, layers)
            bundle = Bundle.build(encoder, new, tasks(encoder, new), {})
            facts |= {"transplanted": True, "layers": encoder.config.num_hidden_layers}
    bundle.facts["base_model"] = facts
    return SpanModel(bundle)


def pretrain(
    model: SpanModel,
    documents: Iterable[Document],
    config: PretrainConfig | None = None,
    observers: Sequence[Observer] = (),
    *,
    source: str = "",
) -> SpanModel:
    """Pre-train a copy of a model of `new_model` or `continued` on the texts of these documents, and return it.

    documents: read once, in constant memory, where the output folder has no corpus yet. source: names what they come
    from; a resumed run must have the same. Raises DataError for text that cannot be learnt from, UsageError for an
    output folder that is taken.
    """
    config = config or PretrainConfig()
    if TASK not in model.bundle.tasks:
        raise UsageError("a model with another task", "a model of new_model or continued", "make it with one of these")
    bundle = dataclasses.replace(
        model.bundle, network=copy.deepcopy(model.bundle.network), facts=dict(model.bundle.facts)
    )
    encoder = bundle.network.encoder
    assert isinstance(encoder, PackedBert)  # others have no head for hidden pieces
    scratch = "new_weights" in bundle.facts.get("base_model", {}) and "pretraining" not in bundle.facts
    config = config if scratch else dataclasses.replace(config, start=RANDOM)  # which decides nothing then
    if config.start == NEIGHBOURS:
        start.check(encoder)
    loop = config.for_loop(config.evaluations, *default_rates(encoder.width, scratch=scratch))
    with _readers(), held(loop) as hold, ExitStack() as stack:
        output = Path(config.output or stack.enter_context(tempfile.TemporaryDirectory()))
        asked = _asked(bundle, config, source)
        if config.output and (output / CHECKSUMS).exists() and not (output / CORPUS).exists():
            return _finished(output, asked, config, observers)
        if not hold.processes.first and config.output:
            hold.processes.wait()  # until the first has written the corpus
        texts = _until_asked(only_documents(documents), hold.stop)
        train, held_out = _corpus(texts, bundle, config, output / CORPUS, source)
        if config.start == NEIGHBOURS:
            head = bundle.network.heads[TASK]
            assert isinstance(head, MaskedHead)
            start.begin(encoder, head, train)
        if hold.processes.first and config.output:
            hold.processes.wait()
        task = dataclasses.replace(bundle.tasks[TASK], noise=train.random_pieces)  # type: ignore[type-var]
        stream = Stream(train, TASK, task, config.seed, config.max_tokens)
        rounds, steps = config.plan(train.counts.pieces + 2 * train.counts.blocks, stream.length)
        readers = config.readers(choose_device(config.device).type == "cuda")
        material = Blocks(stream, held_out, rounds, steps, readers, asked)
        bundle.facts["pretraining"] = {**_settings(config), "asked": asked}
        encoder.set_dropout(config.dropout)
        trained = learn(bundle, material, dataclasses.replace(loop, epochs=rounds, patience=rounds), observers, hold)
        encoder.set_dropout(None)
        if config.output and hold.processes.first:
            shutil.rmtree(output / CORPUS)
            _draw(output, observers)
        return trained


@contextmanager
def _readers() -> Iterator[None]:
    """Torch raises the end of one wherever this process stands."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        found = "a process that prepares steps was killed, as where memory is short"
        raise MachineError(found, "as many as --workers says", "go on with --resume auto and fewer") from error


def _settings(config: PretrainConfig) -> dict[str, JSON]:
    """What decides the result, but for source and weights."""
    told = ("output", "resume", "checkpoint_minutes", "workers")
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in told}


def _asked(bundle: Bundle, config: PretrainConfig, source: str) -> str:
    """A fingerprint of what can be told before the corpus is read."""
    asked = {name: repr(value) for name, value in _settings(config).items()}
    asked |= {"settings of the task": repr(bundle.tasks[TASK].settings), "source": source}
    return digest(asked | {"tokenizer": bundle.tokenizer.fingerprint, "starting weights": weights(bundle)})


def _finished(output: Path, asked: str, config: PretrainConfig, observers: Sequence[Observer]) -> SpanModel:
    """The model of a run that had come to its end. Raises UsageError where it was asked for something else."""
    model = SpanModel.from_pretrained(output, config.device, config.dtype)
    if model.bundle.facts.get("pretraining", {}).get("asked") != asked:
        raise other_run(output)
    if not (output / CURVES).exists():  # it was killed at the very end
        _draw(output, observers)
    _tell(observers, f"the pre-training in {output} had come to its end: this is its encoder")
    return model


def _draw(output: Path, observers: Sequence[Observer]) -> None:
    try:
        draw_curves(output / "train.jsonl", output / CURVES)
    except MachineError as error:  # a picture is not worth the run
        _tell(observers, f"{error.found}; {error.fix}")


def _tell(observers: Sequence[Observer], doubt: str) -> None:
    for observer in observers:
        observer(Warned(doubt))


def _until_asked(documents: Iterable[Document], stop: Request) -> Iterator[Document]:
    """The documents, as long as nobody asks to stop: a corpus may take hours to read, and is written anew then."""
    for document in documents:
        if stop.signal is not None:
            leave(stop.signal)
        yield document


def default_rates(width: int, *, scratch: bool) -> tuple[float, float]:
    """Of encoder and heads. Narrow encoders want higher rates, and heads on a trained encoder higher ones than it."""
    encoder, heads = (rate * 384 / max(width, 256) for rate in (_FROM_SCRATCH if scratch else _ON))
    return encoder, heads


def _corpus(
    documents: Iterable[Document], bundle: Bundle, config: PretrainConfig, folder: Path, source: str
) -> tuple[BlockCorpus, BlockCorpus]:
    """The corpus in the output folder; written there if it is not there yet, or not as it was written."""
    block = bundle.tasks[TASK].settings.window - 2
    if folder.exists() and fault(folder) is None:
        parts = BlockCorpus.read(folder / "train"), BlockCorpus.read(folder / "held_out")
        wanted = (bundle.tokenizer.fingerprint, block, source)
        if (parts[0].tokenizer, parts[0].block, parts[0].source) != wanted:
            raise other_run(folder)
        return parts
    texts = joined(documents) if config.join_documents else documents
    return write_corpus(texts, bundle.tokenizer, folder, block=block, held_out=config.held_out, source=source)
