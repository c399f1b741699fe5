"""The description holds: requests made up from it find no fault and no answer that it does not name."""

import asyncio
import sys
from pathlib import Path

SECONDS = 15
LEFT_OUT = "|".join(
    (
        *("install_profile", "import_profile", "export_profile", "doctor", "vault_sync"),
        *("revoke_token", "ask_human", "report_progress"),
    )
)
"""Start programs of others, take long, would end the token that the test itself shows, or are an agent's."""


def test_made_up_requests_find_no_fault_and_no_undocumented_answer(with_api, tmp_path: Path) -> None:
    async def test(api) -> str:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"http://127.0.0.1:{api.port}/api/v1/openapi.json",
            "--header",
            f"Authorization: Bearer {api.token}",
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            *(
                "--phases",
                "coverage,fuzzing",
                "--max-examples",
                "5",
                "--max-time",
                str(SECONDS),
                "--seed",
                "7",
            ),
            *("--exclude-path", "/api/v1/events", "--exclude-operation-id-regex", LEFT_OUT),
            "--no-color",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()[-6000:]
        return said.decode()

    said = with_api(test)
    assert "passed" in said
    assert "returned only 401/403" not in said, said
