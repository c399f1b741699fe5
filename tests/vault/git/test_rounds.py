"""Both sides edited at once, with kill -9 in between: they converge, and no edit is lost."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def rounds() -> ModuleType:
    """The program beside this file, which has the long form."""
    spec = importlib.util.spec_from_file_location("vault_git_rounds", Path(__file__).with_name("rounds.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.faults
def test_two_clones_converge_and_every_edit_is_in_the_history(tmp_path: Path) -> None:
    tally = rounds().Rounds(tmp_path, seed=7).run(15)
    assert tally.converged, tally.table()
    assert tally.lost == []
    assert tally.edits >= 30
