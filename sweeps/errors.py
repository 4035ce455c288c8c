"""Errors that a user can mend, as opposed to faults of this program."""

from __future__ import annotations


class ConfigurationError(ValueError):
    """The grid, the command line or a folder is not usable; the command exits with code 2.

    The message is complete: what is wrong, where, and what to do.
    """


class StorageError(OSError):
    """A record or table could not be written: the disk is full, or the folder is gone."""


class ClusterError(RuntimeError):
    """Ray died, was started again and died again; the message is complete."""
