"""A variant of several files as the one file that its users copy. Nothing is run; the same files give the same bytes.

Files follow each other as their imports ask for; what they import from each other is dropped, and what they import from
elsewhere stands at the top.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path

from stallgate.errors import BadArgument, BrokenFile, UnknownName
from stallgate.model import FrozenStruct
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.entries import module_file
from stallgate.project.imported_files import with_imported_files
from stallgate.project.layout import problem_folder
from stallgate.project.load import Project
from stallgate.project.package_names import Imported, PackageFile, check_names
from stallgate.project.private_names import with_private_names_apart

BUNDLE_MARK = "# Made by `stallgate bundle "
"""What a bundle begins with."""

_INIT = "__init__.py"
_WIDTH = 120
_FUTURE = "__future__"


class Bundle(FrozenStruct, frozen=True):
    """A package as one file."""

    files: list[str]
    """The package's files that are in it, in their order."""
    digest: str
    """SHA-256 of their names and texts."""
    text: str


def package_folder(project: Project, subject: str) -> Path:
    """The folder of ``PROBLEM/PACKAGE``: a variant in several files, or a folder beside the problem's variants.

    Raises:
        BadArgument: it is not written so, or is one file, alone or with others that it imports.
        BrokenFile: the problem's file is broken.
        UnknownName: there is no such problem or package.
    """
    problem, slash, name = subject.partition("/")
    if not slash or not name.isidentifier():
        raise BadArgument(f"'{subject}' is not PROBLEM/PACKAGE", "as in `stallgate bundle cumprod/scan -o cumprod.py`")
    variants = project.problem(problem).variants
    folder = problem_folder(project.root, problem)
    entry = variants[name].entry.path if name in variants else ""
    path = project.root / entry if entry else folder / name / _INIT
    if entry and path.name != _INIT:
        raise _one_file(project, subject, entry)
    if not path.is_file():
        packages = sorted(each.parent.name for each in folder.glob(f"*/{_INIT}"))
        raise UnknownName("package", subject, [f"{problem}/{each}" for each in packages])
    return path.parent


def _one_file(project: Project, subject: str, entry: str) -> BadArgument:
    """Why a variant is not bundled that is a file, not a package."""
    others = [path for path in with_imported_files(project.root, [entry]) if path != entry]
    if not others:
        return BadArgument(f"{subject} is one file already: {entry}", "copy it")
    folders = ", ".join(sorted({f"{path.rpartition('/')[0]}/" for path in others}))
    return BadArgument(
        f"{subject} is not a package, but a file that imports others: {entry}",
        f"copy it with what it needs of {folders}",
    )


def bundled(root: Path, folder: Path, subject: str) -> Bundle:
    """A package's files as one.

    Args:
        root: the project's.
        folder: the package's.
        subject: how the package is named on the command line.

    Raises:
        BrokenFile: a file cannot be read or parsed, or would mean something else among the others.
    """
    files = _ordered(root, folder)
    content = "".join(f"{file.shown}\0{file.text}\0" for file in sorted(files, key=lambda file: file.shown))
    digest = hashlib.sha256(content.encode()).hexdigest()
    files = with_private_names_apart(files)
    check_names(files)
    text = _assembled(files, subject, digest)
    return Bundle(files=[file.shown for file in files], digest=digest, text=text)


# --- reading ----------------------------------------------------------------------------------------------------------


def _ordered(root: Path, folder: Path) -> list[PackageFile]:
    """The files that the package loads, each after those that it imports; the package's own ``__init__.py`` is last."""
    done: dict[str, PackageFile] = {}
    under_way: list[str] = []

    def visit(shown: str) -> None:
        if shown in done:
            return
        if shown in under_way:
            circle = " → ".join([*under_way[under_way.index(shown) :], shown])
            raise BrokenFile(f"files import each other in a circle: {circle}", "move what both need into a third file")
        under_way.append(shown)
        file = _read(root, folder, shown)
        for needed in dict.fromkeys(source for source, _ in file.own_imports.values()):
            visit(needed)
        under_way.pop()
        done[shown] = file

    visit(_INIT)
    return list(done.values())


