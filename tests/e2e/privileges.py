"""Least privilege: the table of docs/operations.md is read and proved, row by row."""
import os
import re
import shutil
import signal
import socket

from cases import cases
from doctor import agree, missing_in
from judge import Capture
from lab import PENSTOCK, ROOT, Lab, Skip, run, wait_for
from relay import LAN, Relay, Sender, endpoint, leg_packets, receiver_address, rtp_packet, wait_forwarded, wait_legs

NOBODY = 65534
NUMBERS = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_SYS_ADMIN": 21, "CAP_BPF": 39}
DRIVERS = ("af_xdp", "af_packet", "tap", "vhost", "pcap", "ring", "null")


def documented(driver):
    """(to start, effective, permitted beyond that) of a driver, as sets of names."""
    for line in (ROOT / "docs/operations.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and f"`{driver}`" in cells[1] and re.search("CAP_|none", cells[2]):
            return [set(re.findall(r"CAP_\w+", cell)) for cell in cells[2:5]]
    raise AssertionError(f"docs/operations.md has no row for {driver}")


def bits(names):
    return sum(1 << NUMBERS[name] for name in names)


def as_nobody(capabilities):
    """A prefix: an unprivileged user with these capabilities and no others, not even in the bounding set."""
    words = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in sorted(capabilities))])
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={words}", f"--ambient-caps={words}",
            f"--bounding-set={words}")


def statuses(penstock):
    """{thread: {field: text}} of every thread."""
    found = {}
    for thread in os.listdir(f"/proc/{penstock.pid}/task"):
        text = open(f"/proc/{penstock.pid}/task/{thread}/status").read()
        fields = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))
        found[f"{thread} {fields['Name']}"] = fields
    return found


def assert_given_up(penstock, kept, reserved):
    """Every thread has just what is kept, and no way to more."""
    threads = statuses(penstock)
    assert len(threads) >= 3, threads.keys()  # control, DPDK's interrupts, a worker
    for name, fields in threads.items():
        have = {field: int(fields[field], 16) for field in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
        assert have == {"CapInh": 0, "CapPrm": bits(kept | reserved), "CapEff": bits(kept), "CapAmb": 0}, (name, have, kept)
        assert fields["NoNewPrivs"] == "1", name


class Modest(Relay):
    """The laboratory, open to a user who is nobody."""

    def __init__(self, driver):
        super().__init__(1, driver if driver.startswith("af_") else "af_packet")
        self.directory.chmod(0o777)
        self.binary = self.directory / "penstock"  # the build directory may be closed to others
        shutil.copy(PENSTOCK, self.binary)
        if not os.access("/dev/net/tun", os.F_OK) or os.stat("/dev/net/tun").st_mode & 0o666 != 0o666:
            if driver in ("tap", "twin"):
                raise Skip("/dev/net/tun is not for everybody here")

    def of(self, driver):
        """A configuration with ports of this driver alone."""
        single = {"tap": "interface: far0, addresses: [10.3.0.1/24]", "ring": "addresses: [10.3.0.1/24]", "null": "addresses: [10.3.0.1/24]",
                  "vhost": f"socket: {self.directory / 'vhost.sock'}, addresses: [10.3.0.1/24]",
                  "pcap": f"write: {self.directory / 'out.pcap'}, addresses: [10.3.0.1/24]"}
        ports = None if driver not in single else f"  - {{ name: one, driver: \"{driver}\", {single[driver]} }}\n"
        sources, outputs = [endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)]
        if ports:
            sources, outputs = ["10.3.0.1:20000"], ["10.3.0.9:6000"]
        return self.config([("video", 96, "H264/90000", sources, outputs)], ports=ports)


@cases(driver=DRIVERS)
def test_enough(driver):
    """As nobody, with what is documented and no more: it starts, forwards where there is a network, and leaves nothing."""
    start, kept, reserved = documented(driver)
    with Modest(driver) as lab:
        penstock = lab.start_penstock(lab.node, lab.of(driver), binary=lab.binary, before=as_nobody(start))
        fields = next(iter(statuses(penstock).values()))
        assert fields["Uid"].split() == [str(NOBODY)] * 4
        assert_given_up(penstock, kept, reserved)
        if driver.startswith("af_"):
            wait_legs(penstock, 1)
            heard = Capture(lab.receivers[0], "eth0")
            sender = Sender(lab.source, LAN[4], 20000).send(200)
            wait_forwarded(penstock, 200)
            assert heard.payloads(6000) == sender.sent
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        assert not re.search(r" error |permitted|denied", penstock.text()), penstock.text()
        assert_nothing_left(lab)


