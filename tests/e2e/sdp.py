"""Session descriptions: receivers play outputs by the file that `show stream STREAM sdp` prints, whatever repair and copies go
with them; RTSP viewers are offered what is answered, and get what the network lost."""
import contextlib
import functools
import operator
import re
import socket
import time

from cases import cases
from judge import Capture
from lab import wait_for
from media import AAC_FMTP, AUDIO_PT, VIDEO_PT, start_source
from relay import LAN, WAN, Relay, Sender, assert_ledger, endpoint, receiver_address, rtp_packet, wait_legs
from rtsp import Client, config as rtsp_config

# What a receiver's line of media says of it, and the video output that it is of.
OUTPUTS = {
    "flexfec": ("m=video 6000 RTP/AVPF 96 110", "{ rtp: \"%s:6000\", fec: { scheme: flexfec } }"),
    "st2022_1": ("a=group:FEC-FR video video-columns video-rows", "{ rtp: \"%s:6000\", fec: { scheme: st2022-1, columns: 5, rows: 5 } }"),
    "ulpfec": ("m=application 6010 RTP/AVP 122", "{ rtp: \"%s:6000\", fec: { scheme: ulpfec, port: +10 } }"),
    "live_live": ("a=group:DUP video video-copy", "{ live_live: [{ rtp: \"%s:6000\" }, { rtp: \"%s:6100\" }] }"),
    "twice": ("a=duplication-delay:50", "{ rtp: \"%s:6000\", duplicate_after: 50ms }"),
    "rtx": ("m=video 6000 RTP/AVPF 96 97", "{ rtp: \"%s:6000\", rtx: { payload_type: 97 } }"),
}


PLAYED = 20           # pictures, and as many frames of AAC
SOUND = PLAYED * 1024 * 2  # bytes: one channel, 16 bits at least
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; the socket module does not have it


class Player:
    """ffmpeg or GStreamer: pictures as lines of checksums, sound as a file."""

    def __init__(self, name, receiver, source):
        self.sound = receiver.lab.file(f"{receiver.short}.pcm")
        if name == "ffmpeg":
            command = ["ffmpeg", "-nostdin", "-nostats", "-hide_banner", "-v", "warning", *source, "-map", "0:v:0", "-frames:v", PLAYED, "-f", "framemd5",
                       "-flush_packets", "1", "-", "-map", "0:a:0", "-frames:a", PLAYED + 1, "-f", "s16le", "-flush_packets", "1", self.sound]
        else:
            command = ["gst-launch-1.0", "-q", *source, "name=s",
                       "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "avdec_h264", "!", "checksumsink", "sync=false",
                       "s.", "!", "application/x-rtp,media=audio", "!", "rtpmp4gdepay", "!", "avdec_aac", "!", "filesink", f"location={self.sound}", "buffer-mode=unbuffered", "sync=false"]
        self.process = receiver.start(*command)

    def decoded(self):
        text = self.process.text()
        pictures = len(re.findall(r"^(?:0, .*[0-9a-f]{32}|\d+:\d\d:\d\d\.\d+ [0-9a-f]{40})$", text, re.MULTILINE))  # framemd5, checksumsink
        sound = self.sound.stat().st_size if self.sound.exists() else 0
        return pictures >= PLAYED and sound >= SOUND, f"{pictures} pictures, {sound} bytes of sound\n{text[-3000:]}"

    def wait(self, what):
        wait_for(lambda: self.decoded()[0] or not self.process.running(), f"{what}: {self.decoded()[1]}", 60, every=0.2)
        done, told = self.decoded()
        assert done, f"{what}: {told}"
        self.process.stop()


