"""Waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .namespaces import LabError

Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result], explain: Callable[[], object] | str, seconds: float = 20.0, pause: float = 0.01
) -> Result:
    """Wait until the condition is true and return its value.

    explain: what was waited for, for the LabError after so many seconds; or a function that returns it.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"not within {seconds} s: {explain if isinstance(explain, str) else explain()}")
        time.sleep(pause)
    return result
