"""RTCP with receivers and sources: what is lost is asked for and sent again, reports and requests for key frames. GStreamer is
the peer on either side; the switch between loses packets by a rule of the kernel's packet filter."""
import socket
import struct
import time

from cases import cases
from judge import Capture
from lab import wait_for
from relay import WAN, Relay, Sender, assert_ledger, receiver_address, rtp_packet, wait_legs

MEDIA, RTX = 96, 97
PACKETS = 1500


def start(lab, source, output, more=""):
    """penstock on the switch's network only: receiver1 is the source."""
    config = lab.config([("video", MEDIA, "H264/90000", [source], [output])])
    penstock = lab.start_penstock(lab.node, config.rstrip() + f"\n{more}\n")
    wait_legs(penstock, 1)
    return penstock


def lose(lab, address, port):
    """Every twentieth datagram, those that are sent again among them."""
    lab.switch.run("nft", "-f", "-", input=f"""
        table bridge loss {{
            chain forward {{
                type filter hook forward priority 0;
                ip daddr {address} udp dport {port} numgen inc mod 20 7 counter drop;
            }}
        }}""")


def listening(namespace, port):
    return lambda: f":{port} " in namespace.run("ss", "-Hlun", "-A", "udp")


def sequences(payloads, payload_type=MEDIA):
    return [int(p[4:8], 16) for p in payloads if int(p[2:4], 16) & 0x7f == payload_type]


@cases(rtx=(False, True))
def test_receiver_is_answered(rtx):
    """GStreamer's session asks for what the switch drops, and gets all of it: as it was, or in a stream of its own."""
    with Relay(2) as lab:
        to, receiver = receiver_address(2), lab.receivers[1]
        output = "{ rtp: \"%s:6000\"%s }" % (to, ", rtx: { payload_type: %d }" % RTX if rtx else "")
        penstock = start(lab, f"{WAN[4]}:20000", output, "        feedback: { retransmit: 2048, budget: 5000 }")
        wire = Capture(receiver, "eth0", "udp")
        played = receiver.socket(bind=("127.0.0.1", 7000))
        played.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        restore = ["rtprtxreceive", f"payload-type-map=application/x-rtp-pt-map,{MEDIA}=(uint){RTX}", "!"] if rtx else []
        gst = receiver.start(
            "gst-launch-1.0", "-q", "rtpsession", "name=s", "rtp-profile=avpf", "bandwidth=20000000",
            "rtcp-min-interval=10000000", "udpsrc", "port=6000", "buffer-size=8000000",
            f"caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload={MEDIA}", "!", "s.recv_rtp_sink",
            "s.recv_rtp_src", "!", *restore, "rtpssrcdemux", "!", "rtpjitterbuffer", "do-retransmission=true", "latency=1500", "rtx-min-delay=40", "!",
            "udpsink", "host=127.0.0.1", "port=7000", "sync=false",
            "s.send_rtcp_src", "!", "udpsink", f"host={WAN[4]}", "port=20001", "bind-port=6001", "sync=false", "async=false")
        wait_for(listening(receiver, 6000), "GStreamer to listen", 15)
        lose(lab, to, 6000)
        sender = Sender(lab.receivers[0], WAN[4], 20000, first=65000)
        # The clock runs as the packets do: the jitter buffer expects the next one by it.
        for number in range(PACKETS):
            sender.sent.append(rtp_packet(sender.sequence, bytes(500), timestamp=number * 180).hex())
            sender.socket.sendto(bytes.fromhex(sender.sent[-1]), sender.destination)
            sender.sequence += 1
            time.sleep(1 / 500)
        got = []
        played.settimeout(0.5)
        body = sender.sent[5:-40]
        given_up = PACKETS // 500  # what is lost again and again GStreamer does not ask for for ever: 75 were lost once

        def complete():
            try:
                while True:
                    got.append(played.recv(2048).hex())
            except TimeoutError:
                return len(set(body) - set(got)) <= given_up
        wait_for(complete, "all packets at the player", 8)
        players = [p for p in got if p in set(body)]
        assert players == [p for p in body if p in set(got)], "the player got them in another order, or twice"
        gst.stop()
        metrics = penstock.metrics()
        resent = metrics.sum("penstock_leg_resent_packets_total")
        assert resent >= PACKETS // 25, f"only {resent} were sent again"
        asked = metrics.sum("penstock_leg_asked_packets_total")
        assert asked >= resent, f"{asked} asked for, {resent} sent again"
        shown = penstock.show("stream camera-1 repair")["resent"]
        assert shown[0]["resent"] == resent and shown[0]["leg"] == f"{to}:6000", shown
        payloads = wire.payloads(6000)
        assert bool(sequences(payloads, RTX)) == rtx
        if rtx:
            numbers = sequences(payloads, RTX)
            assert numbers and numbers == sorted(set(numbers)), "the stream of its own has numbers of its own"
            assert len(sequences(payloads)) == len(set(sequences(payloads))), "a packet was sent again as it was"
        nacks = wire.fields("rtcp.rtpfb.nack_pid", "udp.dstport", options=("-d", "udp.port==20001,rtcp"))
        assert nacks and all(row == ("20001",) for row in nacks), nacks[:3]
        assert not wire.fields("udp.dstport == 6000 && udp.checksum.bad", "frame.number", options=("-o", "udp.check_checksum:TRUE"))
        assert_ledger(metrics)


