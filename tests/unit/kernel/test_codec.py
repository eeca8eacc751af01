# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec of rtnetlink messages, against pyroute2's own and against bytes written out by hand."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.codec import (
    Fields,
    MessageFormat,
    address_bytes,
    address_text,
    name_bytes,
    name_text,
    number,
    packed,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.formats import (
    dump_formats,
    load_formats,
    parse_formats,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import (
    find_pyroute2,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.wire import MessageError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.extra_attributes import Value

FORMATS = load_formats(find_pyroute2())
INTEGERS = {
    "RTA_OIF": "I",
    "RTA_PRIORITY": "I",
    "RTA_TABLE": "I",
    "RTA_PREF": "B",
    "RTA_ENCAP_TYPE": "H",
    "RTA_NH_ID": "I",
}
BYTES = ("RTA_DST", "RTA_GATEWAY", "RTA_PREFSRC", "RTA_MULTIPATH", "RTA_METRICS", "RTA_27", "RTA_16383")
HEADER = ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags")


def _values(name: str) -> some.SearchStrategy[Value]:
    if name in INTEGERS:
        return some.integers(0, 256 ** struct.calcsize(INTEGERS[name]) - 1)
    return some.binary(max_size=40)


@some.composite
def _fields(draw: some.DrawFn) -> Fields:
    fields: Fields = {name: draw(some.integers(0, 255)) for name in HEADER}
    for name in draw(some.permutations((*INTEGERS, *BYTES)))[: draw(some.integers(0, 8))]:
        fields[name] = draw(_values(name))
    return fields


@given(messages=some.lists(_fields(), min_size=1, max_size=5), before=some.binary(max_size=9))
def test_encoded_fields_are_decoded(messages: list[Fields], before: bytes) -> None:
    message_format = MessageFormat(rtmsg, {30: ("RTA_NH_ID", "uint32")})
    for fields in messages + messages:  # the second time by the layouts of the first
        encoded = message_format.encode(fields)
        decoded = message_format.decode(before + encoded + b"more", len(before), len(before) + len(encoded))
        assert decoded == fields
        assert list(decoded) == list(fields)
        assert message_format.encode(decoded) == encoded


def test_padding_of_several_bytes_is_no_field() -> None:
    """struct ndmsg has three bytes in a row, for which pyroute2 has one name."""
    message_format = MessageFormat(ndmsg)
    encoded = message_format.encode({"family": 2, "ifindex": 7, "state": 0x80})
    assert encoded == bytes([2, 0, 0, 0, 7, 0, 0, 0, 0x80, 0, 0, 0])
    assert message_format.decode(encoded)["ifindex"] == 7


@given(fields=_fields())
def test_walk_finds_the_encoded_attributes_in_order(fields: Fields) -> None:
    encoded = FORMATS.route.encode(fields)
    walked = [FORMATS.route.name_of(kind) for kind, _offset, _length in FORMATS.route.walk(encoded)]
    assert [*HEADER, *walked] == list(fields)


@given(data=some.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        fields = FORMATS.rule.decode(data)
    except MessageError:
        return
    numbers = [kind for kind, _offset, _length in FORMATS.rule.walk(data)]
    assert len(fields) == 9 + len(set(numbers))


def test_more_layouts_than_are_kept_are_decoded() -> None:
    message_format = MessageFormat(rtmsg)
    for kind in range(40, 240):
        fields: Fields = {"family": 2, f"RTA_{kind}": b"abcd"}
        assert message_format.decode(message_format.encode(fields)).items() >= fields.items()


@pytest.mark.parametrize("family", [2, 10])
def test_pyroute2_decodes_encoded_rules(family: int) -> None:
    network = {2: "10.9.8.0", 10: "fd09::"}[family]
    encoded = FORMATS.rule.encode(
        {
            "family": family,
            "src_len": 24,
            "action": 1,
            "FRA_SRC": address_bytes(network),
            "FRA_IIFNAME": name_bytes("eth0.100"),
            "FRA_FWMARK": 0x100,
            "FRA_FWMASK": 0x1F00,
            "FRA_PROTOCOL": 77,
            "FRA_TABLE": 7701,
        }
    )
    message = fibmsg(struct.pack("=IHHII", 16 + len(encoded), 32, 0, 1, 0) + encoded)
    message.decode()
    assert (message["family"], message["src_len"], message["action"]) == (family, 24, 1)
    assert dict(message["attrs"]) == {
        "FRA_SRC": network,
        "FRA_IIFNAME": "eth0.100",
        "FRA_FWMARK": 0x100,
        "FRA_FWMASK": 0x1F00,
        "FRA_PROTOCOL": 77,
        "FRA_TABLE": 7701,
    }


@given(
    table=some.integers(0, 2**32 - 1),
    metric=some.integers(0, 2**32 - 1),
    address=some.ip_addresses(v=6),
    pref=some.integers(0, 255),
)
def test_routes_that_pyroute2_encoded_are_decoded(table: int, metric: int, address: object, pref: int) -> None:
    message = rtmsg()
    message["family"] = 10
    message["dst_len"] = 128
    message["attrs"] = [
        ("RTA_TABLE", table),
        ("RTA_DST", str(address)),
        ("RTA_PREF", pref),
        ("RTA_PRIORITY", metric),
    ]
    message.encode()
    fields = FORMATS.route.decode(bytes(message.data), 16, message.length if message.length else None)
    assert (number(fields, "RTA_TABLE"), number(fields, "RTA_PRIORITY"), number(fields, "RTA_PREF")) == (
        table,
        metric,
        pref,
    )
    assert address_text(packed(fields, "RTA_DST")) == str(address)


def test_encoded_messages_are_laid_out_as_the_kernels_structs() -> None:
    assert FORMATS.vlan.encode({"IFLA_VLAN_ID": 100}) == struct.pack("=HHHxx", 6, 1, 100)
    assert FORMATS.macvlan.encode({"IFLA_MACVLAN_MODE": 4}) == struct.pack("=HHI", 8, 1, 4)
    assert FORMATS.link_info.encode({"IFLA_INFO_KIND": b"vlan\0"}) == struct.pack("=HH5s3x", 9, 1, b"vlan")
    assert FORMATS.address.encode({"index": 7, "IFA_PROTO": 77})[8:] == struct.pack("=HHB3x", 5, 11, 77)
    assert FORMATS.address.encode({"index": 7}) == struct.pack("=BBBBI", 0, 0, 0, 0, 7)
    assert FORMATS.link.encode({"index": 7, "flags": 1, "change": 3}) == struct.pack("=BxHiII", 0, 0, 7, 1, 3)
    assert FORMATS.rule.encode({"action": 2, "flags": 2}) == struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 2, 2)
    assert FORMATS.route.number_of("RTA_NH_ID") == 30


def test_the_protocol_of_a_vlan_stays_in_network_byte_order() -> None:
    fields = FORMATS.vlan.decode(struct.pack("=HHHxxHH2sxx", 6, 1, 100, 6, 5, b"\x88\xa8"))
    assert (number(fields, "IFLA_VLAN_ID"), packed(fields, "IFLA_VLAN_PROTOCOL")) == (100, b"\x88\xa8")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"frob": 3}, "FRA_ has no field frob, but family, "),
        ({"FRA_FROB": b""}, "FRA_ has no field FRA_FROB"),
        ({"RTA_OIF": 3}, "FRA_ has no field RTA_OIF"),
        ({"FRA_TABLE": 2**32}, "FRA_TABLE cannot be 4294967296"),
        ({"FRA_TABLE": -1}, "FRA_TABLE cannot be -1"),
        ({"FRA_PROTOCOL": 256}, "FRA_PROTOCOL cannot be 256"),
        ({"FRA_SRC": 3}, "FRA_SRC takes bytes, not the number 3"),
        ({"family": 256}, "header field .* out of range"),
    ],
)
def test_an_unknown_field_or_a_value_out_of_range_is_refused(fields: Fields, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        FORMATS.rule.encode(fields)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bytes(11), r"11 bytes are shorter than the header of 12 \(FRA_\)"),
        (bytes(12) + b"\x04", "1 bytes are left over after the last attribute"),
        (bytes(12) + struct.pack("=HH", 3, 1), r"attribute 1 claims a length of 3 bytes .* \(FRA_\)"),
        (bytes(12) + struct.pack("=HHI", 9, 15, 1), "attribute 15 claims a length of 9 bytes where 8 bytes are left"),
        (bytes(12) + struct.pack("=HHI", 9, 26, 1), "attribute 26 claims"),
    ],
)
def test_a_damaged_message_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        FORMATS.rule.decode(data)


