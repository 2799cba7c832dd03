"""penstock killed (-9) and started again at either end of two lossy networks: FEC and live-live go on with it."""
import signal
import threading

from cases import cases
from judge import Capture
from lab import wait_for
from live_live import TwoNetworks
from relay import Sender, assert_ledger, leg_packets, wait_legs

PER_SECOND = 1500


@cases(end=("head", "tail"))
def test_killed_under_way(end):
    with TwoNetworks() as lab:
        tail_config = lab.config("tail", [("a", "a1"), ("b", "b1"), ("out", "out0")], """\
        sources:
          - { rtp: 10.3.0.2:20000, port: a, fec: { scheme: flexfec } }
          - { rtp: 10.4.0.2:20000, port: b, fec: { scheme: flexfec } }
        outputs: [{ rtp: 10.2.0.2:6000 }]
""")
        head_config = lab.config("head", [("in", "in0"), ("a", "a0"), ("b", "b0")], """\
        sources: [{ rtp: 10.1.0.1:20000 }]
        outputs:
          - live_live:
              - { rtp: 10.3.0.2:20000, port: a, fec: { scheme: flexfec } }
              - { rtp: 10.4.0.2:20000, port: b, fec: { scheme: flexfec } }
""")
        start = {"tail": lambda: lab.start_penstock(lab.tail, tail_config), "head": lambda: lab.start_penstock(lab.head, head_config)}
        legs = {"tail": 1, "head": 2}
        running = {}
        for name in ("tail", "head"):
            running[name] = start[name]()
            wait_legs(running[name], legs[name])
        lab.lose("a", 1)
        lab.lose("b", 2)
        heard = Capture(lab.receiver, "eth0", "udp port 6000", bytes_each=2048)
        sender = Sender(lab.source, "10.1.0.1", 20000, first=65000)
        over = threading.Event()

        def load():
            while not over.is_set():
                sender.send(50, 400, PER_SECOND)
        thread = threading.Thread(target=load)
        thread.start()
        try:
            wait_for(lambda: len(sender.sent) > PER_SECOND, "the load")
            killed = len(sender.sent)
            running[end].stop(signal.SIGKILL)
            running[end] = start[end]()
            wait_legs(running[end], legs[end])
            # What is lost before the first packet that arrives, or of the matrix that began meanwhile, nobody mends.
            back = len(sender.sent) + 300
            wait_for(lambda: len(sender.sent) > back + 3 * PER_SECOND, "the load to go on")
        finally:
            over.set()
            thread.join()
        sender.send(300, 400, PER_SECOND)  # so that what is missing at the end is made good, too
        wait_for(lambda: leg_packets(running["tail"]) >= len(sender.sent) - back - 200, "the last packet")
        got = heard.payloads(6000)
        for name, judged in (("before", sender.sent[:killed - 200]), ("after", sender.sent[back:-250])):
            missing = set(judged) - set(got)
            assert not missing, f"{len(missing)} of {len(judged)} packets {name} it was killed are missing"
        assert len(got) == len(set(got)), "a packet was sent twice"
        metrics = running["tail"].metrics()
        assert metrics.sum("penstock_track_recovered_packets_total", by="path") > 50
        rows = running["tail"].show("stream camera-1 repair")
        assert all(row["refused"] == 0 for row in rows["received"] if row["by"] == "fec"), rows
        assert all(path["apart"] == path["late"] == 0 for path in rows["paths"]), rows
        for penstock in running.values():
            assert_ledger(penstock.metrics())
