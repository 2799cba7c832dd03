"""The usual laboratory:   source eth0 --- lan0 [node] wan0 --- switch --- eth0 receiver1, receiver2, ...

The node forwards nothing by itself: what reaches a receiver went through penstock.
"""
import socket
import time

from lab import Lab, Skip, wait_for, xdp_refused

SOURCE = {4: "10.1.0.2", 6: "fd01::2"}
LAN = {4: "10.1.0.1", 6: "fd01::1"}
WAN = {4: "10.2.0.1", 6: "fd02::1"}


def receiver_address(number, family=4):
    return {4: f"10.2.0.{10 + number}", 6: f"fd02::{10 + number}"}[family]


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Relay(Lab):
    def __init__(self, receivers=1, driver="af_xdp", name="e2e", keep_files=False):
        if driver == "af_xdp" and (why := xdp_refused()):
            raise Skip(why)
        super().__init__(name, keep_files)
        self.driver = driver
        try:
            self.source = self.namespace("source")
            self.node = self.namespace("node")
            self.switch = self.namespace("switch")
            self.receivers = [self.namespace(f"receiver{number}") for number in range(1, receivers + 1)]
            self._wire()
        except BaseException:
            self.close()
            raise

    def _wire(self):
        self.veth(self.source, "eth0", self.node, "lan0")
        self.veth(self.node, "wan0", self.switch, "uplink")
        # Captures behind it shall see what a wire would have: trains cut, checksums finished.
        self.node.run("ethtool", "-K", "wan0", "tx-udp-segmentation", "off", "tx", "off")
        for number, receiver in enumerate(self.receivers, 1):
            self.veth(receiver, "eth0", self.switch, f"port{number}")
        # Without snooping the bridge floods multicast: no querier is needed for it to arrive.
        self.switch.batch("link add br0 type bridge mcast_snooping 0", "link set br0 up", "link set uplink master br0",
                          *(f"link set port{number} master br0" for number in range(1, len(self.receivers) + 1)))
        prefixes = ((4, 24), (6, 64))
        self.node.batch(*(f"address add {end[family]}/{length} dev {interface}" for family, length in prefixes
                          for end, interface in ((LAN, "lan0"), (WAN, "wan0"))))
        ends = [(self.source, SOURCE, LAN)]
        ends += [(receiver, {family: receiver_address(number, family) for family, _ in prefixes}, WAN)
                 for number, receiver in enumerate(self.receivers, 1)]
        for namespace, own, gateway in ends:
            namespace.batch(*(f"address add {own[family]}/{length} dev eth0" for family, length in prefixes),
                            *(f"route add default via {gateway[family]} dev eth0" for family, _ in prefixes))

    def ports(self, **more):
        """The `ports:` of a configuration: lan and wan on the driver under test."""
        extra = "".join(f", {key}: {value}" for key, value in more.items())
        return (f"  - {{ name: lan, driver: {self.driver}, interface: lan0{extra} }}\n"
                f"  - {{ name: wan, driver: {self.driver}, interface: wan0{extra} }}\n")

    def config(self, tracks, idle="sleep", media="20000-29999", ports=None):
        """tracks: (media, payload type or None, encoding, [source...], [output...]) with endpoints as YAML flow maps or
        plain addresses."""
        lines = [f"node: {self.name}", f"workers: {{ idle: {idle} }}", "memory: { mbufs: 16384 }",
                 f"media: {{ ports: {media} }}", "ports:\n" + (ports or self.ports()).rstrip(),
                 "streams:", "  - name: camera-1", "    tracks:"]
        for kind, payload_type, encoding, sources, outputs in tracks:
            lines += [f"      - media: {kind}", f"        encoding: {encoding}"]
            if payload_type is not None:
                lines.append(f"        payload_type: {payload_type}")
            for key, endpoints in (("sources", sources), ("outputs", outputs)):
                lines += [f"        {key}:"] + [f"          - {_flow(item)}" for item in endpoints]
        return "\n".join(lines) + "\n"

    def relay(self, sources, outputs, **options):
        """Starts penstock with one video track and waits until every leg can be sent to."""
        penstock = self.start_penstock(self.node, self.config([("video", 96, "H264/90000", sources, outputs)], **options))
        wait_legs(penstock, len(outputs))
        return penstock