def _read(root: Path, folder: Path, shown: str) -> PackageFile:
    """A file of the package, and what it imports."""
    try:
        text = read_bounded(folder / shown, LARGEST_SOURCE).decode("utf-8").replace("\r\n", "\n")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, OSError) as error:
        raise BrokenFile(f"{shown}: {error}", "a bundle is made of files that Python can load") from error
    imports: dict[str, Imported] = {}
    own: dict[str, tuple[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            imports |= {alias.asname or alias.name.partition(".")[0]: _of_module(alias) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            source = _source(folder, shown, node)
            own |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports |= {alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names}
    _check_imports(root, folder, shown, tree)
    return PackageFile(shown=shown, text=text, tree=tree, imports=imports, own_imports=own)


def _of_module(alias: ast.alias) -> Imported:
    """``import a.b`` names a, with b in it; ``import a.b as c`` names b."""
    return (alias.name if alias.asname else alias.name.partition(".")[0], "")


def _source(folder: Path, shown: str, node: ast.ImportFrom) -> str:
    """The file of the package that a relative import is from."""
    above = shown.split("/")[:-1]
    where = f"{shown}:{node.lineno}"
    if node.level - 1 > len(above):
        raise BrokenFile(f"{where}: imports from above the package", "a bundle has the package's own files alone")
    base = [*above[: len(above) - node.level + 1], *(node.module or "").split(".")]
    if node.module is None or any(alias.name == "*" for alias in node.names):
        raise BrokenFile(
            f"{where}: `{ast.unparse(node)}` names no functions, classes or constants",
            "write `from .file import name`: modules of the package are no names in one file",
        )
    path = "/".join(base)
    for candidate in (f"{path}.py", f"{path}/{_INIT}"):
        if (folder / candidate).is_file():
            return candidate
    raise BrokenFile(f"{where}: there is no {path}.py in the package", "")


def _check_imports(root: Path, folder: Path, shown: str, tree: ast.Module) -> None:
    """Refuses imports that could not be dropped, and those of what does not come along."""
    at_top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        where = f"{shown}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in at_top:
            raise BrokenFile(f"{where}: imports a file of the package within other code", "import it at the top")
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for module in modules if not getattr(node, "level", 0) else []:
            if _is_of_project(root, folder, module):
                raise BrokenFile(
                    f"{where}: imports {module}, which is the project's and does not come along",
                    "move it into the package, and import it relatively",
                )


def _is_of_project(root: Path, folder: Path, module: str) -> bool:
    """Whether a module is found below the project's root, or beside the package, where variants may import from."""
    parts = module.split(".")
    beside = folder.parent / parts[0]
    is_beside = beside.with_suffix(".py").is_file() or (beside / _INIT).is_file()
    return is_beside or any(module_file(root, parts[:length]) for length in range(1, len(parts) + 1))


# --- writing ----------------------------------------------------------------------------------------------------------


def _assembled(files: list[PackageFile], subject: str, digest: str) -> str:
    """The text of one file."""
    docstring = _docstring(files[-1])
    parts = [
        f"{BUNDLE_MARK}{subject}`: change its files, not this one.\n# SHA-256 of them: {digest}",
        *([_segment(files[-1], docstring)] if docstring else []),
        *(["\n".join(features)] if (features := _features(files)) else []),
        _import_lines(files),
    ]
    head = "\n\n".join(part for part in parts if part).replace("\n\n", "\n", 1)
    sections = [_section(file) for file in files]
    return "\n\n".join([head, "\n\n\n".join(section for section in sections if section)]) + "\n"


def _features(files: list[PackageFile]) -> list[str]:
    """The imports of ``__future__``, which hold for a whole file: every file with code of its own has them, or none."""
    found = {file.shown: sorted(ast.unparse(node) for node in file.tree.body if _is_future(node)) for file in files}
    with_code = [file.shown for file in files if any(not _is_left_out(file, node) for node in file.tree.body)]
    wanted = found[with_code[0]] if with_code else []
    for shown in with_code:
        if found[shown] != wanted:
            raise BrokenFile(
                f"{with_code[0]} and {shown} do not import the same from {_FUTURE}, which holds for a whole file",
                f"import it in both or in neither: {', '.join(sorted({*wanted, *found[shown]}))}",
            )
    return wanted


def _import_lines(files: list[PackageFile]) -> str:
    """Imports from elsewhere, each once: Python's own first, then others; whole modules before names of modules."""
    modules: set[str] = set()
    names: dict[str, set[str]] = {}
    for file in files:
        for node in file.tree.body:
            if isinstance(node, ast.Import):
                modules |= {f"import {ast.unparse(alias)}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and not _is_future(node):
                names.setdefault(node.module or "", set()).update(ast.unparse(alias) for alias in node.names)
    lines = [*sorted(modules), *(_from_line(module, names[module]) for module in sorted(names))]
    standard = [line for line in lines if _top(line) in sys.stdlib_module_names]
    return "\n\n".join("\n".join(group) for group in (standard, [x for x in lines if x not in standard]) if group)


def _top(line: str) -> str:
    """The package that a line imports from."""
    return line.split()[1].partition(".")[0]


def _from_line(module: str, names: Iterable[str]) -> str:
    line = f"from {module} import {', '.join(sorted(names))}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in sorted(names)), ")"])


def _section(file: PackageFile) -> str:
    """A file without its docstring, which becomes a comment, and its imports; '' where nothing is left."""
    lines: list[str | None] = list(file.text.splitlines())
    for node in file.tree.body:
        if _is_left_out(file, node):
            _check_alone(file, node)
            lines[node.lineno - 1 : node.end_lineno] = [None] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    body = "\n".join(line for line in lines if line is not None).strip("\n")
    if not body.strip():
        return ""
    rule = f"# --- {file.shown} "
    docstring = _docstring(file) if file.shown != _INIT else None
    about = inspect.cleandoc(ast.literal_eval(docstring.value)).splitlines() if docstring else []
    comment = "\n".join(f"# {line}".rstrip() for line in about)
    gap = "\n" if _begins_with_definition(file) else ""
    return "\n".join([rule.ljust(_WIDTH, "-"), *([comment] if comment else []), gap, body])


def _begins_with_definition(file: PackageFile) -> bool:
    first = next((node for node in file.tree.body if not _is_left_out(file, node)), None)
    return isinstance(first, ast.FunctionDef | ast.ClassDef)


def _is_left_out(file: PackageFile, node: ast.stmt) -> bool:
    """Whether a statement has no place of its own in one file: docstring, import, a file's ``__all__``."""
    is_public_list = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" and file.shown != _INIT
    return node is _docstring(file) or isinstance(node, ast.Import | ast.ImportFrom) or is_public_list


def _check_alone(file: PackageFile, node: ast.stmt) -> None:
    """Refuses to drop lines that hold other code as well."""
    lines = file.text.splitlines()
    after = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset or 0 :].decode().strip()
    if node.col_offset or (after and not after.startswith("#")):
        raise BrokenFile(f"{file.shown}:{node.lineno}: shares its line with other code", "give it a line of its own")


def _docstring(file: PackageFile) -> ast.Expr | None:
    match file.tree.body:
        case [ast.Expr(value=ast.Constant(value=str())) as first, *_]:
            return first
        case _:
            return None


def _segment(file: PackageFile, node: ast.stmt) -> str:
    return ast.get_source_segment(file.text, node) or ""


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == _FUTURE
