# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends steps of one kind in batches, and reports exactly which of them took effect."""

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
    errno.ENODEV: "the link does not exist, or is created by a later step",
}


def explain(refusal: Refusal, hints: Mapping[int, str]) -> str:
    """Return the kernel's reason, followed by its usual cause if that is known."""
    hint = hints.get(refusal.errno) or HINTS.get(refusal.errno)
    return f"{refusal} ({hint})" if hint else str(refusal)


def send_steps(netlink: Rtnetlink, steps: Sequence[Step], encode: Encode, hints: Mapping[int, str]) -> None:
    """Send the steps in order, as many at once as the kernel can answer.

    No batch is sent after the one in which a step failed. The kernel also processes the later steps of that batch, and its
    answers say which of them took effect.

    :param encode: returns the requests of a step; raises OSError or :class:`MessageError` if there are none for it.
    :param hints: usual cause by errno, for this kind of object.
    :raises StepsFailed: a step failed. Names the first one, and all that took effect; if an answer is missing, also those
        that may have.
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
            raise StepsFailed(tuple(done), failures[0][0], failures[0][1] + _further(failures))


def _further(failures: Sequence[tuple[Step, str]]) -> str:
    if len(failures) == 1:
        return ""
    return f"; {len(failures) - 1} more failed, the first of them: {failures[1][0]}: {failures[1][1]}"


def _next_part(
    netlink: Rtnetlink, steps: Sequence[Step], encode: Encode, hints: Mapping[int, str]
) -> tuple[list[Step], list[list[Request]], str]:
    """Return the steps of the next batch, their requests, and why the step after them cannot be sent, if so."""
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
    """Send all requests, and return the kernel's answers in the same groups."""
    flat = iter(netlink.batch([request for group in requests for request in group]))
    return [[next(flat) for _request in group] for group in requests]
