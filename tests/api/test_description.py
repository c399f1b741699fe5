"""The description holds: requests made up from it find no fault and no answer that it does not name."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

EXAMPLES = 4
"""For each operation. A limit in seconds instead is shared out among the operations, and on a busy machine an
operation's share ends before anything but its first few requests was sent."""
LEFT_OUT = "|".join(
    (
        *("install_profile", "import_profile", "export_profile", "vault_sync"),
        *("revoke_token", "ask_human", "report_progress"),
    )
)
"""Start programs of others, wait for a remote, would end the token that the test itself shows, or are an
agent's."""


def test_made_up_requests_find_no_fault_and_no_undocumented_answer(with_api, tmp_path: Path) -> None:
    async def test(api) -> None:
        told, said = await made_up(api, tmp_path)
        assert told["exit_code"] == 0, said
        assert told["stop_reason"] == "completed"
        operations = told["operations"]
        assert operations["tested"] == operations["selected"] > 70
        assert not told["warnings"].get("missing_auth"), "some operations never got past their token"
        assert (await api.ask("GET", "/api/v1/tokens")).status == 200

    with_api(test)


async def made_up(api, folder: Path) -> tuple[dict[str, Any], str]:
    """What was found, as a document and as told on the terminal."""
    report = folder / "report.json"
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("run", f"http://127.0.0.1:{api.port}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {api.token}"),
        # Every request shows the token: what happens without one is the subject of another test.
        *("--generation-with-security-parameters", "false"),
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        *("--phases", "fuzzing", "--max-examples", str(EXAMPLES)),
        *("--seed", "7", "--generation-deterministic"),
        *("--exclude-path", "/api/v1/events"),
        *("--exclude-operation-id-regex", f"^(command_)?({LEFT_OUT})$"),
        *("--report", "json", "--report-json-path", str(report), "--no-color"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert report.exists(), said.decode()[-6000:]
    return json.loads(report.read_text()), said.decode()[-6000:]