@cases(rtx=(False, True))
def test_source_is_asked(rtx):
    """We ask GStreamer's rtprtxsend for what the switch drops on the way to us; a receiver that asks for nothing gets all."""
    with Relay(2) as lab:
        to, source = receiver_address(2), lab.receivers[0]
        nack = "{ deadline: 300ms%s }" % (f", rtx: {RTX}" if rtx else "")
        penstock = start(lab, "{ rtp: \"%s:20000\", nack: %s }" % (WAN[4], nack), f"{to}:6000")
        sent = Capture(source, "eth0", "udp")
        heard = Capture(lab.receivers[1], "eth0", "udp port 6000")
        lose(lab, WAN[4], 20000)
        # Without its map the element has no stream of its own to answer in: what answers then is a socket of few words.
        if rtx:
            answerer = source.start(
                "gst-launch-1.0", "-q", "rtpsession", "name=s", "rtp-profile=avpf",
                "videotestsrc", "is-live=true", "num-buffers=120", "!", "video/x-raw,width=640,height=360,framerate=30/1", "!",
                "x264enc", "tune=zerolatency", "speed-preset=ultrafast", "bitrate=2000", "key-int-max=30", "!",
                "rtph264pay", f"pt={MEDIA}", "mtu=600", "!", "rtprtxsend", "name=x", "max-size-packets=2000",
                f"payload-type-map=application/x-rtp-pt-map,{MEDIA}=(uint){RTX}", "!", "s.send_rtp_sink",
                "s.send_rtp_src", "!", "udpsink", f"host={WAN[4]}", "port=20000", "bind-port=5004", "sync=false",
                "udpsrc", "port=5005", "!", "application/x-rtcp", "!", "s.recv_rtcp_sink")
            answerer.wait(20)
        else:
            answer_plainly(source)
        done = [0, 1]
        wait_for(lambda: done.append(penstock.metrics().sum("penstock_worker_rx_packets_total")) or done[-1] == done[-2],
                 "the last packet", every=0.4)
        metrics = penstock.metrics()
        originals = {int(p[4:8], 16): p for p in sent.payloads(20000) if int(p[2:4], 16) & 0x7f == MEDIA}
        numbers = list(originals)
        # Of the last third of a second, which is the deadline, the source is gone before it can be asked a second time.
        body = numbers[5:-len(numbers) // 12]
        got = {int(p[4:8], 16): p for p in heard.payloads(6000)}
        missing = [n for n in body if n not in got]
        assert not missing, f"{len(missing)} of {len(body)} packets are missing: {missing[:5]}, the first at {body.index(missing[0])}; {penstock.show('stream camera-1 repair')}"
        assert all(got[n] == originals[n] for n in body), "a packet differs from what was sent"
        assert not sequences(heard.payloads(6000), RTX), "what the source sent in a stream of its own went on as that"
        assert len(got) == len(heard.payloads(6000)), "a packet was sent twice"
        recovered = metrics.sum("penstock_track_recovered_packets_total", by="nack")
        assert recovered >= len(body) // 25, f"only {recovered} were made good"
        assert metrics.sum("penstock_track_nack_round_trip_seconds") < 0.2
        # RFC 4585: a report, who we are, and the request.
        asked = sent.fields("rtcp.rtpfb.nack_pid", "udp.srcport", "rtcp.ssrc.identifier", "rtcp.sdes.text",
                            options=("-d", "udp.port==5005,rtcp"))
        assert asked and all(row[0] == "20001" for row in asked), asked[:3]
        assert all("penstock" in row[2] for row in asked), asked[:3]
        packets, bad = heard.bad_checksums()
        assert packets and not bad, f"{len(bad)} of {packets} checksums are wrong: {bad[:3]}"
        assert not sent.fields("udp.srcport == 20001 && udp.checksum.bad", "frame.number", options=("-o", "udp.check_checksum:TRUE"))
        assert_ledger(metrics)


def answer_plainly(namespace):
    """A source that sends again what it is asked for, as it was."""
    sender = Sender(namespace, WAN[4], 20000, bind=("", 5004), first=65000)
    rtcp = namespace.socket(bind=("0.0.0.0", 5005))
    rtcp.setblocking(False)
    memory = {}

    def answer():
        try:
            while True:
                for pid, blp in nacks(rtcp.recv(2048)):
                    for number in [pid] + [(pid + 1 + i) & 0xffff for i in range(16) if blp >> i & 1]:
                        sender.socket.sendto(memory[number], sender.destination)
        except BlockingIOError:
            pass
    for number in range(PACKETS):
        packet = rtp_packet(sender.sequence, number.to_bytes(4, "big") * 100, timestamp=number * 180)
        memory[sender.sequence & 0xffff] = packet
        sender.socket.sendto(packet, sender.destination)
        sender.sequence += 1
        answer()
        time.sleep(1 / 500)
    for _ in range(100):  # a source that falls silent is not asked any more
        answer()
        time.sleep(0.002)


def packets_of(datagram):
    while datagram:
        size = 4 * (int.from_bytes(datagram[2:4], "big") + 1)
        yield datagram[1], datagram[0] & 0x1f, datagram[:size]
        datagram = datagram[size:]


def nacks(datagram):
    for kind, form, packet in packets_of(datagram):
        if (kind, form) == (205, 1):
            yield from struct.iter_unpack(">HH", packet[12:])


def sender_report(ssrc, middle):
    return (struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, middle >> 16, (middle & 0xffff) << 16, 0, 0, 0)
            + bytes.fromhex("81ca0003") + ssrc.to_bytes(4, "big") + bytes.fromhex("0103614062000000"))


