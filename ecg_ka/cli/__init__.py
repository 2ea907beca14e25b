"""The `ecg-ka` command."""

from ecg_ka.cli import archive, commands, estimate
from ecg_ka.cli.app import app, main

__all__ = ["app", "archive", "commands", "estimate", "main"]
