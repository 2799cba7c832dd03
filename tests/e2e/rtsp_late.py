"""Viewers that come late: real players see a picture long before the encoder sends its next key frame. That it has sent one
only is what shows it, not a clock. What arrives is compared with what the source sent, payload by payload."""
import re

from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, WAN, Relay, assert_ledger, receiver_address
from rtsp import Client, TcpClient

URL = f"rtsp://{WAN[4]}/camera-1"
ENCODINGS = {"h264": "H264/90000", "h265": "H265/90000"}
ENCODERS = {"h264": ("libx264", "-preset", "ultrafast", "-tune", "zerolatency"),
            "h265": ("libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-x265-params", "keyint=2000:log-level=none:pools=none")}


def start(lab, codec, late_join):
    """A node, and behind it an encoder that sends one key frame and then none for more than a minute; two seconds of it have passed."""
    config = f"rtsp: {{ listen: [\":554\"], late_join: {late_join} }}\n"
    penstock = lab.start_penstock(lab.node, config + lab.config([("video", 96, ENCODINGS[codec], [f"{LAN[4]}:20000"], [])]))
    source = lab.source.start("ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
                              "-c:v", *ENCODERS[codec], "-g", "2000", "-b:v", "800k", "-pix_fmt", "yuv420p",
                              "-f", "rtp", "-payload_type", "96", f"rtp://{LAN[4]}:20000?pkt_size=1200&localport=40000", "-sdp_file", lab.file("source.sdp"))
    wait_for(lambda: received(penstock) > 100, "media", 30)
    return penstock, source


def received(penstock):
    return penstock.metrics().sum("penstock_path_packets_total")


def one_key_frame(penstock):
    return penstock.metrics().sum("penstock_track_key_frames_total") == 1


def ffmpeg(lab, codec, transport="udp"):
    return lab.receivers[0].start("ffmpeg", "-nostdin", "-hide_banner", "-v", "info", "-rtsp_transport", transport, "-analyzeduration", "500000", "-i", URL,
                                  "-frames:v", "75", "-flush_packets", "1", "-f", "framemd5", lab.file("pictures"))


def gstreamer(lab, codec, transport="udp"):
    return lab.receivers[0].start(
        "gst-launch-1.0", "rtspsrc", f"location={URL}", f"protocols={transport}", "!", f"rtp{codec}depay", "!", f"avdec_{codec}", "!", "identity", "eos-after=75",
        "!", "checksumsink", log=lab.file("pictures"))


def pictures(lab):
    path = lab.file("pictures")
    return len(re.findall(r"^\d.*[0-9a-f]{32}$", path.read_text(errors="replace"), re.MULTILINE)) if path.exists() else 0


@cases(player=("ffmpeg", "gstreamer"), codec=("h264", "h265"))
def test_picture_at_once(player, codec):
    """A player that comes late decodes, though no key frame comes meanwhile; it gets all since the last one, each packet once."""
    with Relay(1) as lab:
        sent, heard = Capture(lab.source, "eth0"), Capture(lab.receivers[0], "eth0")
        penstock, source = start(lab, codec, "4M")
        process = globals()[player](lab, codec)
        wait_for(lambda: pictures(lab) >= 2, f"a picture\n{process.text()[-1500:]}\n{penstock.text()[-1500:]}", 30)
        metrics = penstock.metrics()
        assert one_key_frame(penstock)
        assert metrics.sum("penstock_track_late_joins_total", **{"with": "picture"}) == 1
        wait_for(lambda: not penstock.show("rtsp sessions")["sessions"], "the player to go", 30)
        source.stop()
        port = min(int(port) for port, in heard.fields(f"ip.dst == {receiver_address(1)} && ip.src == {WAN[4]} && udp", "udp.dstport"))  # the next is for RTCP
        whole, got = sent.payloads(20000, to=LAN[4]), heard.payloads(port, to=receiver_address(1))
        assert len(got) > 100 and got == whole[:len(got)], f"{len(got)} of {len(whole)} packets are not what was sent"
        assert_ledger(penstock.metrics())


