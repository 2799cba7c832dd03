"""SMPTE ST 2022-1: FEC removed on sources and added on outputs. Loss is injected by the switch between, by rules of the
kernel's packet filter that drop the same packets in every run."""
import re

from cases import cases
from judge import Capture
from lab import run, wait_for
from relay import Relay, Sender, WAN, assert_ledger, receiver_address, rtp_packet, wait_legs, wait_forwarded

TS = 188
PER_PACKET = 7  # transport stream packets a datagram, as everybody does
# Of the random loss. With every second seed some matrix of the 24 has a pattern that rows and columns cannot repair.
SEED = 1


class Loss:
    """Drops datagrams that cross the switch to `address`, by a rule of the media port and of all three ports."""

    RULES = {
        # Media and repair alike, by a hash of the RTP sequence number: as good as random, and the same in every run.
        "random": (True, "jhash @th,80,16 mod 100 seed {seed} < 5"),
        "twentieth": (True, "numgen inc mod 20 7"),
        # Media only, where there are columns only: at most one of each column. 19 has no factor with 10 in common.
        "nineteenth": (False, "numgen inc mod 19 7"),
        "row": (False, "numgen inc mod 100 50-59"),  # as many at once as a row has, once a matrix
        "burst": (True, "numgen inc mod 400 50-59"),  # whatever is sent just then, once in three matrices
    }

    def __init__(self, lab, address, port, rule, seed=0):
        self.switch = lab.switch
        self.table = f"loss{port}"
        all_ports, rule = self.RULES[rule]
        ports = f"{{ {port}, {port + 2}, {port + 4} }}" if all_ports else port
        lab.switch.run("nft", "-f", "-", input=f"""
            table bridge {self.table} {{
                chain forward {{
                    type filter hook forward priority 0;
                    ip daddr {address} udp dport {ports} counter {rule.format(seed=seed)} counter drop;
                }}
            }}""")

    def counts(self):
        """Datagrams seen, and of them those dropped."""
        return [int(n) for n in re.findall(r"counter packets (\d+)", self.switch.run("nft", "list", "table", "bridge", self.table))]


def picture_stream(lab, seconds=8):
    """MPEG-2 transport stream of a moving picture, in pieces as they go into datagrams."""
    file = lab.file("picture.ts")
    run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-t", seconds,
        "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M", "-f", "mpegts", file)
    data = file.read_bytes()
    piece = TS * PER_PACKET
    return [data[i:i + piece] for i in range(0, len(data) - piece, piece)]


def start(lab, sources, outputs):
    """penstock on the switch's network only: sources and receivers are its neighbours there."""
    config = lab.config([("video", 33, "MP2T/90000", sources, outputs)])
    penstock = lab.start_penstock(lab.node, config)
    wait_legs(penstock, len(outputs))
    return penstock


def send(lab, namespace, pieces, port=20000, per_second=1500):
    """As RTP from sequence number 65000 on: it wraps on the way."""
    sender = Sender(namespace, WAN[4], port, first=65000, payload_type=33)
    return sender.play((rtp_packet(sender.sequence, piece, 33, ssrc=0x2022, timestamp=number * 60) for number, piece in enumerate(pieces)), per_second)


class GstreamerDecoder:
    """rtpst2022-1-fecdec and a jitter buffer, into a file."""

    def __init__(self, namespace, port, rows=True):
        lab = namespace.lab
        self.file = lab.file("decoded.ts")
        udp = lambda to, caps: ["udpsrc", f"port={to}", "buffer-size=8000000", f"caps=application/x-rtp,{caps}", "!", "queue", "!"]
        fec = [*udp(port + 2, "payload=96"), "f.fec_0"] + ([*udp(port + 4, "payload=96"), "f.fec_1"] if rows else [])
        self.namespace, self.ports = namespace, [port, port + 2] + ([port + 4] if rows else [])
        self.process = namespace.start(
            "gst-launch-1.0", "-e", "-q", "rtpst2022-1-fecdec", "name=f", "size-time=1000000000",
            *"! rtpjitterbuffer latency=1000 ! rtpmp2tdepay ! filesink buffer-mode=unbuffered location=".split()[:-1],
            f"location={self.file}", *udp(port, "media=video,payload=33,clock-rate=90000,encoding-name=MP2T"), "f.", *fec)
        wait_for(self.ready, "GStreamer to listen", 15)

    def ready(self):
        table = self.namespace.run("ss", "-Hlun", "-A", "udp")
        return all(re.search(rf":{port}\s", table) for port in self.ports)

    def output(self, size):
        """What it wrote, once that is so long."""
        wait_for(lambda: self.file.exists() and self.file.stat().st_size >= size, f"{size} bytes from GStreamer; there are "
                 f"{self.file.stat().st_size if self.file.exists() else 0}", 20)
        self.process.stop()
        return self.file.read_bytes()