@cases(player=("ffmpeg", "gstreamer"))
def test_played_by_the_file(player):
    """Six receivers, each with another kind of output: the printed file alone makes a real player decode picture and sound."""
    with Relay(len(OUTPUTS)) as lab:
        at = {kind: receiver_address(n) for n, kind in enumerate(OUTPUTS, 1)}
        video = ", ".join(output.replace("%s", at[kind]) for kind, (_, output) in OUTPUTS.items())
        audio = ", ".join("{ rtp: \"%s:6200\" }" % address for address in at.values())
        config = lab.config([]).rstrip() + f"""
      - {{ media: video, payload_type: {VIDEO_PT}, encoding: H264/90000, fmtp: packetization-mode=1, feedback: {{}},
          sources: [{{ rtp: "{LAN[4]}:20000" }}], outputs: [{video}] }}
      - {{ media: audio, payload_type: {AUDIO_PT}, encoding: MPEG4-GENERIC/48000/1, fmtp: "{AAC_FMTP}",
          sources: [{{ rtp: "{LAN[4]}:20002" }}], outputs: [{audio}] }}
"""
        penstock = lab.start_penstock(lab.node, config)
        wait_legs(penstock, 2 * len(OUTPUTS) + 1)
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="audio") > 20, "media", 20)
        playing = {}
        for (kind, (says, _)), receiver in zip(OUTPUTS.items(), lab.receivers):
            sdp = penstock.cli("show", "stream", "camera-1", "sdp", at[kind])
            assert says in sdp, sdp
            assert penstock.show(f"stream camera-1 sdp {at[kind]}")["sdp"].splitlines() == sdp.splitlines()
            if (player, kind) == ("gstreamer", "twice"):
                continue  # for receivers that know RFC 7198: GStreamer takes the second SSRC for another source
            file = lab.file(f"{kind}.sdp", sdp)
            playing[kind] = Player(player, receiver, ["-protocol_whitelist", "file,udp,rtp", "-analyzeduration", "1000000", "-i", file]
                                   if player == "ffmpeg" else ["filesrc", f"location={file}", "!", "sdpdemux"])
        for kind, started in playing.items():
            started.wait(kind)
        assert_ledger(penstock.metrics())


def feedback_config(lab):
    return rtsp_config(lab).replace("outputs: []", "outputs: [], feedback: { retransmit: 2048, budget: 5000 }", 1)


def test_viewer_asks_again():
    """GStreamer is offered retransmission by RTSP, asks for what the switch drops, and gets it in a stream of its own; a viewer that
    sets up RTP/AVP gets what it asks for as it was; VLC's library is told of neither."""
    with Relay(2) as lab:
        penstock = lab.start_penstock(lab.node, feedback_config(lab))
        receiver = lab.receivers[0]
        old = Client(lab.receivers[1])
        assert "m=video 0 RTP/AVP 96\r\n" in old.request("DESCRIBE", User_Agent="LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)").body
        assert "m=video 0 RTP/AVPF 96 97\r\n" in Client(lab.receivers[1]).request("DESCRIBE").body
        wire = Capture(receiver, "eth0", "udp")
        played = receiver.socket(bind=("127.0.0.1", 7000))
        played.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        gst = receiver.start("gst-launch-1.0", "-v", "rtspsrc", f"location=rtsp://{WAN[4]}/camera-1", "protocols=udp", "latency=1000",
                             "do-retransmission=true", "name=s", "s.", "!", "application/x-rtp,media=video", "!",
                             "udpsink", "host=127.0.0.1", "port=7000", "sync=false", "async=false")
        sessions = lambda: penstock.show("rtsp sessions")["sessions"]
        wait_for(lambda: sessions() and sessions()[0]["state"] == "playing", f"GStreamer to play\n{gst.text()[-2000:]}", 15)
        lab.switch.run("nft", "-f", "-", input=f"""
            table bridge loss {{
                chain forward {{
                    type filter hook forward priority 0;
                    ip daddr {receiver_address(1)} udp dport 1024-65535 @th,72,8 & 0x7f == {VIDEO_PT} numgen inc mod 20 7 counter drop;
                }}
            }}""")
        assert old.setup("video").status == 200
        assert old.request("PLAY").status == 200
        sender = Sender(lab.source, LAN[4], 20000, first=65000)
        began = time.monotonic()
        for _ in range(1000):  # their timestamps tell when they leave, however loaded the machine is: the jitter buffer goes by them
            sender.sent.append(rtp_packet(sender.sequence, bytes(300), timestamp=int((time.monotonic() - began) * 90000)).hex())
            sender.socket.sendto(bytes.fromhex(sender.sent[-1]), sender.destination)
            sender.sequence += 1
            time.sleep(1 / 400)
        got, body = [], sender.sent[100:-40]
        played.settimeout(0.5)

        def complete():
            try:
                while True:
                    got.append(played.recv(2048).hex())
            except TimeoutError:
                return len(set(body) - set(got)) <= 2  # lost again, too
        wait_for(complete, "all packets at the player", 12)
        resent = penstock.metrics().sum("penstock_leg_resent_packets_total")
        assert resent >= 40, f"only {resent} were sent again"
        kinds = [int(payload[2:4], 16) & 0x7f for payload, in wire.fields(f"udp && ip.dst == {receiver_address(1)}", "udp.payload")]
        assert kinds.count(VIDEO_PT + 1) >= 40, "none came in a stream of its own"
        # A plain viewer: its request by RTCP, and the answer.
        wanted = bytes.fromhex(sender.sent[-5])
        old.drain("video")
        ask(old, wanted)
        packet, _ = old.packet("video")
        assert packet == wanted, "it was sent again otherwise than it was"
        gst.stop()
        assert_ledger(penstock.metrics())


