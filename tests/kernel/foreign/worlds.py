# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign state of a node, as shell commands, in many combinations."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.lab import kube_proxy_rules

_SAVED = "kube-proxy-1.36-node1.{}-save"
PROGRAMS = ("iptables", "ip6tables")

ROUTES = (
    "ip route add 100.64.0.0/10 via 172.16.0.1 proto bird metric 50",
    "ip route add 100.64.0.0/10 via 192.168.1.1 metric 60",
    "ip route add 10.113.0.0/24 nexthop via 192.168.1.12 weight 3 nexthop via 172.16.0.1",
    "ip route add 10.114.0.0/24 via 192.168.1.12 mtu lock 1400 advmss 1300 initcwnd 20",
    "ip route add 10.115.0.0/24 via 203.0.113.9 dev eth2 onlink src 172.16.0.11",
    "ip route add tos 0x10 10.116.0.0/24 via 172.16.0.1",
    "ip nexthop add id 7 via 172.16.0.1 dev eth2 && ip route add 10.117.0.0/24 nhid 7 proto 99",
    "ip route add 10.118.0.0/24 encap ip6 id 5 dst fd00:172::9 via 172.16.0.1 dev eth2 || true",
    "ip route add blackhole 10.119.0.0/16; ip route add prohibit 10.120.0.0/16 table 500",
    "ip route add throw 10.121.0.0/16 table 500; ip route add unreachable default table 500 metric 4278198272",
    "ip route add default via 192.168.1.1 table 100 proto static; ip route add 5.6.7.0/24 dev eth0.100 table 600",
    "ip route add local 10.122.0.0/24 dev lo table 700; ip route add broadcast 10.123.0.255 dev eth2 table 700",
    "ip route add 10.124.0.0/24 via inet6 fd00:172::1 dev eth2",
    "ip -6 route add fd01::/64 via fd00:172::1 proto bird metric 50",
    "ip -6 route add fd01::/64 via fd00:192:168:1::1 metric 60 pref high",
    "ip -6 route add fd02::/64 nexthop via fd00:172::1 nexthop via fd00:192:168:1::1 weight 2",
    "ip -6 route add fd03::/64 dev eth2 table 500 mtu 1300; ip -6 route add prohibit fd04::/64 table 500",
    "ip -6 route add default via fe80::9 dev eth2 table 100 proto ra",
    "ip -6 route add fd05::/64 from fd00:172::/64 via fd00:172::1",
)
RULES = (
    "ip rule add priority 100 lookup local && ip rule del priority 0",  # as Cilium does
    "ip -6 rule add priority 100 lookup local && ip -6 rule del priority 0",
    "ip rule add priority 9 fwmark 0x200/0xe000 lookup 500; ip rule add priority 10 fwmark 0xa0000/0xf0000 lookup 501",
    "ip rule add priority 99 not from all fwmark 0x80000/0x80000 lookup 502",  # as Calico's WireGuard
    "ip rule add priority 5210 fwmark 0x80000/0xff0000 lookup main; ip -6 rule add priority 5270 lookup 52",  # Tailscale
    "ip rule add priority 1536 from 192.168.1.11 lookup 2; ip rule add priority 1024 fwmark 0x80/0x80 lookup main",  # AWS
    "ip rule add priority 3500 lookup main suppress_prefixlength 0",
    "ip -6 rule add priority 3500 lookup main suppress_prefixlength 0 suppress_ifgroup 3",
    "ip rule add priority 3501 from 10.0.0.0/8 to 10.1.0.0/16 iif eth2 oif eth0 goto 3600; ip rule add priority 3600 nop",
    "ip rule add priority 3502 ipproto tcp dport 443 sport 1024-2048 lookup 503",
    "ip rule add priority 3503 uidrange 1000-2000 tos 0x10 prohibit; ip rule add priority 3503 iif eth0.100 blackhole",
    "ip rule add priority 32000 not from 10.0.0.0/8 lookup 504 protocol bird; ip rule add priority 32000 lookup 505",
    "ip rule add priority 1999 lookup 506; ip rule add priority 3000 lookup 507; ip -6 rule add priority 3000 unreachable",
    "ip rule add priority 1998 tun_id 5 lookup 508 || true",
    "ip rule add priority 1997 fwmark 0x1 lookup 509; ip rule add priority 1996 iif lo lookup main",
)
SETTINGS = (
    "sysctl -qw net/ipv4/conf/all/rp_filter=1",
    "sysctl -qw net/ipv4/conf/all/rp_filter=2 net/ipv4/conf/eth0.100/rp_filter=2",
    "sysctl -qw net/ipv4/conf/eth0.100/rp_filter=1 net/ipv4/conf/eth0.200/rp_filter=2",
    "sysctl -qw net/ipv4/conf/all/src_valid_mark=1",
    "sysctl -qw net/ipv4/conf/eth0.100/src_valid_mark=1 net/ipv6/conf/eth0.100/accept_ra=2",
    "sysctl -qw net/ipv4/conf/all/arp_ignore=2 net/ipv4/conf/all/arp_announce=1",
    "sysctl -qw net/ipv6/conf/all/forwarding=1 net/ipv6/conf/eth0.200/accept_ra=0",
)
LINKS = (
    "ip address add 172.31.0.1/32 dev lo; ip -6 address add fd31::1/128 dev lo nodad",
    "ip address add 20.77.0.77/32 dev eth0.100 noprefixroute; ip -6 address add fd77::77/128 dev eth0.100 nodad",
    "ip link add cali0123 type veth peer name other; ip link set other up; ip link set cali0123 up alias mine",
    "ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472; ip link set flannel.1 up",
    "ip tuntap add tun7 mode tun; ip address add 10.88.0.1/16 dev tun7; ip link set tun7 up",
    "ip link add kube-mac link eth2 type macvlan mode bridge",
    "ip address add 169.254.7.7/16 dev eth0.100 scope link; ip address add 172.16.0.12/24 dev eth2 label eth2:1",
)
TABLES = (
    (
        "nft add table inet firewalld; nft add chain inet firewalld raw_PRE '{ type filter hook prerouting priority raw + 10; }';"
        " nft add rule inet firewalld raw_PRE meta mark and 0xff0000 == 0x10000 counter accept"
    ),
    (
        "nft add table ip native; nft add set ip native s '{ type ipv4_addr . inet_service; flags interval; }';"
        " nft add element ip native s '{ 10.0.0.0/8 . 80-90 }'; nft add chain ip native c; nft add rule ip native c ip saddr"
        " . tcp dport @s counter meta mark set mark or 0x10"
    ),
    (
        "nft add table ip6 native6; nft add chain ip6 native6 out '{ type route hook output priority mangle; policy accept; }';"
        " nft add rule ip6 native6 out ct mark set 0x70000000"
    ),
    (
        "nft add table netdev ingress; nft add chain netdev ingress i '{ type filter hook ingress device eth0.100 priority 0; }';"
        " nft add rule netdev ingress i ip saddr 9.9.9.9 drop"
    ),
    "nft add table bridge b; nft add map inet m m '{ type mark : verdict; }' || true",
)
CHAINS = (
    (
        "*raw\n:cali-PREROUTING - [0:0]\n-I PREROUTING 1 -m comment --comment cali:6gwbT8clXdHdC1b1 -j cali-PREROUTING\n"
        "-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000\n"
        "-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP\nCOMMIT\n"
    ),
    (
        "*mangle\n:cali-PREROUTING - [0:0]\n-I PREROUTING 1 -m comment --comment cali:6gwbT8clXdHdC1b1 -j cali-PREROUTING\n"
        "-A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n"
    ),
    (
        "*mangle\n-A POSTROUTING -m connmark ! --mark 0x0/0xff0000 -j CONNMARK --restore-mark --nfmask 0xff0000 --ctmask 0xff0000\n"
        "-A OUTPUT -j MARK --set-xmark 0x2000/0xe000\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    ),
    (
        "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n"
        '-A DOCKER-USER -m comment --comment "it\'s \\"quoted\\" -j HOMEWARD" -j RETURN\nCOMMIT\n'
    ),
    "*raw\n:OUTPUT_direct - [0:0]\n-A OUTPUT -j OUTPUT_direct\n-A PREROUTING -i eth0.100 -j CT --notrack\nCOMMIT\n",
    (
        "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
        "-A POSTROUTING -m mark --mark 0x2000/0x2000 -j MASQUERADE\nCOMMIT\n"
    ),
    (
        "*mangle\n:MY-HOMEWARD-LIKE - [0:0]\n:homeward-lower - [0:0]\n-A PREROUTING -j MY-HOMEWARD-LIKE\n"
        "-A MY-HOMEWARD-LIKE -g homeward-lower\nCOMMIT\n"
    ),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw shell commands that give a node some of all of these."""

    def some(choices: Sequence[str], most: int) -> list[str]:
        return draw(st.lists(st.sampled_from(choices), max_size=most, unique=True))

    lines = [*some(LINKS, 3), *some(SETTINGS, 3), *some(ROUTES, 8), *some(RULES, 6), *some(TABLES, 3)]
    for variant in draw(st.sampled_from([("nft",), ("legacy",), ("nft", "legacy")])):
        if draw(st.booleans()):
            lines += [
                f"{program}-{variant}-restore --noflush -w < {kube_proxy_rules.FIXTURE_FOLDER / _SAVED.format(program)}"
                for program in PROGRAMS
            ]
        for text in some(CHAINS, 4):
            lines += [_restoring(variant, program, text) for program in draw(st.sampled_from([PROGRAMS, PROGRAMS[:1]]))]
    return tuple(lines)


def _restoring(variant: str, program: str, text: str) -> str:
    return f"{program}-{variant}-restore --noflush -w <<'EOF'\n{text}EOF\n"
