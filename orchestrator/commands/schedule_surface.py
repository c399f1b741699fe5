"""The commands of schedules, for the list of all. None is an agent's: a condition runs as the operator."""

from typing import Final

from orchestrator.commands import schedule_views, schedules
from orchestrator.commands.command import AnyCommand, Command

SCHEDULES: Final[tuple[AnyCommand, ...]] = (
    Command(
        name="create_schedule",
        request=schedules.CreateSchedule,
        result=schedules.ScheduleCreated,
        handler=schedules.create_schedule,
        changes=True,
    ),
    Command(
        name="edit_schedule",
        request=schedules.EditSchedule,
        result=schedules.ScheduleUpdated,
        handler=schedules.edit_schedule,
        changes=True,
    ),
    Command(
        name="list_schedules",
        request=schedule_views.ListSchedules,
        result=schedule_views.ScheduleList,
        handler=schedule_views.list_schedules,
        changes=False,
    ),
    Command(
        name="get_schedule",
        request=schedules.NamedSchedule,
        result=schedule_views.ScheduleDetails,
        handler=schedule_views.get_schedule,
        changes=False,
    ),
    Command(
        name="delete_schedule",
        request=schedules.NamedSchedule,
        result=schedules.ScheduleDeleted,
        handler=schedules.delete_schedule,
        changes=True,
    ),
    Command(
        name="pause_schedule",
        request=schedules.PauseSchedule,
        result=schedules.SchedulePaused,
        handler=schedules.pause_schedule,
        changes=True,
    ),
    Command(
        name="resume_schedule",
        request=schedules.NamedSchedule,
        result=schedules.SchedulePaused,
        handler=schedules.resume_schedule,
        changes=True,
    ),
    Command(
        name="run_schedule_now",
        request=schedules.NamedSchedule,
        result=schedules.ScheduleRun,
        handler=schedules.run_schedule_now,
        changes=True,
    ),
    Command(
        name="preview_schedule",
        request=schedule_views.PreviewSchedule,
        result=schedule_views.Preview,
        handler=schedule_views.preview_schedule,
        changes=False,
    ),
)
