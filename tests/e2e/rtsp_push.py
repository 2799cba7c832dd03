"""Publishers: ffmpeg and GStreamer push by ANNOUNCE and RECORD, over UDP and TCP; players watch what they push. What players
decode is compared, picture by picture, with what the file that is pushed decodes to."""
import re
import signal
import threading
import time

from cases import cases
from judge import Capture
from lab import run, wait_for
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, receiver_address, rtp_packet
from rtcp import packets_of, sender_report
from rtsp import Client, TcpClient
from rtsp_play import is_part_of, sessions

PUSH, WATCH = f"rtsp://{LAN[4]}/live", f"rtsp://{WAN[4]}/live"
SDP = ("v=0\r\no=- 0 0 IN IP4 10.1.0.2\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
       "a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n")


def config(lab, rtsp="listen: [\":554\"], publish: {}", streams=""):
    return (f"node: {lab.name}\nworkers: {{ idle: sleep }}\nmemory: {{ mbufs: 16384 }}\nrtsp: {{ {rtsp} }}\nports:\n{lab.ports()}{streams}")


def film(lab, seconds=12):
    """H.264 and AAC in a file."""
    path = lab.file("film.mp4")
    run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
        "-t", seconds, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", path)
    return path


def ffmpeg(lab, path, transport, url=PUSH):
    return lab.source.start("ffmpeg", "-nostdin", "-hide_banner", "-v", "info", "-re", "-stream_loop", "-1", "-i", path, "-c", "copy",
                            "-f", "rtsp", "-rtsp_transport", transport, url)


def repeated(lab, path, times=10):
    """The film again and again, as `-stream_loop` has it. At the end of a file rtspclientsink hangs now and then: its connection
    and its sender reports go on without media, and a player that comes late, on a machine that is busy, waits for pictures for ever."""
    long = lab.file("film-repeated.mp4")
    run("ffmpeg", "-nostdin", "-v", "error", "-y", "-stream_loop", times - 1, "-i", path, "-c", "copy", long)
    return long


def gstreamer(lab, path, transport, url=PUSH, *options):
    return lab.source.start(
        "gst-launch-1.0", "filesrc", f"location={repeated(lab, path)}", "!", "qtdemux", "name=d", "rtspclientsink", "name=s", f"location={url}", f"protocols={transport}", *options,
        "d.video_0", "!", "queue", "!", "h264parse", "config-interval=-1", "!", "clocksync", "!", "s.sink_0",
        "d.audio_0", "!", "queue", "!", "aacparse", "!", "clocksync", "!", "s.sink_1", log=lab.file("gst-push.log"))


PUSHERS = {"ffmpeg": ffmpeg, "gstreamer": gstreamer}


def wait_published(penstock, pusher=None, packets=20, name="live"):
    def there():
        rows = [row for row in sessions(penstock) if row["stream"] == name and row["state"] == "recording"]
        return rows and penstock.metrics().sum("penstock_path_packets_total", stream=name) > packets
    wait_for(there, f"'{name}' to be published\n{pusher.text()[-1500:] if pusher else ''}\n{penstock.text()[-1500:]}", 20)


def gone(penstock):
    return not sessions(penstock) and not penstock.show("stream all")["streams"]


class FfmpegPlayer:
    """Plays for some seconds."""

    def __init__(self, lab, url=WATCH, seconds=3, transport="udp"):
        self.video, self.audio = lab.file("player.video"), lab.file("player.audio")
        self.process = lab.receivers[0].start(
            "ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-rtsp_transport", transport, "-t", seconds, "-i", url,
            "-map", "0:v", "-vsync", "passthrough", "-f", "framemd5", self.video, "-map", "0:a", "-f", "framemd5", self.audio)

    @staticmethod
    def film(path):
        return FfmpegPlayer.hashes(run("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", "0:v", "-f", "framemd5", "-"))

    @staticmethod
    def hashes(text):
        return [line.split(",")[-1].strip() for line in text.splitlines() if line and line[0] != "#"]

    def pictures(self):
        return self.hashes(self.video.read_text())

    def sounds(self):
        return len(self.hashes(self.audio.read_text()))


