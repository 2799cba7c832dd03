"""Two networks in which everything that can happen does, at random and again and again: what leaves behind them is judged packet by
packet. The seed is printed; PENSTOCK_SEED and PENSTOCK_BAD_NETWORKS_SECONDS make it another one, and longer."""
import collections
import json
import os
import random
import threading
import time
from pathlib import Path

from cases import cases
from judge import Capture
from lab import wait_for
from live_live import TwoNetworks, figures
from relay import Sender, assert_ledger, rtp_packet, wait_legs

SECONDS = float(os.environ.get("PENSTOCK_BAD_NETWORKS_SECONDS", "8"))
PER_SECOND = 1200
BOX = Path(__file__).parents[1] / "support/bad_network.py"


class BadNetworks(TwoNetworks):
    def __init__(self, seed):
        super().__init__()
        self.files = {}
        for number, (name, network) in enumerate(self.networks.items()):
            for interface in ("head", "tail"):
                network.ip("link", "set", interface, "nomaster", "promisc", "on")
            self.files[name] = self.file(f"weather-{name}.json")
            self.change(name)
            network.start("/usr/bin/python3", "-B", BOX, self.files[name], seed + number, log=self.file(f"network-{name}.log")).wait_for_text("forwarding")

    def change(self, name, **weather):
        new = self.files[name].with_suffix(".new")
        new.write_text(json.dumps(weather))
        new.rename(self.files[name])  # never half of it


class Source(threading.Thread):
    """Packets that tell which they are, of sizes that change; now and then numbers that never were, a pause, another life."""

    def __init__(self, sender, chance, restarts):
        super().__init__()
        self.sender, self.chance, self.restarts = sender, chance, restarts
        self.began, self.until = time.monotonic(), time.monotonic() + SECONDS
        self.first, self.shift, self.lives, self.holes = sender.sequence, 0, 1, 0

    def send(self, count, size):
        sender = self.sender

        def packets():
            for _ in range(count):
                which = len(sender.sent)
                payload = which.to_bytes(8, "big") + bytes((which * 7 + i) & 255 for i in range(size - 8))
                yield rtp_packet(sender.sequence, payload, ssrc=sender.ssrc, timestamp=sender.sequence * 90 + self.shift)
        sender.play(packets(), PER_SECOND)

    def begin_anew(self):
        """Under any numbers or, as some encoders do, those that it began with before."""
        self.sender.ssrc = self.chance.randrange(1, 1 << 32)
        if time.monotonic() < self.began + 2 or self.chance.random() < 0.5:
            self.first, self.shift = self.chance.randrange(1 << 16), self.chance.randrange(1 << 32)
        self.sender.sequence, self.began = self.first, time.monotonic()
        self.lives += 1

    def run(self):
        chance = self.chance
        while time.monotonic() < self.until:
            self.send(chance.randrange(50, 900), chance.choice([30, 200, 400, 1200]))
            what = chance.random()
            if what < 0.2 and self.restarts:
                self.begin_anew()
            elif what < 0.3:
                time.sleep(chance.random() / 2)
            elif what < 0.4:
                hole = chance.randrange(2, 400)
                self.sender.sequence += hole
                self.holes += hole
        self.send(2400, 400)  # so that all before is judged: that goes by two numbers with each packet that comes


def bad_weather(chance):
    return {"delay": chance.choice([0, 0, 1, 5, 20, 60]), "reorder": chance.choice([0, 0, 1, 20, 60]), "far": chance.choice([2, 10, 50]),
            "loss": chance.choice([0, 0.5, 2, 5, 15]), "burst": chance.choice([0, 0, 1, 3]), "twice": chance.choice([0, 1, 5]),
            "back": chance.choice([0, 0, 20])}


@cases(fec=("st2022-1", "flexfec", "none"), restarts=(False, True))
def test_two_paths(fec, restarts):
    """Every packet leaves the second node once and byte for byte or, to the packet, is counted as not made good; with a delay they leave
    in order. Of a source that begins a new life under way none leaves twice, nor before those of the life before."""
    balance(fec, restarts, "ab")


@cases(fec=("st2022-1", "ulpfec, port: +4", "flexfec"))
def test_one_path(fec):
    balance(fec, False, "a")


