"""The kernel beside us: its own traffic on the same interface, and its routes and neighbours, which legs follow."""
import signal
import socket
import threading
import time

from cases import cases
from judge import Capture
from lab import wait_for
from relay import (LAN, SOURCE, WAN, Relay, Sender, assert_ledger, endpoint, leg_packets, receiver_address, wait_forwarded,
                   wait_legs)

BOTH = ("af_xdp", "af_packet")


def ping(namespace, address, count=10):
    """Answers lost, as ping counts them."""
    text = namespace.run("ping", "-q", "-c", count, "-i", "0.05", "-W", "1", address, check=False)
    return int(text.split(" packets transmitted, ")[0].split()[-1]) - int(text.split(" received")[0].split()[-1])


def empty(listener):
    """Throws away what a socket holds."""
    patience = listener.gettimeout()
    listener.setblocking(False)
    try:
        while listener.recv(2000):
            pass
    except BlockingIOError:
        pass
    listener.settimeout(patience)


class Background:
    """Media that flows evenly while the test does other things."""

    def __init__(self, lab, destination, port, per_second=500):
        self.sender, self.stopping = Sender(lab.source, destination, port), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(per_second,), daemon=True)
        self.thread.start()
        lab.on_close(self.stop)

    def _run(self, per_second):
        while not self.stopping.is_set():
            self.sender.send(10, per_second=per_second)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.sender


@cases(driver=BOTH, family=(4, 6))
def test_shares_the_interface(driver, family):
    """TCP, ARP or ND, ping and UDP of others on the interface that media is taken from."""
    with Relay(1, driver) as lab:
        node = LAN[family]
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        penstock = lab.relay([endpoint(node, 20000)], [endpoint(receiver_address(1, family), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        listener = lab.node.socket(kind, socket.SOCK_STREAM, (node, 22))
        listener.listen()
        client = lab.source.socket(kind, socket.SOCK_STREAM)
        client.settimeout(3)
        other = lab.node.socket(kind, bind=(node, 5353))
        other.settimeout(3)
        caller = lab.source.socket(kind)
        media = Background(lab, node, 20000)

        lab.source.ip("neigh", "flush", "dev", "eth0")  # ARP or ND has to work, too
        assert ping(lab.source, node) == 0
        client.connect((node, 22))
        served, _ = listener.accept()
        served.settimeout(3)
        for number in range(200):
            question = b"%d" % number * 200
            client.sendall(question)
            got = b""
            while len(got) < len(question):
                got += served.recv(4096)
            assert got == question
            served.sendall(b"answer")
            assert client.recv(100) == b"answer"
        for number in range(20):
            caller.sendto(b"not media", (node, 5353))
            assert other.recv(100) == b"not media"
        sent = media.stop().sent
        served.close()
        wait_forwarded(penstock, len(sent))
        assert len(sent) > 100 and heard.payloads(6000) == sent
        assert_ledger(penstock.metrics())


@cases(driver=BOTH)
def test_source_outside_media_ports(driver):
    """Every configured source is steered, inside media.ports or not; its neighbours are the kernel's."""
    with Relay(1, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 5004)], [endpoint(receiver_address(1), 6000)], media="30000-30999")
        heard = Capture(lab.receivers[0], "eth0")
        kernels = lab.node.socket(bind=(LAN[4], 20000))  # not ours: media.ports says so
        kernels.settimeout(3)
        mine = Sender(lab.source, LAN[4], 5004).send(100)
        Sender(lab.source, LAN[4], 20000).send(1)
        assert kernels.recv(2000)
        wait_forwarded(penstock, 100)
        assert heard.payloads(6000) == mine.sent


def test_media_does_not_reach_the_kernel():
    """With AF_XDP a socket on the media port hears nothing, and no ICMP error goes back to the source."""
    with Relay(1) as lab:
        answers = Capture(lab.source, "eth0", "icmp or icmp6")
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        kernels = lab.node.socket(bind=(LAN[4], 20000))
        kernels.setblocking(False)
        Sender(lab.source, LAN[4], 20000).send(50)
        wait_forwarded(penstock, 50)
        try:
            raise AssertionError(f"the kernel got {kernels.recv(2000)!r}")
        except BlockingIOError:
            pass
        assert answers.count("icmp.type==3") == 0


@cases(driver=BOTH)
def test_own_address_changes(driver):
    """The node's interface gets another MAC: copies carry it as their sender."""
    with Relay(1, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[4], 20000).send(20)
        wait_forwarded(penstock, 20)
        lab.node.ip("link", "set", "wan0", "address", "02:00:00:00:be:ef")
        penstock.wait_for_text("port 'wan': mac 02:00:00:00:be:ef by now")
        wait_for(lambda: penstock.show("port info wan")["ports"][0]["mac"] == "02:00:00:00:be:ef", "the port to say so")
        wait_legs(penstock, 1)
        sender.send(20, per_second=200)
        wait_forwarded(penstock, 40)
        macs = [mac for mac, in heard.fields("udp.dstport == 6000", "eth.src")]
        assert macs[-1] == "02:00:00:00:be:ef" and len(set(macs)) == 2, macs


@cases(driver=BOTH)
def test_changed_neighbour(driver):
    """A receiver gets another MAC: its leg follows within two seconds; the other receiver loses nothing."""
    with Relay(2, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(number), 6000) for number in (1, 2)])
        heard = Capture(lab.receivers[1], "eth0")
        moved = lab.receivers[0]
        listener = moved.socket(bind=(receiver_address(1), 6000))
        listener.settimeout(5)
        media = Background(lab, LAN[4], 20000)
        assert listener.recv(2000)
        old = moved.mac("eth0")
        moved.ip("link", "set", "eth0", "address", "02:00:00:00:be:ef")
        empty(listener)  # what is read from now on came to the new MAC
        assert ping(moved, WAN[4], 1) == 0  # as any receiver does, it says something, sooner or later
        changed = time.monotonic()
        listener.recv(2000)
        took = time.monotonic() - changed
        sent = media.stop().sent
        assert took < 2, f"{took:.2f} s"
        assert moved.mac("eth0") != old
        wait_forwarded(penstock, len(sent), leg=endpoint(receiver_address(2), 6000))
        assert heard.payloads(6000) == sent
        assert_ledger(penstock.metrics())