class GstreamerPlayer:
    def __init__(self, lab, url=WATCH, pictures=75, transport="udp", options=()):
        self.process = lab.receivers[0].start(
            "timeout", "-s", "KILL", "30", "gst-launch-1.0", "-v", "rtspsrc", f"location={url}", f"protocols={transport}", *options, "name=s",
            "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "avdec_h264", "!", "identity", f"eos-after={pictures}", "!", "checksumsink", "sync=false",
            "s.", "!", "application/x-rtp,media=audio", "!", "identity", "name=sound", "silent=false", f"eos-after={pictures}", "!", "fakesink", "sync=false",
            log=lab.file("player.log"))

    @staticmethod
    def film(path):
        return GstreamerPlayer.hashes(run("gst-launch-1.0", "filesrc", f"location={path}", "!", "qtdemux", "!", "h264parse", "!", "avdec_h264", "!", "checksumsink", "sync=false"))

    @staticmethod
    def hashes(text):
        return re.findall(r"^\d+:\d\d:\d\d\.\d+ ([0-9a-f]{40})$", text, re.MULTILINE)

    def pictures(self):
        return self.hashes(self.process.text())

    def sounds(self):
        return self.process.text().count("sound: last-message = chain")


@cases(what=("ffmpeg_udp", "ffmpeg_tcp", "gstreamer_udp", "gstreamer_tcp", "ffmpeg_udp_af_packet"))
def test_pushed(what):
    """What is pushed is a stream at once, is watched as it was pushed, and is gone when the publisher ends."""
    pusher, transport, *other = what.split("_", 2)
    with Relay(1, *other) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, 'listen: [":554"], publish: {}, session_timeout: 8s'))
        path = film(lab)
        player_of = FfmpegPlayer if pusher == "ffmpeg" else GstreamerPlayer
        sent, heard = Capture(lab.source, "eth0", "udp or icmp"), Capture(lab.receivers[0], "eth0")
        process = PUSHERS[pusher](lab, path, transport)
        wait_published(penstock, process)
        assert {row["track"] for row in penstock.show("stream live")["paths"]} == {"video", "audio"}
        assert not [row for row in penstock.show("config")["settings"] if "live" in str(row)]
        player = player_of(lab)
        wait_for(lambda: len({row["to"] for row in penstock.show("rtsp sessions")["tracks"]}) == 4, "the player's session", 20)
        shown = penstock.show("rtsp sessions")
        viewer = next(row["session"] for row in shown["sessions"] if row["state"] != "recording")
        player.process.wait(30)
        # Now and then rtspclientsink hangs in its end and has to be killed, or ends without a word: its silence ends the session.
        process.stop(signal.SIGINT)
        ended = "teardown|timeout" if pusher == "gstreamer" else "teardown"
        wait_for(lambda: gone(penstock), f"all to be gone\n{penstock.text()[-1500:]}", 20)

        got, whole = player.pictures(), player_of.film(path) * 3
        assert len(got) > 30 and player.sounds() > 30, (len(got), player.sounds(), player.process.text()[-2000:])
        # A decoder that begins between key frames makes something up until the first one.
        assert any(got[20:] == whole[at:at + len(got) - 20] for at in range(len(whole))), f"{len(got)} pictures are not those that were pushed"
        if transport == "udp":
            for row in shown["tracks"]:
                if row["session"] != viewer:
                    continue
                port = next(other["server_port"] for other in shown["tracks"] if other["session"] != viewer and other["track"] == row["track"])
                played = heard.payloads(int(row["to"].rsplit(":", 1)[1]), to=receiver_address(1))
                assert len(played) > 20 and is_part_of(played, sent.payloads(port, to=LAN[4])), f"{row['track']}: {len(played)} packets are not what was pushed"
            # No port of ours is unreachable. Those of the publisher are when it is gone, and hears goodbye.
            assert sent.count(f"icmp.type == 3 && ip.src#1 == {LAN[4]}") == 0
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 0
        assert metrics.sum("penstock_rtsp_requests_total", method="ANNOUNCE", status="200") == 1
        assert metrics.sum("penstock_ingest_drops_total") == metrics.sum("penstock_rtsp_stray_frames_total") == 0
        assert (metrics.sum("penstock_ingest_packets_total") > 100) == (transport == "tcp")
        assert re.search(rf"RTSP session \w{{8}}: {SOURCE[4]} published 'live' \((video|audio), (video|audio)\) over {transport.upper()} .* ended by ({ended}|connection_lost); agent '.+'", penstock.text())
        assert_ledger(metrics)