def balance(fec, restarts, paths):
    seed = int(os.environ.get("PENSTOCK_SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"PENSTOCK_SEED={seed}")
    chance = random.Random(seed)
    align = chance.choice(["block", "staggered"])
    matrix = "" if fec.startswith("ulpfec") else f", columns: {chance.choice([5, 10])}, rows: {chance.choice([5, 10])}, align: {align}"
    sent_fec = "" if fec == "none" else f", fec: {{ scheme: {fec}{matrix} }}"
    came_fec = "" if fec == "none" else f", fec: {{ scheme: {fec} }}"
    asks = chance.random() < 0.7
    rtx = asks and chance.random() < 0.5
    nack = f", nack: {{ wait: 10ms, deadline: 150ms{', rtx: 97' if rtx else ''} }}" if asks else ""
    delay = restarts and "        delay: 200ms\n"
    answers = ", rtx: { payload_type: 97 }" if rtx else ""
    ends = [f"rtp: 10.{3 + number}.0.2:20000, port: {name}" for number, name in enumerate(paths)]
    sources = "".join(f"          - {{ {end}{came_fec}{nack} }}\n" for end in ends)
    legs = ", ".join(f"{{ {end}{sent_fec}{answers} }}" for end in ends)
    with BadNetworks(seed) as lab:
        tail = lab.start_penstock(lab.tail, lab.config("tail", [("a", "a1"), ("b", "b1"), ("out", "out0")], f"""\
        sources:
{sources}{delay or ''}        outputs: [{{ rtp: 10.2.0.2:6000 }}]
"""))
        head = lab.start_penstock(lab.head, lab.config("head", [("in", "in0"), ("a", "a0"), ("b", "b0")], f"""\
        sources: [{{ rtp: 10.1.0.1:20000 }}]
        outputs: [{f"{{ live_live: [{legs}] }}" if len(paths) == 2 else legs}]
{"        feedback: { retransmit: 1024, budget: 2000 }" if asks else ""}
"""))
        wait_legs(tail, 1)
        wait_legs(head, len(paths))
        heard = Capture(lab.receiver, "eth0", "udp port 6000", bytes_each=2048)
        sender = Sender(lab.source, "10.1.0.1", 20000, first=chance.randrange(1 << 16))
        source = Source(sender, random.Random(seed + 1), restarts)
        source.start()
        while time.monotonic() < source.until:
            source.join(chance.random())
            name = chance.choice(paths)
            # How a life begins while the only other way is down is another matter. And never for so long that more than 3,000
            # packets are missing at once: that is a source that restarted (RFC 3550 appendix A.1).
            if chance.random() < 0.2 and not restarts:
                lab.change(name, cut=True)
                source.join(chance.random())
            lab.change(name, **bad_weather(chance))
        for name in "ab":
            lab.change(name)
        source.join()
        sent = [packet[:16] + packet[24:] for packet in sender.sent]  # by all but the SSRC, which the packets' own number replaces
        place = {packet: number for number, packet in enumerate(sent)}
        assert len(place) == len(sent)
        wait_for(lambda: head.metrics().sum("penstock_path_packets_total") == len(sent), "the head")
        wait_for(lambda: tail.show("stream camera-1")["legs"][0]["packets"] >= 100 and settled(tail), "the last packet", 10)
        metrics = tail.metrics()
        print(figures(sender, head.metrics(), metrics, SECONDS))
        got = [packet[:16] + packet[24:] for packet in heard.payloads(6000)]
        strange = [packet for packet in got if packet not in place]
        assert not strange, f"{len(strange)} packets that nobody sent, {strange[0][:80]}"
        numbers = [place[packet] for packet in got]
        twice = [number for number, times in collections.Counter(numbers).items() if times > 1]
        assert not twice, f"sent twice: {twice[:10]}"
        if delay:
            back = [pair for pair in zip(numbers, numbers[1:]) if pair[1] < pair[0]]
            assert not back, f"out of order: {back[:10]}, of {source.lives} lives"
        missing = len(sent) - len(numbers)
        lost = metrics.sum("penstock_track_unrecovered_packets_total") - source.holes
        print(f"{missing} of {len(sent)} are missing; {lost:.0f} were not made good, {metrics.sum('penstock_track_late_packets_total'):.0f} came too late, {source.holes} never were")
        if not restarts:
            assert missing == lost, f"{missing} are missing, {lost} are counted"
        assert len(numbers) > 0.5 * len(sent)
        assert_ledger(metrics)
        assert_ledger(head.metrics())


def settled(node):
    """Two looks see the same: nothing is on its way any more."""
    before = node.metrics().sum("penstock_leg_packets_total")
    time.sleep(0.3)
    return node.metrics().sum("penstock_leg_packets_total") == before