@cases(driver=BOTH)
def test_neighbour_that_is_written_down(driver):
    """Nobody answers for them: packets go where an operator said, and what was written stays, over start and stop."""
    written = {4: "10.2.0.77", 6: "fd02::77"}
    with Relay(1, driver) as lab:
        mac = lab.receivers[0].mac("eth0")
        for address in written.values():
            lab.node.ip("neigh", "add", address, "lladdr", mac, "dev", "wan0", "nud", "permanent")
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(written[4], 6000), endpoint(written[6], 6002)])
        heard = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[4], 20000).send(50)
        wait_forwarded(penstock, 100)
        assert heard.payloads(6000) == sender.sent == heard.payloads(6002)
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        for address in written.values():
            shown = lab.node.ip("neigh", "show", "to", address)
            assert f"lladdr {mac} PERMANENT" in shown, shown


@cases(driver=BOTH)
def test_late_neighbour(driver):
    """A receiver that is not there yet: its leg waits, is asked for through the kernel, and starts when it answers."""
    with Relay(2, driver) as lab:
        late = lab.receivers[1]
        late.ip("address", "flush", "dev", "eth0")
        penstock = lab.start_penstock(lab.node, lab.config([("video", 96, "H264/90000", [endpoint(LAN[4], 20000)], [
            endpoint(receiver_address(number), 6000) for number in (1, 2)])]))
        wait_legs(penstock, 1)
        heard = [Capture(receiver, "eth0") for receiver in lab.receivers]
        media = Background(lab, LAN[4], 20000)
        wait_forwarded(penstock, 200, leg=endpoint(receiver_address(1), 6000))
        assert penstock.metrics().sum("penstock_leg_ready") == 1
        late.ip("address", "add", receiver_address(2) + "/24", "dev", "eth0")
        appeared = time.monotonic()
        wait_legs(penstock, 2, seconds=6)
        took = time.monotonic() - appeared
        second = endpoint(receiver_address(2), 6000)
        wait_forwarded(penstock, 200, leg=second)
        sent = media.stop().sent
        wait_forwarded(penstock, len(sent), leg=endpoint(receiver_address(1), 6000))
        assert heard[0].payloads(6000) == sent, "the other leg was disturbed"
        got = heard[1].payloads(6000)
        assert got and got == sent[-len(got):], "from the start on nothing may be missing"
        assert took < 4, f"{took:.2f} s"
        assert_ledger(penstock.metrics())


@cases(driver=BOTH)
def test_changed_route(driver):
    """The route to a receiver moves to a gateway: the leg goes to the gateway's MAC."""
    with Relay(2, driver) as lab:
        far = "10.9.0.9"
        penstock_to = lambda number: ("replace", far, "via", receiver_address(number), "dev", "wan0")
        for receiver in lab.receivers:
            receiver.ip("address", "add", f"{far}/32", "dev", "lo")
        lab.node.ip("route", *penstock_to(1))
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(far, 6000)])
        listeners = [receiver.socket(bind=(far, 6000)) for receiver in lab.receivers]
        for listener in listeners:
            listener.settimeout(5)
        media = Background(lab, LAN[4], 20000)
        assert listeners[0].recv(2000)
        lab.node.ip("route", *penstock_to(2))
        changed = time.monotonic()
        assert listeners[1].recv(2000)
        took = time.monotonic() - changed
        media.stop()
        assert took < 1.5, f"{took:.2f} s"
        assert_ledger(penstock.metrics())
