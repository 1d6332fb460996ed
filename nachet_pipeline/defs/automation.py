"""Sensors and schedules that run from the start, so that nobody has to switch them on in the UI."""

from functools import partial

from dagster import DefaultScheduleStatus, DefaultSensorStatus, ScheduleDefinition, sensor

running_sensor = partial(sensor, default_status=DefaultSensorStatus.RUNNING)
"""Decorates what a sensor does. The sensor is named after the function, unless it says otherwise."""

running_schedule = partial(ScheduleDefinition, default_status=DefaultScheduleStatus.RUNNING)
"""A schedule of a job."""