def test_an_integer_of_another_length_is_bytes() -> None:
    fields = FORMATS.rule.decode(bytes(12) + struct.pack("=HHQ", 12, 15, 1))
    with pytest.raises(MessageError, match="FRA_TABLE should be a number, but has 8 bytes"):
        number(fields, "FRA_TABLE")
    with pytest.raises(MessageError, match="family should not be a number"):
        packed(fields, "family")
    assert number(fields, "FRA_GOTO") == 0
    assert packed(fields, "FRA_SRC") == b""


def test_flags_are_no_part_of_an_attributes_type() -> None:
    data = bytes(12) + struct.pack("=HHI", 8, 15 | 0x8000 | 0x4000, 7)
    assert FORMATS.rule.decode(data)["FRA_TABLE"] == 7


@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_the_last_attribute_need_not_be_padded(padding: int) -> None:
    data = bytes(12) + struct.pack("=HHB", 5, 21, 77) + bytes(padding)
    assert FORMATS.rule.decode(data)["FRA_PROTOCOL"] == 77


@given(address=some.ip_addresses())
def test_addresses_survive_a_round_trip(address: object) -> None:
    assert address_text(address_bytes(str(address))) == str(address)


@given(name=some.binary(min_size=1, max_size=15).filter(lambda name: b"\0" not in name))
def test_names_of_any_bytes_survive_a_round_trip(name: bytes) -> None:
    text = name_text(name + b"\0")
    assert name_bytes(text) == name + b"\0"


def test_formats_survive_their_file() -> None:
    text = dump_formats(FORMATS)
    again = parse_formats(text)
    assert (again.from_file, dump_formats(again)) == (True, text)
    fields = {"family": 2, "RTA_TABLE": 7701, "RTA_DST": b"\x01\x02\x03\x00", "RTA_OIF": 3, "RTA_30": b"\0\0\0\x07"}
    message = FORMATS.route.encode(fields)
    assert again.route.encode(fields) == message
    assert again.route.decode(message) == FORMATS.route.decode(message)
    assert again.vlan.encode({"IFLA_VLAN_ID": 100}) == FORMATS.vlan.encode({"IFLA_VLAN_ID": 100})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 0}', '{"version": 1}', '{"version": 1, "route": 5}'])
def test_a_damaged_file_of_formats_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json or of this code
        parse_formats(text)
