"""Processes of a search: how many there may be, and how they begin."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Whether processes can begin with all that this one knows. (Those of a pool may start none of their own.)"""
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


def leave_interrupts_to_the_parent() -> None:
    """The one who started a process ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
