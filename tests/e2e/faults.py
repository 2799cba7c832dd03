"""What goes wrong on a node, and comes right again by itself: interfaces, links and neighbours that go and come back."""
import contextlib
import os
import re
import signal
import socket
import time

from cases import alone, cases
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
        assert untouched.payloads(7000) == steady.sent  # none lost, none twice, in order
        assert_ledger(penstock.metrics())
        if driver == "af_xdp":
            assert "xdp" in lab.node.ip("link", "show", f"{side}0")
        assert penstock.stop() == 0, penstock.text()
        assert "xdp" not in lab.node.ip("link", "show", f"{side}0")


def test_interface_made_again_and_again():
    """A pod that does not stay up: the buffers in the rings of each dead socket come back, or the pool would be empty soon."""
    with Relay(1, "af_xdp") as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        meter = Meter(lab, 1)
        for round in range(10):  # times 2,048 buffers: more than there are
            lab.node.ip("link", "del", "lan0")
            wait_for(lambda: state(penstock, "lan") != "up", "lan to be told down")
            rewire(lab, "lan")
            wait_for(lambda: state(penstock, "lan") == "up", f"lan to come up again, round {round}; log:\n{penstock.text()[-1000:]}")
            heard = meter.count()
            keep_sending(Sender(lab.source, LAN[4], 20000, first=round * 1000), lambda: meter.count() >= heard + 20, 3)
        assert "no_buffer" not in penstock.metrics().drops()
        assert_ledger(penstock.metrics())


@cases(driver=BOTH)
def test_link_down_and_up(driver):
    """Each end of each link is set down and up: nothing vanishes unnamed meanwhile, and traffic resumes by itself."""
    with Relay(1, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        meter = Meter(lab, 1)
        sender = Sender(lab.source, LAN[4], 20000)
        keep_sending(sender, lambda: meter.count() >= 20, 5)
        for place, interface in ((lab.node, "wan0"), (lab.switch, "uplink"), (lab.node, "lan0"), (lab.source, "eth0")):
            place.ip("link", "set", interface, "down")
            wait_for(lambda: "LOWER_UP" not in place.ip("link", "show", interface), "the link to be down")
            heard = meter.count()
            if place is not lab.source:
                sender.send(50)  # what becomes of them is for the ledger to say
            assert meter.count() == heard, "a packet came over a link that is down"
            place.ip("link", "set", interface, "up")
            print(f"{interface}: {keep_sending(sender, lambda: meter.count() >= heard + 20, 5):.2f} s from up to 20 packets")
        assert_ledger(penstock.metrics())
        assert penstock.running()


@cases(driver=BOTH)
def test_neighbour_gone(driver):
    """A receiver stops answering: that is said and counted, by name; it comes back, and gets its packets again."""
    with Relay(2, driver) as lab:
        for key, value in (("base_reachable_time_ms", 500), ("delay_first_probe_time", 1), ("retrans_time_ms", 100), ("gc_stale_time", 1)):
            lab.node.sysctl(f"net.ipv4.neigh.wan0.{key}", value)
        penstock = start(lab, stream("camera-1", 20000, leg(1)), stream("other", 21000, leg(2)))
        meter, other = Meter(lab, 1), Meter(lab, 2)
        sender, steady = Sender(lab.source, LAN[4], 20000), Sender(lab.source, LAN[4], 21000)
        keep_sending(sender, lambda: meter.count() >= 20, 5)
        lab.switch.ip("link", "set", "port1", "down")
        ready = lambda: penstock.metrics().sum("penstock_leg_ready", leg=leg(1))
        keep_sending(sender, lambda: ready() == 0, 20)
        penstock.wait_for_text(f"{receiver_address(1)}: no next hop: neighbour {receiver_address(1)} on wan0 does not answer")
        no_leg = lambda: penstock.metrics().drops().get("no_leg", 0)
        keep_sending(sender, lambda: no_leg() > 0, 5)  # the table without the leg is in force
        counted = len(sender.sent)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", stream="camera-1") == counted, "all so far to have come")
        before = no_leg()
        sender.send(100, per_second=500)
        wait_for(lambda: no_leg() == before + 100, "all of 100 packets to be counted as no_leg")
        steady.send(100, per_second=500)
        wait_for(lambda: other.count() == 100, "the other receiver to get all of its packets")
        lab.switch.ip("link", "set", "port1", "up")
        heard = meter.count()
        print(f"{keep_sending(sender, lambda: meter.count() >= heard + 20, 5):.2f} s from up to 20 packets")
        assert_ledger(penstock.metrics())


CLIENTS = 1000


@alone
def test_a_thousand_clients():
    """1,000 connections that never ask, ask garbage without an end, do not read, or vanish: the next operator is served."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        with Steady(lab) as steady:
            clients = []

            def connect():
                client = socket.socket(socket.AF_UNIX)
                lab.on_close(client.close)
                client.connect(str(penstock.socket))
                client.setblocking(False)
                clients.append(client)
                return client
            for number in range(CLIENTS):
                client = connect()
                try:
                    if number % 4 == 1:
                        client.send(b"\x00\xff garbage " * 500)  # no newline
                    while number % 40 == 2:  # asks and never reads
                        client.send(b"json show port xstats all\n" * 100)
                    if number % 4 == 3:
                        client.send(b"text show str")
                        client.close()
                except BlockingIOError:
                    pass
            slowest = max(timed(lambda: penstock.cli("show", "stream", "all")) for _ in range(10))
            assert slowest < 1, f"an operator waited {slowest:.2f} s"
            for _ in range(CLIENTS):  # more than are let in: the silent ones make room
                connect()
            slowest = max(timed(lambda: penstock.cli("show", "stream", "all")) for _ in range(10))
            assert slowest < 1, f"an operator waited {slowest:.2f} s"
            endless = connect()  # one line longer than any command
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                for _ in range(100):
                    endless.send(b"x" * 4096)
            wait_for(lambda: closed(endless), "the endless line to be cut off")
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent
        for client in clients:
            client.close()
        wait_for(lambda: len(os.listdir(f"/proc/{penstock.pid}/fd")) < 100, "the descriptors of the gone to be closed")


@alone
def test_a_thousand_scrapers():
    """1,000 connections to /metrics that never ask or never read are bounded and let go; then a scrape is answered."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        with Steady(lab) as steady:
            clients = []
            for number in range(CLIENTS):
                client = lab.node.socket(kind=socket.SOCK_STREAM)
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    client.connect(("127.0.0.1", 9464))
                clients.append(client)
                with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionError):
                    client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * (number % 2 * 50))
            assert len(os.listdir(f"/proc/{penstock.pid}/fd")) < 200, "scrapers are not bounded"
            assert timed(lambda: penstock.cli("show", "stream", "all")) < 1, "operators wait for scrapers"

            def scraped():
                try:
                    return "penstock_build_info" in lab.node.get(penstock.url + "/metrics")[1]
                except OSError:
                    return False
            for client in clients[100:]:  # the first hundred stay, and are let go by the timeout
                client.close()
            wait_for(scraped, "a scrape to be answered", 25)
            wait_for(lambda: all(closed(client) for client in clients[:50]), "the silent ones to be let go", 25)
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent


