"""The training loop: step, log, evaluate, save, stop. It knows tasks only by their contract."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..bundle import CHECKSUMS, Bundle
from ..calibration.decision import Decision
from ..documents import Document, only_documents
from ..errors import DataError, MachineError
from ..evaluation import seen
from ..inference.precision import choose_device, choose_dtype
from ..inference.span_model import SpanModel
from ..machine import keep_memory
from . import data
from .checkpoint import Checkpoints, State, other_run, output_folder, require_room
from .config import TrainConfig
from .data import Corpus
from .identity import deciding, digest
from .material import AnnotatedDocuments, Material
from .optimizer import default_rate, make_optimizer, set_rates
from .processes import Processes, joined
from .signals import Request, leave, stop_request
from .step import take_step
from .tracking import Evaluated, Event, Finished, JsonLog, Observer, Started, Stepped, Warned

MOST_SKIPPED = 3
"""Steps in a row whose loss is not a number before the run gives up."""
MOST_FAILED_SAVES = 3
"""Checkpoints in a row that cannot be written before the run gives up."""

MOST_SPARE = 1_000
"""Vectors without a piece before one asks whether that was meant; some hundreds round their number up."""


def train(
    model: SpanModel,
    train: Sequence[Document],
    dev: Sequence[Document] | None = None,
    config: TrainConfig | None = None,
    observers: Sequence[Observer] = (),
) -> SpanModel:
    """Train a copy of `model` and return it with the weights of its best evaluation; `model` stays as it was.

    train: annotated documents. dev: held-out ones, which choose the checkpoint; None: a tenth of `train`.
    observers: called with every event of `training/tracking.py`.
    With `config.output` the run writes checkpoints, `train.jsonl` and at the end the model folder there. SIGINT and
    SIGTERM then end it after the step at hand, with everything saved. Resumed where it had come to its end, it
    returns the finished model.
    Raises DataError for data that cannot be learnt from, UsageError for an output folder that is taken.
    """
    config, train = config or TrainConfig(), list(only_documents(train))
    dev = None if dev is None else list(only_documents(dev))
    with held(config) as hold:
        kinds = [task.annotations for task in model.bundle.tasks.values()]
        train, dev = data.hold_out(train, *kinds) if dev is None else (train, dev)
        for task in model.bundle.tasks.values():
            data.check(train, dev, task.settings.labels, task.annotations)
            task.scored(dev, dev)  # gold that cannot be scored is refused now, not after the first epoch
        corpus = Corpus.read(train, model.bundle.tokenizer)
        bundle = _adapted(model.bundle, corpus)
        bundle.facts["learnt"] = {seen.TRAIN: seen.marks(train), seen.HELD_OUT: seen.marks(dev)}
        held_out = Corpus.read(dev, model.bundle.tokenizer)
        return learn(bundle, AnnotatedDocuments.of(corpus, held_out, config), config, observers, hold)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a run holds while it lasts, next to its output folder and the randomness."""

    stop: Request
    processes: Processes


