"""A network of its own for some workers, and the one wire that leads out of it."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from faults.storm import Storm, until
from faults.weather import SHORT, at_work

IP: Final = "/usr/sbin/ip"
ENTER: Final = "/usr/bin/nsenter"


def can_be_laid() -> bool:
    """Whether this user may make networks: root may, and in containers it rarely may."""
    if os.geteuid() != 0 or not Path(IP).exists() or not Path(ENTER).exists():
        return False
    try:
        Wire().close()
    except subprocess.CalledProcessError:
        return False
    return True


class Wire:
    """Between here and a network in which there is nothing else. While it is cut, what either side sends is
    lost and neither is told: unlike a connection that is closed."""

    def __init__(self) -> None:
        self._name = f"orc{os.getpid()}"
        self.inside = (ENTER, f"--net=/run/netns/{self._name}")
        """What starts a command in that network."""
        number = os.getpid() % 2**14  # tests run side by side, each in a process of its own
        base, last = f"198.18.{number >> 6}", (number << 2) & 255  # meant for measurements, RFC 2544
        self.host = f"{base}.{last + 1}"
        """The address of this side."""
        self._ip(f"netns add {self._name}")
        try:
            self._ip(f"link add {self._name} type veth peer name out netns {self._name}")
            self._ip(f"address add {self.host}/30 dev {self._name}")
            self._ip(f"link set {self._name} up")
            for step in (f"address add {base}.{last + 2}/30 dev out", "link set out up", "link set lo up"):
                self._ip(f"-netns {self._name} {step}")
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        self._ip(f"link set {self._name} down")

    def join(self) -> None:
        self._ip(f"link set {self._name} up")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it was never there
            self._ip(f"link delete {self._name}")
        self._ip(f"netns delete {self._name}")

    def _ip(self, words: str) -> None:
        subprocess.run([IP, *words.split()], check=True, capture_output=True)


def networks_are_separated(storm: Storm, wire: Wire, url: str, *, times: int) -> list[str]:
    """The workers at the other end of the wire lose their network, for longer and for less than their lease
    in turns, and have it again. Another has the database at `url` all the time."""
    storm.begin()
    with at_work(storm, **SHORT) as seats, storm.nursery.beside(url) as near:
        other = near.fork(**SHORT)
        for number in range(times):
            storm.feed()
            storm.goes_on()
            wire.cut()
            if number % 2 == 0:
                until(lambda: all(storm.leases(one) == 0 for one in seats), 30)
            storm.feed()
            storm.goes_on(1)  # of the other, for whom nothing has changed
            wire.join()
        found = storm.finish()
        other.send(signal.SIGTERM)
        assert other.gone(30)
    return found
