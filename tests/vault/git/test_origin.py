"""Each revision of a profile says which commit brought it, and who made it."""

import asyncio

from orchestrator.store import revisions
from orchestrator.store.database import open_database
from orchestrator.vault.git.attribute import Attribution
from orchestrator.vault.plan import digest_of
from orchestrator.vault.sync import VaultSync

PATH = "agent-types/reviewer/profile.md"
TEXT = "---\nid: reviewer\nname: Reviewer\n---\n## Role\n{}\n"


def test_a_revision_names_the_commit_that_brought_it_and_a_command_its_caller(
    site, here, there, tmp_path
) -> None:
    async def scenario() -> list[revisions.Revision]:
        with open_database(f"sqlite:///{tmp_path}/db.sqlite") as database:
            vault = VaultSync(database=database, root=here.root)
            attribution = Attribution(database, here.vault)
            there.put(PATH, TEXT.format("Theirs."))
            there.git("add", "--all")
            there.git("commit", "--quiet", "-m", "Ann's")
            there.synced()
            here.synced()
            await vault.run_once()
            await attribution.look()

            here.put(PATH, TEXT.format("By command."))
            report = await vault.run_once()
            assert report.accepted == (PATH,)
            (first, *_) = await database.read(revisions.history, "reviewer", limit=1)
            await database.run(
                revisions.record_author, "reviewer", project_id=None, digest=first.digest, author="kim"
            )
            assert await attribution.look() == 0  # it is in no commit yet
            here.synced()
            assert await attribution.look() == 1

            here.put(PATH, TEXT.format("Replaced before a cycle saw it."))
            await vault.run_once()
            here.put(PATH, TEXT.format("By hand."))
            await vault.run_once()
            here.synced()
            assert await attribution.look() == 1
            assert await attribution.look() == 0
            return await database.read(revisions.history, "reviewer", limit=10)

    by_hand, replaced, by_command, theirs = asyncio.run(scenario())
    log = here.git("log", "--format=%H %s", "-3").splitlines()
    commits = [line.split()[0] for line in log]
    assert [by_hand.commit, by_command.commit, theirs.commit] == commits
    assert (replaced.commit, replaced.author) == (None, None)
    assert by_hand.author == "orchestrator on here <orchestrator@here>"
    assert by_command.author == "kim"
    assert theirs.author == "Ann <ann@example.org>"


def test_what_a_merge_settled_is_the_authors_of_the_side_that_was_kept(here, there) -> None:
    here.put(PATH, "mine\n")
    there.put(PATH, "theirs\n")
    there.synced()
    here.sync()
    here.vault.resolve(PATH, "theirs")
    here.synced()
    assert here.read(PATH) == "theirs\n"
    digest = digest_of(b"theirs\n")
    _, brought = here.vault.origins({PATH: {digest}})
    assert brought[PATH, digest].author == "orchestrator on there <orchestrator@there>"
