"""The rules of the house, each one a test, so that review can talk about design."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "orchestrator").rglob("*.py"))
DATA = {"known_tools.py"}
"""Generated data, read by nobody as code."""


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def tracked() -> list[Path]:
    """Files that git knows; in an unpacked source archive, every file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_module_outgrows_its_reader() -> None:
    assert [f"{p}: {lines(p)}" for p in SOURCES if lines(p) > 400 and p.name not in DATA] == []


def test_the_median_module_is_small() -> None:
    assert statistics.median(lines(p) for p in SOURCES if p.name != "__init__.py") <= 120


def test_no_function_outgrows_its_reader() -> None:
    long = [f"{p.name}:{f.name}" for p, f in functions() if (f.end_lineno or 0) - f.lineno + 1 > 50]
    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [p for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert silent == []


def test_no_folder_is_named_by_kind() -> None:
    kinds = {"utils", "helpers", "models", "services", "common", "misc"}
    assert [p for p in SOURCES if kinds & {part.removesuffix(".py") for part in p.parts}] == []


def test_every_lint_exception_carries_its_reason() -> None:
    bare = re.compile(r"# (?:noqa|type: ignore)(?:\[[\w, -]+\]|: [A-Z0-9, ]+)?\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


def test_no_committed_file_names_an_index_or_holds_a_key() -> None:
    forbidden = re.compile(
        rb"pythonhoste"
        rb"d\.org|pypi\.or"
        rb"g/simple|registry\.npmj"
        rb"s|sk-ant-[a-z0-9]{6}|--index-ur"
        rb"l"
        rb'|"resolve'
        rb'd":|BEGIN [A-Z ]*PRIVATE KEY'
    )
    assert [path for path in tracked() if forbidden.search(path.read_bytes())] == []


def test_no_committed_file_holds_two_sides_of_a_conflict() -> None:
    sides = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)
    assert [path for path in tracked() if sides.search(path.read_bytes())] == []


def test_the_alembic_folder_is_not_a_package() -> None:
    """With an __init__.py there, `import alembic` would find ours and not the library."""
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_the_migrations_are_one_chain_and_the_tables_name_its_end() -> None:
    files = sorted((ROOT / "alembic" / "versions").glob("*.py"))
    ids = [path.name[:4] for path in files]
    assert ids == [f"{number:04}" for number in range(1, len(files) + 1)]
    for path, before in zip(files, [None, *ids], strict=False):
        text = path.read_text(encoding="utf-8")
        assert f'revision = "{path.name[:4]}"' in text, path.name
        assert before is None or f'down_revision = "{before}"' in text, path.name
    tables = (ROOT / "orchestrator" / "store" / "tables.py").read_text(encoding="utf-8")
    assert f'REVISION: Final = "{ids[-1]}"' in tables
