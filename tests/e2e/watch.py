"""Watching a running forwarder: a worker that stalls, a port without a link, ten thousand legs in a scrape, and scrapers that
never read."""
import contextlib
import ctypes
import os
import re
import socket
import threading
import time
from pathlib import Path

from cases import alone, cases
from judge import Capture
from lab import run, wait_for
from steady import Steady, config, leg, start, stream
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_forwarded, wait_legs

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_SEIZE, _INTERRUPT, _DETACH, _WALL = 0x4206, 0x4207, 17, 0x40000000


class Halted:
    """One thread of another process stands still, and the others run on. All within one thread of ours: ptrace wants it so."""

    def __init__(self, tid):
        self.tid = tid

    def _ptrace(self, request):
        if _libc.ptrace(request, self.tid, 0, 0):
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def __enter__(self):
        self._ptrace(_SEIZE)
        self._ptrace(_INTERRUPT)
        os.waitpid(self.tid, _WALL)
        self.since = time.monotonic()
        return self

    def __exit__(self, *_):
        self._ptrace(_DETACH)


def worker_threads(penstock):
    """Their thread ids, by worker."""
    tasks = f"/proc/{penstock.pid}/task"
    found = {}
    for tid in os.listdir(tasks):
        with open(f"{tasks}/{tid}/comm") as name:
            if number := re.search(r"worker-?(\d+)", name.read()):
                found[int(number[1]) - 1] = int(tid)
    return found


def readyz(lab, penstock):
    return lab.node.get(penstock.url + "/readyz")


@alone
@cases(idle=("sleep", "poll"))
def test_stalled_worker(idle):
    """The alarm comes within a second, by every way, while control answers; nothing but 8 tables piles up; then all clear."""
    with Relay(1, "af_packet") as lab:
        penstock = lab.start_penstock(lab.node, config(lab, stream("camera-1", 20000, leg(1))).replace("idle: sleep", f"idle: {idle}"))
        wait_legs(penstock, 1)
        assert readyz(lab, penstock) == (200, "ready\n")
        assert [row["stalled"] for row in penstock.show("worker all")["workers"]] == [False]
        with Halted(worker_threads(penstock)[0]) as halted:
            wait_for(lambda: readyz(lab, penstock)[0] == 503, "/readyz to say no")
            after = time.monotonic() - halted.since
            assert 0.3 < after < 1, f"the alarm came after {after:.2f} s"
            assert re.fullmatch(r"worker 0: has not turned for \d\.\d s\n", readyz(lab, penstock)[1])
            asked = time.monotonic()
            assert [row["stalled"] for row in penstock.show("worker all")["workers"]] == [True]
            assert penstock.metrics().sum("penstock_worker_stalled", worker="0") == 1
            for number in range(12):  # more changes than tables may be pending
                penstock.cli("add", "output", "camera-1", f"rtp://{leg(1, 7000 + 2 * number)}")
                penstock.cli("del", "output", "camera-1", f"rtp://{leg(1, 7000 + 2 * number)}")
            assert time.monotonic() - asked < 5, "control is not responsive"
            pending = lambda: penstock.metrics().sum("penstock_table_pending")
            if idle == "poll":
                wait_for(lambda: pending() == 8, "8 pending tables")
            assert pending() <= 8  # one that was halted in its sleep holds none
            assert readyz(lab, penstock)[0] == 503
            wait_for(lambda: "worker 0 on core" in penstock.text(), "the log line")
        wait_for(lambda: readyz(lab, penstock) == (200, "ready\n"), "/readyz to say yes again", 1)
        wait_for(lambda: penstock.metrics().sum("penstock_table_pending") == 0, "the tables to be freed")
        assert penstock.metrics().sum("penstock_worker_stalled") == 0
        assert [row["stalled"] for row in penstock.show("worker all")["workers"]] == [False]
        log = penstock.text()
        assert len(re.findall(r"worker 0 on core \d+ has not turned", log)) == 1, log
        assert len(re.findall(r"worker 0 turns again, after \d+\.\d s", log)) == 1, log
        Sender(lab.source, LAN[4], 20000).send(50)
        wait_forwarded(penstock, 50)


@alone
@cases(packets=(6000,))
def test_full_queue(packets):
    """What finds the queue full, since the worker has other things to do, is counted to the packet."""
    with Relay(1, "af_xdp") as lab:
        penstock = lab.start_penstock(lab.node, config(lab, stream("camera-1", 20000, leg(1))))
        wait_legs(penstock, 1)
        with Halted(worker_threads(penstock)[0]):
            Sender(lab.source, LAN[4], 20000).send(packets, size=100, per_second=100_000)
        came = lambda: penstock.metrics().sum("penstock_path_packets_total")
        missed = lambda: penstock.metrics().sum("penstock_port_rx_missed_errors_total", port="lan")
        wait_for(lambda: came() + missed() == packets, f"{packets} packets to be received or missed", 5)
        assert 0 < came() < packets, came()
        assert_ledger(penstock.metrics())


