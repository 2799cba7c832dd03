"""Live-live: one track by two paths. A packet is lost only when both paths lost it, and none is sent twice."""
from judge import Capture
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, rtp_packet, wait_forwarded


def test_two_paths():
    """Each path loses every tenth packet, not the same ones; the second lags by five."""
    with Relay(1) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000), endpoint(LAN[4], 20100)], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0")
        a, b = Sender(lab.source, LAN[4], 20000), Sender(lab.source, LAN[4], 20100)
        packets = [rtp_packet(65400 + n, n.to_bytes(4, "big") * 40) for n in range(500)]  # the sequence wraps on the way
        for n in range(len(packets) + 5):
            if n < len(packets) and n % 10 != 3:
                a.socket.sendto(packets[n], a.destination)
            if n >= 5 and n % 10 != 7:
                b.socket.sendto(packets[n - 5], b.destination)
        lost = {n for n in range(len(packets)) if n % 10 == 3 and (n + 5) % 10 == 7}
        wait_forwarded(penstock, len(packets) - len(lost))
        sent = [packet.hex() for n, packet in enumerate(packets) if n not in lost]
        assert sorted(heard.payloads(6000)) == sorted(sent), "the union of both paths is not what arrived"
        metrics = penstock.metrics()
        duplicate = {"as": "duplicate"}
        assert metrics.sum("penstock_worker_consumed_packets_total", **duplicate) > 300
        for path in ("1", "2"):
            assert metrics.sum("penstock_path_packets_total", path=path) == 450
        assert_ledger(metrics)