def test_reports_and_key_frames():
    """Receivers' reports end here and the source gets ours; key frames that three want are asked for once."""
    with Relay(2) as lab:
        to = receiver_address(2)
        penstock = start(lab, f"{WAN[4]}:20000", f"{to}:6000", "        feedback: { retransmit: off }")
        source = Sender(lab.receivers[0], WAN[4], 20000, bind=("", 5004), ssrc=0x5eed)
        rtcp = lab.receivers[0].socket(bind=("0.0.0.0", 5005))
        rtcp.settimeout(5)
        wire = Capture(lab.receivers[0], "eth0", "udp")
        receiver = lab.receivers[1].socket(bind=("0.0.0.0", 6001))
        receiver.settimeout(5)
        source.send(50)
        source.sequence += 10  # which are lost
        source.send(50)
        at_us = (WAN[4], 20001)
        middle = 0x12340000

        def report():
            nonlocal middle
            middle += 1
            rtcp.sendto(sender_report(0x5eed, middle), at_us)
            source.send(20)
            try:
                rtcp.settimeout(0.2)
                return rtcp.recv(2048)
            except TimeoutError:
                return None
        got = []
        wait_for(lambda: got.append(report()) or got[-1], "a receiver report", 8, every=0.05)
        kind, count, rr = next(packets_of(got[-1]))
        ssrc, lost, highest, _, last, _ = struct.unpack(">IIIIII", rr[8:32])
        # Its time is its own: the last sender report and the last packets may have come after it left.
        assert (kind, count, ssrc) == (201, 1, 0x5eed) and last in (middle - 1, middle), rr.hex()
        assert lost & 0xffffff == 10 and source.sequence - 41 <= highest < source.sequence, (lost & 0xffffff, highest, source.sequence)
        assert receiver.recv(2048)[:2] == b"\x80\xc8"  # the receiver got the source's report
        # It tells a time of ours, too; by the answer we know how far away the source is.
        clock = next(packet for kind, _, packet in packets_of(got[-1]) if kind == 207)
        rtcp.sendto(sender_report(0x5eed, middle) + struct.pack(">BBHIBBHIII", 0x80, 207, 5, 0x5eed, 5, 0, 3, int.from_bytes(clock[4:8], "big"),
                                                                int.from_bytes(clock[14:18], "big"), 0), at_us)
        wait_for(lambda: 0 < penstock.metrics().sum("penstock_path_round_trip_seconds") < 5, "the round trip to the source")
        # And so does a receiver that tells its time.
        receiver.sendto(struct.pack(">BBHI", 0x80, 201, 1, 7) + struct.pack(">BBHIBBHQ", 0x80, 207, 4, 7, 4, 0, 2, 0x0123456789abcdef), at_us)
        told = struct.pack(">BBHIBBHIII", 0x80, 207, 5, 0x5eed, 5, 0, 3, 7, 0x456789ab, 0)
        wait_for(lambda: told in (packet for _, _, packet in packets_of(receiver.recv(2048))), "our answer")
        # The receiver answers the source's report, and wants a key frame three times.
        block = struct.pack(">IIIIII", 0x5eed, 7, 0, 0, middle, 0)
        pli = struct.pack(">BBHII", 0x81, 206, 2, 1, 0x5eed)
        fir = struct.pack(">BBHIIII", 0x84, 206, 4, 1, 0, 0x5eed, 1 << 24)
        answer = struct.pack(">BBHI", 0x81, 201, 7, 1) + block
        for request in (pli, pli, fir):
            receiver.sendto(answer + request, at_us)
        rtcp.settimeout(2)
        kinds = [(201, 1), (202, 1), (207, 0)]
        while kinds == [(201, 1), (202, 1), (207, 0)]:  # a report on a timer may be first
            kinds = [(kind, form) for kind, form, _ in packets_of(rtcp.recv(2048))]
        assert kinds == [(201, 1), (202, 1), (206, 1)], kinds
        metrics = lambda: penstock.metrics()
        wait_for(lambda: metrics().sum("penstock_leg_reported_lost_packets_total", leg=f"{to}:6000") == 7, "what the receiver reports")
        wait_for(lambda: metrics().sum("penstock_leg_key_frame_requests_total") == 3, "the three requests")
        assert metrics().sum("penstock_path_key_frame_requests_total", **{"as": "asked"}) == 1
        assert metrics().sum("penstock_path_key_frame_requests_total", **{"as": "merged"}) == 2
        assert 0 < metrics().sum("penstock_leg_round_trip_seconds") < 5
        assert metrics().sum("penstock_worker_consumed_packets_total", **{"as": "feedback"}) == 4
        ours = wire.fields("rtcp.pt == 201 && udp.srcport == 20001", "_ws.malformed", "rtcp.sdes.text", options=("-d", "udp.port==5005,rtcp"))
        assert ours and all(row[0] == "" and "penstock" in row[1] for row in ours), ours
        times = wire.fields("rtcp.xr.bt == 4 && udp.srcport == 20001", "rtcp.xr.bl", "_ws.malformed", options=("-d", "udp.port==5005,rtcp"))
        assert times and all(row == ("2", "") for row in times), times
        assert not wire.fields("udp.srcport == 20001 && udp.checksum.bad", "frame.number", options=("-o", "udp.check_checksum:TRUE"))
        assert_ledger(metrics())


