"""What leaves: how many, to whom, with which header. Senders are ordinary sockets with exact numbers; tshark reads."""
from cases import cases
from judge import Capture, assert_no_loss
from lab import wait_for
from media import start_source
from relay import (LAN, SOURCE, WAN, Relay, Sender, assert_ledger, endpoint, leg_packets, receiver_address, rtp_packet,
                   wait_forwarded, wait_legs)

BOTH = ("af_xdp", "af_packet")


@cases(driver=BOTH)
def test_fan_out(driver):
    """One source, 40 legs to three receivers and a group: penstock's counters are tshark's counts, leg by leg."""
    with Relay(3, driver) as lab:
        targets = [(receiver_address(number % 3 + 1), 6000 + 2 * number) for number in range(39)]
        outputs = [endpoint(*target) for target in targets] + ["{ rtp: 239.2.2.2:7000, port: wan }"]
        penstock = lab.relay([endpoint(LAN[4], 20000)], outputs)
        captures = [Capture(receiver, "eth0") for receiver in lab.receivers]
        sender = Sender(lab.source, LAN[4], 20000).send(300, per_second=500)
        wait_forwarded(penstock, 300 * 40)
        metrics = penstock.metrics()
        for number, (address, port) in enumerate(targets):
            capture = captures[number % 3]
            assert capture.payloads(port, to=address) == sender.sent, f"leg to {address}:{port}"
            assert metrics.sum("penstock_leg_packets_total", leg=endpoint(address, port)) == 300, (address, port)
            assert metrics.sum("penstock_leg_bytes_total", leg=endpoint(address, port)) == 300 * (20 + 8 + 12 + 200)
        for capture in captures:
            assert capture.payloads(7000, to="239.2.2.2") == sender.sent
        assert metrics.sum("penstock_path_packets_total") == 300
        assert_ledger(metrics)


@cases(driver=BOTH, family=(4, 6))
def test_checksums(driver, family):
    """Every size and parity from an ordinary socket, whose kernel leaves the sum unfinished on veth: what leaves is right."""
    with Relay(1, driver) as lab:
        group = {4: "239.2.2.2:7000", 6: "[ff15::2:2]:7000"}[family]
        penstock = lab.relay([endpoint(LAN[family], 20000)],
                             [endpoint(receiver_address(1, family), 6000), f"{{ rtp: \"{group}\", port: wan }}"])
        arriving, leaving = Capture(lab.source, "eth0"), Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[family], 20000)
        for size in [0, 1, 2, 3, 63, 64, 65, 160, 255, 256, 257, 500, 999, 1000, 1199, 1200, 1300, 1400]:
            sender.send(8, size)
        wait_forwarded(penstock, 2 * len(sender.sent))
        _, unfinished = arriving.bad_checksums()
        assert unfinished, "the sender's kernel finished the checksums itself: this test shows nothing"
        packets, bad = leaving.bad_checksums()
        assert packets >= 2 * len(sender.sent) and not bad, f"{len(bad)} of {packets} are wrong: {bad[:5]}"
        assert leaving.payloads(6000) == sender.sent and leaving.payloads(7000) == sender.sent


@cases(driver=BOTH)
def test_four_to_six(driver):
    """A path in IPv4, legs in IPv4 and IPv6; and the other way round."""
    with Relay(1, driver) as lab:
        for number, (arriving, port) in enumerate(((4, 20000), (6, 20002))):
            penstock = lab.relay([endpoint(LAN[arriving], port)],
                                 [endpoint(receiver_address(1, 4), 6000), endpoint(receiver_address(1, 6), 6002)])
            heard = Capture(lab.receivers[0], "eth0")
            sender = Sender(lab.source, LAN[arriving], port).send(100, 333)
            wait_forwarded(penstock, 200)
            assert heard.payloads(6000, sender=WAN[4]) == sender.sent
            assert heard.payloads(6002, sender=WAN[6]) == sender.sent
            assert heard.bad_checksums()[1] == []
            assert penstock.stop() == 0, penstock.text()


@cases(driver=BOTH)
def test_vlan(driver):
    """A tagged source reaches a tagged and an untagged leg; the untagged twin of its address is another flow."""
    from scapy.all import IP, UDP, Dot1Q, Ether
    with Relay(1, driver) as lab:
        penstock = lab.relay([f"{{ rtp: {LAN[4]}:20000, vlan: 100 }}"],
                             [f"{{ rtp: {receiver_address(1)}:6000, vlan: 200, port: wan }}", f"{receiver_address(1)}:6002"])
        heard = Capture(lab.receivers[0], "eth0")
        wire = lab.source.raw("eth0")
        packets = [rtp_packet(sequence, bytes([sequence % 256]) * 50) for sequence in range(500, 560)]
        link, inner = Ether(src=lab.source.mac("eth0"), dst=lab.node.mac("lan0")), IP(src=SOURCE[4], dst=LAN[4])
        frame = lambda packet, tag=None: bytes(
            (link / tag if tag else link) / inner / UDP(sport=4000, dport=20000) / packet)
        for packet in packets:
            wire.send(frame(packet, Dot1Q(vlan=100, prio=5)))
            wire.send(frame(packet, Dot1Q(vlan=101)))
            wire.send(frame(packet))
        wait_forwarded(penstock, 2 * len(packets))
        wait_for(lambda: penstock.metrics().drops().get("no_flow", 0) >= 2 * len(packets), "the other VLANs to be refused")
        expected = [packet.hex() for packet in packets]
        assert heard.payloads(6000, vlan="200") == expected == heard.payloads(6000)
        assert heard.payloads(6002, vlan="") == expected == heard.payloads(6002)
        assert heard.bad_checksums()[1] == []
        assert_ledger(penstock.metrics())


