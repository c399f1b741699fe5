"""Prove what deploy/ promises by doing it: boot the units, build the image, run tasks in both.

    python deploy/test [--suite bookworm|trixie] [--only booted|image] [PLACE]

PLACE is a directory of some gigabytes, by default in /var/tmp; the Debian root in it is kept for later.
Ends with 0 when everything held, 1 when something did not, and 77 when this host cannot do it.
"""

import argparse
import shutil
import sys
from pathlib import Path

import booted
import image
from place import SUITES, Failed, Unable, check_host, installed, say

CANNOT = 77
"""The exit code by which test programs say that they were not run."""


def main() -> int:
    asked = argparse.ArgumentParser(prog="make deploy-test")
    asked.add_argument("place", nargs="?", type=Path, default=Path("/var/tmp/orchestrator-deploy-test"))
    asked.add_argument("--suite", choices=SUITES, default=SUITES[0])
    asked.add_argument("--only", choices=("booted", "image"))
    given = asked.parse_args()
    place: Path = given.place.absolute() / given.suite
    try:
        check_host()
        place.mkdir(parents=True, exist_ok=True)
        if given.only != "image":
            booted.prove(installed(place), place / "console.log")
            shutil.rmtree(place / "root")
        if given.only != "booted":
            image.prove(place)
    except Unable as error:
        print(f"deploy-test cannot run here: {error}", file=sys.stderr)
        return CANNOT
    except Failed as error:
        print(f"deploy-test: {error}", file=sys.stderr)
        return 1
    say("all", "held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