class Pusher(TcpClient):
    """A publisher of few words."""

    def __init__(self, namespace, host=LAN[4], name="live", sdp=SDP):
        super().__init__(namespace, host=host, name=name)
        self.sdp = sdp

    def announce(self, sdp=None, **headers):
        sdp = self.sdp if sdp is None else sdp
        return self.request("ANNOUNCE", body=sdp, **{"Content-Type": "application/sdp", **headers})

    def push(self, transport="RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"):
        """Up to RECORD; the first status that is not 200, or 200."""
        reply = self.announce()
        if reply.status == 200:
            reply = self.request("SETUP", f"{self.url}/streamid=0", Transport=transport)
        if reply.status == 200:
            self.session, self.transport = reply["Session"].split(";")[0], reply["Transport"]
            reply = self.request("RECORD")
        return reply

    def frame(self, payload, channel=0):
        return super().frame(channel, payload)


@cases(transport=("tcp", "udp"))
def test_killed(transport):
    """A publisher that is killed is gone: over TCP at once, over UDP after its timeout. Its viewers are told, nothing lingers."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], publish: {}, session_timeout: 5s"))
        process = ffmpeg(lab, film(lab), transport)
        wait_published(penstock, process)
        viewer = Client(lab.receivers[0], name="live")
        viewer.setup("video")
        assert viewer.request("PLAY").status == 200 and viewer.packet("video")
        process.child.kill()
        process.child.wait()
        if transport == "udp":  # it is still there: silence is not yet the end
            assert len(sessions(penstock)) == 2

        def ended():
            viewer.report("video")  # it stays as long as the stream does
            return gone(penstock)
        wait_for(ended, f"all to be gone\n{penstock.text()[-1500:]}", 3 if transport == "tcp" else 12, every=0.5)
        assert viewer.closed()
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="connection_lost" if transport == "tcp" else "timeout") == 1
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="stream_gone") == 1
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 0
        assert f"published 'live' (video, audio) over {transport.upper()}" in penstock.text()
        again = ffmpeg(lab, lab.file("film.mp4"), transport)  # and the name is free again
        wait_published(penstock, again)
        assert_ledger(penstock.metrics())


def test_second():
    """A second publisher is refused; where takeover is allowed it gets the stream, and viewers and outputs go on."""
    with Relay(1) as lab:
        configured = ("streams:\n  - { name: camera-1, tracks: [{ media: video, payload_type: 96, encoding: H264/90000, "
                      f"sources: [{{ rtp: \"{LAN[4]}:21000\" }}] }}] }}\n")
        for takeover in (False, True):
            penstock = lab.start_penstock(lab.node, config(lab, f"listen: [\":554\"], publish: {{ takeover: {str(takeover).lower()} }}", configured))
            assert Pusher(lab.source, name="camera-1").announce().status == 403
            first, waiting = Pusher(lab.source), Pusher(lab.source)
            assert waiting.announce().status == 200  # both see a free name
            assert first.push().status == 200
            viewer = Client(lab.receivers[0], name="live")
            viewer.setup("video")
            assert viewer.request("PLAY").status == 200
            first.frame(rtp_packet(1, b"first"))
            assert viewer.packet("video")[0].endswith(b"first")
            penstock.cli("add", "output", "live", f"rtp://{receiver_address(1)}:6000")
            second = Pusher(lab.source)
            reply = second.push()
            if not takeover:
                assert reply.status == 403 and "is published already" in penstock.text()
                waiting.request("SETUP", f"{waiting.url}/streamid=0", Transport="RTP/AVP/TCP;unicast;mode=record")
                waiting.session = None
                first.frame(rtp_packet(2, b"still"))
                assert viewer.packet("video")[0].endswith(b"still")
            else:
                assert reply.status == 200 and first.closed()
                second.frame(rtp_packet(700, b"second", ssrc=7))
                assert viewer.packet("video")[0].endswith(b"second")
                assert len(penstock.show("stream live")["legs"]) == 2  # the output stayed
                assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="taken_over") == 1
                penstock.cli("del", "stream", "live")
                assert second.closed() and viewer.closed()
                wait_for(lambda: gone_but(penstock, "camera-1"), "all to be gone")
            assert_ledger(penstock.metrics())
            penstock.stop()


def gone_but(penstock, name):
    return not sessions(penstock) and [row["stream"] for row in penstock.show("stream all")["streams"]] == [name]


def test_wrong():
    """Wrong announcements and orders; who sends from elsewhere; what comes before RECORD, and too much of it."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], publish: {}, per_address: { streams: 2 }"))
        pusher = Pusher(lab.source)
        for status, said in ((415, pusher.announce(**{"Content-Type": "text/plain"})), (400, pusher.announce("nonsense")), (400, pusher.announce(SDP.replace("H264/90000", "H264"))),
                             (461, pusher.announce(SDP.replace("RTP/AVP", "RTP/SAVP"))), (400, Pusher(lab.source, name="a/b").announce()), (455, pusher.request("RECORD")),
                             (455, pusher.request("SETUP", f"{pusher.url}/streamid=0", Transport="RTP/AVP/TCP;mode=record")), (200, pusher.announce()),
                             (404, pusher.request("SETUP", f"{pusher.url}/streamid=1", Transport="RTP/AVP/TCP;mode=record")),
                             (461, pusher.request("SETUP", f"{pusher.url}/streamid=0", Transport="RTP/SAVP/TCP;mode=record"))):
            assert said.status == status, (status, said.status, said.headers)
        udp = "RTP/AVP;unicast;client_port=5000-5001;mode=record"
        assert pusher.push(udp).status == 200
        port = int(re.search(r"server_port=(\d+)-", pusher.transport).group(1))
        lab.source.ip("address", "add", "10.1.0.77/24", "dev", "eth0")
        stranger = lab.source.socket(bind=("10.1.0.77", 0))
        publisher = lab.source.socket(bind=(SOURCE[4], 0))  # of another port than it announced
        received = lambda: penstock.metrics().sum("penstock_path_packets_total", stream="live")

        def both():
            stranger.sendto(rtp_packet(1), (LAN[4], port))
            publisher.sendto(rtp_packet(2), (LAN[4], port))
            return received()
        wait_for(both, "the publisher's packets")
        assert penstock.metrics().drops()["no_flow"] > 0
        other = Pusher(lab.source, name="other")
        assert other.announce().status == 200
        other.frame(b"early").frame(b"early", 9)
        assert other.push().status == 200
        other.frame(rtp_packet(1, bytes(3000))).frame(rtp_packet(2)).frame(b"\x80\xc8\0\6" + bytes(24), 1)
        wait_for(lambda: penstock.metrics().sum("penstock_path_rtcp_packets_total", stream="other") == 1, "its RTCP")
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_stray_frames_total") == 2 and metrics.sum("penstock_ingest_drops_total", reason="too_long") == 1
        assert Pusher(lab.source, name="third").announce().status == 453
        assert_ledger(penstock.metrics())


