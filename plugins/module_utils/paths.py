# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths on the node. Only the short name of the command is below /usr, which may be read-only."""

from __future__ import annotations

#: Name of the directories that are removed with the last file in them.
OWN_DIRECTORY = "homeward.metallb_routing"
LIBRARY = f"/var/lib/{OWN_DIRECTORY}"
STATE_FILE = f"{LIBRARY}/state.json"
RUNTIME = f"{LIBRARY}/runtime.zip"
COMMAND = f"{LIBRARY}/metallb-routing"
FORMATS_FILE = f"{LIBRARY}/netlink.json"  # pyroute2's tables of the messages in use
FOLDERS_FILE = f"{LIBRARY}/folders"  # folders of other programs that were created, one a line
PYROUTE2_DIRECTORY = f"{LIBRARY}/python"
SHORT_COMMAND = "/usr/local/sbin/metallb-routing"

PROTOCOL_FILE = "/etc/iproute2/rt_protos.d/homeward.conf"
UNIT_NAME = "homeward-metallb-routing.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT_NAME}"
NETWORKD_CONF = "/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
NETWORKD_CONF_RUN = "/run/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
#: systemd-networkd uses the first file in the order of names that matches a link, in NetworkManager the last one counts.
NETWORKD_LINKS = "/etc/systemd/network/00-00-homeward-metallb-routing.network"
NETWORKD_LINKS_RUN = "/run/systemd/network/00-00-homeward-metallb-routing.network"
NETWORKD_LINKS_0_1 = "/etc/systemd/network/05-homeward-metallb-routing.network"
NETWORKD_STATES = "/run/systemd/netif/links"  # has a file for every link, by index
NETWORK_MANAGER_CONF = "/etc/NetworkManager/conf.d/99-homeward-metallb-routing.conf"
NETWORK_MANAGER_CONF_RUN = "/run/NetworkManager/conf.d/99-homeward-metallb-routing.conf"
NETWORK_MANAGER_CONF_0_1 = "/etc/NetworkManager/conf.d/50-homeward-metallb-routing.conf"
DHCPCD_CONF = "/etc/dhcpcd.conf"  # dhcpcd has no folder for further files
IFUPDOWN_CONF = "/etc/network/interfaces"
IFUPDOWN_CONFS = "/etc/network/interfaces.d"

LOCK_FILE = "/run/homeward.metallb_routing.lock"
RUN_DIRECTORY = f"/run/{OWN_DIRECTORY}"  # marker files of pending changes, original values of sysctls
GROUPS_FILE = f"{RUN_DIRECTORY}/groups.json"  # multicast groups that MetalLB's speaker had joined
CHANGE_SCRIPT = "run"  # in the folder of a pending change: "run commit NAME", "run rollback NAME"
CHANGE_INCOMPLETE = "incomplete"  # in the folder of a pending change that needs its commit
AGENT_DIRECTORY = "/run/homeward-metallb-routing"  # the unit's RuntimeDirectory: systemd creates and removes it
REPORT_FILE = f"{AGENT_DIRECTORY}/agent.json"
VERSION_FILE = f"{AGENT_DIRECTORY}/version"
METRICS_FILE = "homeward_metallb_routing.prom"

SYSTEMD_DIRECTORY = "/run/systemd/system"  # exists where systemd is the init system (sd_booted(3))
SYSTEMD_UNITS = "/run/systemd/units"  # has a link for every active unit, from systemd 240 on
SYSTEMD_TRANSIENT = "/run/systemd/transient"  # has a file for every transient unit
SYSTEMD_WANTS = "/etc/systemd/system/multi-user.target.wants"
XTABLES_LOCK_FILE = "/run/xtables.lock"
#: Of k3s, k0s and MicroK8s, which bundle their own iptables.
BUNDLED_PROGRAM_DIRECTORIES = (
    "/var/lib/rancher/k3s/data/current/bin/aux",
    "/var/lib/rancher/k3s/data/current/bin",
    "/var/lib/rancher/rke2/data/current/bin",
    "/var/lib/k0s/bin",
    "/snap/microk8s/current/usr/sbin",
)
SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # PATH of a service, systemd.exec(5)
PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # PATH of root may lack them under sudo or cron
HOME_DIRECTORIES = ("/home", "/root", "/run/user")  # what ProtectHome of systemd.exec(5) hides
#: Where distributions have Python; patterns of the shell.
PYTHONS = (
    "/usr/bin/python3 /usr/bin/python3.[1-9]* /usr/libexec/platform-python /usr/local/bin/python3 /usr/local/bin/python3.[1-9]*"
    " /opt/*/bin/python3 /run/current-system/sw/bin/python3"
)
#: Those of an administrator, with which kubectl works.
ADMIN_KUBECONFIGS = ("/etc/kubernetes/admin.conf", "/etc/rancher/rke2/rke2.yaml", "/etc/rancher/k3s/k3s.yaml")
#: Folders of kubectl that are in no PATH by default: of Kubespray, snaps and RKE2.
KUBECTL_DIRECTORIES = ("/usr/local/bin", "/usr/local/sbin", "/opt/bin", "/snap/bin", "/var/lib/rancher/rke2/bin")
#: Files of kubeadm, k3s, RKE2, MicroK8s and k0s that name the servers of the Kubernetes API.
KUBECONFIGS = (
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/kubelet.kubeconfig",
    "/var/lib/kubelet/kubeconfig",
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/rke2/rke2.yaml",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/etc/rke2-agent-load-balancer.json",
    "/var/snap/microk8s/current/credentials/kubelet.config",
    "/var/lib/k0s/kubelet.conf",
)

#: Lists of DNS servers; the second one has the servers behind the local one of systemd-resolved.
RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")

MANAGED_BY = "Managed by homeward.metallb_routing: apply rewrites this file, remove deletes it."
#: First line of every text file that is installed.
FILE_HEADER = f"# {MANAGED_BY}\n"
#: First of the two lines that are installed in a file of another program.
BLOCK_HEADER = "# Managed by homeward.metallb_routing: apply rewrites the next line, remove deletes both.\n"
