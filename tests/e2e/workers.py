"""Several workers: rx queues dealt out among them, tracks owned by one, and tx queues that not everyone has."""
import os

from cases import cases
from judge import Capture
from lab import Skip, run
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_forwarded, wait_legs

TRACKS = 8


class TwoQueues(Relay):
    """The usual laboratory, with two receive queues on each of the node's interfaces."""

    def veth(self, a, a_name, b, b_name):
        if os.cpu_count() < 2:
            raise Skip("two workers want two cores")
        two = ["numrxqueues", "2", "numtxqueues", "2"]
        run("ip", "link", "add", a_name, "netns", a.name, *two, "type", "veth", "peer", "name", b_name, "netns", b.name, *two)
        a.ip("link", "set", a_name, "up")
        b.ip("link", "set", b_name, "up")


def send_tracks(lab, queues, more=""):
    """Eight sources of different ports, so that the kernel's hash spreads them over the queues; two legs each."""
    receiver = receiver_address(1)
    config = lab.config([("application", 96, "X/90000", [f"{{ rtp: \"{endpoint(LAN[4], 20000 + 2 * n)}\"{more} }}"],
                          [endpoint(receiver, 6000 + 2 * n), endpoint(receiver, 7000 + 2 * n)]) for n in range(TRACKS)],
                        ports=lab.ports(queues=queues))
    penstock = lab.start_penstock(lab.node, config.replace("workers: {", "workers: { cores: [0, 1],"))
    wait_legs(penstock, 2 * TRACKS)
    heard = Capture(lab.receivers[0], "eth0")
    senders = [Sender(lab.source, LAN[4], 20000 + 2 * n, ssrc=0x100 + n) for n in range(TRACKS)]
    for _ in range(20):
        for sender in senders:
            sender.send(10, per_second=4000)
    wait_forwarded(penstock, 2 * TRACKS * 200)
    for n, sender in enumerate(senders):
        assert heard.payloads(6000 + 2 * n) == sender.sent, f"track {n}: not the same packets in the same order"
        assert heard.payloads(7000 + 2 * n) == sender.sent
    metrics = penstock.metrics()
    assert_ledger(metrics)
    return metrics


def reports(metrics):
    """To sources, which are sent beside the copies."""
    return metrics.sum("penstock_path_reports_total")


@cases(driver=("af_xdp", "af_packet"))
def test_two_queues(driver):
    """Both workers receive; what belongs to a track of the other is handed over, in order, and nothing is lost."""
    with TwoQueues(1, driver) as lab:
        metrics = send_tracks(lab, queues=2)
        for worker in ("0", "1"):
            assert metrics.sum("penstock_worker_forwarded_packets_total", worker=worker), f"worker {worker} owns no track"
        handed_over = {"as": "handed_over"}
        assert metrics.sum("penstock_worker_consumed_packets_total", **handed_over), "nothing was handed over"


@cases(driver=("af_xdp", "af_packet"))
def test_many_legs_on_two_workers(driver):
    """A source with very many legs: each worker makes some of the copies, and every receiver gets every packet once, in order."""
    if os.cpu_count() < 2:
        raise Skip("two workers want two cores")
    legs, packets = 100, 40
    with Relay(1, driver) as lab:
        receiver = receiver_address(1)
        config = lab.config([("application", 96, "X/90000", [endpoint(LAN[4], 20000)],
                              [endpoint(receiver, 6000 + 2 * n) for n in range(legs)])], ports=lab.ports())
        penstock = lab.start_penstock(lab.node, config.replace("workers: {", "workers: { cores: [0, 1],"))
        wait_legs(penstock, legs)
        heard = Capture(lab.receivers[0], "eth0")
        sender = Sender(lab.source, LAN[4], 20000)
        sender.send(packets, per_second=100)
        wait_forwarded(penstock, legs * packets)
        for n in range(legs):
            assert heard.payloads(6000 + 2 * n) == sender.sent, f"leg {n}: not the same packets in the same order"
        metrics = penstock.metrics()
        assert_ledger(metrics)
        placement = penstock.show("worker all")["placement"]
        assert sorted(row["legs"] for row in placement) == [50, 50], placement
        for worker in ("0", "1"):
            assert 0 <= metrics.sum("penstock_worker_sent_packets_total", worker=worker) - legs // 2 * packets <= reports(metrics)
        departure = penstock.show("stream camera-1 path")["departure"]
        assert {row["worker"] for row in departure} == {0, 1}, departure


@cases(driver=("af_xdp", "af_packet"))
def test_one_queue_for_two_workers(driver):
    """lan is polled by worker 0 and wan by worker 1, but copies for wan come from worker 0: through a ring."""
    if os.cpu_count() < 2:
        raise Skip("two workers want two cores")
    with Relay(1, driver) as lab:
        metrics = send_tracks(lab, queues=1, more=", port: lan")
        assert metrics.sum("penstock_worker_sent_packets_total", worker="0") == 2 * TRACKS * 200 + reports(metrics)
