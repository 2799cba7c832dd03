"""What goes wrong on a node, and comes right again by itself: interfaces, links and neighbours that go and come back."""
import re
import time

from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, SOURCE, WAN, Relay, Sender, assert_ledger, receiver_address, wait_forwarded
from steady import Steady, leg, start, stream

BOTH = ("af_xdp", "af_packet")


class Elsewhere(Steady):
    """A steady sender on lan2."""

    def __init__(self, lab):
        super().__init__(lab)
        self.sender = Sender(lab.other, "10.3.0.1", 21000)


def third_port(lab):
    """A second source network, `lan2`, so that streams which have nothing to do with lan can be watched."""
    lab.other = lab.namespace("other")
    lab.veth(lab.other, "eth0", lab.node, "lan2")
    lab.other.ip("address", "add", "10.3.0.2/24", "dev", "eth0")
    lab.node.ip("address", "add", "10.3.0.1/24", "dev", "lan2")


def ports(lab):
    return lab.ports() + f"  - {{ name: lan2, driver: {lab.driver}, interface: lan2 }}\n"


def rewire(lab, side):
    """The veth pair of the source or of the receiver is made again, as when a pod is restarted; addresses as before."""
    if side == "lan":
        lab.veth(lab.source, "eth0", lab.node, "lan0")
        lab.node.ip("address", "add", f"{LAN[4]}/24", "dev", "lan0")
        lab.source.ip("address", "add", f"{SOURCE[4]}/24", "dev", "eth0")
    else:
        lab.veth(lab.node, "wan0", lab.switch, "uplink")
        lab.switch.ip("link", "set", "uplink", "master", "br0")
        lab.node.ip("address", "add", f"{WAN[4]}/24", "dev", "wan0")


def state(penstock, port):
    row, = (row for row in penstock.show(f"port info {port}")["ports"])
    up, = (value for _, value in penstock.metrics().named("penstock_port_up", port=port))
    assert (row["state"] == "up") == (up == 1), (row, up)
    return row["state"]


class Meter:
    """Packets that a receiver's socket got, as payloads."""

    def __init__(self, lab, number, port=6000):
        self.socket = lab.receivers[number - 1].socket(bind=(receiver_address(number), port))
        self.socket.setblocking(False)
        self.heard = []

    def count(self):
        try:
            while True:
                self.heard.append(self.socket.recv(2000).hex())
        except BlockingIOError:
            return len(self.heard)


def keep_sending(sender, done, seconds):
    """Sends until the condition holds; how long that took."""
    started = time.monotonic()
    while not done():
        sender.send(10, per_second=500)
        assert time.monotonic() - started < seconds, f"nothing came through within {seconds} s"
    return time.monotonic() - started


@cases(driver=BOTH, side=("lan", "wan"))
def test_interface_made_again(driver, side):
    """An interface is removed and made again, three times: its streams flow again by themselves, others lose nothing."""
    with Relay(2, driver) as lab:
        third_port(lab)
        # What is untouched leaves by lan2 again, so that neither lan0 nor wan0 is on its way.
        listener = lab.other.socket(bind=("10.3.0.2", 7000))
        listener.setblocking(False)
        config = lab.config([], ports=ports(lab)).split("streams:")[0] + "streams:\n" + stream("camera-1", 20000, leg(1)) + stream(
            "untouched", 21000, "10.3.0.2:7000", source="10.3.0.1")
        penstock = lab.start_penstock(lab.node, config)
        wait_for(lambda: penstock.metrics().sum("penstock_leg_ready") == 2, "both legs to be ready")
        untouched = Capture(lab.other, "eth0", "udp and dst port 7000")
        meter = Meter(lab, 1)
        with Elsewhere(lab) as steady:
            keep_sending(Sender(lab.source, LAN[4], 20000), lambda: meter.count() >= 20, 5)
            for round in range(1, 4):
                lab.node.ip("link", "del", f"{side}0")
                wait_for(lambda: state(penstock, side) != "up", f"{side} to be told down")
                assert state(penstock, side) == f"down: interface {side}0 is gone" and state(penstock, "lan2") == "up"
                penstock.wait_for_text(f"port '{side}': down, interface {side}0 is gone")
                rewire(lab, side)
                came = time.monotonic()
                wait_for(lambda: state(penstock, side) == "up", f"{side} to come up again", 2)
                heard = meter.count()
                keep_sending(Sender(lab.source, LAN[4], 20000, first=round * 10000), lambda: meter.count() >= heard + 20, 3)
                print(f"round {round}: {time.monotonic() - came:.2f} s from the interface to 20 packets")
                mac = next(row for row in penstock.show("port info all")["ports"] if row["port"] == side)["mac"]
                assert mac == lab.node.mac(f"{side}0")
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent), stream="untouched")
        # Sorted: where veth has no NAPI of its own, the kernel lets packets overtake when the sender changes its core.
        assert sorted(untouched.payloads(7000)) == sorted(steady.sent)
        assert_ledger(penstock.metrics())
        if driver == "af_xdp":
            assert "xdp" in lab.node.ip("link", "show", f"{side}0")
        assert penstock.stop() == 0, penstock.text()
        assert "xdp" not in lab.node.ip("link", "show", f"{side}0")