def ask(client, packet):
    """Generic NACK (RFC 4585 section 6.2.1) with an empty receiver report before it."""
    nack = bytes([0x80, 201, 0, 1]) + b"\0\0\0\1" + bytes([0x81, 205, 0, 3]) + b"\0\0\0\1" + packet[8:12] + packet[2:4] + b"\0\0"
    client.sockets["video"][1].sendto(nack, (client.host, client.server_ports["video"][1]))


@cases(player=("ffmpeg", "gstreamer"), transport=("udp", "tcp"))
def test_players_take_the_offer(player, transport):
    """Players decode a stream that is offered with RTP/AVPF and retransmission."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, feedback_config(lab))
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="audio") > 20, "media", 20)
        url = f"rtsp://{WAN[4]}/camera-1"
        Player(player, lab.receivers[0], ["-rtsp_transport", transport, "-i", url] if player == "ffmpeg" else
               ["rtspsrc", f"location={url}", f"protocols={transport}"]).wait(url)
        assert_ledger(penstock.metrics())


def flexfec_row(packets, sequence):
    """One repair packet of RFC 8627 over a row of media packets: F=1, L of them, no columns."""
    heads = [int.from_bytes(p[:2], "big") for p in packets]
    total = lambda values: functools.reduce(operator.xor, values)
    bodies = [int.from_bytes(p[12:], "big") for p in packets]  # of one size
    size = len(packets[0]) - 12
    return (bytes([0x81, 110]) + sequence.to_bytes(2, "big") + packets[-1][4:8] + b"\0\0\0\7" + packets[0][8:12]
            + (total(heads) & 0x3fff | 0x4000).to_bytes(2, "big") + total([size] * len(packets)).to_bytes(2, "big")
            + total(int.from_bytes(p[4:8], "big") for p in packets).to_bytes(4, "big") + packets[0][2:4] + bytes([len(packets), 0])
            + total(bodies).to_bytes(size, "big"))


@cases(port=("same", "own"), transport=("udp", "tcp"))
def test_pushed_with_repair(port, transport):
    """A publisher announces repair, in a group of its own media or among the media: it mends them, and is no track."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, rtsp_config(lab, "listen: [\":554\"], publish: {}"))
        pusher = Client(lab.source, host=LAN[4], name="live")
        flexfec = "a=rtpmap:110 flexfec/90000\r\na=fmtp:110 repair-window=1000000\r\n"
        media = "m=video 0 RTP/AVP 96%s\r\na=rtpmap:96 H264/90000\r\na=mid:v\r\na=control:v\r\n"
        sdp = "v=0\r\no=- 1 1 IN IP4 10.1.0.2\r\ns=-\r\nt=0 0\r\na=group:FEC-FR v r\r\n" + (
            media % " 110" + flexfec if port == "same" else media % "" + "m=video 0 RTP/AVP 110\r\n" + flexfec + "a=mid:r\r\na=control:r\r\n")
        assert pusher.request("ANNOUNCE", body=sdp, Content_Type="application/sdp").status == 200
        names = ["v"] if port == "same" else ["v", "r"]
        ways = {}
        for n, name in enumerate(names):
            if transport == "udp":
                assert pusher.setup(name, "RTP/AVP;unicast;client_port={}-{};mode=record").status == 200
                ways[name] = lambda packet, name=name: pusher.sockets[name][0].sendto(packet, (LAN[4], pusher.server_ports[name][0]))
            else:
                reply = pusher.request("SETUP", f"{pusher.url}/{name}", Transport=f"RTP/AVP/TCP;interleaved={2 * n}-{2 * n + 1};mode=record")
                assert reply.status == 200
                pusher.session = reply["Session"].split(";")[0]
                ways[name] = lambda packet, n=n: pusher.send(bytes([36, 2 * n]) + len(packet).to_bytes(2, "big") + packet)
        assert pusher.request("RECORD").status == 200
        assert [row["track"] for row in penstock.show("stream all")["streams"] if row["stream"] == "live"] == ["video"]
        penstock.cli("add", "output", "live", f"rtp://{receiver_address(1)}:6000")
        wait_for(lambda: all(leg["mac"] for leg in penstock.show("stream live")["legs"]), "the receiver")
        heard = Capture(lab.receivers[0], "eth0", "udp port 6000")
        packets = [rtp_packet(100 + n, bytes([n] * 200), timestamp=n * 90) for n in range(50)]
        for row in range(10):
            for n in range(5):
                if n != 1 + row % 3:  # the first and the last come: what is missing before or behind them nobody knows
                    ways["v"](packets[5 * row + n])
            ways[names[-1]](flexfec_row(packets[5 * row:5 * row + 5], row))
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="live") >= 50, f"all packets; {penstock.show('stream live repair')}")
        assert sorted(heard.payloads(6000)) == [packet.hex() for packet in packets]
        (received,) = penstock.show("stream live repair")["received"]
        assert received["recovered"] == 10 and received["refused"] == 0, received
        assert pusher.request("TEARDOWN").status == 200
        assert_ledger(penstock.metrics())


