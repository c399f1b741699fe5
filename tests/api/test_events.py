"""Following events: server-sent events and WebSocket."""

import asyncio
import json
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from orchestrator.api import address, server
from orchestrator.api import events as hubs
from orchestrator.domain.cloud_event import Wanted
from orchestrator.domain.event import Event
from orchestrator.store import events

pytestmark = pytest.mark.made_up_events

BOUND = 20.0


async def announce(
    api, count: int = 1, *, kind: str = "task.tested", project: str = "acme", **data: str
) -> int:
    """Records events; returns the id of the last one."""
    facts = [
        Event(
            kind=kind,
            subject=f"task/t{n}",
            at=1.5,
            data={"n": n, **data},
            project_id=project,
            task_id=f"t{n}",
        )
        for n in range(count)
    ]
    await api.use.database.run(lambda tx: events.append(tx, *facts))
    return await api.use.database.read(events.last_id)


class Stream:
    """Server-sent events as a browser reads them."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._text = b""

    async def next(self) -> dict[str, str]:
        async with asyncio.timeout(BOUND):
            while True:
                while b"\n\n" not in self._text:
                    size = int(await self._reader.readline(), 16)
                    if not size:
                        return {}
                    self._text += (await self._reader.readexactly(size + 2))[:size]
                block, _, self._text = self._text.partition(b"\n\n")
                lines = [line.partition(": ") for line in block.decode().split("\n")]
                if fields := {name: value for name, _, value in lines if name}:
                    return fields


@asynccontextmanager
async def following(api, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    said = {**api.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    lines = [f"GET /api/v1/events{query} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), BOUND)
    assert b" 200 " in head.splitlines()[0], head
    assert b"text/event-stream" in head
    try:
        yield Stream(reader)
    finally:
        writer.close()


def websocket(api, query: str = "", **more):
    headers = {"authorization": f"Bearer {api.token}"}
    return connect(
        f"ws://127.0.0.1:{api.port}/api/v1/ws{query}", additional_headers=headers, proxy=None, **more
    )


async def heard(socket_) -> int:
    """The id of the next event."""
    return int(json.loads(await asyncio.wait_for(socket_.recv(), BOUND))["id"])


def test_both_streams_tell_the_same_cloud_events(with_api) -> None:
    async def test(api) -> None:
        async with following(api) as stream, websocket(api) as socket:
            last = await announce(api)
            told = await stream.next()
            event = json.loads(told["data"])
            assert (told["id"], told["event"]) == (str(last), "task.tested")
            assert event == json.loads(await asyncio.wait_for(socket.recv(), BOUND))
            assert event == {
                "specversion": "1.0",
                "id": str(last),
                "source": "/orchestrator",
                "type": "task.tested",
                "subject": "task/t0",
                "time": "1970-01-01T00:00:01.500Z",
                "datacontenttype": "application/json",
                "projectid": "acme",
                "taskid": "t0",
                "data": {"n": 0},
            }

    with_api(test)


def test_whoever_resumes_from_his_last_id_misses_nothing_and_hears_nothing_twice(with_api) -> None:
    async def test(api) -> None:
        last = await announce(api, 1200)
        first = last - 1199
        async with following(api, f"?after={first - 1}") as stream:
            await announce(api, 5)
            seen = [int((await stream.next())["id"]) for _ in range(1205)]
        assert seen == list(range(first, last + 6))
        async with following(api, "?after=0", Last_Event_ID=str(last + 3)) as stream:
            assert [int((await stream.next())["id"]) for _ in range(2)] == [last + 4, last + 5]
        async with websocket(api, f"?after={first - 1}") as socket_:
            assert [await heard(socket_) for _ in range(1205)] == seen

    with_api(test)


def test_each_reader_hears_only_what_he_asked_for(with_api) -> None:
    async def test(api) -> None:
        before = await api.use.database.read(events.last_id)
        for query in (
            "?type=profile.*",
            "?type=task.created,profile.changed",
            "?project=other",
            "?task=t1&type=task.*",
        ):
            start = await announce(api, 3)
            await announce(api, 2, kind="profile.changed", project="other")
            async with following(api, f"{query}&after={start - 3}") as stream:
                told = json.loads((await stream.next())["data"])
                wanted = ("task.tested", "t1") if "task=t1" in query else ("profile.changed", "t0")
                assert (told["type"], told["taskid"]) == wanted
            async with websocket(api, f"{query}&after={start - 3}") as also:
                assert json.loads(await asyncio.wait_for(also.recv(), BOUND)) == told
            # The same while they happen.
            async with following(api, query) as stream, websocket(api, query) as also:
                await announce(api, 3)
                await announce(api, 1, kind="profile.changed", project="other")
                told = json.loads((await stream.next())["data"])
                assert (told["type"], told["taskid"]) == wanted
                assert json.loads(await asyncio.wait_for(also.recv(), BOUND)) == told
        assert before < start

    with_api(test)


def test_a_reader_that_falls_behind_is_dropped_with_a_notice_and_delays_nobody(with_api) -> None:
    async def test(api) -> None:
        hub = hubs.Hub(api.use.database)
        async with hub.running(), hub.subscribed(Wanted(), after=None) as slow:
            waiting = asyncio.ensure_future(slow.next())
            first = await announce(api)
            (message,) = await asyncio.wait_for(waiting, BOUND)
            assert message.id == first
            async with hub.subscribed(Wanted(), after=None) as quick:
                for _ in range(12):
                    last = await announce(api, 100)
                    while quick.last < last:
                        await asyncio.wait_for(quick.next(), BOUND)
            with pytest.raises(hubs.Dropped):
                await slow.next()
            assert slow.last == first

    with_api(test)


def test_a_dropped_reader_is_told_where_to_resume(with_api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "QUEUE", 10)

    async def test(api) -> None:
        async with following(api) as stream, websocket(api) as socket:
            first = await announce(api)
            assert (await stream.next())["id"] == str(first)
            await asyncio.wait_for(socket.recv(), BOUND)
            await announce(api, 50)
            told = await stream.next()
            assert (told["event"], json.loads(told["data"])) == ("dropped", {"after": first})
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), BOUND)
            assert closed.value.rcvd.code == 1013
            assert json.loads(closed.value.rcvd.reason) == {"dropped": True, "after": first}

    with_api(test)


def never_read(api, path: str, *more: str) -> socket.socket:
    """A connection that asks for events and takes none of them; it takes no more than a few at once."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", api.port))
    said = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in api.headers.items()), *more]
    client.sendall("\r\n".join([*said, "", ""]).encode())
    return client


