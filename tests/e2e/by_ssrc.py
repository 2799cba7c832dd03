"""RFC 7198: originals and duplicates at one address, told by their SSRCs alone, and penstock's own duplicates."""
import json
import sys
from pathlib import Path

from cases import cases
from judge import Capture
from lab import wait_for
from live_live import TwoNetworks
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_legs

PROGRAM = Path(__file__).resolve().parent.parent / "support" / "gst_twice.py"


@cases(told=("other", "1010"))
def test_gstreamer_sends_twice(told):
    """Each of two SSRCs of a GStreamer session loses an eighth of its packets, not the same ones: all of them leave, once, under one
    SSRC; and GStreamer's session hears how each of the two was received."""
    with Relay(1) as lab:
        at = endpoint(LAN[4], 20000)
        penstock = lab.relay([at, f"{{ rtp: \"{at}\", ssrc: {told} }}"], [endpoint(receiver_address(1), 6000)])
        heard = Capture(lab.receivers[0], "eth0", "udp")
        lab.source.run("nft", "-f", "-", input="""
            table netdev loss {
                chain out {
                    type filter hook egress device eth0 priority 0;
                    udp dport 20000 @th,128,32 1000 @th,80,16 & 7 == 3 counter drop;
                    udp dport 20000 @th,128,32 1010 @th,80,16 & 7 == 6 counter drop;
                }
            }""")
        sender = lab.source.start(sys.executable, PROGRAM, LAN[4], "20000", "10")
        wait_for(lambda: not sender.running(), "GStreamer to end", 60)
        lost = lab.source.run("nft", "list", "table", "netdev", "loss")
        metrics = penstock.metrics()
        counts = {path: {what: metrics.sum(f"penstock_path_{what}_packets_total", path=path)
                         for what in ("first", "second", "late", "apart", "lost")} for path in ("1", "2")}
        said = f"{counts}\n{lost}\n{sender.text()[-3000:]}"
        first, second = counts["1"], counts["2"]
        assert first["first"] > 200 and first["lost"] > 20 and second["lost"] > 20, said
        assert second["first"] > 20 and second["second"] > 5 * second["first"], said
        assert first["apart"] + second["apart"] + first["late"] + second["late"] == 0, said
        shown = penstock.show("stream camera-1")["paths"]
        assert [path["ssrc"] for path in shown] == [1000, 1010] and all(path["ssrc_changes"] == 0 for path in shown), shown
        rows = heard.fields("rtp", "rtp.seq", "rtp.ssrc", options=("-d", "udp.port==6000,rtp"))
        numbers = [int(sequence) for sequence, _ in rows]
        assert {int(ssrc, 16) for _, ssrc in rows} == {1000} and len(numbers) == len(set(numbers)), "some came twice"
        missing = set(range(min(numbers), max(numbers) - 100)) - set(numbers)  # the last ones have no duplicate yet
        assert len(numbers) > 250 and not missing, f"{len(numbers)} came, {sorted(missing)[:20]} are missing; {said}"
        reported = {source["rb-ssrc"] for source in json.loads(sender.text().splitlines()[-1]) if source.get("have-rb")}
        assert reported == {1000, 1010}, said
        reports = heard.fields("rtcp.pt == 200", "rtcp.senderssrc", options=("-d", "udp.port==6001,rtcp"))
        assert {int(row[0], 16) for row in reports} == {1000}, reports  # of both, under the one that leaves
        assert_ledger(metrics)


def test_penstock_to_penstock():
    """Duplicates 50 ms later, over one network with outages of 20 ms: nothing is lost, and both paths are seen."""
    with TwoNetworks() as lab:
        tail = lab.start_penstock(lab.tail, lab.config("tail", [("a", "a1"), ("out", "out0")], """\
        sources: [{ rtp: 10.3.0.2:20000 }, { rtp: 10.3.0.2:20000, ssrc: other }]
        outputs: [{ rtp: 10.2.0.2:6000 }]
"""))
        head = lab.start_penstock(lab.head, lab.config("head", [("in", "in0"), ("a", "a0")], """\
        sources: [{ rtp: 10.1.0.1:20000 }]
        outputs: [{ rtp: 10.3.0.2:20000, duplicate_after: 50ms }]
"""))
        wait_legs(tail, 1)
        wait_legs(head, 1)
        wire = Capture(lab.networks["a"], "tail", "udp port 20001")
        sender = Sender(lab.source, "10.1.0.1", 20000, first=65000, ssrc=0x12345678)
        reports = lab.source.socket(bind=("0.0.0.0", 0))
        report = bytes([0x80, 200, 0, 6]) + bytes.fromhex("12345678") + bytes(8) + bytes.fromhex("00000bb8 00000064 00004e20") \
            + bytes([0x81, 202, 0, 3]) + bytes.fromhex("12345678 01036140 62000000")
        sender.send(300, 400, 1000)  # who is who shows itself before there is loss
        lab._rules("a", "udp dport 20000 numgen inc mod 500 < 40 counter drop;")
        sender.send(4000, 400, 1000)
        lab.restore("a")
        sender.send(700, 400, 1000)  # so that it shows what became of all of them
        wait_for(lambda: head.metrics().sum("penstock_leg_repeated_packets_total") == 5000, "the last copy")
        reports.sendto(report, ("10.1.0.1", 20001))
        wait_for(lambda: tail.metrics().sum("penstock_leg_packets_total") >= 5000, "the last packet")
        metrics = tail.metrics()
        assert metrics.sum("penstock_leg_packets_total") == 5000
        assert metrics.sum("penstock_track_unrecovered_packets_total") == 0
        lost = [metrics.sum("penstock_path_lost_packets_total", path=path) for path in ("1", "2")]
        assert min(lost) > 100 and abs(sum(lost) - 8000 * 0.08) < 100, f"lost by path {lost}"
        assert metrics.sum("penstock_track_recovered_packets_total", by="path") >= sum(lost) - 10
        shown = tail.show("stream camera-1")["paths"]
        assert [path["ssrc"] for path in shown] == [0x12345678, 0xffffffff ^ 0x12345678], shown
        repair = tail.show("stream camera-1 repair")["paths"]
        assert repair[0]["first_share"] > 0.9 and 40 < repair[1]["behind_ms"] < 200, repair
        # tshark: a report of each, under one CNAME, the second with what was sent once more.
        wait_for(lambda: head.metrics().sum("penstock_leg_rtcp_packets_total") == 2, "both reports")
        rows = wire.fields("rtcp.pt == 200", "rtcp.senderssrc", "rtcp.sender.packetcount", "rtcp.sdes.text",
                           options=("-d", "udp.port==20001,rtcp"))
        assert sorted((int(row[0], 16), int(row[1]), row[2]) for row in rows) == [
            (0x12345678, 100, "a@b"), (0xffffffff ^ 0x12345678, 5000, "a@b")], rows
        assert_ledger(metrics)
        assert_ledger(head.metrics())
