"""A fleet in virtual time: no limit exceeded, no project starved, the same seed the same result.

    python bench/simulate.py [--projects 1000] [--tasks 1000000] [--hosts 500] [--slots 8] [--seed 1] [--json]

Runs the real admission, fairness, life of a task and settling over a made-up day; see `fleet.py`.
Exits with 1 when something did not hold.
"""

import argparse
import dataclasses
import gc
import json
import sys
import time

from fleet import Fleet
from fleet_parts import Plan, Seen
from machine import describe


def broken(seen: Seen, plan: Plan) -> list[str]:
    """What did not hold, in words; empty when all did."""
    ended = sum(seen.states[state] for state in ("COMPLETED", "FAILED", "BLOCKED"))
    found = {
        f"{plan.tasks - ended} tasks did not end": ended != plan.tasks,
        f"{seen.ended_twice} endings of tasks that had ended": seen.ended_twice > 0,
        f"{seen.over_limit} starts beyond a project's limit": seen.over_limit > 0,
        f"{seen.over_shared_limit} starts beyond a limit of all projects": seen.over_shared_limit > 0,
        f"{seen.over_budget} starts beyond a project's daily budget": seen.over_budget > 0,
        f"{seen.over_shared_budget} starts beyond the daily budget of all": seen.over_shared_budget > 0,
        "a project was starved beyond its share and one round": seen.furthest_ahead > seen.allowed_ahead,
    }
    return [what for what, holds in found.items() if holds]


def told_of(seen: Seen) -> dict[str, object]:
    return {one.name: getattr(seen, one.name) for one in dataclasses.fields(seen)}


def tell(now: float, ended: int, took: float) -> None:
    print(f"hour {now / 3600:,.0f}: {ended:,} tasks have ended, {took:,.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for one in dataclasses.fields(Plan):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    parser.add_argument("--json", action="store_true", help="one document for programs")
    told = vars(parser.parse_args())
    as_json = told.pop("json")
    plan = Plan(**told)
    gc.disable()  # millions of small things without a circle among them: looking for one takes its time
    began = time.perf_counter()
    seen = Fleet(plan).run(lambda now, left: tell(now, plan.tasks - left, time.perf_counter() - began))
    took = time.perf_counter() - began
    wrong = broken(seen, plan)
    if as_json:
        print(json.dumps({"plan": dataclasses.asdict(plan), "seen": told_of(seen), "broken": wrong}))
        return bool(wrong)
    print(describe())
    print(f"{plan}\n{took:,.0f} s for {seen.virtual_seconds / 3600:,.1f} virtual hours")
    for name, value in told_of(seen).items():
        print(f"  {name.replace('_', ' '):18} {value}")
    print("\n".join(wrong) or "every limit held, every task ended once, nobody was starved")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
