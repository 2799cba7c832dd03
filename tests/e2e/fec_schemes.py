"""FlexFEC and ULPFEC, and from one scheme to another. GStreamer speaks ULPFEC; FlexFEC of RFC 8627 no free program speaks but
penstock itself, so there it is at both ends. Loss as in fec.py."""
from pathlib import Path

from fec import GstreamerDecoder, Loss, SEED, picture_stream, send
from judge import Capture
from lab import wait_for
from live_live import TwoNetworks
from relay import Relay, Sender, WAN, assert_ledger, receiver_address, wait_legs

PLAYER = Path(__file__).resolve().parent.parent / "support" / "ulpfec_player.py"


class UlpfecPlayer(GstreamerDecoder):
    """rtpulpfecdec, into a file."""

    def __init__(self, namespace, port):
        self.file = namespace.lab.file("ulpfec.ts")
        self.namespace, self.ports = namespace, [port]
        self.process = namespace.start("/usr/bin/python3", PLAYER, port, self.file)
        wait_for(self.ready, "GStreamer to listen", 15)


def quiet(penstock, what):
    """Until it has counted nothing more for a while."""
    settled = [0, 1]
    count = lambda: penstock.metrics().sum("penstock_worker_rx_packets_total")
    wait_for(lambda: settled.append(count()) or settled[-1] == settled[-2] > 0, what, every=0.4)


def test_from_scheme_to_scheme():
    """A picture stream leaves with FlexFEC 10 x 10, loses 5 % at random, is repaired, leaves with ST 2022-1, loses again, and
    GStreamer's decoder gets it bit by bit as it was sent; so does its other one, to which it left with ULPFEC."""
    with Relay(4) as lab:
        pieces = picture_stream(lab)
        at = [receiver_address(n) for n in range(1, 5)]
        config = lab.config([
            ("video", 33, "MP2T/90000", [f"{WAN[4]}:20000"], ["{ rtp: \"%s:6000\", fec: { scheme: flexfec } }" % at[1],
                                                                     "{ rtp: \"%s:7000\", fec: { scheme: ulpfec } }" % at[3]]),
            ("application", 33, "MP2T/90000", ["{ rtp: \"%s:21000\", fec: { scheme: flexfec } }" % WAN[4]],
             ["{ rtp: \"%s:6000\", fec: { scheme: st2022-1 } }" % at[2]])])
        penstock = lab.start_penstock(lab.node, config)
        wait_legs(penstock, 3)
        back = lab.receivers[1]
        back.start("socat", "-b", "2000", "UDP4-RECV:6000,rcvbuf=4000000", f"UDP4-SENDTO:{WAN[4]}:21000")
        wait_for(lambda: ":6000" in back.run("ss", "-Hlun"), "socat to listen")
        losses = [Loss(lab, WAN[4], 21000, "random", seed=SEED), Loss(lab, at[2], 6000, "twentieth"), Loss(lab, at[3], 7000, "nineteenth")]
        players = [GstreamerDecoder(lab.receivers[2], 6000), UlpfecPlayer(lab.receivers[3], 7000)]
        send(lab, lab.receivers[0], pieces)
        quiet(penstock, "the last packet")
        # What is lost before the first packet that arrives, or in the last matrix, no decoder can repair.
        body = b"".join(pieces[5:len(pieces) - 330])
        for player in players:
            decoded = player.output(len(body))
            assert body in decoded, f"{len(decoded)} bytes of {player.file.name}, but not those that were sent"
        for loss in losses:
            seen, dropped = loss.counts()
            assert dropped >= 0.04 * seen > 40, f"only {dropped} of {seen} were lost"
        report = penstock.show("stream camera-1 repair")
        (received,) = report["received"]
        assert received["recovered"] >= 0.03 * len(pieces) and received["refused"] == 0, received
        assert received["repair_rows"] > 50 and received["repair_columns"] > 50, received
        made = {row["fec"]: row["legs"] for row in report["sent"]}
        assert made == {"flexfec 110 10x10 row+column block": 1, "st2022-1 10x10 row+column block": 1, "ulpfec 122 10 row": 1}, made
        assert_ledger(penstock.metrics())


