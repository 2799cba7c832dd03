"""driver vhost: a peer on virtio-user (DPDK's own testpmd, as a VM or pod would be), with a real receiver behind it."""
import shutil

from cases import alone
from judge import Capture, assert_no_loss
from lab import Skip, wait_for
from media import FfmpegReceiver, start_source
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_forwarded, wait_legs

INSIDE, GUEST = "10.3.0.1", "10.3.0.2"
INSIDE6, GUEST6 = "fd03::1", "fd03::2"


class Guest(Relay):
    """source --- lan0 [node: penstock] vhost === virtio-user [testpmd] vm0 --- eth0 guest"""

    def __init__(self):
        if not shutil.which("dpdk-testpmd"):
            raise Skip("dpdk-testpmd is not installed")
        super().__init__(1, "af_packet")
        # What testpmd leaves behind when it is ended.
        self.on_close(lambda: shutil.rmtree(f"/run/dpdk/{self.prefix}", ignore_errors=True))
        self.guest = self.namespace("guest")
        self.veth(self.node, "vm0", self.guest, "eth0")
        self.guest.ip("address", "add", f"{GUEST}/24", "dev", "eth0")
        self.guest.ip("neigh", "add", INSIDE, "lladdr", "02:00:00:00:00:01", "dev", "eth0")
        self.vhost = self.file("vhost.sock")

    def config_ports(self):
        return self.ports() + (f"  - {{ name: vm, driver: vhost, socket: {self.vhost}, addresses: [{INSIDE}/24, \"{INSIDE6}/64\"], "
                               f"peer_mac: \"{self.guest.mac('eth0')}\" }}\n")

    def start_peer(self, penstock):
        wait_for(self.vhost.exists, "penstock to make the vhost-user socket")
        peer = self._testpmd()
        while "could not set PACKET_FANOUT" in peer.text():
            # DPDK's number for the fanout is its process id XOR the interface's, which another's may be: the next one differs.
            peer.stop(seconds=1)
            peer.log.unlink()
            peer = self._testpmd()
        # Both sides talk about the queues for a while yet: ready is when a frame comes through.
        hello, wire = bytes.fromhex("ffffffffffff 02000000be11 88b5") + bytes(46), self.guest.raw("eth0")
        received = lambda: penstock.metrics().sum("penstock_drops_total", reason="not_ip")
        before = received()
        wait_for(lambda: wire.send(hello) and received() > before, "a frame from the guest", 10)
        return peer

    def _testpmd(self):
        # With --stats-period it does not wait for a key, which would end it at once.
        peer = self.node.start(
            "dpdk-testpmd", "--no-pci", "--no-huge", "-m", "128", "--no-telemetry", "--file-prefix", self.prefix,
            "--lcores", "0@0,1@1", "--single-file-segments",
            "--vdev", f"net_virtio_user0,path={self.vhost},queues=1,queue_size=1024",
            "--vdev", "net_af_packet0,iface=vm0,blocksz=65536,framesz=2048,framecnt=512",
            "--", "--no-mlockall", "--forward-mode=io", "--total-num-mbufs=4096",
            "--stats-period=1")
        peer.wait_for_text("Port statistics", 15)
        return peer


@alone
def test_media_to_a_guest():
    """ffmpeg's stream goes to a player in the guest and to one outside; both decode, nothing is lost."""
    with Guest() as lab:
        track = lambda kind, payload_type, encoding, port: (
            kind, payload_type, encoding, [endpoint(LAN[4], 20000 + port)],
            [f"{{ rtp: {GUEST}:{6000 + port}, port: vm }}", endpoint(receiver_address(1), 6000 + port)])
        penstock = lab.start_penstock(lab.node, lab.config([
            track("video", 96, "H264/90000", 0), track("audio", 97, "mpeg4-generic/48000", 2)], ports=lab.config_ports()))
        lab.start_peer(penstock)
        wait_legs(penstock, 4)
        sent = Capture(lab.source, "eth0", "udp")
        heard = Capture(lab.guest, "eth0")
        players = [FfmpegReceiver("guest", lab.guest, GUEST, 6000, 6002).start(),
                   FfmpegReceiver("outside", lab.receivers[0], receiver_address(1), 6000, 6002).start()]
        for player in players:
            wait_for(player.ready, f"{player.name} to listen", 15)
        source = start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: players[0].pictures() > 75 and players[1].pictures() > 75, "three seconds of pictures", 20)
        source.stop()
        for player in players:
            problems = player.stop().verdict(pictures=75, sounds=120)
            assert not problems, f"{player.name}: {problems}"
        assert_no_loss(heard, 6000, 6002, packets=30)
        assert heard.payloads(6000) == sent.payloads(20000) and heard.payloads(6002) == sent.payloads(20002)
        packets, bad = heard.bad_checksums()
        assert packets and not bad, bad[:3]
        assert_ledger(penstock.metrics())