@cases(driver=BOTH, family=(4, 6))
def test_ttl_and_dscp(driver, family):
    """Kept as they came, or as the output says."""
    import socket
    with Relay(1, driver) as lab:
        to = receiver_address(1, family)
        penstock = lab.relay([endpoint(LAN[family], 20000)], [
            endpoint(to, 6000), f"{{ rtp: \"{endpoint(to, 6002)}\", ttl: 7, dscp: 10 }}"])
        heard = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[family], 20000)
        if family == 4:
            sender.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 41)
            sender.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2)
        else:
            sender.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 41)
            sender.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 46 << 2)
        sender.send(20)
        wait_forwarded(penstock, 40)
        names = ("ip.ttl", "ip.dsfield.dscp") if family == 4 else ("ipv6.hlim", "ipv6.tclass.dscp")
        assert set(heard.fields("udp.dstport==6000", *names)) == {("41", "46")}
        assert set(heard.fields("udp.dstport==6002", *names)) == {("7", "10")}
        assert heard.bad_checksums()[1] == []


@cases(driver=BOTH)
def test_mtu(driver):
    """What does not fit the egress is a drop that names the leg; the leg that has room loses nothing."""
    with Relay(2, driver) as lab:
        lab.node.ip("route", "add", receiver_address(2), "dev", "wan0", "mtu", "1000")
        small, large = endpoint(receiver_address(2), 6000), endpoint(receiver_address(1), 6000)
        penstock = lab.relay([endpoint(LAN[4], 20000)], [small, large])
        heard = [Capture(receiver, "eth0") for receiver in lab.receivers]
        sender = Sender(lab.source, LAN[4], 20000)
        sender.send(10, 1000 - 20 - 8 - 12).send(10, 1000 - 20 - 8 - 12 + 1)
        wait_forwarded(penstock, 20, leg=large)
        wait_forwarded(penstock, 10, leg=small)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_leg_drops_total", leg=small, reason="mtu") == 10
        assert metrics.sum("penstock_leg_drops_total", leg=large) == 0
        assert metrics.drops().get("mtu") == 10
        assert heard[0].payloads(6000) == sender.sent and heard[1].payloads(6000) == sender.sent[:10]
        assert_ledger(metrics)


def test_statistics():
    """Holes, repetitions and a swapped pair in the numbers: counted as tshark counts them, and passed on as they are."""
    with Relay(1) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[4], 20000, first=65500)  # and the number wraps
        sender.send(50)
        sender.sequence += 3
        sender.send(50)
        sender.sequence += 1
        sender.send(1)
        sender.sequence -= 2
        sender.send(1)           # the one before, late
        sender.sequence += 1
        sender.send(200)         # a hole is a loss when it can no longer be a late packet
        sender.sequence -= 1
        sender.send(1)           # once more
        wait_forwarded(penstock, len(sender.sent))
        metrics = penstock.metrics()
        assert heard.payloads(6000) == sender.sent
        assert metrics.sum("penstock_path_packets_total") == len(sender.sent) == 303
        assert metrics.sum("penstock_path_lost_packets_total") == 3
        assert metrics.sum("penstock_path_reordered_packets_total") == 1
        assert metrics.sum("penstock_path_duplicate_packets_total") == 1
        assert 0 < metrics.sum("penstock_path_jitter_seconds") < 1


def test_replayed_pcap():
    """ffmpeg's own packets from a file (driver pcap) leave with the same bytes, each once, in order."""
    with Relay(1, "af_packet") as lab:
        recorded = Capture(lab.source, "eth0", "udp")
        source = start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: recorded.file.stat().st_size > 500_000, "half a megabyte of real traffic", 20)
        source.stop()
        recorded.stop()
        originals = {port: recorded.payloads(port) for port in (20000, 20002)}
        written = lab.file("written.pcap")
        ports = (f"  - {{ name: in, driver: pcap, read: {recorded.file} }}\n"
                 f"  - {{ name: out, driver: pcap, write: {written}, addresses: [{WAN[4]}/24], peer_mac: 02:00:00:00:00:07 }}\n")
        track = lambda kind, payload_type, encoding, port, out: (
            kind, payload_type, encoding, [endpoint(LAN[4], port)], [f"{{ rtp: {receiver_address(1)}:{out}, port: out }}"])
        penstock = lab.start_penstock(lab.node, lab.config(
            [track("video", 96, "H264/90000", 20000, 6000), track("audio", 97, "mpeg4-generic/48000", 20002, 6002)], ports=ports))
        wait_forwarded(penstock, sum(map(len, originals.values())), seconds=10)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_path_lost_packets_total") == 0
        assert penstock.stop() == 0, penstock.text()
        replayed = Written(written)
        for arrived, left in ((20000, 6000), (20002, 6002)):
            assert originals[arrived] and replayed.payloads(left) == originals[arrived]
        assert_no_loss(replayed, 6000, 6002, packets=20)
        assert {mac for (mac,) in replayed.fields("udp", "eth.dst")} == {"02:00:00:00:00:07"}
        packets, bad = replayed.bad_checksums()
        assert packets and not bad, bad[:5]


class Written(Capture):
    """A capture file that penstock wrote."""

    def __init__(self, file):
        self.file = file

    def stop(self):
        return self