@cases(takes=("nack pli", "ccm fir"))
def test_told_by_tcp(takes):
    """A publisher over TCP hears on the RTCP channel how its packets arrive, of key frames that viewers want, in the way that its SDP says, and of our end."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        wire = Capture(lab.source, "eth0", "tcp port 554")
        pusher = Pusher(lab.source, sdp=SDP + f"a=rtcp-fb:96 {takes}\r\n")
        assert pusher.push().status == 200
        viewer = Client(lab.receivers[0], name="live")
        viewer.setup("video")
        assert viewer.request("PLAY").status == 200
        number = 0

        def told(kind):
            nonlocal number
            for _ in range(20):
                pusher.frame(rtp_packet(number, bytes(1200), timestamp=number * 180, ssrc=0x5eed))
                number += 1
            return any(packet[0] == kind for channel, rtcp in pusher.frames for packet in packets_of(rtcp))

        def more(kind):
            pusher.tcp.settimeout(0.1)
            try:
                pusher.take(1, 1)
            except TimeoutError:
                pass
            return told(kind)
        told(201)
        pusher.frame(sender_report(0x5eed, 0x12345678), 1)
        wait_for(lambda: more(201), "a receiver report", 12)
        ask = bytes([0x80, 201, 0, 1]) + b"\0\0\0\x07" + bytes([0x81, 206, 0, 2]) + b"\0\0\0\x07" + (0x5eed).to_bytes(4, "big")
        viewer.sockets["video"][1].sendto(ask, (viewer.host, viewer.server_ports["video"][1]))
        wait_for(lambda: more(206), "a request for a key frame", 5)
        assert all(channel == 1 for channel, _ in pusher.frames), pusher.frames
        metrics = penstock.metrics()
        assert metrics.sum("penstock_path_key_frame_requests_total", **{"as": "asked"}) == 1
        assert metrics.sum("penstock_ingest_replies_total", result="told") == len(pusher.frames) == metrics.sum("penstock_path_reports_total")
        assert metrics.sum("penstock_ingest_replies_total", result="gone") == 0
        assert_ledger(metrics)
        penstock.stop(15)
        # tshark knows the channel by the answer to SETUP.
        names = ("rtcp.ssrc.identifier", "rtcp.ssrc.lsr", "rtcp.psfb.fmt", "rtcp.sdes.text", "_ws.malformed")
        reports = wire.fields("rtcp.pt == 201 && ip.src == " + LAN[4], *names)
        assert reports and all("penstock" in row[3] and row[4] == "" for row in reports), reports
        assert any(row[0] == "0x00005eed" and row[1] == str(0x12345678) for row in reports), reports
        assert [row[2] for row in reports if row[2]] == ["1" if takes == "nack pli" else "4"], reports
        assert wire.count("rtcp.pt == 203 && ip.src == " + LAN[4]) == 1


def test_heavy():
    """20 Mbit/s interleaved, by IPv6, arrive without loss while others ask for reports."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        pusher = Pusher(lab.source, host=LAN[6])
        assert pusher.push().status == 200
        penstock.cli("add", "output", "live", f"rtp://{receiver_address(1)}:6000")
        heard = Capture(lab.receivers[0], "eth0", "udp port 6000", bytes_each=80)
        wait_for(lambda: penstock.metrics().sum("penstock_leg_ready") == 1, "the leg to be ready")
        count, size = 4 * 20_000_000 // 8 // 1300, 1288
        packets = [rtp_packet(number, bytes(size)) for number in range(count)]

        def send():
            started = time.monotonic()
            for number, packet in enumerate(packets):
                pusher.frame(packet)
                time.sleep(max(0, started + number / count * 4 - time.monotonic()))
        thread = threading.Thread(target=send)
        thread.start()
        while thread.is_alive():
            penstock.metrics()
            penstock.show("stream live")
        thread.join()
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total", stream="live") == count, "all of it to leave")
        metrics = penstock.metrics()
        assert metrics.sum("penstock_ingest_drops_total") == 0 and metrics.sum("penstock_path_lost_packets_total") == 0
        assert heard.stop() and heard.rtp_streams(6000)[0].packets == count
        assert_ledger(metrics)
