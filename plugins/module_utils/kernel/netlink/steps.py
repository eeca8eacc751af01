# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of one kind, sent to the kernel many at a time, and exactly which of them took effect."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence

from ...errors import NodeError, describe
from ...state.step import Step, StepsFailed
from .rtnetlink import Rtnetlink
from .wire import MessageError, Refusal, Request

Encode = Callable[[Step], Sequence[Request]]

HINTS = {
    errno.EPERM: "needs root or CAP_NET_ADMIN in this network namespace",
    errno.ENODEV: "is the link there, and was it created before?",
}


def explain(refusal: Refusal, hints: Mapping[int, str]) -> str:
    """Return the kernel's reason with the usual cause where that is known."""
    hint = hints.get(refusal.errno) or HINTS.get(refusal.errno)
    return f"{refusal} ({hint})" if hint else str(refusal)


def send_steps(netlink: Rtnetlink, steps: Sequence[Step], encode: Encode, hints: Mapping[int, str]) -> None:
    """Do the steps in order, as many to a send as the kernel can answer.

    Nothing is sent after the send in which a step failed; the later steps of that same send were done or refused by
    the kernel on their own account, and are told apart by its answers.

    :param encode: a step's requests; raises OSError or :class:`MessageError` where they cannot be made.
    :param hints: errno -> its usual cause for this kind of object.
    :raises StepsFailed: a step failed; names the first one, and all that took effect, or may have where no answer came.
    """
    done: list[Step] = []
    position = 0
    while position < len(steps):
        part, requests, problem = _next_part(netlink, steps[position:], encode, hints)
        failures = []
        try:
            grouped = _answers(netlink, requests)
        except (NodeError, OSError) as error:
            raise StepsFailed(tuple(done), part[0], describe(error), tuple(part)) from error
        for step, answers in zip(part, grouped):
            refusal = next((answer for answer in answers if answer is not None), None)
            if refusal is None:
                done.append(step)
            else:
                failures.append((step, explain(refusal, hints)))
        position += len(part)
        if problem:
            failures.append((steps[position], problem))
        if failures:
            raise StepsFailed(tuple(done), failures[0][0], failures[0][1] + _others(failures))


def _others(failures: Sequence[tuple[Step, str]]) -> str:
    return (
        f"; so did {len(failures) - 1} more, the next: {failures[1][0]}: {failures[1][1]}" if len(failures) > 1 else ""
    )


def _next_part(
    netlink: Rtnetlink, steps: Sequence[Step], encode: Encode, hints: Mapping[int, str]
) -> tuple[list[Step], list[list[Request]], str]:
    """Return the steps of the next send with their requests, and why the step after them cannot even be sent."""
    part: list[Step] = []
    requests: list[list[Request]] = []
    count = 0
    for step in steps:
        if count >= netlink.messages_per_send:
            break
        try:
            encoded = list(encode(step))
        except OSError as error:
            return part, requests, explain(Refusal(error.errno or errno.EINVAL, error.strerror or ""), hints)
        except MessageError as error:
            return part, requests, f"EINVAL: {error}"
        part.append(step)
        requests.append(encoded)
        count += len(encoded)
    return part, requests, ""


def _answers(netlink: Rtnetlink, requests: Sequence[list[Request]]) -> list[list[Refusal | None]]:
    """Send all requests and return the kernel's answers grouped as the requests were."""
    flat = iter(netlink.batch([request for group in requests for request in group]))
    return [[next(flat) for _request in group] for group in requests]
