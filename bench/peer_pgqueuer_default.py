"""pgqueuer among the peers as it comes, with 10 jobs at once. See `peer_pgqueuer.py`."""

import peer_part
from peer_pgqueuer import PgQueuer

if __name__ == "__main__":
    peer_part.main(PgQueuer(batch=10))