@contextlib.contextmanager
def held(config: TrainConfig) -> Iterator[Hold]:
    """Hold the output folder, the randomness, and the signals that ask a run to stop; join the other processes."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())  # the caller's randomness is left alone
        processes = stack.enter_context(joined())
        if config.output is not None and processes.first:
            stack.enter_context(output_folder(Path(config.output), resume=config.resume == "auto"))
        stop = stack.enter_context(stop_request())
        torch.manual_seed(config.seed)
        yield Hold(stop, processes)


def learn(
    bundle: Bundle, material: Material, config: TrainConfig, observers: Sequence[Observer], hold: Hold
) -> SpanModel:
    """Train this bundle, inside of `held`. Where the run had come to its end before, its model."""
    run = _Run.prepare(bundle, material, config, observers, hold.processes)
    return run.finished() or run.train(hold.stop)


@dataclass(slots=True)
class _Run:
    """Everything a run holds; `state` is what moves."""

    bundle: Bundle
    material: Material
    config: TrainConfig
    processes: Processes
    optimizer: torch.optim.AdamW
    dtype: torch.dtype
    device: torch.device
    observers: list[Observer]
    checkpoints: Checkpoints | None
    state: State
    run: Mapping[str, str]
    """What decides the result, by name: a checkpoint of another run is refused by it."""
    best_weights: dict[str, torch.Tensor]
    saved_at: float
    skipped: int = 0
    failed_saves: int = 0

    @classmethod
    def prepare(
        cls,
        bundle: Bundle,
        material: Material,
        config: TrainConfig,
        observers: Sequence[Observer],
        processes: Processes,
    ) -> _Run:
        """Choose the machine and the rates, and go back to a checkpoint if there is one."""
        keep_memory()
        device = choose_device(config.device)
        dtype = choose_dtype(config.dtype, device)
        bundle.network.to(device).precision = dtype
        bundle.network.frozen = config.freeze_encoder
        width = bundle.network.encoder.width
        rate = config.learning_rate or default_rate(width)
        optimizer = make_optimizer(bundle.network, rate, config.head_learning_rate, config.weight_decay)
        run = cls(
            bundle=bundle,
            material=material,
            config=config,
            processes=processes,
            optimizer=optimizer,
            dtype=dtype,
            device=device,
            observers=list(observers) if processes.first else [],
            checkpoints=None if config.output is None else Checkpoints(Path(config.output)),
            state=State(),
            run=deciding(config, bundle, material),
            best_weights={},
            saved_at=time.monotonic(),
        )
        run._open_output()
        return run

    def train(self, stop: Request) -> SpanModel:
        """Epoch by epoch: steps, evaluation, checkpoint; then the best weights and the model folder."""
        if self.checkpoints is not None and self.config.output is not None:
            require_room(Path(self.config.output), self.bundle.network)
        facts, lines = self.material.about(self.bundle)
        self._tell(Started(facts, tuple(lines), self.material.rounds, self.state.steps))
        for doubt in (*_spare_vectors(self.bundle), *self.material.doubts(self.bundle)):
            self._tell(Warned(doubt))
        while self.state.epoch < self.material.rounds and self.state.stale < self.config.patience:
            self._epoch(stop)
            self._evaluate()
            self.state.epoch, self.state.position = self.state.epoch + 1, 0
            self._save()
            self._leave_if_asked(stop)
        stale = self.state.epoch < self.material.rounds
        return self._finish(f"no better report for {self.state.stale} epochs" if stale else "all epochs done")

    def finished(self) -> SpanModel | None:
        """The model in the output folder where this very run had come to its end before; None where it had not."""
        output = Path(self.config.output or "")
        if self.config.output is None or not (output / CHECKSUMS).exists():
            return None
        model = SpanModel.from_pretrained(output, self.config.device, self.config.dtype)
        facts = [model.bundle.facts, *model.bundle.facts.get("added", {}).values()]
        if digest(self.run) not in [each.get("training", {}).get("run") for each in facts]:
            known = model.bundle.facts.get("training", {})
            # of what was chosen, since nothing was asked, the facts have the choice
            changed = [n for n, value in self.run.items() if n in known and value not in (repr(known[n]), "None")]
            raise other_run(output, changed)
        if "failed" in model.bundle.facts.get("training", {}):
            return None  # it can be gone on with from its checkpoints
        if self.checkpoints is not None:
            self.checkpoints.remove()
        self._tell(Warned(f"the training in {output} had come to its end: this is its model"))
        return model

    def _epoch(self, stop: Request) -> None:
        config, state = self.config, self.state
        plan, rounds = self.material.round(self.bundle, state.epoch), self.material.rounds
        for step in plan.after(state.position):
            began = time.monotonic()
            share = (state.epoch + state.position / plan.length) / rounds
            factor = set_rates(self.optimizer, share, config.warmup, config.schedule)
            if factor == 0.0 and rounds * plan.length <= 1:
                self._tell(Warned("one step in all, and its rate is 0: nothing is learnt; ask for more epochs"))
            self.processes.reseed(config.seed, state.steps)
            losses = take_step(self.bundle.network, step, self.optimizer, config.clip, self.processes)
            self._count_skipped(losses)
            state.position += 1
            state.steps += 1
            seconds = time.monotonic() - began
            state.seconds += seconds
            self._tell(
                Stepped(
                    step=state.steps,
                    epoch=state.epoch,
                    share=(state.epoch + state.position / plan.length) / rounds,
                    losses=losses,
                    rate=factor * float(self.optimizer.param_groups[0]["peak"]),
                    tokens=sum(len(window.ids) for example in step.examples for window in example.windows),
                    seconds=seconds,
                    skipped=self.skipped > 0,
                )
            )
            self._leave_if_asked(stop)
            if time.monotonic() - self.saved_at > 60 * config.checkpoint_minutes:
                self._save()

    def _evaluate(self) -> None:
        """Measure on what was held out, and keep the weights if they are the best so far."""
        began = time.monotonic()
        bundle, state = self.bundle, self.state
        report = self.material.report(bundle, self.device, self.dtype)
        name = next(iter(bundle.tasks.values())).selection
        value = self.processes.agreed(report.value(name))  # or one might stop without the others
        if math.isnan(value):
            raise self._ended("the held-out loss is not a number")
        goodness = -value if name.startswith("loss/") else value
        # of equal scores the lower loss decides; of none at all, which tells nothing, the longer training
        loss = self.processes.agreed(sum(report.losses.values()))
        best = state.best is None or (goodness, -loss) > (state.best, -state.best_loss)
        best = best or goodness == state.best == 0.0
        if best:
            state.best, state.best_loss, state.best_step, state.stale = goodness, loss, state.steps, 0
            state.best_report = report.to_json()
            self._keep_best()
        else:
            state.stale += 1
        state.seconds += time.monotonic() - began
        self._tell(Evaluated(state.steps, state.epoch, report, value, best))

    def _finish(self, reason: str, *, failed: bool = False) -> SpanModel:
        state, bundle = self.state, self.bundle
        if self.best_weights:
            bundle.network.load_state_dict(self.best_weights)
        elif self.checkpoints is not None:
            self.checkpoints.load_best(bundle.network, state.best_step)
        self.processes.copied(bundle.network)
        bundle.network.precision, bundle.network.frozen = torch.float32, False
        bundle.facts["report"] = state.best_report
        bundle.facts["training"] = self._facts() | ({"failed": reason} if failed else {})
        model = SpanModel(bundle, str(self.device), {torch.float32: "float32"}.get(self.dtype, "bfloat16"))
        try:
            model, report = self.material.settle(model)
        except DataError as error:
            self._tell(Warned(f"probabilities and threshold are not fitted: {error.found}; needed: {error.expected}"))
            report = None
        if report is not None:
            state.best_report = model.bundle.facts["report"] = {**state.best_report, **report.to_json()}
        for doubt in self.material.verdict(state.best_report):
            self._tell(Warned(doubt))
        if self.checkpoints is not None and self.config.output is not None:
            model.save_pretrained(self.config.output)
            if not failed:
                self.checkpoints.remove()
        self._tell(Finished(state.steps, state.epoch, state.seconds, state.best_report, reason))
        return model

    def _open_output(self) -> None:
        if self.checkpoints is None or self.config.output is None:
            return
        output = Path(self.config.output)
        if not self.processes.first:  # it reads where to go on, and writes nothing
            self.state = self.checkpoints.resume(self.bundle.network, self.optimizer, self.run)[0] or State()
            self.checkpoints = None
            return
        self.observers.append(JsonLog(output / "train.jsonl"))
        state, skipped = self.checkpoints.resume(self.bundle.network, self.optimizer, self.run)
        if state is None:  # best weights of another run could be taken for ours
            self.checkpoints.remove()
        self.state = state or self.state
        for line in skipped:
            self._tell(Warned(f"checkpoint passed over: {line}"))

    def _facts(self) -> dict[str, object]:
        config = {k: v for k, v in dataclasses.asdict(self.config).items() if k not in ("output", "resume")}
        return {
            **config,
            "epochs": self.material.rounds,
            "learning_rate": float(self.optimizer.param_groups[0]["peak"]),
            "documents": self.material.documents,
            "data": self.material.fingerprint,
            "run": digest(self.run),
            "steps": self.state.steps,
            "best_step": self.state.best_step,
            "seconds": round(self.state.seconds, 1),
            "precision": str(self.dtype).removeprefix("torch."),
            "torch": torch.__version__,
        }

    def _count_skipped(self, losses: dict[str, float]) -> None:
        self.skipped = 0 if all(map(math.isfinite, losses.values())) else self.skipped + 1
        if self.skipped > MOST_SKIPPED:
            raise self._ended(f"the loss was not a number for {self.skipped} steps in a row")

    def _ended(self, found: str) -> MachineError:
        """What to raise where the weights are past learning; the best until then become the model in the output."""
        remedy = "start anew"
        if self.state.best is not None and self.config.output is not None:
            self._finish(found, failed=True)
            found += f"; the model in {self.config.output} is that of step {self.state.best_step}, the best until then"
            remedy = "start in another folder, anew or from that model,"
        return MachineError(found, "a finite loss", f"{remedy} with a lower --learning-rate or --dtype float32")

    def _keep_best(self) -> None:
        """On disk where there is an output folder and room in it, else in memory."""
        self.best_weights = {}
        try:
            if self.checkpoints is not None:
                self.checkpoints.save_best(self.bundle.network, self.state.steps)
                return
        except MachineError as error:
            self._tell(Warned(f"the best weights are kept in memory only: {error.found}"))
        self.best_weights = {k: v.detach().clone() for k, v in self.bundle.network.state_dict().items()}

    def _save(self) -> bool:
        """A checkpoint; where the disk refuses, the one before still stands and the run goes on, for a while."""
        self.saved_at = time.monotonic()
        if self.checkpoints is None:
            return False
        try:
            self.checkpoints.save(self.bundle.network, self.optimizer, self.state, self.run)
            self.failed_saves = 0
            return True
        except MachineError as error:
            self.failed_saves += 1
            if self.failed_saves > MOST_FAILED_SAVES:
                raise
            self._tell(Warned(f"no checkpoint at step {self.state.steps}: {error.found}"))
            return False

    def _leave_if_asked(self, stop: Request) -> None:
        asked = int(self.processes.agreed(stop.signal or 0))
        if asked:  # a signal that comes while they agree stays for the next step
            what = "all saved" if self._save() else "saved up to the checkpoint before"
            if self.checkpoints is not None:
                self._tell(Warned(f"stopped after step {self.state.steps}, {what}; go on with --resume auto"))
            leave(asked)

    def _tell(self, event: Event) -> None:
        for observer in list(self.observers):
            try:
                observer(event)
            except MachineError as error:  # the log cannot be written: the run is worth more than its log
                self.observers.remove(observer)
                self._tell(Warned(f"this log ends here: {error.found}"))


def _spare_vectors(bundle: Bundle) -> Iterator[str]:
    """A vocabulary that is far smaller than the one the encoder was made with."""
    pieces, vectors = bundle.tokenizer.size, bundle.network.encoder.vocabulary
    if vectors - pieces > MOST_SPARE:
        yield f"the vocabulary has {pieces:,} pieces, the encoder vectors for {vectors:,}: do they belong together?"


def _adapted(bundle: Bundle, corpus: Corpus) -> Bundle:
    """A copy with the settings that the data decide, and new heads where these changed what a head must say."""
    tasks = {
        name: task.adapted(corpus.documents, corpus.longest_span(task.annotations))
        for name, task in bundle.tasks.items()
    }
    network, decisions = copy.deepcopy(bundle.network), {}
    for name, task in tasks.items():
        known = bundle.decisions[name]
        measured = known.threshold != bundle.tasks[name].threshold  # stays until it is measured anew
        threshold = known.threshold if measured else task.threshold
        decisions[name] = dataclasses.replace(known, threshold=threshold, outcomes=None)
        if name not in network.heads or task.outputs != bundle.tasks[name].outputs:
            network.heads[name] = task.head(network.encoder)  # type: ignore[assignment]
            decisions[name] = Decision(threshold)
        elif task.settings != bundle.tasks[name].settings:
            state = network.heads[name].state_dict()
            with torch.random.fork_rng():  # its first weights are not used
                network.heads[name] = task.head(network.encoder)  # type: ignore[assignment]
            network.heads[name].load_state_dict(state)
    facts = {"base_model": bundle.facts.get("base_model", {})}
    return Bundle(network, bundle.tokenizer, tasks, decisions, facts)