@alone
def test_media_from_a_guest():
    """The guest is the source, by an ordinary socket; its unfinished checksums are mended."""
    with Guest() as lab:
        penstock = lab.start_penstock(lab.node, lab.config(
            [("video", 96, "H264/90000", [f"{{ rtp: {INSIDE}:20000, port: vm }}"], [endpoint(receiver_address(1), 6000)])],
            ports=lab.config_ports()))
        lab.start_peer(penstock)
        wait_legs(penstock, 1)
        heard = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.guest, INSIDE, 20000).send(300, 500, per_second=1000)
        wait_forwarded(penstock, 300)
        assert heard.payloads(6000) == sender.sent
        assert heard.bad_checksums()[1] == []
        assert_ledger(penstock.metrics())


@alone
def test_every_kind_of_copy_to_a_guest():
    """IPv4 and IPv6, unicast and a group of each, and a tagged one: the payloads are those that were sent."""
    outputs = [(6000, f"{{ rtp: {GUEST}:6000, port: vm }}"), (6002, f"{{ rtp: \"[{GUEST6}]:6002\", port: vm }}"),
               (6004, "{ rtp: 239.3.3.3:6004, port: vm, ttl: 4 }"), (6006, "{ rtp: \"[ff15::3]:6006\", port: vm }"),
               (6008, f"{{ rtp: {GUEST}:6008, port: vm, vlan: 30 }}")]
    with Guest() as lab:
        penstock = lab.start_penstock(lab.node, lab.config(
            [("video", 96, "H264/90000", [endpoint(LAN[4], 20000)], [output for _, output in outputs])], ports=lab.config_ports()))
        lab.start_peer(penstock)
        wait_legs(penstock, len(outputs))
        heard = Capture(lab.guest, "eth0")
        sender = Sender(lab.source, LAN[4], 20000).send(200, 700, per_second=1000)
        wait_forwarded(penstock, 200 * len(outputs))
        for port, output in outputs:
            assert heard.payloads(port) == sender.sent, f"{output}: not what was sent"
        assert heard.count("vlan.id==30 && udp.dstport==6008") == 200
        assert heard.bad_checksums()[1] == []
        assert_ledger(penstock.metrics())


@alone
def test_guest_goes_and_comes_back():
    """The peer ends under traffic: penstock and the other legs go on; a new peer is served again."""
    with Guest() as lab:
        penstock = lab.start_penstock(lab.node, lab.config(
            [("video", 96, "H264/90000", [endpoint(LAN[4], 20000)],
              [f"{{ rtp: {GUEST}:6000, port: vm }}", endpoint(receiver_address(1), 6000)])], ports=lab.config_ports()))
        peer = lab.start_peer(penstock)
        wait_legs(penstock, 2)
        outside = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[4], 20000)
        sender.send(100)
        peer.stop(seconds=1)
        sender.send(200)
        wait_forwarded(penstock, len(sender.sent), leg=endpoint(receiver_address(1), 6000))
        peer.log.unlink()
        lab.start_peer(penstock)
        inside = Capture(lab.guest, "eth0")
        again = len(sender.sent)
        sender.send(200)
        wait_for(lambda: penstock.running() and _count(inside) >= 200, "media at the new peer", every=0.3)
        wait_forwarded(penstock, len(sender.sent), leg=endpoint(receiver_address(1), 6000))
        assert inside.payloads(6000) == sender.sent[again:]
        assert outside.payloads(6000) == sender.sent, "the leg outside was disturbed"
        assert_ledger(penstock.metrics())


def _count(capture):
    """Packets in a capture that still runs."""
    from lab import run
    return len(run("tshark", "-n", "-r", capture.file, "-Y", "udp.dstport==6000", "-T", "fields", "-e", "frame.number",
                   check=False).splitlines())
