"""Flags: made from the fields of the settings, so that help, file, environment and library cannot drift apart.

Defaults < configuration file (`--config`) < environment (`SPANBERT_LEARNING_RATE`) < flags.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
import textwrap
import tomllib
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DataError, MachineError, SpanbertError, UsageError, at, check_among, plain
from ..formats.sources import expanded

LISTS = ("--train", "--dev", "--data", "--input", "--corpus", "--task")
"""Flags that take several values in a row: `--train a.jsonl b.jsonl`."""
ALIASES = {
    "--model-name-or-path": "--base-model",
    "--train-file": "--train",
    "--validation-file": "--dev",
    "--test-file": "--data",
    "--output-dir": "--output",
    "--num-train-epochs": "--epochs",
    "--max-seq-length": "--window",
    "--doc-stride": "--overlap",
    "--lr": "--learning-rate",
    "--max-query-length": "--longest-question",
    "--max-answer-length": "--longest-answer",
    "--n-best-size": "--n-best",
    "--normalize": "--normalise",
}
"""The `transformers` spellings; in any flag `_` may stand for `-`."""
_READ_TOGETHER = {".txt", ".ann"}
"""Of a folder, or beside one another."""

Device = Annotated[str, typer.Option(help="auto, cpu or cuda.", envvar="SPANBERT_DEVICE", show_envvar=False)]
Dtype = Annotated[str, typer.Option(help="auto, float32 or bfloat16.", envvar="SPANBERT_DTYPE", show_envvar=False)]
InputFormat = Annotated[str | None, typer.Option(help="Format of the files; none: recognised.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="List every repair of the data.")]


def spelled(arguments: Sequence[str]) -> list[str]:
    """The command line with aliases replaced and `--train a b` written as `--train a --train b`."""
    result: list[str] = []
    several = ""
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            name = name.replace("_", "-")
            name = ALIASES.get(name, name)
            several = name if name in LISTS and not equals else ""
            result.append(name + equals + value)
        elif several and result[-1] != several:
            result += [several, argument]
        else:
            result.append(argument)
    return result


def sentences(kind: type) -> dict[str, str]:
    """The sentence that stands below each field of a dataclass, its own and those of its base."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(after.value.value).split())
    return found


def with_settings(kinds: Iterable[type], skip: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb one flag for every field of `kinds`; it receives those that were given as `settings`."""
    fields: dict[str, inspect.Parameter] = {}
    for kind in kinds:
        hints, told = typing.get_type_hints(kind), sentences(kind)
        for field in dataclasses.fields(kind):
            if field.name in skip or field.name in fields:
                continue
            is_list = typing.get_origin(hints[field.name]) is tuple
            default = "" if is_list or field.default is None else f" Default: {field.default}."
            text = told[field.name] + (" Separated by commas." if is_list else "") + default
            base = str if is_list else _plain(hints[field.name])
            flag = "--" + field.name.replace("_", "-")
            variable = "SPANBERT_" + field.name.upper() if getattr(kind, "from_environment", True) else None
            if base is bool and field.default is None:  # neither is the default
                flag = f"{flag}/--no-{field.name.replace('_', '-')}"
            option = typer.Option(flag, help=text, envvar=variable, show_envvar=False, show_default=False)
            fields[field.name] = inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[base | None, option]
            )

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(verb, eval_str=True).parameters

        @functools.wraps(verb)
        def call(**values: Any) -> None:
            settings = {name: values.pop(name) for name in fields}
            verb(**values, settings={name: value for name, value in settings.items() if value is not None})

        parameters = [parameter for name, parameter in own.items() if name != "settings"]
        parameters += fields.values()
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del call.__wrapped__
        return call

    return decorate


def kinds_of_values(kinds: Iterable[type]) -> dict[str, tuple[type, ...]]:
    """For each field of some dataclasses, the types that its value may have in a file."""
    found: dict[str, tuple[type, ...]] = {}
    for kind in kinds:
        for name, hint in typing.get_type_hints(kind).items():
            base = list if typing.get_origin(hint) is tuple else typing.get_origin(_plain(hint)) or _plain(hint)
            found[name] = (int, float) if base is float else (base,)
    return found


def read_config(
    path: Path | None,
    known: Mapping[str, tuple[type, ...]],
    paths: Collection[str],
    names: Collection[str],
) -> dict[str, Any]:
    """The settings of a TOML file; a key that nobody reads or a value of another type is an error.

    paths: settings that are relative to where the file lies. names: those that may name something in the package or a
    hub, and are so where something lies there.
    """
    if path is None:
        return {}
    with at(file=path):
        try:
            record = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError("no such file", "a TOML file", "write one with: spanbert init") from None
        except (OSError, ValueError) as error:
            raise DataError(f"not a TOML file ({error})", "lines such as: epochs = 5", "see: spanbert init") from None
        for key, value in record.items():
            check_among("setting", key, sorted(known), "take it out")
            if type(value) not in known[key] or isinstance(value, list) and not all(isinstance(v, str) for v in value):
                wanted = " or ".join(kind.__name__ for kind in known[key])
                raise UsageError(f"{key} = {value!r}", f"a value of type {wanted}", "see the file of: spanbert init")
    for key in record.keys() & {*paths, *names}:
        if isinstance(record[key], list):
            record[key] = [str(path.parent / each) for each in record[key]]
        elif key in paths or (path.parent / record[key]).exists():
            record[key] = str(path.parent / record[key])
    return record


def split(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are fields of this dataclass."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def refuse_overwriting(inputs: Sequence[str], output: str) -> None:
    """Raise UsageError where the output is an input, lies in a folder that is one, or is the other half of a pair."""
    target = expanded(output)
    for source in map(expanded, inputs):
        inside = source.is_dir() and source.resolve() in target.resolve().parents
        halves = source.suffix in _READ_TOGETHER and source.with_suffix("") == target.with_suffix("")
        same = source.exists() and target.exists() and source.samefile(target)
        if same or target.is_file() and target.suffix in _READ_TOGETHER and (inside or halves):
            raise UsageError(
                f"{output} is read and would be written", "another file to write", "choose another --output"
            )


def guarded(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose errors become one clear message and the right exit code."""

    @functools.wraps(verb)
    def call(*args: Any, **values: Any) -> None:
        try:
            verb(*args, **values)
        except SpanbertError as error:
            raise _leaving(error) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output has left
            raise typer.Exit(0) from None
        except (OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            place = getattr(error, "filename", None) or "this machine"
            reason = "out of memory" if not isinstance(error, OSError) else error.strerror or type(error).__name__
            found = f"{place}: {reason}"
            raise _leaving(
                MachineError(found, "a machine with room, memory and permission", "see what is said above")
            ) from None

    return call


def _leaving(error: SpanbertError) -> typer.Exit:
    """Tell it, as it may be shown in a terminal; then leave with its code."""
    typer.echo(f"error: {plain(str(error))}", err=True)
    return typer.Exit(error.exit_code)


def _plain(hint: Any) -> type:
    """`int` of `int | None`."""
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    return options[0] if options else hint  # type: ignore[no-any-return]
