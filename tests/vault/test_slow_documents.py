"""Documents made to be slow are answered all the same."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[2] / "bench" / "fuzz_documents.py"


def test_no_document_of_a_mebibyte_crashes_the_parser_or_keeps_it_busy() -> None:
    """The bar by hand is 100 ms; here other tests run beside it, and what is quadratic takes seconds."""
    command = [sys.executable, str(FUZZ), "--rounds=10", "--bar=500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
