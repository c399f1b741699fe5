"""Orchestrator: a durable worker that runs coding agents on a leash."""

from importlib.metadata import version

__version__ = version("agent-orchestrator")
