"""What the vault's tests share: the databases."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("databases", Path(__file__).parents[1] / "databases.py")
assert _spec
assert _spec.loader
_databases = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(_databases)

postgres_server = _databases.postgres_server
sqlite_template = _databases.sqlite_template
sqlite_url = _databases.sqlite_url
postgres_url = _databases.postgres_url
database_url = _databases.database_url
open_again = _databases.open_again
database = _databases.database