def by_sequence(payloads):
    """{RTP sequence number: packet} of captured media; each once."""
    found = {}
    for payload in payloads:
        sequence = int(payload[4:8], 16)
        assert sequence not in found or found[sequence] == payload, f"two different packets {sequence}"
        found[sequence] = payload
    return found


@cases(rule=("random", "nineteenth", "row", "burst"))
def test_to_gstreamer(rule):
    """Our repair lets GStreamer mend what the switch drops: the picture stream arrives bit by bit as it was sent."""
    rows = rule != "nineteenth"
    mode = "row+column" if rows else "column"
    with Relay(2) as lab:
        pieces = picture_stream(lab)
        to = receiver_address(2)
        penstock = start(lab, ["{ rtp: \"%s:20000\" }" % WAN[4]],
                         ["{ rtp: \"%s:6000\", fec: { scheme: st2022-1, columns: 10, rows: 10, mode: %s } }" % (to, mode)])
        sent = Capture(lab.switch, "uplink", f"dst host {to} and udp")
        # The last matrix is repaired only when what follows carries its columns: a tail that is not lost, nor judged.
        loss = Loss(lab, to, 6000, rule, seed=SEED)
        player = GstreamerDecoder(lab.receivers[1], 6000, rows)
        send(lab, lab.receivers[0], pieces)
        wait_forwarded(penstock, len(pieces))
        # The edge packets apart: before the first that arrives, and in the last matrix, GStreamer cannot repair.
        body = b"".join(pieces[5:len(pieces) - 220])
        decoded = player.output(len(body))
        seen, dropped = loss.counts()
        assert dropped >= (0.02 if rule == "burst" else 0.04) * seen, f"only {dropped} of {seen} were lost"
        assert body in decoded, f"{len(decoded)} bytes, but not those that were sent: {dropped} of {seen} were lost"
        judge(sent, rows)
        assert_ledger(penstock.metrics())


def judge(sent, rows):
    """tshark's dissector of the repair packets: their form, pace and number."""
    options = ["-o", "2dparityfec.enable:TRUE"] + [w for port in (6002, 6004) for w in ("-d", f"udp.port=={port},rtp")]
    fields = sent.fields("2dparityfec", "udp.dstport", "2dparityfec.snbase_low", "2dparityfec.offset", "2dparityfec.na",
                         "2dparityfec.d", "rtp.seq", options=options)
    columns = [row for row in fields if row[0] == "6002"]
    assert columns and all(row[2:5] == ("10", "10", "0") for row in columns), columns[:3]
    lines = [row for row in fields if row[0] == "6004"]
    assert bool(lines) == rows and all(row[2:5] == ("1", "10", "1") for row in lines), lines[:3]
    for stream in filter(None, (columns, lines)):
        sequences = [int(row[5]) for row in stream]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), "the repair stream's own numbers"
    media = sent.payloads(6000)
    assert len(columns) >= len(media) // 10 - 20
    order = [row[0] for row in sent.fields("udp", "udp.dstport")]
    repairs = sum(1 for a, b in zip(order, order[1:]) if a != "6000" and b != "6000")
    assert repairs == 0, f"{repairs} repair packets follow another: that is a burst"
    packets, bad = sent.bad_checksums()
    assert packets and not bad, f"{len(bad)} of {packets} checksums are wrong: {bad[:3]}"


