"""Errors as a user reads them: a sentence and a hint on standard error, and under ``--json`` an object as well."""

from __future__ import annotations

import click

from stallgate.cli.output import print_error
from stallgate.errors import BadArgument, BrokenFile, StallgateError
from stallgate.formatting import as_text

_BUG = 70
"""Exit status of an internal error."""


def show_failure(error: StallgateError) -> int:
    """Shows an error; returns its exit status."""
    from stallgate.render.terminal import show_refusal  # rich is not for --help

    show_refusal(error.message, error.hint)
    print_error(error.code, error.message, error.hint, error.status)
    return error.status


def wrong_usage(error: click.ClickException) -> int:
    """Shows a command line that click cannot parse, with the usage; returns the exit status."""
    error.show()
    print_error("bad_argument", error.format_message(), "add --help to see what the command takes", BadArgument.status)
    return BadArgument.status


def show_bug(error: Exception) -> int:
    """Shows an internal error; returns the exit status."""
    message = f"this is a bug of stallgate: {type(error).__name__}: {as_text(str(error))}"
    hint = "set STALLGATE_TRACEBACK=1 to see where, and report it"
    click.echo(f"stallgate: {message}\n  hint: {hint}", err=True)
    print_error("bug", message, hint, _BUG)
    return _BUG


def unusable(error: OSError) -> BrokenFile:
    """A file that cannot be read or written, as an error for the user."""
    names = [as_text(str(name)) for name in (error.filename2, error.filename) if name is not None]
    what = error.strerror or str(error)
    return BrokenFile(
        f"{names[0]}: {what}" if names else what,
        "check that it is what its name says, that you may read and write it, and that the disk has space",
    )
