"""The command line: options in, exit status out. Nothing else prints an error or exits.

Each command is one file, with the command's name. ``group.py`` lists the commands and imports the one asked for.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from stallgate.cli.failures import show_bug, show_failure, unusable, wrong_usage
from stallgate.cli.group import stallgate
from stallgate.cli.output import print_answer, reserve_output
from stallgate.cli.stdio import install, unwritten
from stallgate.errors import Interrupted, StallgateError, UserFault

__all__ = ["main"]


def main() -> NoReturn:
    """Runs the command line and exits with the status of its outcome."""
    usual = install()
    sink = reserve_output() or usual
    status = _status()
    print_answer(status)
    fault = unwritten(sink)
    if fault is not None:
        click.echo(f"stallgate: its output cannot be written: {fault.strerror}", err=True)
    sys.exit(status if fault is None else 2)


def _status() -> int:
    """Runs the command line; its exit status, with an error shown."""
    try:
        return int(stallgate(prog_name="stallgate", standalone_mode=False) or 0)
    except click.ClickException as error:
        return wrong_usage(error)
    except (click.Abort, KeyboardInterrupt):
        return show_failure(Interrupted("interrupted", "run the command again"))
    except StallgateError as error:
        return show_failure(error)
    except OSError as error:
        return show_failure(unusable(error))
    except MemoryError:
        return show_failure(UserFault("not enough memory", "name fewer variants or workloads"))
    except Exception as error:  # noqa: BLE001  (the last resort: told as a bug)
        if os.environ.get("STALLGATE_TRACEBACK"):
            from traceback import print_exc  # rarely needed, and --help is to answer at once

            print_exc()
        return show_bug(error)