def _flow(item):
    return item if item.startswith("{") else f"{{ rtp: \"{item}\" }}"


def wait_legs(penstock, count, seconds=10):
    """Until so many legs have a next hop: before that packets for them are dropped, by name."""
    wait_for(lambda: penstock.metrics().sum("penstock_leg_ready") >= count, f"{count} legs to be ready", seconds)


def rtp_packet(sequence, payload=b"", payload_type=96, ssrc=0x5eed, timestamp=None, marker=False):
    timestamp = sequence * 90 if timestamp is None else timestamp
    return (bytes([0x80, payload_type | (0x80 if marker else 0)]) + (sequence & 0xffff).to_bytes(2, "big")
            + (timestamp & 0xffffffff).to_bytes(4, "big") + ssrc.to_bytes(4, "big") + payload)


class Sender:
    """RTP from an ordinary UDP socket of a namespace: exact sequence numbers, even pace."""

    def __init__(self, namespace, destination, port, bind=("", 0), ssrc=0x5eed, first=1000, payload_type=96):
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        self.socket = namespace.socket(family, bind=(bind[0] or ("::" if family == socket.AF_INET6 else "0.0.0.0"), bind[1]))
        self.destination, self.ssrc, self.sequence, self.payload_type = (destination, port), ssrc, first, payload_type
        self.sent = []  # payloads as hexadecimal text, as Capture.payloads() gives them

    def send(self, count, size=200, per_second=2000):
        """`size` is that of the media payload. Each packet differs, by its number and its filling."""
        def packets():
            for _ in range(count):
                filling = (self.sequence.to_bytes(8, "big") + bytes((self.sequence * 7 + i) & 0xff for i in range(size)))[:size]
                yield rtp_packet(self.sequence, filling, self.payload_type, self.ssrc)
        return self.play(packets(), per_second)

    def play(self, packets, per_second):
        """What is to be sent, each made when its turn comes, and one number further each."""
        started = time.monotonic()
        for number, packet in enumerate(packets):
            self.socket.sendto(packet, self.destination)
            self.sent.append(packet.hex())
            self.sequence += 1
            ahead = started + (number + 1) / per_second - time.monotonic()
            if ahead > 0.002:
                time.sleep(ahead)
        return self


def leg_packets(penstock, **labels):
    return int(penstock.metrics().sum("penstock_leg_packets_total", **labels))


def wait_forwarded(penstock, packets, seconds=5, **labels):
    """Until the legs have sent so many packets in all."""
    wait_for(lambda: leg_packets(penstock, **labels) >= packets,
             f"{packets} packets on legs {labels or ''}; there are {leg_packets(penstock, **labels)}; "
             f"drops {penstock.metrics().drops()}", seconds)


def assert_ledger(metrics):
    """Design section 3: nothing vanishes unnamed, in any worker."""
    for labels, received in metrics.named("penstock_worker_rx_packets_total"):
        worker = {"worker": labels["worker"]}
        drops = {reason["reason"]: count for reason, count in metrics.named("penstock_drops_total", **worker)}
        late = sum(drops.pop(reason, 0) for reason in ("mtu", "no_buffer", "tx_full", "port_down", "shard_full", "leg_gone", "tcp_full"))
        forwarded = metrics.sum("penstock_worker_forwarded_packets_total", **worker)
        consumed = metrics.sum("penstock_worker_consumed_packets_total", **worker)
        assert received == forwarded + consumed + sum(drops.values()), (
            f"rx {received} != forwarded {forwarded} + consumed {consumed} + drops {drops}")
        wanted = metrics.sum("penstock_worker_tx_wanted_packets_total", **worker)
        sent = metrics.sum("penstock_worker_sent_packets_total", **worker)
        assert wanted == sent + late, f"tx_wanted {wanted} != sent {sent} + drops {late}"
    assert metrics.named("penstock_worker_rx_packets_total"), "no worker counts what it received"
