"""The kernel twin of a port that the kernel does not see: a TAP netdev. Here the port is a `tap` one, whose far end is moved
to another namespace and stands for the network; a `pci` port has the same twin."""
import signal
import socket

from judge import Capture
from lab import Lab, wait_for
from relay import Sender, assert_ledger, wait_forwarded, wait_legs

TWIN, PEER = "10.5.0.2", "10.5.0.1"

CONFIG = """
node: twin
ports:
  - { name: vf, driver: tap, interface: far0, twin: near0 }
streams:
  - name: camera-1
    tracks:
      - media: video
        encoding: H264/90000
        payload_type: 96
        sources: [{ rtp: "SOURCE" }]
        outputs: [{ rtp: "10.5.0.1:6000" }, { rtp: "10.5.0.1:6100" }]
"""


class Twin(Lab):
    """peer: far0 === [penstock: vf] === near0 :node"""

    def start(self, source):
        self.node, self.peer = self.namespace("node"), self.namespace("peer")
        penstock = self.start_penstock(self.node, CONFIG.replace("SOURCE", source))
        self.node.ip("link", "set", "far0", "netns", self.peer.name)
        self.peer.ip("address", "add", f"{PEER}/24", "dev", "far0")
        self.peer.ip("link", "set", "far0", "up")
        self.node.ip("address", "add", f"{TWIN}/24", "dev", "near0")
        return penstock


def test_kernel_traffic_and_media():
    """ARP, ping and TCP are the kernel's through the twin; media is not; the legs' next hop is learned through the twin."""
    with Twin() as lab:
        penstock = lab.start(f"{TWIN}:20000")
        lab.peer.run("ping", "-c", "3", "-i", "0.2", "-W", "2", TWIN)
        listener = lab.node.socket(kind=socket.SOCK_STREAM, bind=(TWIN, 8080))
        listener.listen(1)
        client = lab.peer.socket(kind=socket.SOCK_STREAM)
        client.settimeout(5)
        client.connect((TWIN, 8080))
        served, _ = listener.accept()
        text = bytes(range(256)) * 4000
        client.sendall(text[:500_000])
        served.settimeout(5)
        received = b""
        while len(received) < 500_000:
            received += served.recv(65536)
        assert received == text[:500_000], "TCP through the twin is not what was sent"

        wait_legs(penstock, 2)
        heard, kernel = Capture(lab.peer, "far0"), Capture(lab.node, "near0")
        sender = Sender(lab.peer, TWIN, 20000).send(300)
        wait_forwarded(penstock, 600)
        assert heard.payloads(6000) == sender.sent and heard.payloads(6100) == sender.sent
        assert not heard.bad_checksums()[1]
        assert not kernel.payloads(20000), "media reached the kernel twin"
        metrics = penstock.metrics()
        punted = {"as": "punted"}
        assert metrics.sum("penstock_worker_consumed_packets_total", **punted) > 300
        assert_ledger(metrics)


def test_group_is_joined_on_the_twin():
    """The kernel joins the group for us, and its IGMP report leaves by the port."""
    with Twin() as lab:
        lab.node, lab.peer = lab.namespace("node"), lab.namespace("peer")
        penstock = lab.start_penstock(lab.node, CONFIG.replace("SOURCE", "239.5.5.5:5004"))
        wait_for(lambda: "239.5.5.5" in lab.node.ip("maddress", "show", "dev", "near0"), "239.5.5.5 to be joined on near0")
        assert penstock.stop(signal.SIGTERM) == 0
        assert "near0" not in lab.node.ip("link", "show"), "the TAP was left behind"


def test_addresses_of_the_configuration():
    """The twin has them at each start, of both families, and the kernel answers by them."""
    with Twin() as lab:
        lab.node, lab.peer = lab.namespace("node"), lab.namespace("peer")
        config = CONFIG.replace("twin: near0", f'twin: near0, addresses: [{TWIN}/24, "fd05::2/64"]').replace("SOURCE", f"{TWIN}:20000")
        for _ in range(2):
            penstock = lab.start_penstock(lab.node, config)
            lab.node.ip("link", "set", "far0", "netns", lab.peer.name)
            lab.peer.ip("address", "add", f"{PEER}/24", "dev", "far0")
            lab.peer.ip("link", "set", "far0", "up")
            shown = lab.node.ip("address", "show", "dev", "near0")
            assert f"inet {TWIN}/24" in shown and "inet6 fd05::2/64" in shown, shown
            lab.peer.run("ping", "-c", "1", "-W", "5", TWIN)
            wait_legs(penstock, 2)
            assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
            assert "near0" not in lab.node.ip("link", "show"), "the TAP was left behind"


def test_ring_with_a_twin():
    """A port whose driver has no MAC address of its own: what is sent to it comes back, to the twin too."""
    with Lab() as lab:
        node = lab.namespace("node")
        penstock = lab.start_penstock(node, "ports:\n  - { name: loop, driver: ring, twin: loop0 }\n")
        mac = node.mac("loop0")
        assert mac != "00:00:00:00:00:00" and not int(mac[:2], 16) & 1, mac
        assert penstock.show("port info loop")["ports"][0]["mac"] == mac
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
