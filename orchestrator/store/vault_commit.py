"""The commit in effect: what the vault and its remote both stood at when the documents were last read."""

from sqlalchemy import Connection, insert, select, update

from orchestrator.store.tables import vault_in_effect

_ONE = 1


def in_effect(tx: Connection) -> str | None:
    """`None` while no vault that counted was a clone in step with its remote."""
    return tx.execute(select(vault_in_effect.c.commit_id)).scalar()


def record(tx: Connection, commit: str, *, instead_of: str | None) -> bool:
    """Say that it is this one now. False, and nothing is written, when another was recorded since."""
    known = in_effect(tx)
    if known != instead_of:
        return False
    if known is None:
        tx.execute(insert(vault_in_effect).values(id=_ONE, commit_id=commit))
        return True
    changed = update(vault_in_effect).where(vault_in_effect.c.commit_id == known)
    return tx.execute(changed.values(commit_id=commit)).rowcount == 1
