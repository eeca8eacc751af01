# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink messages as bytes: packing and unpacking are inverse, and damaged messages are refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.wire import (
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    MessageError,
    Refusal,
    Request,
    attribute,
    attributes,
    find,
    messages,
    nested,
    pack_requests,
    refusal_in,
)

Tree = bytes | list[tuple[int, "Tree"]]  # a payload, or the attributes in it

TYPES = some.integers(0, 0x3FFF)
BODIES = some.binary(max_size=40)
REQUESTS = some.lists(some.builds(Request, some.integers(0, 0xFFFF), some.integers(0, 0xFFFF), BODIES), max_size=6)
LEAVES = some.lists(some.tuples(TYPES, BODIES), max_size=6)
TREES = some.recursive(BODIES, lambda inner: some.lists(some.tuples(TYPES, inner), max_size=4), max_leaves=12)


def pack(leaves: list[tuple[int, bytes]]) -> bytes:
    return b"".join(attribute(kind, payload) for kind, payload in leaves)


def unpack(data: bytes, start: int, stop: int) -> list[tuple[int, bytes]]:
    return [(kind, data[first:last]) for kind, first, last in attributes(data, start, stop)]


@given(requests=REQUESTS, sequence=some.integers(0, 2**31), flags=some.sampled_from([0, NLM_F_ACK]))
def test_packed_requests_are_unpacked(requests: list[Request], sequence: int, flags: int) -> None:
    data = pack_requests(requests, sequence, flags)
    found = list(messages(data + b"more", len(data)))
    assert [(kind, data[start:stop]) for kind, *_numbers, start, stop in found] == [
        (request.type, request.body) for request in requests
    ]
    assert [message[1] for message in found] == [request.flags | flags | NLM_F_REQUEST for request in requests]
    assert [message[2] for message in found] == list(range(sequence, sequence + len(requests)))
    assert all(message[4] % 4 == 0 for message in found)


@given(leaves=LEAVES, before=BODIES, after=BODIES)
def test_packed_attributes_are_unpacked_from_the_middle_of_a_buffer(
    leaves: list[tuple[int, bytes]], before: bytes, after: bytes
) -> None:
    packed = pack(leaves)
    data = before + packed + after
    start, stop = len(before), len(before) + len(packed)
    assert unpack(data, start, stop) == leaves
    for kind, _payload in leaves:
        assert find(data, start, stop, kind) == next(payload for number, payload in leaves if number == kind)
    assert find(data, start, stop, 0x4000) == b""