def test_silent_source_and_bye():
    """A source without RTCP gets our reports on a timer. When penstock stops, receivers hear BYE in the name of the source, and the source ours."""
    with Relay(2) as lab:
        to = receiver_address(2)
        penstock = start(lab, f"{WAN[4]}:20000", f"{to}:6000")
        source = Sender(lab.receivers[0], WAN[4], 20000, bind=("", 5004), ssrc=0x5eed)
        rtcp = lab.receivers[0].socket(bind=("0.0.0.0", 5005))
        rtcp.settimeout(0.1)
        at_source, at_receiver = Capture(lab.receivers[0], "eth0", "udp port 5005"), Capture(lab.receivers[1], "eth0", "udp port 6001")
        got = []

        def report():
            source.send(50, size=1200)
            try:
                got.append(rtcp.recv(2048))
            except TimeoutError:
                pass
            return got
        wait_for(report, "a receiver report", 12, every=0.05)
        kind, count, rr = next(packets_of(got[0]))
        ssrc, lost, highest = struct.unpack(">III", rr[8:20])
        assert (kind, count, ssrc, lost) == (201, 1, 0x5eed, 0), rr.hex()
        penstock.stop(15)
        decode = ("-d", "udp.port==5005,rtcp", "-d", "udp.port==6001,rtcp")
        names = ("rtcp.pt", "rtcp.ssrc.identifier", "rtcp.sdes.text", "_ws.malformed", "udp.srcport")
        farewell = at_receiver.fields("rtcp.pt == 203", *names, options=decode)
        assert [row[1:] for row in farewell] == [("0x00005eed", farewell[0][2], "", "20001")], farewell
        ours = at_source.fields("rtcp.pt == 203", "rtcp.senderssrc", *names[2:], options=decode)
        assert len(ours) == 1 and ours[0][0] not in ("", "0x00005eed") and "penstock" in ours[0][1] and ours[0][2] == "", ours
        assert not at_source.bad_checksums()[1] and not at_receiver.bad_checksums()[1]


