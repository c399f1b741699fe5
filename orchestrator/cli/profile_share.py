"""`orchestrator profile check`, `install`, `export`, `import`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from orchestrator.cli import exit_codes, output
from orchestrator.cli.session import call
from orchestrator.commands import gist, manifest, transfer
from orchestrator.domain.errors import AlreadyExists, InvalidInput

Id = Annotated[str, Parameter(help="Id of the profile.")]


def check(profile: Id) -> int:
    """Say whether what a profile needs is installed; 1 when something is missing."""
    found = call(manifest.check_profile, manifest.CheckProfile(profile_id=profile))
    output.show(found, _checked)
    return exit_codes.OK if found.valid else exit_codes.FAILED


def install(profile: Id) -> int:
    """Install the packages a profile needs; 1 when something is left to do by hand."""
    done = call(manifest.install_profile, manifest.InstallProfile(profile_id=profile))
    output.show(done, _installed)
    return exit_codes.OK if done.ready else exit_codes.FAILED


def export(
    profile: Id,
    *,
    gist: Annotated[bool, Parameter(help="Also publish it as a gist, for everyone to see.")] = False,
) -> int:
    """Print a profile as YAML that `profile import` takes."""
    done = call(transfer.export_profile, transfer.ExportProfile(profile_id=profile, create_gist=gist))
    output.show(done, _exported)
    return exit_codes.OK if done.gist_error is None else exit_codes.FAILED


def import_(
    source: Annotated[str, Parameter(help="A file, - for standard input, or the address of a gist.")],
    *,
    id: Annotated[str | None, Parameter(help="Another id than the one it says.")] = None,
    name: Annotated[str | None, Parameter(help="Another name than the one it says.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace the profile that is there.")] = False,
) -> None:
    """Take a profile from YAML or a gist, and install what it needs."""
    request = transfer.ImportProfile(source=_source(source), id=id, name=name, overwrite=overwrite)
    try:
        done = call(transfer.import_profile, request)
    except AlreadyExists as error:
        said = str(error).replace(
            "use overwrite=true to replace", "--overwrite replaces it, --id takes another"
        )
        raise AlreadyExists(said, field=error.field) from None
    output.show(done, _imported)


def _source(source: str) -> str:
    if gist.is_url(source):
        return source
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"source {source} cannot be read: {why}", field="source") from None


def _checked(found: manifest.ProfileChecked) -> Iterator[RenderableType]:
    for issue in found.issues:
        yield output.text(issue, "red")
    if found.valid:
        yield output.text(f"profile {found.profile_id} has all it needs")


def _installed(done: manifest.ProfileInstalled) -> Iterator[RenderableType]:
    for item in done.already_present:
        yield output.text(f"there already  {item}", "dim")
    for item in done.installed:
        yield output.text(f"installed      {item}", "green")
    for item in done.manual:
        yield output.text(f"by hand        {item}", "red")
    yield from output.warnings(done.issues)
    yield output.text(f"profile {done.profile_id} is {'ready' if done.ready else 'not ready'}")


def _exported(done: transfer.ProfileExported) -> Iterator[RenderableType]:
    if sys.stdout.isatty():
        yield output.text(done.yaml.rstrip("\n"))
    else:
        # For a file or another program: exactly as it is, as no terminal can obey it.
        sys.stdout.write(done.yaml)
    if done.gist_url is not None:
        yield output.text(f"# published: {done.gist_url}")
    if done.gist_error is not None:
        yield output.text(f"# not published: {done.gist_error}", "red")


def _imported(done: transfer.ProfileImported) -> Iterator[RenderableType]:
    yield output.text(f"profile {done.id} ({done.name}) imported")
    for item in done.installed:
        yield output.text(f"installed  {item}", "green")
    for item in done.manual:
        yield output.text(f"by hand    {item}", "red")
    yield from output.warnings(done.warnings)
