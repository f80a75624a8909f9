"""The command line: `spanbert VERB`. One file a verb; each turns flags into one call of the library.

Data goes to standard output, talk to standard error. Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad data,
4 environment, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import SpanbertWarning, plain
from .flags import guarded, spelled

VERBS = {
    "init": "Write a commented configuration and a sample of annotated text.",
    "data": "Check annotated text before training.",
    "train": "Train a model on annotated text.",
    "vocabulary": "Make a vocabulary of your own from text.",
    "pretrain": "Pre-train an encoder on text without annotations.",
    "calibrate": "Fit probabilities and thresholds on held-out text.",
    "evaluate": "Score a model on annotated text, with intervals.",
    "compare": "Say whether one system is really better than another.",
    "predict": "Find spans in text of any length.",
    "serve": "Answer requests of other programs over HTTP.",
    "ask": "Answer questions about a document.",
    "select": "Choose the texts to annotate next.",
    "info": "Show what a model is and how good it was measured to be.",
    "doctor": "Check this machine and the installation.",
}


def main() -> None:
    """Entry point of the `spanbert` command. Only the module of the verb that runs is imported."""
    arguments = spelled(sys.argv[1:])
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # it takes what is left as it comes
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a locale cannot show is no reason to fail
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    app = typer.Typer(
        help="Find spans in text, and say how sure it is.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, summary in VERBS.items():
        if name in arguments[:1]:
            command = import_module(f"{__name__}.{name}").command
            app.command(name, help=f"{summary}\n\n{command.__doc__}")(guarded(command))
        else:
            app.command(name, help=summary)(_elsewhere)
    app(args=arguments, prog_name="spanbert")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of the program itself."""


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    """Ours as a line for people; those of libraries as they are."""
    if issubclass(category, SpanbertWarning):
        typer.echo(f"warning: {plain(str(message))}", err=True)
    else:
        typer.echo(warnings.formatwarning(message, category, filename, lineno), err=True, nl=False)


def _elsewhere() -> None:
    """Stands for a verb that is not the one that runs."""
