"""A way that reorders: with `delay` packets leave in order, without as they come. What is lost for good, or comes too late, is
passed over. The judge is tshark, at the receiver."""
import heapq
import random
import signal
import threading
import time

from cases import cases
from judge import Capture
from relay import WAN, Relay, Sender, assert_ledger, receiver_address, wait_forwarded, wait_legs

PACKETS = 1200
FROM = 50                     # the way begins to reorder: what is overtaken by the very first packet is late
LOST = {200, 201, 700}        # never arrive
SLOW = {400, 900}             # arrive when nobody waits any more


class MiddleBox:
    """Sends on what it gets, each datagram later by up to 15 ms: at 2000 packets a second most are overtaken."""

    def __init__(self, namespace, port, destination, first):
        self.inside, self.outside = namespace.socket(bind=("0.0.0.0", port)), namespace.socket(bind=("0.0.0.0", 7000))
        self.inside.settimeout(0.001)
        self.destination, self.first, self.random = destination, first, random.Random(5)
        self.sent, self.over = [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        waiting, ended = [], False
        while not ended or waiting:
            try:
                datagram = self.inside.recv(2048)
                number = (int.from_bytes(datagram[2:4], "big") - self.first) & 0xffff
                late = 0.5 if number in SLOW else self.random.uniform(0, 0.015) if number >= FROM else 0
                if number not in LOST:
                    heapq.heappush(waiting, (time.monotonic() + late, number, datagram))
            except TimeoutError:
                ended = self.over  # and nothing is left to be read
            while waiting and waiting[0][0] <= time.monotonic():
                _, number, datagram = heapq.heappop(waiting)
                self.outside.sendto(datagram, self.destination)
                self.sent.append(number)

    def close(self):
        self.over = True
        self.thread.join()


@cases(delay=(True, False))
def test_reordering_way(delay):
    with Relay(2) as lab:
        to, first = receiver_address(2), 65000
        config = lab.config([("video", 96, "H264/90000", [f"{WAN[4]}:20000"], [f"{to}:6000"])])
        penstock = lab.start_penstock(lab.node, config.rstrip() + ("\n        delay: 100ms\n" if delay else "\n"))
        wait_legs(penstock, 1)
        wire = Capture(lab.receivers[1], "eth0", "udp port 6000")
        middle = MiddleBox(lab.receivers[0], 5000, (WAN[4], 20000), first)
        try:
            Sender(lab.receivers[0], "127.0.0.1", 5000, first=first).send(PACKETS)
        finally:
            middle.close()
        assert middle.sent != sorted(middle.sent), "the way did not reorder"
        came = PACKETS - len(LOST)
        left = came - len(SLOW) if delay else came
        wait_forwarded(penstock, left)
        metrics = penstock.metrics()
        rows = wire.fields("rtp", "rtp.seq", options=("-d", "udp.port==6000,rtp"))
        numbers = [(int(row[0]) - first) & 0xffff for row in rows]
        assert len(numbers) == len(set(numbers)) == left, f"{len(numbers)} arrived, {left} should have"
        if delay:
            assert numbers == sorted(numbers), "packets left in disorder"
            assert set(range(PACKETS)) - set(numbers) == LOST | SLOW
            assert metrics.sum("penstock_drops_total", reason="delay_late") == len(SLOW)
            shown = penstock.show("stream camera-1 repair")["delayed"][0]
            assert shown["late"] == len(SLOW) and shown["passed_over"] == len(LOST | SLOW) and shown["held"] == 0, shown
            assert shown["reordered"] > PACKETS / 4 and shown["delay_ms"] == 100, shown
        else:
            assert numbers != sorted(numbers), "packets left in order by themselves"
            assert set(range(PACKETS)) - set(numbers) == LOST
            assert not penstock.show("stream camera-1 repair")["delayed"]
        packets, bad = wire.bad_checksums()
        assert packets and not bad, f"{len(bad)} of {packets} checksums are wrong: {bad[:3]}"
        assert_ledger(metrics)
        if not delay:
            return
        penstock.config.write_text(penstock.config.read_text().replace("delay: 100ms", "delay: 50ms"))
        assert "delay changed to 50 ms" in penstock.cli("reload")
        assert penstock.show("stream camera-1 repair")["delayed"][0]["delay_ms"] == 50
        penstock.config.write_text(penstock.config.read_text().replace("delay: 50ms", "delay: 1s"))
        code, _, errors = penstock.cli_exit("reload")
        line = penstock.config.read_text().split("delay: ")[0].count("\n") + 1
        assert code != 0 and f":{line}:16: " in errors and "a time from 1ms to 1000ms" in errors, errors


@cases(paths=(1, 2))
def test_encoder_that_begins_below(paths):
    """GStreamer, killed and started again under the same SSRC, its numbers a thousand below where they were: of what the second one
    sends the first packet may be a stray, and nothing else is missing."""
    with Relay(2) as lab:
        ports = [20000, 20100][:paths]
        config = lab.config([("video", 96, "H264/90000", [f"{WAN[4]}:{port}" for port in ports], [f"{receiver_address(2)}:6000"])])
        penstock = lab.start_penstock(lab.node, config.rstrip() + "\n        delay: 100ms\n")
        wait_legs(penstock, 1)
        came, left = (Capture(lab.receivers[number], "eth0", f"udp port {port}") for number, port in ((0, 20000), (1, 6000)))
        clients = ",".join(f"{WAN[4]}:{port}" for port in ports)

        def encode(first, packets):
            encoder = lab.receivers[0].start(
                "gst-launch-1.0", "-q", "videotestsrc", "is-live=true", "!", "x264enc", "tune=zerolatency", "bitrate=4000", "!", "rtph264pay", "pt=96",
                "ssrc=7", f"seqnum-offset={first}", "!", "multiudpsink", f"clients={clients}", log=lab.file(f"encoder-{first}.log"))
            already = penstock.metrics().sum("penstock_leg_packets_total")
            wait_forwarded(penstock, already + packets, 20)
            encoder.stop(signal.SIGKILL)
        encode(30000, 400)
        encode(29000, 400)
        numbers = [[(int(row[0]), row[1]) for row in capture.fields("rtp", "rtp.seq", "rtp.timestamp", options=("-d", f"udp.port=={port},rtp"))]
                   for capture, port in ((came, 20000), (left, 6000))]
        begun = next(place for place, (number, _) in enumerate(numbers[0]) if number < 30000)
        missing = [packet for packet in numbers[0] if packet not in set(numbers[1])]
        assert len(numbers[1]) == len(set(numbers[1])) and [p for p in numbers[0] if p not in missing] == numbers[1], "twice, or in disorder"
        assert missing in ([], numbers[0][begun:begun + 1]), missing[:10]
