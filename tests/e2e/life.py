"""Start, stop, death and idleness."""
import os
import re
import signal
import socket
import statistics
import subprocess
import time

from cases import alone, cases
from judge import Capture
from kernel import ping
from lab import PENSTOCK, ROOT, Lab, Skip, run, wait_for
from relay import LAN, Relay, Sender, endpoint, receiver_address, wait_forwarded

BOTH = ("af_xdp", "af_packet")


def xdp_programs(node):
    return [line for line in node.ip("link", "show").splitlines() if "xdp" in line]


@cases(driver=BOTH, how=(signal.SIGTERM, signal.SIGINT))
def test_stops_clean(driver, how):
    """Exit 0, and nothing stays: no XDP program, no membership, no promiscuity."""
    with Relay(1, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        assert bool(xdp_programs(lab.node)) == (driver == "af_xdp")
        Sender(lab.source, LAN[4], 20000).send(50)
        wait_forwarded(penstock, 50)
        assert penstock.stop(how, seconds=5) == 0, penstock.text()
        assert not xdp_programs(lab.node), lab.node.ip("link", "show")
        assert "PROMISC" not in lab.node.ip("link", "show", "lan0")
        assert ping(lab.source, LAN[4]) == 0


@cases(driver=BOTH)
def test_killed_and_started_again(driver):
    """kill -9: the interface still works, and the next penstock takes over."""
    with Relay(1, driver) as lab:
        legs = [endpoint(receiver_address(1), 6000)]
        first = lab.relay([endpoint(LAN[4], 20000)], legs)
        sender = Sender(lab.source, LAN[4], 20000).send(50)
        wait_forwarded(first, 50)
        first.stop(signal.SIGKILL)
        assert ping(lab.source, LAN[4]) == 0
        listener = lab.node.socket(kind=socket.SOCK_STREAM, bind=(LAN[4], 22))
        listener.listen()
        client = lab.source.socket(kind=socket.SOCK_STREAM)
        client.settimeout(3)
        client.connect((LAN[4], 22))

        heard = Capture(lab.receivers[0], "eth0")
        started = time.monotonic()
        second = lab.relay([endpoint(LAN[4], 20000)], legs)
        del sender.sent[:]
        sender.send(1)
        wait_forwarded(second, 1)
        took = time.monotonic() - started
        assert took < 2, f"traffic resumes {took:.2f} s after the start"
        if driver == "af_xdp":
            assert lab.node.ip("link", "show").count("prog/xdp") == 2, "one program an interface"
        sender.send(99)
        wait_forwarded(second, 100)
        assert heard.payloads(6000) == sender.sent
        assert ping(lab.source, LAN[4]) == 0
        assert second.stop(signal.SIGTERM) == 0, second.text()
        assert not xdp_programs(lab.node)


def test_killed_with_a_twin():
    """kill -9: the TAP netdevs go with the process, and the next one makes them again."""
    with Relay(1, "af_packet") as lab:
        ports = lab.ports() + "  - { name: vf, driver: tap, interface: far0, twin: near0 }\n"
        config = lab.config([("video", 96, "H264/90000", [endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])], ports=ports)
        for _ in range(2):
            penstock = lab.start_penstock(lab.node, config)
            assert {"far0", "near0"} <= netdevs(lab.node)
            penstock.stop(signal.SIGKILL)
            wait_for(lambda: not {"far0", "near0"} & netdevs(lab.node), "the TAP netdevs to be gone")


def netdevs(node):
    return set(re.findall(r"^\d+: (\w+)", node.ip("link", "show"), re.MULTILINE))


def penstock_says(*arguments, environment=None):
    if not PENSTOCK.exists():
        raise Skip(f"{PENSTOCK} is not built")
    done = subprocess.run([PENSTOCK, *map(str, arguments)], capture_output=True, text=True, timeout=10,
                          env=os.environ | (environment or {}))
    return done.returncode, done.stdout, done.stderr


def test_wrong_configuration():
    """Exit 2 and every mistake at once, each as FILE:LINE:COLUMN."""
    with Lab() as lab:
        bad = lab.file("bad.yaml", "\n".join([
            "node: edge",
            "workers: { idle: nap }",
            "ports:",
            "  - { name: lan, driver: af_xpd, interface: eth0 }",
            "streams:",
            "  - name: camera-1",
            "    tracks:",
            "      - media: video",
            "        payload_type: 300",
            "        encoding: H264/90000",
            "        colour: blue",
            "        sources: [{ rtp: 10.0.0.1 }]",
            "        outputs: [{ rtp: 10.0.1.20:6000, port: wlan }]", ""]))
        for command in ("check", "run"):
            code, _, errors = penstock_says(command, "-c", bad)
            assert code == 2, (command, code, errors)
            marks = re.findall(rf"^{re.escape(str(bad))}:(\d+):(\d+): \S.*$", errors, re.MULTILINE)
            lines = {int(line) for line, _ in marks}
            assert {2, 4, 9, 11, 12, 13} <= lines, f"{command}: {errors}"
            assert re.search(rf"{re.escape(str(bad))}:2:\d+: .*poll.*sleep", errors), "what is allowed is not said: " + errors
        good = lab.file("good.yaml", "ports: [{ name: a, driver: 'null' }]\n")
        assert penstock_says("check", "-c", good)[0] == 0, penstock_says("check", "-c", good)
        code, _, errors = penstock_says("check", "-c", lab.file("absent.yaml"))
        assert code == 2 and "absent.yaml" in errors, (code, errors)
        code, _, errors = penstock_says("check", "-c", lab.file("torn.yaml", "ports: [ {\n"))
        assert code == 2 and re.search(r"torn\.yaml:\d+:\d+: ", errors), (code, errors)


def test_usage():
    code, text, _ = penstock_says("version")
    assert code == 0 and re.search(r"\d+\.\d+\.\d+", text), text
    for wrong in (["fly"], [], ["run", "--fast"], ["check", "-c"]):
        code, _, errors = penstock_says(*wrong)
        assert code == 2 and "penstock" in errors, (wrong, code, errors)


def test_interface_that_is_not_there():
    """A run-time failure is exit 1 with a sentence that names it."""
    with Relay(1, "af_packet") as lab:
        config = lab.config([("video", 96, "H264/90000", [endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])],
                            ports="  - { name: lan, driver: af_packet, interface: nic7 }\n")
        penstock = lab.start_penstock(lab.node, config, ready=False)
        assert penstock.wait(10) == 1, penstock.text()
        assert "nic7" in penstock.text()


def test_shipped_configurations():
    """config/penstock.yaml and every example pass `penstock check`."""
    files = [ROOT / "config/penstock.yaml", *sorted((ROOT / "config").glob("examples/*.yaml"))]
    for file in files:
        names = re.findall(r"\$\{(\w+)\}", file.read_text())
        values = {name: "0000:3b:02.1" if "PCI" in name else "value" for name in names}
        code, out, errors = penstock_says("check", "-c", file, environment=values)
        assert code == 0, out + errors


def scheduled(process):
    """Seconds that the threads together have run, and that they have waited for a core while they wanted to run."""
    rows = run("sh", "-c", f"cat /proc/{process.pid}/task/*/schedstat").splitlines()
    return [sum(int(row.split()[column]) for row in rows) / 1e9 for column in (0, 1)]


def load(process, seconds=2.0):
    """Cores in use, and cores wanted: the same on an idle machine."""
    (ran, waited), started = scheduled(process), time.monotonic()
    time.sleep(seconds)
    (ran_then, waited_then), took = scheduled(process), time.monotonic() - started
    return (ran_then - ran) / took, (ran_then - ran + waited_then - waited) / took


def median_delay(lab, count=40):
    """From sendto() to recv() through penstock, in seconds, each after 20 ms of silence. The best of three rounds: on a
    busy machine others hold the cores for milliseconds."""
    listener = lab.receivers[0].socket(bind=(receiver_address(1), 6000))
    listener.settimeout(3)
    sender = Sender(lab.source, LAN[4], 20000)
    def once():
        time.sleep(0.02)
        started = time.perf_counter()
        sender.send(1)
        listener.recv(2000)
        return time.perf_counter() - started

    return min(statistics.median(once() for _ in range(count)) for _ in range(3))


@alone
@cases(driver=BOTH)
def test_idle_sleeps(driver):
    """idle: sleep leaves the core alone and still wakes in well under a millisecond."""
    with Relay(1, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        used, _ = load(penstock)
        assert used < 0.15, f"{used:.0%} of a core without traffic"
        median = median_delay(lab)
        assert median < 0.001, f"median {median * 1e6:.0f} us from socket to socket"
        print(f"idle: {used:.1%} of a core; median delay {median * 1e6:.0f} us")


@alone
@cases(driver=BOTH)
def test_idle_polls(driver):
    """idle: poll never sleeps."""
    with Relay(1, driver) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)], idle="poll")
        used, wanted = load(penstock)
        assert wanted > 0.95, f"{wanted:.0%} of a core: it sleeps"