def test_reports_count_repair():
    """Sender reports to who gets ULPFEC among the media, with their SSRC, count both; those to others the media alone."""
    with Relay(3) as lab:
        plain, repaired = receiver_address(2), receiver_address(3)
        penstock = lab.start_penstock(lab.node, lab.config([("video", MEDIA, "H264/90000", [f"{WAN[4]}:20000"], [
            "{ rtp: \"%s:6000\", fec: { scheme: ulpfec } }" % repaired, f"{plain}:6000"])]))
        wait_legs(penstock, 2)
        captures = [Capture(lab.receivers[n], "eth0", "udp") for n in (1, 2)]
        source = Sender(lab.receivers[0], WAN[4], 20000, ssrc=0x5eed)
        source.send(100, size=500)
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total") == 200, "the media to leave")
        report = sender_report(0x5eed, 0x12345678)[:20] + struct.pack(">II", 7, 77) + sender_report(0x5eed, 0)[28:]
        lab.receivers[0].socket(bind=("0.0.0.0", 5005)).sendto(report, (WAN[4], 20001))
        wait_for(lambda: penstock.metrics().sum("penstock_leg_rtcp_packets_total") == 2, "the reports to leave")
        told = [wire.fields("rtcp.pt == 200", "rtcp.sender.packetcount", "rtcp.sender.octetcount", options=("-d", "udp.port==6001,rtcp")) for wire in captures]
        sent = captures[1].payloads(6000)
        assert told[0] == [("7", "77")], told  # what the source said
        assert len(sent) == 110 and told[1] == [("110", str(sum(len(p) // 2 - 12 for p in sent)))], (len(sent), told)
        assert not captures[1].bad_checksums()[1]
        assert_ledger(penstock.metrics())
