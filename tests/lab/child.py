"""Call a function in a forked child that has entered other namespaces."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")


def call_in_child(enter: Callable[[], object], function: Callable[..., Result], *arguments: Any) -> Result:
    """Call `enter`, then the function, in a child process, and return the result or raise the error of the function.

    Both are pickled; an error that cannot be pickled becomes an AssertionError with its traceback.
    """
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the process has threads, which the child does not use
        child = os.fork()
    if not child:
        os.close(read_end)
        _answer(write_end, enter, function, arguments)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    if not content:
        raise AssertionError("the child died without an answer")
    succeeded, value, trace = pickle.loads(content)  # noqa: S301 - the child process wrote it
    if succeeded:
        result: Result = value
        return result
    print(trace, file=sys.stderr)
    raise value


def _answer(
    write_end: int, enter: Callable[[], object], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> NoReturn:
    """Enter, call, write the answer, and end without running anything of the parent's."""
    try:
        enter()
        content = pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        content = _pickled(error, traceback.format_exc())
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(content)
    os._exit(0)


def _pickled(error: BaseException, trace: str) -> bytes:
    try:
        content = pickle.dumps((False, error, trace))
        pickle.loads(content)  # noqa: S301
    except Exception:  # noqa: BLE001 - some errors cannot be rebuilt from their arguments
        return pickle.dumps((False, AssertionError(trace), trace))
    return content
