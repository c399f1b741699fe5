"""What an attempt cost, in words that do not make a rehearsal look as if it had."""


def spent(usd: float, *, rehearsal: bool) -> str:
    """Money by the agent's own estimate at list price; of a rehearsal, what a model would have cost."""
    if not rehearsal:
        return f"${usd:.4f}"
    return f"nothing spent, a model: about ${usd:.4f}" if usd else "nothing spent"