@cases(rule=("twentieth", "nineteenth", "row"))
def test_from_ffmpeg(rule):
    """FFmpeg's repair lets us mend what the switch drops on the way to us; every output gets what FFmpeg sent."""
    with Relay(3) as lab:
        penstock = start(lab, ["{ rtp: \"%s:20000\", fec: { scheme: st2022-1 } }" % WAN[4]],
                         [f"{receiver_address(2)}:6000", f"{receiver_address(3)}:7000"])
        source = lab.receivers[0]
        original = Capture(source, "eth0", f"dst host {WAN[4]} and udp")
        heard = [Capture(lab.receivers[1], "eth0", "udp port 6000"), Capture(lab.receivers[2], "eth0", "udp port 7000")]
        loss = Loss(lab, WAN[4], 20000, rule)
        if rule == "nineteenth":  # then rows never come
            lab.switch.run("nft", "add", "rule", "bridge", loss.table, "forward", "udp", "dport", "20004", "drop")
        ffmpeg = source.start(
            "ffmpeg", "-nostdin", "-v", "warning", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-t", "6",
            "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M", "-f", "rtp_mpegts", "-fec", "prompeg=l=10:d=10",
            f"rtp://{WAN[4]}:20000?pkt_size=1328&rtcpport=30001")
        ffmpeg.wait(30)
        settled = [0, 1]
        forwarded = lambda: penstock.metrics().sum("penstock_worker_rx_packets_total")
        wait_for(lambda: settled.append(forwarded()) or settled[-1] == settled[-2], "the last packet", every=0.3)
        metrics = penstock.metrics()
        was_sent = [payload for payload in original.payloads(20000) if int(payload[2:4], 16) & 0x7f == 33]
        # As with every decoder: what is lost before the first arrives, or in the last matrix, cannot be mended.
        body = by_sequence(was_sent[10:-220])
        seen, dropped = loss.counts()[:2]
        assert dropped >= 0.04 * seen, f"only {dropped} of {seen} were lost"
        for capture, port in zip(heard, (6000, 7000)):
            payloads = capture.payloads(port)
            got = by_sequence(payloads)
            missing = [sequence for sequence in body if sequence not in got]
            assert not missing, f"{len(missing)} of {len(body)} packets are missing: {missing[:5]}"
            assert all(got[sequence] == body[sequence] for sequence in body), "a packet differs from what was sent"
            assert len(payloads) == len(got), "a packet was sent twice"
            packets, bad = capture.bad_checksums()
            assert packets and not bad, f"{len(bad)} of {packets} checksums are wrong: {bad[:3]}"
        recovered = metrics.sum("penstock_track_recovered_packets_total", by="fec")
        lost = metrics.sum("penstock_path_lost_packets_total")
        assert recovered > 0.03 * len(body) and lost >= 0.9 * recovered - 20, f"{recovered} recovered, {lost} lost on the path"
        assert metrics.sum("penstock_track_unrecovered_packets_total") == 0
        assert metrics.sum("penstock_worker_consumed_packets_total", **{"as": "repair"}) > 0.05 * len(body)
        (shown,) = penstock.show("stream camera-1 repair")["received"]
        assert shown["recovered"] == recovered and shown["refused"] == 0 and (shown["repair_rows"] == 0) == (rule == "nineteenth")
        assert_ledger(metrics)


