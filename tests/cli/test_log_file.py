"""The log beside the screen: bounded, private, and never in the way."""

from pathlib import Path

from orchestrator import logs
from orchestrator.cli.log_file import LogFile


def test_a_full_log_becomes_the_earlier_one_in_place_of_the_one_before(home: Path) -> None:
    log = LogFile(home / "orchestrator.log", most=100)
    for number in range(100):
        print(f"line {number}", file=log)
    log.close()
    kept = sorted(path.name for path in home.iterdir())
    assert kept == ["orchestrator.log", "orchestrator.log.1"]
    assert all(path.stat().st_size <= 100 for path in home.iterdir())
    assert (home / "orchestrator.log").read_text(encoding="utf-8").endswith("line 99\n")
    assert {path.stat().st_mode & 0o777 for path in home.iterdir()} == {0o600}


def test_a_log_without_a_limit_grows_and_a_later_program_goes_on_in_it(home: Path) -> None:
    for number in range(2):
        log = LogFile(home / "orchestrator.log", most=0)
        print(f"run {number}", file=log)
        log.close()
    assert (home / "orchestrator.log").read_text(encoding="utf-8") == "run 0\nrun 1\n"


def test_a_log_that_cannot_be_written_any_more_says_nothing_on_the_screen(home: Path, capsys) -> None:
    log = LogFile(home / "orchestrator.log", most=20)
    logs.configure(style="json", stream=log)  # type: ignore[arg-type]  # it does what a stream for lines does
    (home / "orchestrator.log").unlink(missing_ok=True)
    home.chmod(0o500)
    home.rename(home.with_name("gone"))
    for number in range(5):
        print(f"more than twenty bytes {number}", file=log)
    log.close()
    home.with_name("gone").chmod(0o700)
    assert capsys.readouterr() == ("", "")