def timed(what):
    started = time.monotonic()
    what()
    return time.monotonic() - started


def closed(client):
    try:
        while client.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_file_replaced_by_garbage():
    """The file becomes garbage, in many ways: reload and SIGHUP change nothing and say why; media is unharmed."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        good = penstock.config.read_bytes()
        shown = penstock.cli("show", "config")
        heard = Capture(lab.receivers[0], "eth0")
        with Steady(lab) as steady:
            for number, garbage in enumerate((b"", b"\x00" * 4096, os.urandom(65536), good[:len(good) // 2], b"streams: []\n" * 2, b"[" * 100000,
                                              good.replace(b"20000\"", b"20000\", colour: blue"), good.replace(b"driver:", b"diver:"))):
                penstock.config.write_bytes(garbage)
                code, out, errors = penstock.cli_exit("reload")
                assert code == 1 and "nothing is changed" in out + errors, (number, code, out, errors)
                assert str(penstock.config) in out + errors or "has no ports" in out + errors, "what is wrong is not said: " + out + errors
                before = penstock.text().count("SIGHUP: nothing is changed")
                os.kill(penstock.pid, signal.SIGHUP)
                wait_for(lambda: penstock.text().count("SIGHUP: nothing is changed") == before + 1, "SIGHUP to be answered in the log")
                assert penstock.cli("show", "config") == shown
            penstock.config.unlink()
            code, out, errors = penstock.cli_exit("reload")
            assert code == 1 and "nothing is changed" in out + errors, (code, out, errors)
            penstock.config.write_bytes(good)
            assert "nothing differs" in penstock.cli("reload")
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent
