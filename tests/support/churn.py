"""A forwarder that is changed without a pause while media that no change concerns flows on: for tools/soak and its short
form in the end-to-end tests.

Judged: every packet of the untouched streams arrives, once; the ledger balances in every scrape; memory and descriptors do
not grow once the forwarder has seen each kind of change.
"""
import os
import random
import re
import socket
import struct
import threading
import time

from lab import wait_for
from relay import LAN, Relay, assert_ledger, endpoint, receiver_address, rtp_packet
from steady import leg, start, stream

UNTOUCHED = {20000: 6000, 20010: 6010}  # source port: receiver's port
CHURNED = range(21000, 21040, 4)  # source ports of the streams that come and go
RECEIVERS = range(7000, 7040, 2)
GROWTH = 8 << 20  # bytes of resident memory that are no leak: the heap's own give and take


class Talker(threading.Thread):
    """Sends numbered packets at a steady rate, to each port in turn."""

    def __init__(self, lab, ports, per_second):
        super().__init__(daemon=True)
        self.socket = lab.source.socket(bind=("0.0.0.0", 0))
        self.ports, self.per_second, self.ending = list(ports), per_second, threading.Event()
        self.sent = dict.fromkeys(self.ports, 0)

    def run(self):
        started, number = time.monotonic(), 0
        while not self.ending.is_set():
            for _ in range(10):
                port = self.ports[number % len(self.ports)]
                self.socket.sendto(rtp_packet(self.sent[port], struct.pack("!I", self.sent[port]) + bytes(200)), (LAN[4], port))
                self.sent[port] += 1
                number += 1
            # A sender that was held up does not make up for it: no burst, no loss that the forwarder is blamed for.
            ahead = started + number / self.per_second - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            else:
                started -= ahead

    def stop(self):
        self.ending.set()
        self.join()


class Listener(threading.Thread):
    """Notes which numbers came."""

    def __init__(self, lab, port):
        super().__init__(daemon=True)
        self.socket = lab.receivers[0].socket(bind=(receiver_address(1), port))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.socket.settimeout(0.2)
        self.seen, self.twice, self.ending = bytearray(), 0, threading.Event()

    def run(self):
        while not self.ending.is_set():
            try:
                number, = struct.unpack_from("!I", self.socket.recv(2000), 12)
            except TimeoutError:
                continue
            if number >= len(self.seen):
                self.seen.extend(bytes(number + 1 - len(self.seen)))
            self.twice += self.seen[number]
            self.seen[number] = 1

    def count(self):
        return sum(self.seen)


class Operator:
    """One connection to the control socket."""

    def __init__(self, lab, penstock):
        self.socket = socket.socket(socket.AF_UNIX)
        lab.on_close(self.socket.close)
        self.socket.settimeout(5)
        self.socket.connect(str(penstock.socket))
        self.file = self.socket.makefile("rb")

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        word, size = self.file.readline().split()
        return word == b"ok", self.file.read(int(size)).decode()


class Churn:
    def __init__(self, lab, penstock, seed):
        self.lab, self.penstock, self.random = lab, penstock, random.Random(seed)
        self.operator, self.done = Operator(lab, penstock), {}
        self.kinds = [self.add_stream] * 3 + [self.del_stream] * 2 + [self.add_output] * 5 + [self.del_output] * 3 + [self.show] * 3 + [
            self.reload, self.scrape, self.wrong, self.come_and_go]

    def step(self):
        kind = self.random.choice(self.kinds)
        kind()
        self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1

    def name(self):
        return f"churn-{self.random.choice(CHURNED)}"

    def output(self):
        return f"rtp://{endpoint(receiver_address(2), self.random.choice(RECEIVERS))}?ttl={self.random.randint(1, 200)}"

    def add_stream(self):
        name = self.name()
        self.operator.ask(f"text add stream {name} {{tracks: [{{media: video, payload_type: 96, encoding: H264/90000, sources: "
                          f"[{{rtp: \"{endpoint(LAN[4], int(name[6:]))}\"}}], outputs: [{{rtp: \"{leg(2, 7100)}\"}}]}}]}}")

    def del_stream(self):
        self.operator.ask(f"text del stream {self.name()}")

    def add_output(self):
        self.operator.ask(f"text add output {self.name()} {self.output()}")

    def del_output(self):
        self.operator.ask(f"text del output {self.name()} {self.output().split('?')[0]}")

    def show(self):
        what = self.random.choice(("show stream all", "show drops", "show worker all", "show config", "show port xstats all", "help"))
        done, text = self.operator.ask(f"text {what}")
        assert done, text

    def reload(self):  # all that was added by hand goes
        done, text = self.operator.ask("text reload")
        assert done, text

    def wrong(self):
        done, text = self.operator.ask(self.random.choice(("text fly", "json add stream x {tracks: [", "text add output moon rtp://1.2.3.4:5", "?")))
        assert not done, text

    def come_and_go(self):
        self.operator.socket.sendall(b"json show port xstats all\ntext show")  # and does not wait for the answer
        self.operator.file.close()
        self.operator.socket.close()
        self.operator = Operator(self.lab, self.penstock)

    def scrape(self):
        assert_ledger(self.penstock.metrics())


def resident(penstock):
    return int(re.search(r"VmRSS:\s+(\d+) kB", open(f"/proc/{penstock.pid}/status").read())[1]) << 10


def descriptors(penstock):
    return len(os.listdir(f"/proc/{penstock.pid}/fd"))


def soak(seconds, per_second=100, seed=1, say=print, every=10):
    """Raises AssertionError when anything is not as it should be."""
    with Relay(2) as lab:
        penstock = start(lab, *(stream(f"untouched-{port}", port, leg(1, to)) for port, to in UNTOUCHED.items()))
        listeners = {port: Listener(lab, to) for port, to in UNTOUCHED.items()}
        steady, churned = Talker(lab, UNTOUCHED, 400), Talker(lab, CHURNED, 400)
        churn = Churn(lab, penstock, seed)
        for thread in (*listeners.values(), steady, churned):
            thread.start()
        say(f"soak: {seconds:.0f} s, {per_second} changes a second, seed {seed}")
        started = reported = time.monotonic()
        changes, memory, files, warm = 0, [], [], None
        while (now := time.monotonic()) < started + seconds:
            churn.step()
            changes += 1
            if changes % 100 == 0:
                memory.append(resident(penstock))
                files.append(descriptors(penstock))
                if warm is None and now > started + seconds / 3:
                    warm = len(memory)
            if now - reported >= every:
                reported = now
                lost = {port: steady.sent[port] - listener.count() for port, listener in listeners.items()}
                say(f"{now - started:6.0f} s: {changes} changes ({changes / (now - started):.0f}/s), {sum(steady.sent.values())} packets, "
                    f"under way or lost {sum(lost.values())}, {memory[-1] >> 20 if memory else 0} MiB, {files[-1] if files else 0} descriptors")
            ahead = started + changes / per_second - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        took = time.monotonic() - started
        for talker in (steady, churned):
            talker.stop()
        for port, listener in listeners.items():
            wait_for(lambda: listener.count() >= steady.sent[port],
                     f"all {steady.sent[port]} packets of port {port}; drops {penstock.metrics().drops()}", 5)
            assert listener.twice == 0, f"{listener.twice} packets came twice"
        assert_ledger(penstock.metrics())
        assert warm and len(memory) > warm, f"too few changes to judge: {changes} in {took:.0f} s"
        growth = max(memory[warm:]) - max(memory[:warm])
        assert growth <= GROWTH, f"resident memory grew by {growth >> 10} KiB: {[size >> 20 for size in memory]} MiB"
        assert max(files[warm:]) <= max(files[:warm]) + 2, f"descriptors grow: {files}"
        say(f"verdict: ok. {changes} changes in {took:.0f} s ({changes / took:.0f}/s), {sum(steady.sent.values())} packets of untouched "
            f"streams, none lost, memory {growth >> 10:+d} KiB after warm-up, {files[-1]} descriptors")
        say("         " + ", ".join(f"{count} {kind}" for kind, count in sorted(churn.done.items())))
        assert changes / took > per_second / 2, f"{changes / took:.0f} changes a second were reached of {per_second}"
        errors = [line for line in penstock.text().splitlines() if " error " in line and "XDP" in line or "does not balance" in line]
        assert not errors, errors[:5]
        return changes