UPGRADE = (
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)


def cut_off(client: socket.socket) -> bool:
    """Whether the other end gave the connection up, unread as it is: then its system answers what is sent
    with a reset. It says nothing by itself, since it has stopped expecting to be heard."""
    poll = select.poll()
    poll.register(client, 0)
    until = time.monotonic() + BOUND
    while time.monotonic() < until:
        with suppress(OSError):
            client.send(b"\0")
        if poll.poll(100):
            return True
    return False


def test_who_never_reads_is_cut_off_and_delays_nobody(with_api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "QUEUE", 20)
    monkeypatch.setattr(address, "STUCK_SECONDS", 1.0)

    async def subscribers(api) -> bytes:
        text = (await api.ask("GET", "/metrics")).body
        return text.partition(b"\norchestrator_event_subscribers ")[2].split()[0]

    async def test(api) -> None:
        asleep = [
            await asyncio.to_thread(never_read, api, "/api/v1/events"),
            await asyncio.to_thread(never_read, api, "/api/v1/ws", *UPGRADE),
        ]
        async with following(api) as stream:
            while await subscribers(api) != b"3.0":
                pass
            for _ in range(40):
                last = await announce(api, 5, filler="x" * 50_000)
                for n in range(5):
                    assert (await stream.next())["id"] == str(last - 4 + n)
            for client in asleep:
                assert await asyncio.to_thread(cut_off, client)
                client.close()
            assert await subscribers(api) == b"1.0"

    with_api(test)


def test_pages_of_another_origin_cannot_open_a_websocket(with_api) -> None:
    async def test(api) -> None:
        for origin in ("https://evil.example", "null"):
            with pytest.raises(InvalidStatus) as refused:
                await websocket(api, origin=origin).__aenter__()
            assert refused.value.response.status_code == 403
        async with websocket(api, origin=f"http://127.0.0.1:{api.port}"):
            pass
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", proxy=None).__aenter__()
        assert refused.value.response.status_code == 401

    with_api(test)


def test_a_page_under_a_name_that_points_here_cannot_open_a_websocket(with_api) -> None:
    async def test(api) -> None:
        evil = f"ws://evil.example:{api.port}/api/v1/ws"
        headers = {"authorization": f"Bearer {api.token}"}
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                evil, host="127.0.0.1", port=api.port, additional_headers=headers, proxy=None
            ).__aenter__()
        assert refused.value.response.status_code == 421

    with_api(test)


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=-1", "?after=99999999999999999999", "?since=1", "?type=tusk.created"]
)
def test_a_stream_that_cannot_be_is_refused_before_it_begins(with_api, query: str) -> None:
    async def test(api) -> None:
        assert (await api.ask("GET", f"/api/v1/events{query}")).status == 422
        with pytest.raises(InvalidStatus) as refused:
            await websocket(api, query).__aenter__()
        assert refused.value.response.status_code == 422

    with_api(test)


def test_readers_are_let_go_when_the_server_stops(with_api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ENDING_SECONDS", 3600.0)  # or they might have been cut off
    kept: list[object] = []

    async def test(api) -> None:
        stream = following(api)
        kept.extend((stream, await stream.__aenter__(), await websocket(api)))

    with_api(test)


def test_who_resumes_after_events_that_were_removed_is_told_so_once(with_api) -> None:
    async def test(api) -> None:
        first_seen = await announce(api, 10) - 9
        left = await api.use.database.run(remove_up_to, first_seen + 6)
        async with following(api, f"?after={first_seen + 2}&type=schedule.*") as stream:
            told = await stream.next()
            gap = json.loads(told["data"])
            assert (told["event"], told["id"]) == ("events.gap", str(left - 1))
            assert gap["data"] == {"after": first_seen + 2, "first": left}
        async with following(api, f"?after={told['id']}") as stream:
            assert (await stream.next())["id"] == str(left)
        async with websocket(api, f"?after={first_seen}") as socket:
            assert json.loads(await asyncio.wait_for(socket.recv(), BOUND))["type"] == "events.gap"
            assert json.loads(await asyncio.wait_for(socket.recv(), BOUND))["id"] == str(left)

    with_api(test)


def test_who_saw_the_last_one_that_was_removed_has_missed_nothing(with_api) -> None:
    async def test(api) -> None:
        last = await announce(api, 10)
        left = await api.use.database.run(remove_up_to, last - 3)
        for after in (0, left - 1, left):
            async with following(api, f"?after={after}") as stream:
                assert (await stream.next())["event"] == "task.tested"

    with_api(test)


def remove_up_to(tx, last: int) -> int:
    """Remove events as retention does; answers with the first that is left."""
    tx.exec_driver_sql(f"DELETE FROM events WHERE id <= {last}")
    return last + 1