@cases(player=("ffmpeg", "gstreamer"))
def test_picture_at_once_over_tcp(player):
    """One who watches over TCP decodes at once, whether he is the first or comes later."""
    with Relay(1) as lab:
        penstock, _ = start(lab, "h264", "4M")
        for _ in range(2):
            process = globals()[player](lab, "h264", "tcp")
            wait_for(lambda: pictures(lab) >= 2, f"a picture\n{process.text()[-1500:]}\n{penstock.text()[-1500:]}", 30)
            assert one_key_frame(penstock)
            process.stop()
            wait_for(lambda: not penstock.show("rtsp sessions")["sessions"], "the player to go", 30)
            lab.file("pictures").unlink()
        metrics = penstock.metrics()
        assert metrics.sum("penstock_track_late_joins_total", **{"with": "picture"}) == 2
        assert_ledger(metrics)


def test_over_tcp():
    """Over TCP the first viewer begins with the key frame, and so does who comes later: on the same channels, on others, and when
    nobody watches any more. RTP-Info names its first packet; each gets all from there on, once."""
    with Relay(1) as lab:
        sent = Capture(lab.source, "eth0")
        penstock, source = start(lab, "h264", "4M")
        clients = []
        for channels in ("0-1", "0-1", "6-7", "0-1"):
            if len(clients) == 3:
                for client in clients:
                    assert client.request("TEARDOWN").status == 200
            client = TcpClient(lab.receivers[0])
            client.setup("video", f"RTP/AVP/TCP;unicast;interleaved={channels}")
            seq, time_ = map(int, re.search(r"seq=(\d+);rtptime=(\d+)", client.request("PLAY")["RTP-Info"]).groups())
            client.take(int(received(penstock)) + 30)  # all that was kept, and then some
            first = client.frames[0][1]
            assert int.from_bytes(first[2:4], "big") == seq and int.from_bytes(first[4:8], "big") == time_, (channels, seq, first[:8].hex())
            clients.append(client)
        source.stop()
        whole = sent.payloads(20000, to=LAN[4])
        for client in clients:
            got = [packet.hex() for _, packet in client.frames]
            assert len(got) > 130 and got == whole[:len(got)], f"{len(got)} of {len(whole)} packets are not what was sent"
        assert one_key_frame(penstock)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_track_late_joins_total", **{"with": "picture"}) == 2  # of those who were the first
        assert metrics.sum("penstock_leg_drops_total") == 0
        assert_ledger(metrics)


def test_off():
    """Without it a player waits, and over TCP, too, one begins with what is live."""
    with Relay(1) as lab:
        sent = Capture(lab.source, "eth0")
        penstock, source = start(lab, "h264", "off")
        process = ffmpeg(lab, "h264")
        wait_for(lambda: penstock.metrics().sum("penstock_leg_packets_total") > 200, f"packets\n{process.text()[-1500:]}", 30)
        assert pictures(lab) == 0
        assert not penstock.metrics().named("penstock_track_history_bytes") and not penstock.show("stream camera-1")["late_joiners"]
        began = []
        for _ in range(2):
            client = TcpClient(lab.receivers[0])
            client.setup("video")
            before = int(received(penstock))
            assert client.request("PLAY").status == 200
            began.append((before, client.take(1)[0].hex()))
        source.stop()
        whole = sent.payloads(20000, to=LAN[4])
        assert all(whole.index(first) >= before for before, first in began), began


def test_numbers_hold():
    """RTP-Info names the key frame's packet; no number is missing or comes twice, also after PAUSE."""
    with Relay(1) as lab:
        penstock, _ = start(lab, "h264", "4M")
        client = Client(lab.receivers[0])
        client.setup("video")
        began = []
        for _ in range(2):
            seq, time_ = map(int, re.search(r"seq=(\d+);rtptime=(\d+)", client.request("PLAY")["RTP-Info"]).groups())
            came = received(penstock)
            numbers = []
            while len(numbers) < came + 50:  # all that was kept, and then some
                packet, _ = client.packet("video")
                numbers.append(int.from_bytes(packet[2:4], "big"))
                if len(numbers) == 1:
                    assert int.from_bytes(packet[4:8], "big") == time_
            assert numbers == [(seq + i) & 0xffff for i in range(len(numbers))]
            began.append(seq)
            client.request("PAUSE")
            wait_for(lambda: client.silent("video"), "silence")
        assert began[0] == began[1] and one_key_frame(penstock)
        row, = penstock.show("stream camera-1")["late_joiners"]
        assert (row["with_picture"], row["without_picture"], row["overtaken"], row["key_frames"]) == (2, 0, 0, 1), row