@cases(driver=("af_xdp", "af_packet", "tap"))
def test_none_too_many(driver):
    """Each capability is needed: without it the doctor and `run` refuse, in the same words."""
    start, _, _ = documented(driver)
    with Modest(driver) as lab:
        for name in sorted(start):
            found = agree(lab, lab.of(driver), *as_nobody(start - {name}))
            said = [found[what] for what in missing_in(found)]
            assert said and all(name in finding["found"] + finding["why"] for finding in said), (name, said)
            if name != "CAP_IPC_LOCK":
                assert all(finding["found"] == f"{name} lacking" for finding in said), (name, said)


def assert_nothing_left(lab):
    """What the node has now is what the laboratory made: no XDP, TAP, promiscuity, join; and no socket."""
    links = lab.node.ip("link", "show")
    assert not re.search(r"xdp|far0|near0|PROMISC", links), links
    left = [path.name for path in lab.directory.iterdir() if path.is_socket()]
    assert not left, left
    assert "239." not in lab.node.ip("maddress", "show")


@cases(driver=("af_xdp", "af_packet"))
def test_root_gives_up_and_goes_on(driver):
    """Started as root: next to nothing is kept, not even in the bounding set, and all that changes at run time still works."""
    _, kept, reserved = documented(driver)
    kept |= {"CAP_NET_BIND_SERVICE"} if driver == "af_packet" else set()
    with Relay(1, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        assert_given_up(penstock, kept, reserved)
        assert {fields["CapBnd"] for fields in statuses(penstock).values()} == {"0" * 16}
        heard = Capture(lab.receivers[0], "eth0")

        # A group is joined, and a port below 1024 is steered or claimed: the source gets no "port unreachable".
        settings = lambda source, port: (f'{{tracks: [{{media: video, payload_type: 96, encoding: H264/90000, sources: [{{rtp: "{source}"}}], '
                                         f'outputs: [{{rtp: "{receiver_address(1)}:{port}"}}]}}]}}')
        penstock.cli("add", "stream", "group", settings("239.7.7.7:5004", 6100).replace("5004\"", "5004\", port: lan"))
        wait_for(lambda: "239.7.7.7" in lab.node.ip("maddress", "show", "dev", "lan0"), "239.7.7.7 to be joined")
        penstock.cli("add", "stream", "low", settings(f"{LAN[4]}:600", 6200))
        if driver == "af_packet":
            assert f"{LAN[4]}:600" in lab.node.run("ss", "-Hnlu"), "port 600 is not claimed"
        wait_legs(penstock, 3)
        client = lab.source.socket()
        client.connect((LAN[4], 600))
        numbers = iter(range(10000))

        def taken():
            try:
                client.send(rtp_packet(next(numbers)))
            except ConnectionRefusedError:  # after an ICMP error: the change comes within milliseconds
                return False
            return leg_packets(penstock, stream="low") > 0
        wait_for(taken, "port 600 to be penstock's")
        before = leg_packets(penstock, stream="low")
        for _ in range(50):
            client.send(rtp_packet(next(numbers)))
        wait_forwarded(penstock, before + 50, stream="low")

        # A neighbour changes its MAC address, and is asked for anew.
        receiver = lab.receivers[0]
        receiver.ip("link", "set", "eth0", "address", "02:00:00:00:aa:01")
        lab.node.ip("neigh", "replace", receiver_address(1), "lladdr", "02:00:00:00:bb:01", "dev", "wan0", "nud", "stale")
        penstock.cli("add", "output", "camera-1", f"rtp://{receiver_address(1)}:6300")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_ready") >= 4, "four legs to be ready")
        wait_for(lambda: "02:00:00:00:aa:01" in lab.node.ip("neigh", "show", receiver_address(1)), "the new address to be known", 20)
        sender = Sender(lab.source, LAN[4], 20000)

        def at_the_new_address():
            sender.send(10)
            return heard_at(lab.receivers[0], "02:00:00:00:aa:01", sender)
        wait_for(at_the_new_address, "media at the new MAC address", 20, every=0.2)

        # The file as it is takes back what was added.
        penstock.cli("reload")
        wait_for(lambda: "239.7.7.7" not in lab.node.ip("maddress", "show", "dev", "lan0"), "the group to be left")
        assert leg_packets(penstock) > 0
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        assert not re.search(r" (error|warning) .*(permitted|denied)", penstock.text()), penstock.text()
        heard.stop()
        assert_nothing_left(lab)


def heard_at(namespace, mac, sender):
    """Whether a packet of the sender reaches an ordinary socket: the kernel takes only what has its MAC address."""
    if not hasattr(sender, "listener"):
        sender.listener = namespace.socket(bind=(receiver_address(1), 6300))
        sender.listener.settimeout(0.5)
        return False
    assert namespace.mac("eth0") == mac
    try:
        return bool(sender.listener.recv(2000))
    except TimeoutError:
        return False


def test_failed_starts_leave_nothing():
    """Starts that fail late, with much that is open already: XDP, a TAP and its twin, a vhost socket. The node is as it was."""
    with Relay(1, "af_xdp") as lab:
        before = lab.node.ip("route", "show", "table", "all"), lab.node.ip("link", "show")
        lab.switch.ip("link", "set", "uplink", "mtu", 9000)  # veth refuses native XDP for its peer's sake; nobody can foresee it
        ports = (f"  - {{ name: vm, driver: vhost, socket: {lab.file('vhost.sock')}, addresses: [10.3.0.1/24] }}\n"
                 "  - { name: t, driver: tap, interface: far0, twin: near0 }\n"
                 "  - { name: lan, driver: af_xdp, interface: lan0 }\n"
                 "  - { name: wan, driver: af_xdp, interface: wan0, mode: native }\n")
        config = lab.config([("video", 96, "H264/90000", [endpoint(LAN[4], 20000), "{ rtp: 239.7.7.7:5004, port: lan }"],
                              [endpoint(receiver_address(1), 6000)])], ports=ports)
        penstock = lab.start_penstock(lab.node, config, ready=False)
        assert penstock.wait(15) == 1, penstock.text()
        assert "Peer MTU is too large" in penstock.text() and "port 'lan': up" in penstock.text(), penstock.text()
        assert_nothing_left(lab)
        # Those that are foreseen open nothing at all.
        lab.switch.ip("link", "set", "uplink", "mtu", 1500)
        taken = lab.node.socket(kind=socket.SOCK_STREAM, bind=("127.0.0.1", 9464))
        taken.listen(1)
        for more, said in ((None, "Address already in use"), (("interface: wan0", "interface: nic7"), "there is no interface nic7")):
            penstock = lab.start_penstock(lab.node, config.replace(*more) if more else config, ready=False)
            assert penstock.wait(10) == 1 and said in penstock.text(), penstock.text()
            assert "XDP on" not in penstock.text(), "it opened something: " + penstock.text()
            assert_nothing_left(lab)
        taken.close()
        assert (lab.node.ip("route", "show", "table", "all"), lab.node.ip("link", "show")) == before
        # And nothing stands in the way of one that succeeds.
        assert lab.start_penstock(lab.node, config).stop(signal.SIGTERM) == 0
        assert_nothing_left(lab)


def test_stale_sockets_do_not_stop_a_start():
    """kill -9 leaves sockets in the file system; the next start takes their place."""
    with Relay(1, "af_packet") as lab:
        config = lab.config([("video", 96, "H264/90000", [endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])],
                            ports=lab.ports() + f"  - {{ name: vm, driver: vhost, socket: {lab.file('vhost.sock')}, addresses: [10.3.0.1/24] }}\n")
        lab.start_penstock(lab.node, config).stop(signal.SIGKILL)
        assert lab.file("vhost.sock").is_socket()
        assert lab.start_penstock(lab.node, config).stop(signal.SIGTERM) == 0
        assert_nothing_left_but(lab, "cli0.sock")


def assert_nothing_left_but(lab, name):
    assert {path.name for path in lab.directory.iterdir() if path.is_socket()} <= {name}
