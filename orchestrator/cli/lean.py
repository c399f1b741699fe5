"""structlog without rich, for the commands that stay: imported before anything that logs.

Wherever rich is installed structlog loads its tracebacks, and Pygments with them: 5 MiB. Ours are plain.
"""

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # what `import` takes for "not installed"
    try:
        import structlog  # noqa: F401 - loaded here so that it does without
    finally:
        del sys.modules["rich"]
