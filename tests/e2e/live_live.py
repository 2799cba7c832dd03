"""Live-live: one track by two paths. A packet is lost only when both paths lost it, and none is sent twice."""
import json
import os
import re
import threading
import time

from cases import cases
from judge import Capture
from lab import Lab, Skip, wait_for, xdp_refused
from relay import (LAN, SOURCE, Relay, Sender, assert_ledger, endpoint, receiver_address, rtp_packet, wait_forwarded, wait_legs)

OTHER = "10.1.0.7"  # one more address of the source
SECONDS = float(os.environ.get("PENSTOCK_LIVE_LIVE_SECONDS", "4"))  # of load in test_two_legs_by_two_networks


@cases(apart=("port", "sender"))
def test_two_paths(apart):
    """Each path loses every tenth packet, not the same ones; the second lags by five. They differ by the port, or by the sender alone."""
    with Relay(1) as lab:
        if apart == "port":
            sources = [endpoint(LAN[4], 20000), endpoint(LAN[4], 20100)]
        else:
            lab.source.ip("address", "add", f"{OTHER}/24", "dev", "eth0")
            sources = ["{ rtp: \"%s\", from: %s }" % (endpoint(LAN[4], 20000), sender) for sender in (SOURCE[4], OTHER)]
        penstock = lab.relay(sources, [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        a = Sender(lab.source, LAN[4], 20000, bind=(SOURCE[4], 0))
        b = Sender(lab.source, LAN[4], 20100 if apart == "port" else 20000, bind=(SOURCE[4] if apart == "port" else OTHER, 0))
        packets = [rtp_packet(65400 + n, n.to_bytes(4, "big") * 40) for n in range(500)]  # the sequence wraps on the way
        for n in range(len(packets) + 5):
            if n < len(packets) and n % 10 != 3:
                a.socket.sendto(packets[n], a.destination)
            if n >= 5 and n % 10 != 7:
                b.socket.sendto(packets[n - 5], b.destination)
        lost = {n for n in range(len(packets)) if n % 10 == 3 and (n + 5) % 10 == 7}
        wait_forwarded(penstock, len(packets) - len(lost))
        sent = [packet.hex() for n, packet in enumerate(packets) if n not in lost]
        assert sorted(heard.payloads(6000)) == sorted(sent), "the union of both paths is not what arrived"
        metrics = penstock.metrics()
        duplicate = {"as": "duplicate"}
        assert metrics.sum("penstock_worker_consumed_packets_total", **duplicate) > 300
        for path in ("1", "2"):
            assert metrics.sum("penstock_path_packets_total", path=path) == 450
        assert_ledger(metrics)


class TwoNetworks(Lab):
    """source -- [head] == network a, network b == [tail] -- receiver. Each network is a switch that loses packets."""

    def __init__(self):
        if why := xdp_refused():
            raise Skip(why)
        super().__init__()
        try:
            self.source, self.head, self.tail, self.receiver = map(self.namespace, ("source", "head", "tail", "receiver"))
            self.networks = {name: self.namespace(name) for name in "ab"}
            self.veth(self.source, "eth0", self.head, "in0")
            self.veth(self.tail, "out0", self.receiver, "eth0")
            for address, namespace, interface in (("10.1.0.2", self.source, "eth0"), ("10.1.0.1", self.head, "in0"),
                                                  ("10.2.0.1", self.tail, "out0"), ("10.2.0.2", self.receiver, "eth0")):
                namespace.ip("address", "add", f"{address}/24", "dev", interface)
            for number, (name, network) in enumerate(self.networks.items(), 3):
                self.veth(self.head, f"{name}0", network, "head")
                self.veth(self.tail, f"{name}1", network, "tail")
                network.ip("link", "add", "br0", "type", "bridge")
                network.ip("link", "set", "br0", "up")
                for interface in ("head", "tail"):
                    network.ip("link", "set", interface, "master", "br0")
                self.head.ip("address", "add", f"10.{number}.0.1/24", "dev", f"{name}0")
                self.tail.ip("address", "add", f"10.{number}.0.2/24", "dev", f"{name}1")
        except BaseException:
            self.close()
            raise

    def lose(self, name, seed):
        """Two packets of a hundred, media and repair, by a hash of their number and time: as good as random, the same in every run."""
        self.drop(name, f"udp dport 20000 jhash @th,80,48 mod 100 seed {seed} < 2")

    def cut(self, name):
        self.drop(name, "udp dport 20000")

    def drop(self, name, what):
        self._rules(name, f"{what} counter drop;")

    def restore(self, name):
        self._rules(name, "")

    def _rules(self, name, rule):
        self.networks[name].run("nft", "-f", "-", input=f"""
            table bridge loss {{ }}
            delete table bridge loss
            table bridge loss {{
                chain forward {{
                    type filter hook forward priority 0;
                    {rule}
                }}
            }}""")

    def config(self, name, ports, track):
        lines = "".join(f"  - {{ name: {port}, driver: af_xdp, interface: {interface} }}\n" for port, interface in ports)
        return (f"node: {name}\nworkers: {{ idle: sleep }}\nmemory: {{ mbufs: 16384 }}\nports:\n{lines}streams:\n"
                f"  - name: camera-1\n    tracks:\n      - media: video\n        encoding: H264/90000\n        payload_type: 96\n{track}")


class Load(threading.Thread):
    def __init__(self, sender, count):
        super().__init__()
        self.sender, self.count, self.seconds = sender, count, 0
        self.start()

    def run(self):
        began = time.monotonic()
        self.sender.send(self.count, 400, 1500)
        self.seconds = time.monotonic() - began


def lost_by_kernel(*namespaces):
    """Every counter of the kernel by which a packet can be lost on its way to a socket of penstock, that is not 0: of interfaces, of
    AF_XDP sockets, and of the whole machine its queues before the protocols."""
    found = {}
    for namespace in namespaces:
        for link in json.loads(namespace.run("ip", "-j", "-s", "link")):
            for way, counts in link.get("stats64", {}).items():
                found[f"{namespace.short} {link['ifname']} {way} dropped"] = counts["dropped"] + counts["errors"]
        sockets = namespace.run("ss", "-n", "--xdp", "-e", "-m", check=False)
        for what, count in re.findall(r"(rx dropped|rx invalid|tx invalid|rx queue full|rx fill ring empty|rx ring full)[: ]+(\d+)", sockets):
            found[f"{namespace.short} XDP {what}"] = found.get(f"{namespace.short} XDP {what}", 0) + int(count)
    softnet = [line.split() for line in open("/proc/net/softnet_stat")]
    found["machine softnet dropped (since it was started)"] = sum(int(words[1], 16) for words in softnet)
    return {what: count for what, count in found.items() if count}


def figures(sender, head, tail, seconds):
    """How many packets came how far, and what each counter says that could have lost some."""
    def of_paths(metrics, what):
        return " + ".join(f"{metrics.sum(f'penstock_path_{what}_packets_total', path=path):.0f}" for path in ("1", "2"))
    def ports(metrics):
        return {f"{labels['port']} {name}": int(value) for name in ("rx_missed_errors", "rx_errors", "rx_mbuf_allocation_errors", "tx_errors")
                for labels, value in metrics.named(f"penstock_port_{name}_total") if value}
    recovered = {by: tail.sum("penstock_track_recovered_packets_total", by=by) for by in ("path", "fec")}
    return "\n".join((
        f"sent {len(sender.sent)} in {seconds:.0f} s; in at the head {head.sum('penstock_path_packets_total', path='1'):.0f}",
        f"out of the head, by path {head.sum('penstock_leg_packets_total'):.0f} together; drops {head.drops()} {ports(head)}",
        f"in at the tail, by path {of_paths(tail, 'lost')} lost, {of_paths(tail, 'first')} first, {of_paths(tail, 'second')} second, "
        f"{of_paths(tail, 'late')} late, {of_paths(tail, 'apart')} apart; drops {tail.drops()} {ports(tail)}",
        f"made good by the other path {recovered['path']:.0f}, by FEC {recovered['fec']:.0f}, not at all "
        f"{tail.sum('penstock_track_unrecovered_packets_total'):.0f}; out of the tail {tail.sum('penstock_leg_packets_total'):.0f}"))


@cases(with_fec=(True, False))
def test_two_legs_by_two_networks(with_fec):
    """penstock to penstock by two networks, under load. With FEC they lose 2 % each, independently, and one is cut for more than a
    second and comes back; by merging alone, first one is cut and comes back, then the other. Every packet leaves
    once, as tshark sees it. PENSTOCK_LIVE_LIVE_SECONDS makes it longer."""
    fec = ", fec: { scheme: flexfec }" if with_fec else ""
    with TwoNetworks() as lab:
        tail = lab.start_penstock(lab.tail, lab.config("tail", [("a", "a1"), ("b", "b1"), ("out", "out0")], f"""\
        sources:
          - {{ rtp: 10.3.0.2:20000, port: a{fec} }}
          - {{ rtp: 10.4.0.2:20000, port: b{fec} }}
        outputs: [{{ rtp: 10.2.0.2:6000 }}]
"""))
        head = lab.start_penstock(lab.head, lab.config("head", [("in", "in0"), ("a", "a0"), ("b", "b0")], f"""\
        sources: [{{ rtp: 10.1.0.1:20000 }}]
        outputs:
          - live_live:
              - {{ rtp: 10.3.0.2:20000, port: a{fec} }}
              - {{ rtp: 10.4.0.2:20000, port: b{fec} }}
"""))
        wait_legs(tail, 1)
        wait_legs(head, 2)
        legs = head.show("stream camera-1")["legs"]
        assert [leg["live_live_with"] for leg in legs] == ["10.4.0.2:20000", "10.3.0.2:20000"], legs
        assert head.metrics().sum("penstock_leg_redundant") == 2
        if with_fec:
            lab.lose("a", 1)
            lab.lose("b", 2)
        heard = Capture(lab.receiver, "eth0", "udp port 6000", bytes_each=2048)
        sender = Sender(lab.source, "10.1.0.1", 20000, first=65000)
        count = int(SECONDS * 1500)
        load = Load(sender, count)
        cut_at = int(0.3 * count)
        # Not for longer, however long the load is: one path that loses 2 % is more than FEC alone always mends.
        changes = [(cut_at, lambda: lab.cut("a")), (cut_at + 1800, lambda: lab.lose("a", 1) if with_fec else lab.restore("a"))]
        if not with_fec:
            changes += [(cut_at + 2200, lambda: lab.cut("b")), (cut_at + 3600, lambda: lab.restore("b"))]
        for until, change in changes:
            wait_for(lambda: len(sender.sent) >= until, "the load", seconds=SECONDS * 3 + 10)
            change()
        load.join()
        sender.send(200, 400, 1500)  # so that what is missing at the end is made good, too
        sent = sender.sent[:count]
        try:
            # What finds the head's queue full, on a machine that does much else, nothing mends: it is counted there, to the packet.
            wait_for(lambda: head.metrics().sum("penstock_leg_packets_total") == 2 * head.metrics().sum("penstock_path_packets_total"),
                     "the head")
            strays = int(head.metrics().sum("penstock_port_rx_missed_errors_total", port="in"))
            assert head.metrics().sum("penstock_path_packets_total") + strays == len(sender.sent), f"{strays} were missed by the head"
            wait_for(lambda: tail.metrics().sum("penstock_leg_packets_total") >= count + 190 - strays, "the last packet")
        finally:
            print(figures(sender, head.metrics(), tail.metrics(), load.seconds))  # where they were lost, if they were
            print(f"the kernel {lost_by_kernel(lab.source, lab.head, lab.tail, *lab.networks.values())}")
        # Not by tshark's own count of losses: it takes what is mended as the numbers wrap for 65,536 lost ones.
        got = heard.payloads(6000)
        missing = set(sent) - set(got)
        assert len(missing) <= strays, f"{len(missing)} of {count} packets are missing, and {strays} were missed by the head"
        assert len(got) == len(set(got)), f"{len(got) - len(set(got))} packets were sent twice"
        metrics = tail.metrics()
        assert strays or metrics.sum("penstock_track_unrecovered_packets_total") == 0
        by_path = metrics.sum("penstock_track_recovered_packets_total", by="path")
        by_fec = metrics.sum("penstock_track_recovered_packets_total", by="fec")
        assert by_path > 1500 + (0.02 * count if with_fec else 1000) and (by_fec > 0) == with_fec, f"by path {by_path}, by FEC {by_fec}"
        paths = tail.show("stream camera-1 repair")["paths"]
        assert abs(sum(path["first_share"] for path in paths) - 1) < 0.001, paths
        assert all(path["first"] + path["second"] > 0.5 * count and path["apart"] == 0 for path in paths), paths
        for name in ("1", "2"):
            arrived = [metrics.sum(f"penstock_path_{what}_packets_total", path=name) for what in ("first", "second", "late", "apart")]
            assert sum(arrived) == metrics.sum("penstock_path_packets_total", path=name), arrived
        assert_ledger(metrics)
        assert_ledger(head.metrics())


def test_once_more_later():
    """RFC 7198: every packet once more 50 ms later, under an SSRC of its own; the other receiver gets one of each."""
    with Relay(2) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], ["{ rtp: \"%s\", duplicate_after: 50ms }" % endpoint(receiver_address(1), 6000),
                                                         endpoint(receiver_address(2), 6000)])
        heard = [Capture(receiver, "eth0", "udp port 6000") for receiver in lab.receivers]
        Sender(lab.source, LAN[4], 20000, ssrc=0x12345678).send(500)
        wait_for(lambda: penstock.metrics().sum("penstock_leg_repeated_packets_total") == 500, "the last copy")
        rtp = ("-d", "udp.port==6000,rtp")
        rows = heard[0].fields("rtp", "frame.time_epoch", "rtp.ssrc", "rtp.seq", options=rtp)
        first = {sequence: float(at) for at, ssrc, sequence in rows if int(ssrc, 16) == 0x12345678}
        again = {sequence: float(at) for at, ssrc, sequence in rows if int(ssrc, 16) == 0xffffffff ^ 0x12345678}
        assert len(rows) == 1000 and len(first) == len(again) == 500
        gaps = sorted(again[sequence] - first[sequence] for sequence in first)
        assert gaps[0] > 0.045 and gaps[250] < 0.2, f"copies come {gaps[0]:.3f} s to {gaps[-1]:.3f} s later"
        assert len(heard[1].payloads(6000)) == 500
        packets, bad = heard[0].bad_checksums()
        assert packets == 1000 and not bad, bad[:3]
        (shown, _) = penstock.show("stream camera-1")["legs"]
        assert shown["packets"] == shown["repeated_packets"] == 500
        assert_ledger(penstock.metrics())
