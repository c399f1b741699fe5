"""Schedules over HTTP, at addresses of their own."""


def test_a_schedule_is_kept_and_previewed_at_its_own_address(with_api) -> None:
    async def test(api) -> None:
        assert (await api.ask("POST", "/api/v1/projects", {"id": "acme"})).status == 200
        wanted = {"id": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "prompt": "Look."}
        made = await api.ask("POST", "/api/v1/schedules", {**wanted, "missed": "all", "overlap": "queue"})
        assert (made.status, len(made.json["upcoming"])) == (200, 3), made.json
        shown = await api.ask("GET", "/api/v1/schedules/nightly")
        assert (shown.json["missed"], shown.json["overlap"], shown.json["queued"]) == ("all", "queue", [])
        changed = await api.ask("PATCH", "/api/v1/schedules/nightly", {"interval": 3600})
        assert changed.json["fields"] == ["interval"]
        times = await api.ask("GET", "/api/v1/schedule-preview?cron=0%2012%20*%20*%20*&count=2")
        assert [one["local"][11:19] for one in times.json["occurrences"]] == ["12:00:00"] * 2
        assert (await api.ask("POST", "/api/v1/schedules/nightly/run", {})).json["state"] == "READY"
        paused = await api.ask("POST", "/api/v1/schedules/nightly/pause", {"reason": "holidays"})
        assert paused.json == {"schedule_id": "nightly", "enabled": False, "next_at": None}
        assert (await api.ask("DELETE", "/api/v1/schedules/nightly")).json["deleted"] == "nightly"
        gone = await api.ask("GET", "/api/v1/schedules/nightly")
        assert (gone.status, gone.json["field"]) == (404, "schedule_id")

    with_api(test)


def test_a_wrong_time_names_the_member(with_api) -> None:
    async def test(api) -> None:
        assert (await api.ask("POST", "/api/v1/projects", {"id": "acme"})).status == 200
        wrong = {"id": "x", "prompt": "x", "cron": "0 25 * * *"}
        answer = await api.ask("POST", "/api/v1/schedules", wrong)
        assert (answer.status, answer.json["field"]) == (422, "cron")
        answer = await api.ask("POST", "/api/v1/schedules", {**wrong, "cron": "@daily", "missed": "never"})
        assert (answer.status, answer.json["field"]) == (422, "missed")

    with_api(test)
