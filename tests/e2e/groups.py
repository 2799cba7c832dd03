"""Multicast in: joins made by the kernel on penstock's behalf, seen in /proc and on the wire, and undone on stop."""
import socket
import struct

from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, SOURCE, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_forwarded

GROUP = {4: "239.1.1.1", 6: "ff15::1:1"}
STRANGER = {4: "10.1.0.66", 6: "fd01::66"}


def memberships(node, family):
    """The groups joined on lan0, as text."""
    listed = node.ip("-4" if family == 4 else "-6", "maddress", "show", "dev", "lan0")
    return [line.split()[1] for line in listed.splitlines() if line.split()[0] in ("inet", "inet6")]


def source_filters(node, family):
    """What /proc/net/mcfilter says of lan0: (group, source) as the kernel prints them."""
    rows = node.run("cat", "/proc/net/mcfilter" if family == 4 else "/proc/net/mcfilter6").splitlines()[1:]
    return {(row.split()[2], row.split()[3]) for row in rows if row.split()[1] == "lan0"}


def in_proc(family, address):
    if family == 4:
        return f"0x{struct.unpack('>I', socket.inet_aton(address))[0]:08x}"
    return socket.inet_pton(socket.AF_INET6, address).hex()


@cases(driver=("af_xdp", "af_packet"), family=(4, 6), kind=("asm", "ssm"))
def test_join(driver, family, kind):
    with Relay(1, driver) as lab:
        group, friend, stranger = GROUP[family], SOURCE[family], STRANGER[family]
        lab.source.ip("address", "add", f"{stranger}/{24 if family == 4 else 64}", "dev", "eth0")
        reports = Capture(lab.source, "eth0", "igmp or ip6")  # MLD comes behind a hop-by-hop header
        ssm = f", source: \"{friend}\"" if kind == "ssm" else ""
        penstock = lab.relay([f"{{ rtp: \"{endpoint(group, 5004)}\", port: lan{ssm} }}"],
                             [endpoint(receiver_address(1, family), 6000)])
        wait_for(lambda: group in memberships(lab.node, family), f"a membership of {group}")
        filters = source_filters(lab.node, family)
        assert ((in_proc(family, group), in_proc(family, friend)) in filters) == (kind == "ssm"), filters

        heard = Capture(lab.receivers[0], "eth0")
        known = Sender(lab.source, group, 5004, bind=(friend, 0))
        unknown = Sender(lab.source, group, 5004, bind=(stranger, 0), ssrc=0xbad)
        for sender in (known, unknown):
            if family == 6:
                sender.destination = (group, 5004, 0, lab.source.index("eth0"))
        unknown.send(20)
        known.send(100)
        expected = known.sent if kind == "ssm" else unknown.sent + known.sent
        wait_forwarded(penstock, len(expected))
        assert heard.payloads(6000) == expected
        assert_ledger(penstock.metrics())

        assert penstock.stop() == 0, penstock.text()
        assert group not in memberships(lab.node, family), "still a member after stop"
        assert not [row for row in source_filters(lab.node, family) if row[0] == in_proc(family, group)]
        if family == 4:
            seen = reports.fields("igmp.type==0x22", "igmp.maddr", "igmp.saddr")
            assert any(row[0] == group and (kind == "asm" or friend in row[1]) for row in seen), seen
        else:
            seen = reports.fields("icmpv6.type==143", "icmpv6.mldr.mar.multicast_address")
            assert any(group in row[0] for row in seen), seen


def test_other_group_is_not_ours():
    """Two groups on one port number are two flows."""
    with Relay(2) as lab:
        penstock = lab.relay([f"{{ rtp: {GROUP[4]}:5004, port: lan }}"], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        Sender(lab.source, "239.1.1.2", 5004).send(30)
        Sender(lab.source, LAN[4], 5004).send(30)
        mine = Sender(lab.source, GROUP[4], 5004).send(30)
        wait_forwarded(penstock, 30)
        assert heard.payloads(6000) == mine.sent
