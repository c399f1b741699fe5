"""What to change so that the database says what the vault says."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.profile import AgentProfile
from orchestrator.domain.vault import Accepted, Document, KnownDocument, Rejected, VaultKnown
from orchestrator.vault.plan import decide, digest_of, to_parse


def document(profile_id: str, project_id: str | None = None) -> Document:
    scope = f"projects/{project_id}/" if project_id else ""
    path = f"{scope}agent-types/{profile_id}/profile.md"
    return Document(path=path, kind="profile", id=profile_id, project_id=project_id)


def good(profile_id: str, name: str, project_id: str | None = None) -> Accepted:
    profile = AgentProfile(id=profile_id, name=name)
    return Accepted(document=document(profile_id, project_id), digest=f"new {name}", definition=profile)


def bad(profile_id: str) -> Rejected:
    return Rejected(document=document(profile_id), digest="bad", error="no")


def knowing(**names: str) -> VaultKnown:
    documents = [KnownDocument(document=document(id), digest="old") for id in names]
    return VaultKnown(documents={known.document.path: known for known in documents}, names=names)


def test_the_digest_depends_on_every_byte() -> None:
    assert digest_of(b"a\n") != digest_of(b"a\r\n")
    assert digest_of(b"a") == digest_of(b"a")


def test_new_changed_and_unusable_documents_are_parsed() -> None:
    documents = [
        KnownDocument(document=document("same"), digest="1"),
        KnownDocument(document=document("changed"), digest="1"),
        KnownDocument(document=document("bad"), digest="1", error="no"),
    ]
    known = VaultKnown(documents={item.document.path: item for item in documents})
    digests = {document(id).path: "1" for id in ("same", "bad", "new")} | {document("changed").path: "2"}
    assert to_parse(digests, known) == [document(id).path for id in ("bad", "changed", "new")]


def test_what_is_not_there_any_more_is_removed() -> None:
    changes = decide([], [document("a").path], knowing(a="A", b="B"))
    assert [item.document.id for item in changes.removed] == ["b"]
    assert changes.unchanged == 1


def test_nothing_is_removed_from_a_directory_that_cannot_be_listed() -> None:
    assert decide([], [], knowing(a="A"), {"agent-types"}).empty


def test_a_rejection_that_is_known_is_no_news() -> None:
    before = KnownDocument(document=document("a"), digest="bad", error="no")
    known = VaultKnown(documents={before.document.path: before})
    changes = decide([bad("a")], [], known)
    assert changes.empty
    assert changes.refused == (before,)


def test_a_rejected_document_is_not_removed() -> None:
    changes = decide([bad("a")], [], knowing(a="A"))
    assert ([item.document.id for item in changes.rejected], changes.removed) == (["a"], ())


def test_of_two_new_profiles_with_one_name_the_second_is_turned_away() -> None:
    changes = decide([good("b", "Same"), good("a", "Same")], [], VaultKnown())
    assert [item.document.id for item in changes.accepted] == ["a"]
    assert [item.error for item in changes.rejected] == [
        "the name 'Same' is that of the profile 'a' already; choose another"
    ]


def test_who_has_a_name_keeps_it() -> None:
    changes = decide([good("a", "Taken"), good("z", "Taken")], [], knowing(z="Taken"))
    assert [item.document.id for item in changes.accepted] == ["z"]


def test_names_may_be_swapped_and_passed_on() -> None:
    swapped = decide([good("a", "B"), good("b", "A")], [], knowing(a="A", b="B"))
    assert len(swapped.accepted) == 2
    moved = decide([good("new", "A")], [], knowing(old="A"))
    assert [item.document.id for item in moved.accepted] == ["new"]
    assert [item.document.id for item in moved.removed] == ["old"]


def test_a_profile_that_is_turned_away_keeps_its_old_name_from_others() -> None:
    known = knowing(a="A", b="B", c="C")
    changes = decide([good("a", "B"), good("c", "A")], [document("b").path], known)
    assert changes.accepted == ()
    assert {item.document.id for item in changes.rejected} == {"a", "c"}


def test_an_overlay_may_have_the_name_of_its_profile() -> None:
    changes = decide([good("a", "A"), good("a", "A", project_id="acme")], [], VaultKnown())
    assert len(changes.accepted) == 2


IDS = st.sampled_from("abcdef")
NAMES = st.sampled_from("ABC")


@given(st.dictionaries(IDS, NAMES), st.dictionaries(IDS, NAMES), st.sets(IDS))
def test_names_in_use_stay_distinct_whatever_is_asked_for(
    had: dict[str, str], wanted: dict[str, str], untouched: set[str]
) -> None:
    names = {id: name for name, id in {name: id for id, name in had.items()}.items()}
    kept = untouched & names.keys() - wanted.keys()
    known = knowing(**names)
    changes = decide(
        [good(id, name) for id, name in wanted.items()], [document(id).path for id in kept], known
    )
    gone = {item.document.id for item in changes.removed}
    after = {id: name for id, name in names.items() if id not in gone}
    after |= {item.document.id: item.definition.name for item in changes.accepted}
    assert len(set(after.values())) == len(after)
    assert len(changes.accepted) + len(changes.rejected) == len(wanted)
    assert gone == names.keys() - kept - wanted.keys()