@cases(transport=("udp", "tcp"))
def test_pushed_twice(transport):
    """A publisher says that each packet comes twice to the port of its medium, under two SSRCs: they are two paths of one track."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, rtsp_config(lab, "listen: [\":554\"], publish: {}"))
        pusher = Client(lab.source, host=LAN[4], name="live")
        sdp = ("v=0\r\no=- 1 1 IN IP4 10.1.0.2\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
               "a=ssrc:1000 cname:a@b\r\na=ssrc:1010 cname:a@b\r\na=ssrc-group:DUP 1000 1010\r\na=control:v\r\n")
        assert pusher.request("ANNOUNCE", body=sdp, Content_Type="application/sdp").status == 200
        if transport == "udp":
            assert pusher.setup("v", "RTP/AVP;unicast;client_port={}-{};mode=record").status == 200
            send = lambda packet: pusher.sockets["v"][0].sendto(packet, (LAN[4], pusher.server_ports["v"][0]))
        else:
            reply = pusher.request("SETUP", f"{pusher.url}/v", Transport="RTP/AVP/TCP;interleaved=0-1;mode=record")
            assert reply.status == 200
            pusher.session = reply["Session"].split(";")[0]
            send = lambda packet: pusher.send(b"$\0" + len(packet).to_bytes(2, "big") + packet)
        assert pusher.request("RECORD").status == 200
        penstock.cli("add", "output", "live", f"rtp://{receiver_address(1)}:6000")
        wait_legs(penstock, 1)
        heard = Capture(lab.receivers[0], "eth0", "udp port 6000")
        packets = [rtp_packet(1000 + n, n.to_bytes(4, "big") * 50, ssrc=1000) for n in range(300)]
        for n, packet in enumerate(packets):
            if n % 10 != 3:
                send(packet)
            if n % 10 != 7:
                send(packet[:8] + (1010).to_bytes(4, "big") + packet[12:])
            time.sleep(0.001)
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="live") == 300, "all of them")
        assert sorted(heard.payloads(6000)) == sorted(packet.hex() for packet in packets)
        paths = penstock.show("stream live")["paths"]
        assert [(path["ssrc"], path["packets"]) for path in paths] == [(1000, 270), (1010, 270)], paths
        assert_ledger(penstock.metrics())


def test_pushed_with_st2022_1():
    """GStreamer's encoder sends columns and rows in media of their own, which the SDP of the publisher calls parityfec: without any
    configuration they mend what is lost on the way, bit for bit."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, rtsp_config(lab, "listen: [\":554\"], publish: {}"))
        pusher = Client(lab.source, host=LAN[4], name="live")
        repair = "m=video 0 RTP/AVP 100\r\na=rtpmap:100 parityfec/90000\r\na=mid:{0}\r\na=control:{0}\r\n"
        sdp = ("v=0\r\no=- 1 1 IN IP4 10.1.0.2\r\ns=-\r\nt=0 0\r\na=group:FEC-FR v c r\r\nm=video 0 RTP/AVP 96\r\n"
               "a=rtpmap:96 H264/90000\r\na=mid:v\r\na=control:v\r\n" + repair.format("c") + repair.format("r"))
        assert pusher.request("ANNOUNCE", body=sdp, Content_Type="application/sdp").status == 200
        for name in "vcr":
            assert pusher.setup(name, "RTP/AVP;unicast;client_port={}-{};mode=record").status == 200
        assert pusher.request("RECORD").status == 200
        assert [track["track"] for track in penstock.show("stream live")["paths"]] == ["video"]
        penstock.cli("add", "output", "live", f"rtp://{receiver_address(1)}:6000")
        wait_legs(penstock, 1)
        ports = {name: pusher.server_ports[name][0] for name in "vcr"}
        lab.source.run("nft", "-f", "-", input=f"""
            table netdev loss {{
                chain out {{ type filter hook egress device eth0 priority 0; udp dport {ports['v']} numgen inc mod 23 7 counter drop; }}
            }}""")
        heard, sent = Capture(lab.receivers[0], "eth0", "udp port 6000"), lab.source.socket(bind=("127.0.0.1", 9000))
        sent.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        to = lambda port, host=LAN[4]: f"queue ! udpsink host={host} port={port} sync=false async=false"
        gst = lab.source.start("gst-launch-1.0", *(
            "videotestsrc num-buffers=150 is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! x264enc tune=zerolatency bitrate=1500 "
            "! rtph264pay pt=96 ssrc=0 mtu=600 seqnum-offset=65000 ! rtpst2022-1-fecenc name=e columns=5 rows=5 "
            f"e.src ! tee name=t t. ! {to(ports['v'])} t. ! {to(9000, '127.0.0.1')} e.fec_0 ! {to(ports['c'])} e.fec_1 ! {to(ports['r'])}").split())
        gst.wait(60)
        metrics = penstock.metrics()
        sent.settimeout(0.2)
        original, got = [], heard.payloads(6000)
        with contextlib.suppress(TimeoutError):
            while True:
                original.append(sent.recv(2048).hex())
        body = original[:-60]  # of the last matrix no repair follows
        missing = set(body) - set(got)
        recovered = metrics.sum("penstock_track_recovered_packets_total", by="fec")
        came = penstock.show("stream live repair")["received"]
        assert len(original) > 500 and not missing, f"{len(missing)} of {len(body)} are missing; {came}\n{gst.text()[-2000:]}"
        assert recovered >= len(body) // 23 - 1 and came[0]["repair_columns"] > 0 and came[0]["repair_rows"] > 0, came
        assert len(got) == len(set(got)), "some came twice"
        assert_ledger(metrics)