@alone
@cases(driver=("af_xdp", "af_packet"))
def test_port_down(driver):
    """/readyz names the port whose interface lost its carrier or was set down, and is ready again when it is back."""
    with Relay(1, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        assert readyz(lab, penstock)[0] == 200
        for interface, change, undo, said in (("uplink", lab.switch, "up", "interface wan0 has no carrier"), ("wan0", lab.node, "up", "interface wan0 is down")):
            change.ip("link", "set", interface, "down")
            wait_for(lambda: readyz(lab, penstock)[0] == 503, "/readyz to say no", 2)
            assert f"port 'wan': {said}" in readyz(lab, penstock)[1], readyz(lab, penstock)
            assert "port 'lan'" not in readyz(lab, penstock)[1]
            assert penstock.metrics().sum("penstock_port_up", port="wan") == 0 and penstock.metrics().sum("penstock_port_up", port="lan") == 1
            change.ip("link", "set", interface, undo)
            wait_for(lambda: readyz(lab, penstock)[0] == 200, "/readyz to say yes again", 5)


def many_legs(count, streams=1):
    """`count` legs that lead nowhere, in so many streams: entries of `streams`, for a port `nowhere`."""
    text = ""
    for number in range(streams):
        legs = range(number * count // streams, (number + 1) * count // streams)
        outputs = ", ".join(f"{{ rtp: 10.9.{1 + n // 250}.{1 + n % 250}:6000 }}" for n in legs)
        text += (f"  - name: crowd-{number}\n    tracks:\n      - media: video\n        encoding: H264/90000\n        sources: "
                 f"[{{ rtp: \"10.9.0.1:{20000 + 2 * number}\", port: nowhere }}]\n        outputs: [{outputs}]\n")
    return text


NOWHERE = "  - { name: nowhere, driver: \"null\", addresses: [10.9.0.1/16] }\n"


def with_crowd(lab, streams):
    text = config(lab, stream("camera-1", 20000, leg(1)), many_legs(10_000, streams))
    return text.replace("streams:\n", NOWHERE + "streams:\n", 1).replace("media: { ports: 20000-29999 }", "media: { ports: 20000-49999 }")


@alone
@cases(streams=(1, 1000))
def test_ten_thousand_legs(streams):
    """A scrape of 10,000 legs takes less than 100 ms, and the media that flows meanwhile loses nothing."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, with_crowd(lab, streams))
        wait_legs(penstock, 10_001, 30)
        heard = Capture(lab.receivers[0], "eth0")
        times = []
        with Steady(lab) as steady:
            while len(times) < 20 or min(times) >= 0.1 and len(times) < 100:  # the machine may be busy with other things
                started = time.monotonic()
                status, text = lab.node.get(penstock.url + "/metrics")
                times.append(time.monotonic() - started)
                assert status == 200 and text.count("penstock_leg_packets_total{") == 10_001
        print(f"{streams + 1} streams, 10,001 legs: {len(text) / 1e6:.1f} MB in {min(times) * 1000:.0f} ms at best, {sorted(times)[len(times) // 2] * 1000:.0f} ms in the middle")
        assert min(times) < 0.1, times
        wait_forwarded(penstock, len(steady.sent), stream="camera-1")
        assert heard.payloads(6000, to=receiver_address(1)) == steady.sent
        assert_ledger(penstock.metrics())


def resident(penstock):
    with open(f"/proc/{penstock.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) // 1024  # MiB


@alone
def test_scraper_that_never_reads():
    """Sixty scrapers ask and never read: memory stays bounded, operators and probes are answered, and all are let go."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, with_crowd(lab, 1))
        wait_legs(penstock, 10_001, 30)
        before = resident(penstock)
        hung = []
        for _ in range(60):
            scraper = lab.node.socket(socket.AF_INET, socket.SOCK_STREAM)
            scraper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            scraper.connect(("127.0.0.1", 9464))
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            hung.append(scraper)
        asked = time.monotonic()
        assert readyz(lab, penstock)[0] == 200
        assert leg(1) in penstock.cli("show", "stream", "camera-1")
        assert time.monotonic() - asked < 2, "control is held up"
        most = resident(penstock)
        assert most < before + 160, f"{before} MiB, then {most} MiB"  # 64 MiB of answers, and what the heap keeps
        status, said = lab.node.get(penstock.url + "/metrics")
        assert status == 503 and "try again" in said, (status, said[:200])
        # Those who read on, a little at a time, are let go like those who do not.
        ending = threading.Event()
        def sip():
            while not ending.wait(0.5):
                for scraper in hung[:5]:
                    try:
                        scraper.recv(100)
                    except OSError:
                        pass
        reader = threading.Thread(target=sip, daemon=True)
        reader.start()
        def sockets():
            found = 0
            for fd in Path(f"/proc/{penstock.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed while we look
                    found += os.readlink(fd).startswith("socket:")
            return found
        with_hung = sockets()
        assert with_hung > 60
        wait_for(lambda: sockets() <= with_hung - 60, "all of them to be let go", 15)
        ending.set()
        reader.join()
        status, text = lab.node.get(penstock.url + "/metrics")
        assert status == 200 and text.count("penstock_leg_packets_total{") == 10_001
