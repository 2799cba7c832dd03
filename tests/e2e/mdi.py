"""The media delivery index of RFC 4445, beside what a capture of the same packets says."""
import time

from judge import Capture
from lab import wait_for
from relay import LAN, Relay, Sender, endpoint, receiver_address, rtp_packet, wait_legs

PER_SECOND, SIZE = 500, 7 * 188


def send(sender, bursts, of, lost=()):
    """So many packets at once, at even times; those of `lost` have a number and are not sent."""
    began = time.monotonic()
    for burst in range(bursts):
        for number in range(burst * of, (burst + 1) * of):
            packet = rtp_packet(sender.sequence, bytes(SIZE), 33, timestamp=number * 90000 // PER_SECOND)
            sender.sequence += 1
            if number not in lost:
                sender.socket.sendto(packet, sender.destination)
        time.sleep(max(0, began + (burst + 1) * of / PER_SECOND - time.monotonic()))


def delay_factors(times, size, rate):
    """By the second, in seconds: how deep a buffer gets that is drained at `rate`, the definition of RFC 4445."""
    found = []
    for second in range(int(times[-1] - times[0])):
        begin = times[0] + second
        received, depths = 0, []
        for at in (t for t in times if begin <= t < begin + 1):
            depths.append(received - (at - begin) * rate)
            received += size
            depths.append(received - (at - begin) * rate)
        found.append((max(depths) - min(depths)) / rate)
    return found


def test_delay_factor_and_loss_rate():
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, lab.config([("video", 33, "MP2T/90000", [endpoint(LAN[4], 20000)],
                                                             [endpoint(receiver_address(1), 6000)])]))
        wait_legs(penstock, 1)
        sender = Sender(lab.source, LAN[4], 20000, payload_type=33)
        index = lambda: penstock.show("stream camera-1")["mdi"][0]
        send(sender, 4 * PER_SECOND // 2, 2)
        even = index()
        assert even["loss_rate"] == 0 and abs(even["bit_rate"] / (8 * (SIZE + 12) * PER_SECOND) - 1) < 0.1, even
        # Fifty at once each tenth of a second, and of each second's five hundred the tenth, twentieth and thirtieth is lost.
        wire = Capture(lab.source, "eth0", "udp port 20000")
        send(sender, 5 * PER_SECOND // 50, 50, {second * PER_SECOND + n for second in range(5) for n in (110, 220, 330)})
        bursty = index()
        times = [float(row[0]) for row in wire.fields("udp.dstport == 20000", "frame.time_epoch")]
        expected = sorted(delay_factors(times, SIZE + 12, (SIZE + 12) * PER_SECOND))
        assert 0.8 * expected[0] <= bursty["delay_factor_ms"] / 1000 <= 1.25 * expected[-1], f"{bursty}, by the capture {expected}"
        assert bursty["delay_factor_ms"] > 5 * even["delay_factor_ms"] or even["delay_factor_ms"] > 20, (even, bursty)
        assert 2 <= bursty["loss_rate"] <= 4, bursty  # three, but for where its second begins and ends
        metrics = penstock.metrics()
        assert metrics.sum("penstock_path_mdi_loss_rate") == bursty["loss_rate"]
        assert abs(metrics.sum("penstock_path_mdi_delay_factor_seconds") * 1000 - bursty["delay_factor_ms"]) < 0.01