def pack_tree(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    return b"".join(
        attribute(kind, inner) if isinstance(inner, bytes) else nested(kind, pack_tree(inner)) for kind, inner in tree
    )


def unpack_tree(data: bytes, start: int, stop: int) -> Tree:
    tree: list[tuple[int, Tree]] = []
    for kind, first, last in attributes(data, start, stop):
        flags = struct.unpack_from("=H", data, first - 2)[0]
        tree.append((kind, unpack_tree(data, first, last) if flags & NLA_F_NESTED else data[first:last]))
    return tree


@given(tree=TREES.filter(lambda tree: isinstance(tree, list)))
def test_packed_nested_attributes_are_unpacked(tree: Tree) -> None:
    data = pack_tree(tree)
    assert unpack_tree(data, 0, len(data)) == tree


def test_packed_messages_are_laid_out_as_the_kernels_structs() -> None:
    assert attribute(3, b"eth0\0") == struct.pack("=HH5s3x", 9, 3, b"eth0")
    assert nested(0x12, attribute(1, b"vlan")) == struct.pack("=HHHH4s", 12, 0x8012, 8, 1, b"vlan")
    assert attribute(1, (8080).to_bytes(2, "big")) == struct.pack("=HH", 6, 1) + b"\x1f\x90\0\0"
    assert pack_requests([Request(24, 0x400, b"body"), Request(25, 0, b"odd")], 7, 4) == struct.pack(
        "=IHHII4sIHHII3sx", 20, 24, 0x405, 7, 0, b"body", 19, 25, 0x5, 8, 0, b"odd"
    )


@pytest.mark.parametrize("flag", [0x8000, 0x4000])
def test_flags_are_no_part_of_the_type(flag: int) -> None:
    data = attribute(5 | flag, b"\0\0\0\1")
    assert list(attributes(data, 0, len(data))) == [(5, 4, 8)]
    assert find(data, 0, len(data), 5) == b"\0\0\0\1"


def test_a_payload_that_is_too_long_is_refused() -> None:
    assert len(attribute(1, bytes(65531))) == 65536
    with pytest.raises(MessageError, match="attribute 1 cannot hold 65532 bytes"):
        attribute(1, bytes(65532))
    with pytest.raises(MessageError, match="attribute 2 cannot hold"):
        nested(2, bytes(65531), bytes(1))


def count_before(size: int, parts: list[bytes], payloads: list[bytes]) -> int | None:
    """Return how many parts the first ``size`` bytes hold, None if they end inside of one; its padding may be missing."""
    stop = 0
    counts = {0: 0}
    for count, (part, payload) in enumerate(zip(parts, payloads, strict=True), start=1):
        stop += len(part)
        counts |= {stop - missing: count for missing in range(-len(payload) % 4 + 1)}
    return counts.get(size)


@given(requests=REQUESTS, data=some.data())
def test_truncated_messages_are_refused(requests: list[Request], data: some.DataObject) -> None:
    parts = [pack_requests([request], 1) for request in requests]
    whole = b"".join(parts)
    size = data.draw(some.integers(0, len(whole)))
    count = count_before(size, parts, [request.body for request in requests])
    if count is None:
        with pytest.raises(MessageError):
            list(messages(whole, size))
    else:
        assert len(list(messages(whole, size))) == count


@given(leaves=LEAVES, data=some.data())
def test_truncated_attributes_are_refused(leaves: list[tuple[int, bytes]], data: some.DataObject) -> None:
    parts = [attribute(kind, payload) for kind, payload in leaves]
    whole = b"".join(parts)
    size = data.draw(some.integers(0, len(whole)))
    count = count_before(size, parts, [payload for _kind, payload in leaves])
    if count is not None:
        assert unpack(whole, 0, size) == leaves[:count]
    else:
        with pytest.raises(MessageError):
            unpack(whole, 0, size)
        with pytest.raises(MessageError):
            find(whole, 0, size, 0x4000)


@given(data=some.binary(max_size=80))
@example(bytes(80))
@example(struct.pack("=HH", 1, 1) * 20)
@example(struct.pack("=IHHII", 0xFFFFFFFF, 2, 0x200, 0, 0) * 5)
def test_any_bytes_are_walked_to_the_end_or_refused(data: bytes) -> None:
    for walk, smallest in ((messages(data, len(data)), 16), (attributes(data, 0, len(data)), 4)):
        most = len(data) // smallest
        try:
            found = list(islice(walk, most + 1))
        except MessageError:
            continue
        assert len(found) <= most
        assert all(0 <= item[-2] <= item[-1] <= len(data) for item in found)
    for message in _answers(data):
        try:
            refusal = refusal_in(data, message)
        except MessageError:
            continue
        assert refusal is None or isinstance(str(refusal), str)


def _answers(data: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield the bytes as the payload of every kind of answer."""
    for kind in (NLMSG_ERROR, NLMSG_DONE):
        for flags in (0, NLM_F_ACK_TLVS, NLM_F_ACK_TLVS | NLM_F_CAPPED):
            yield kind, flags, 1, 0, 0, len(data)


MESSAGE = attribute(2, struct.pack("=I", 20)) + attribute(1, b"Nexthop has invalid gateway\0")
REQUEST = pack_requests([Request(24, 0, b"odd body.")], 1)
ERROR = struct.pack("=i", -22)


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "expected"),
    [
        (NLMSG_ERROR, 0, bytes(4) + REQUEST, None),
        (NLMSG_ERROR, NLM_F_CAPPED, bytes(4) + REQUEST[:16], None),
        (NLMSG_ERROR, 0, ERROR + REQUEST, Refusal(22)),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, ERROR + REQUEST + MESSAGE, Refusal(22, "Nexthop has invalid gateway")),
        (
            NLMSG_ERROR,
            NLM_F_ACK_TLVS | NLM_F_CAPPED,
            ERROR + REQUEST[:16] + MESSAGE,
            Refusal(22, "Nexthop has invalid gateway"),
        ),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, ERROR + REQUEST + MESSAGE[:-4], Refusal(22)),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, ERROR, Refusal(22)),
        (NLMSG_DONE, 0, b"", None),
        (NLMSG_DONE, 0, bytes(4), None),
        (NLMSG_DONE, NLM_F_ACK_TLVS, ERROR + MESSAGE, Refusal(22, "Nexthop has invalid gateway")),
    ],
)
def test_answers_are_decoded(kind: int, flags: int, payload: bytes, expected: Refusal | None) -> None:
    data = b"abcd" + payload + b"more"
    assert refusal_in(data, (kind, flags, 1, 0, 4, 4 + len(payload))) == expected


def test_an_answer_without_a_number_is_refused() -> None:
    with pytest.raises(MessageError, match="an answer has 3 bytes"):
        refusal_in(bytes(8), (NLMSG_ERROR, 0, 1, 0, 0, 3))


def test_a_refusal_is_named_as_the_kernel_names_it() -> None:
    assert str(Refusal(95)) == "EOPNOTSUPP: Operation not supported"
    assert str(Refusal(17, "Route exists")) == "EEXIST: Route exists"
    assert str(Refusal(4095)).startswith("errno 4095: ")