def test_ulpfec_from_gstreamer():
    """GStreamer's ULPFEC, which takes sequence numbers of the media's, lets us mend what the switch drops; every output gets the
    media alone, numbered as if there had been nothing between."""
    with Relay(2) as lab:
        config = lab.config([("video", 96, "H264/90000", ["{ rtp: \"%s:20000\", fec: { scheme: ulpfec, payload_type: 122 } }" % WAN[4]],
                              [f"{receiver_address(2)}:6000"])])
        penstock = lab.start_penstock(lab.node, config)
        wait_legs(penstock, 1)
        source = lab.receivers[0]
        original = Capture(source, "eth0", f"dst host {WAN[4]} and udp")
        heard = Capture(lab.receivers[1], "eth0", "udp port 6000")
        loss = Loss(lab, WAN[4], 20000, "nineteenth")  # media and repair in turn
        source.start(
            "gst-launch-1.0", "-q", *"videotestsrc num-buffers=125 is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=25/1 ! "
            "x264enc tune=zerolatency speed-preset=ultrafast bitrate=3000 ! rtph264pay pt=96 mtu=1000 ! "
            "rtpulpfecenc pt=122 percentage=100 multipacket=false ! udpsink sync=false".split(), f"host={WAN[4]}", "port=20000").wait(40)
        quiet(penstock, "the last packet")
        media = [p for p in original.payloads(20000) if int(p[2:4], 16) & 0x7f == 96]
        got = sorted(heard.payloads(6000), key=lambda p: (int(p[4:8], 16) - int(media[0][4:8], 16)) & 0xffff)
        seen, dropped = loss.counts()
        assert dropped >= 0.04 * seen > 10, f"only {dropped} of {seen} were lost"
        without_number = lambda packets: [p[:4] + p[8:] for p in packets]
        first = without_number(media).index(without_number(got)[0])
        assert first < 3 and without_number(got)[:-2] == without_number(media)[first:first + len(got) - 2], \
            f"{len(got)} of {len(media)} media packets: not those that were sent"
        assert len(got) >= len(media) - 5
        numbers = [int(p[4:8], 16) for p in got]
        # Where a repair packet was itself lost, nobody can know that the number was one: there a hole stays.
        holes = sum(1 for a, b in zip(numbers, numbers[1:]) if (b - a) & 0xffff != 1)
        (shown,) = penstock.show("stream camera-1 repair")["received"]
        assert holes <= dropped - shown["recovered"] + 2, f"{holes} holes, {shown}"
        assert shown["recovered"] > 0 and shown["repair_masks"] > 50 and shown["refused"] == 0, shown
        packets, bad = heard.bad_checksums()
        assert packets and not bad, f"{len(bad)} of {packets} checksums are wrong: {bad[:3]}"
        assert_ledger(penstock.metrics())


def test_asked_again_as_repair():
    """Three packets of a row are more than its repair mends: they are asked for, and come as FlexFEC, in a repair stream of its own."""
    count = 1500
    with TwoNetworks() as lab:
        tail = lab.start_penstock(lab.tail, lab.config("tail", [("a", "a1"), ("out", "out0")], """\
        sources: [{ rtp: 10.3.0.2:20000, port: a, fec: { scheme: flexfec }, nack: { deadline: 500ms } }]
        outputs: [{ rtp: 10.2.0.2:6000 }]
"""))
        head = lab.start_penstock(lab.head, lab.config("head", [("in", "in0"), ("a", "a0")], """\
        sources: [{ rtp: 10.1.0.1:20000 }]
        outputs: [{ rtp: 10.3.0.2:20000, fec: { scheme: flexfec, mode: row, retransmission: true } }]
        feedback: { retransmit: 1024, budget: 5000 }
"""))
        wait_legs(tail, 1)
        wait_legs(head, 1)
        lab.drop("a", "udp dport 20000 numgen inc mod 40 11-13")
        wire = Capture(lab.networks["a"], "head", "udp port 20000", bytes_each=2048)
        heard = Capture(lab.receiver, "eth0", "udp port 6000", bytes_each=2048)
        sender = Sender(lab.source, "10.1.0.1", 20000, first=65000)
        sender.send(count + 300, 400, 1000)
        sent = sender.sent[:count]
        wait_for(lambda: tail.metrics().sum("penstock_leg_packets_total") >= count + 200, "the last packet")
        got = heard.payloads(6000)
        assert not set(sent) - set(got), f"{len(set(sent) - set(got))} of {count} packets are missing: {tail.show('stream camera-1 repair')}"
        assert len(got) == len(set(got)), "a packet was sent twice"
        resent = head.metrics().sum("penstock_leg_resent_packets_total")
        repair = [p for p in wire.payloads(20000) if int(p[2:4], 16) & 0x7f == 110]
        # Behind RTP's header and one CSRC, R = 1 and F = 0: the packet as it was.
        again = [p for p in repair if int(p[32:34], 16) >> 6 == 2]
        assert len(again) == resent > 60 and {p[32:] for p in again} <= set(sender.sent), f"{len(again)} on the wire, {resent} counted"
        assert {p[24:32] for p in again} == {"00005eed"} and len({p[16:24] for p in again}) == 1, "one CSRC, the media's; one SSRC"
        assert not {p[16:24] for p in again} & {p[16:24] for p in repair if p not in again}, "it shares the SSRC of the rows"
        numbers = [int(p[4:8], 16) for p in again]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "its own numbers"
        assert len(wire.payloads(20000)) - len(repair) == count + 300, "media went again as they were"
        (shown,) = tail.show("stream camera-1 repair")["received"]
        assert shown["repair_retransmissions"] > 50 and shown["refused"] == 0, shown
        for penstock in (head, tail):
            assert_ledger(penstock.metrics())