@cases(rule=("random", "burst"))
def test_from_gstreamer(rule):
    """GStreamer's repair lets us mend what the switch drops on the way to us: the picture stream leaves bit by bit as it was sent."""
    with Relay(2) as lab:
        penstock = start(lab, ["{ rtp: \"%s:20000\", fec: { scheme: st2022-1 } }" % WAN[4]], [f"{receiver_address(2)}:6000"])
        source = lab.receivers[0]
        body = b"".join(picture_stream(lab, seconds=5))
        film = lab.file("pieces.ts")
        film.write_bytes(body)
        original = Capture(source, "eth0", f"dst host {WAN[4]} and udp port 20000")
        heard = Capture(lab.receivers[1], "eth0", "udp port 6000")
        loss = Loss(lab, WAN[4], 20000, rule, seed=SEED)
        to = lambda port: ["queue", "!", "udpsink", f"host={WAN[4]}", f"port={port}", "sync=false", "async=false"]
        source.start(
            "gst-launch-1.0", "-q", "filesrc", f"location={film}", f"blocksize={TS * PER_PACKET}", "!", "video/mpegts,packetsize=188,systemstream=true", "!",
            "identity", "sleep-time=500", "!", "rtpmp2tpay", "pt=33", "ssrc=0", f"mtu={12 + TS * PER_PACKET}", "seqnum-offset=65000", "!",
            "rtpst2022-1-fecenc", "name=e", "columns=10", "rows=10", "e.src", "!", *to(20000), "e.fec_0", "!", *to(20002), "e.fec_1", "!", *to(20004)).wait(40)
        settled = [0, 1]
        received = lambda: penstock.metrics().sum("penstock_worker_rx_packets_total")
        wait_for(lambda: settled.append(received()) or settled[-1] == settled[-2] > 500, "the last packet", every=0.4)
        was_sent = by_sequence(original.payloads(20000)[10:-220])
        assert len(was_sent) > 800, len(was_sent)
        payloads = heard.payloads(6000)
        got = by_sequence(payloads)
        missing = [sequence for sequence in was_sent if sequence not in got]
        seen, dropped = loss.counts()
        (shown,) = penstock.show("stream camera-1 repair")["received"]
        assert not missing, f"{len(missing)} of {len(was_sent)} packets are missing: {missing[:5]}; {shown}"
        assert all(got[sequence] == was_sent[sequence] for sequence in was_sent), "a packet differs from what was sent"
        assert len(payloads) == len(got), "a packet was sent twice"
        assert dropped >= (0.02 if rule == "burst" else 0.04) * seen, f"only {dropped} of {seen} were lost"
        assert shown["recovered"] > 0.01 * len(was_sent) and shown["refused"] == 0, shown
        assert shown["repair_rows"] > 50 and shown["repair_columns"] > 50, shown
        assert_ledger(penstock.metrics())


def test_at_a_hop():
    """FEC comes in as FFmpeg's 5 x 5 and leaves as columns, staggered, and as 10 x 10, computed once for two outputs; an
    output that is added by the CLI shares it. Losses before us are in no repair of ours."""
    with Relay(4) as lab:
        at = [receiver_address(n) for n in range(1, 5)]
        penstock = start(lab, ["{ rtp: \"%s:20000\", fec: { scheme: st2022-1 } }" % WAN[4]],
                         ["{ rtp: \"%s:6000\", fec: { scheme: st2022-1, columns: 5, rows: 8, mode: column, align: staggered } }" % at[1],
                          "{ rtp: \"%s:6000\", fec: { scheme: st2022-1 } }" % at[2]])
        penstock.cli("add", "output", "camera-1", f"rtp://{at[3]}:6000?fec=st2022-1")
        wait_legs(penstock, 3)
        Loss(lab, WAN[4], 20000, "twentieth")
        original = Capture(lab.receivers[0], "eth0", f"dst host {WAN[4]} and udp port 20000")
        heard = [Capture(receiver, "eth0", "udp") for receiver in lab.receivers[1:]]
        lab.receivers[0].start(
            "ffmpeg", "-nostdin", "-v", "warning", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-t", "4",
            "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M", "-f", "rtp_mpegts", "-fec", "prompeg=l=5:d=5",
            f"rtp://{WAN[4]}:20000?pkt_size=1328&rtcpport=30001").wait(30)
        settled = [0, 1]
        sent = lambda: penstock.metrics().sum("penstock_worker_sent_packets_total")
        wait_for(lambda: settled.append(sent()) or settled[-1] == settled[-2], "the last packet", every=0.3)
        made = penstock.show("stream camera-1 repair")["sent"]
        assert [row["fec"] for row in made] == ["st2022-1 5x8 column staggered", "st2022-1 10x10 row+column block"], made
        assert [row["legs"] for row in made] == [1, 2] and all(row["repair_columns"] > 50 for row in made), made
        media = len(original.payloads(20000))
        for row in made:
            assert row["abandoned"] < 30, f"lines that lack a packet: {row} of {media} packets"
        # Both get the same repair; what it is the sum of, tested byte by byte elsewhere, is what was sent to us.
        columns = [capture.payloads(6002) for capture in heard]
        assert columns[1] == columns[2] and columns[0] != columns[1]
        assert heard[1].payloads(6004) == heard[2].payloads(6004) and not heard[0].payloads(6004)
        assert len(columns[1]) == made[1]["repair_columns"] and len(columns[0]) == made[0]["repair_columns"]
        assert_ledger(penstock.metrics())
