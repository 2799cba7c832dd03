"""Publishers: ffmpeg and GStreamer push by ANNOUNCE and RECORD, over UDP and TCP; players watch what they push. What players
decode is compared, picture by picture, with what the file that is pushed decodes to."""
import re
import signal

from cases import cases
from judge import Capture
from lab import run, wait_for
from media import VIDEO_PT
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, receiver_address, rtp_packet
from rtsp import Client
from rtsp_play import is_part_of, sessions, wait_sessions

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


def gstreamer(lab, path, transport, url=PUSH):
    return lab.source.start(
        "gst-launch-1.0", "filesrc", f"location={path}", "!", "qtdemux", "name=d", "rtspclientsink", "name=s", f"location={url}", f"protocols={transport}",
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
    """Plays over UDP for some seconds."""

    def __init__(self, lab, url=WATCH, seconds=3):
        self.video, self.audio = lab.file("player.video"), lab.file("player.audio")
        self.process = lab.receivers[0].start(
            "ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-rtsp_transport", "udp", "-t", seconds, "-i", url,
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
    def __init__(self, lab, url=WATCH, pictures=75):
        self.process = lab.receivers[0].start(
            "timeout", "-s", "KILL", "30", "gst-launch-1.0", "-v", "rtspsrc", f"location={url}", "protocols=udp", "name=s",
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
        penstock = lab.start_penstock(lab.node, config(lab))
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
        process.stop(signal.SIGINT)
        wait_for(lambda: gone(penstock), f"all to be gone\n{penstock.text()[-1500:]}", 15)

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
            assert sent.count("icmp.type == 3") == 0  # no port is unreachable
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 0
        assert metrics.sum("penstock_rtsp_requests_total", method="ANNOUNCE", status="200") == 1
        assert metrics.sum("penstock_ingest_drops_total") == metrics.sum("penstock_rtsp_stray_frames_total") == 0
        assert (metrics.sum("penstock_ingest_packets_total") > 100) == (transport == "tcp")
        assert re.search(rf"RTSP session \w{{8}}: {SOURCE[4]} published 'live' \((video|audio), (video|audio)\) over {transport.upper()} .* ended by (teardown|connection_lost); agent '.+'", penstock.text())
        assert_ledger(metrics)
