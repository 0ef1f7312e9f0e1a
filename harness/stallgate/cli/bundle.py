"""``stallgate bundle``: a variant of several files as the one file that its users copy."""

from __future__ import annotations

from pathlib import Path

import click

from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import near, open_project
from stallgate.errors import BadArgument
from stallgate.model import FrozenStruct
from stallgate.project.bundle import BUNDLE_MARK, bundled, package_folder
from stallgate.runs.folder import write_whole


class BundleFacts(FrozenStruct, frozen=True):
    """A package as one file."""

    package: str
    """PROBLEM/PACKAGE."""
    files: list[str]
    """The package's files that are in it, in their order."""
    digest: str
    """SHA-256 of their names and texts, as the bundle's first lines say it."""
    file: str | None
    """Where it was written; null where nothing was."""
    text: str | None
    """The whole bundle; null where it was written to a file."""


@click.command(
    "bundle",
    epilog=examples("stallgate bundle cumprod/scan -o cumprod_scan.py", "stallgate bundle cumprod/scan --json"),
)
@click.argument("package", metavar="PROBLEM/PACKAGE")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there, not here."
)
@root_option
@json_option(BundleFacts)
def bundle_command(package: str, output: Path | None, root: Path | None, as_json: bool) -> int:
    """Print the one file that users copy of a variant in several files.

    Files follow each other in the order of their imports. A private name that two files have becomes two names; a
    public one is refused. The same files give the same bytes: its second line has their SHA-256.
    """
    project = open_project(root)
    folder = package_folder(project, package)
    bundle = bundled(project.root, folder, package)
    if output is not None:
        _check_place(output, folder)
        write_whole(output, bundle.text.encode())
    if as_json:
        facts = BundleFacts(
            package=package,
            files=bundle.files,
            digest=bundle.digest,
            file=str(output) if output is not None else None,
            text=bundle.text if output is None else None,
        )
        return print_result("bundle", facts)
    click.echo(f"{near(output)}: {len(bundle.files)} files as one" if output else bundle.text, nl=output is not None)
    return 0


def _check_place(output: Path, folder: Path) -> None:
    """Refuses to replace what is no bundle, or to write into the package.

    Raises:
        BadArgument: it is such a place.
    """
    if output.resolve().is_relative_to(folder.resolve()):
        raise BadArgument(f"{near(output)} is in the package itself", "write the bundle elsewhere")
    if output.exists() and not output.read_bytes().startswith(BUNDLE_MARK.encode()):
        raise BadArgument(f"{near(output)} is not a bundle, and stays as it is", "remove it, or write elsewhere")
