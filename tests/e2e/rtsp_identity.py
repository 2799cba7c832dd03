"""What viewers get is bit by bit what was sent: a film by RTP, pushed by RTSP and pulled from a camera, over UDP and TCP each."""
import camera
from bitstream import Film, Recorder
from cases import cases
from lab import wait_for
from relay import LAN, SOURCE, WAN, Relay, assert_ledger
from rtsp import config as configured
from rtsp_pull import config as pulling
from rtsp_push import config as pushing, ffmpeg, film


def by_rtp(lab, path):
    penstock = lab.start_penstock(lab.node, configured(lab).replace("name: camera-1", "name: live"))
    to = lambda port: f"rtp://{LAN[4]}:{port}?pkt_size=1200"
    lab.source.start("ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", path, "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb",
                     "-f", "rtp", "-payload_type", "96", to(20000), "-map", "0:a", "-c", "copy", "-f", "rtp", "-payload_type", "97", to(20002))
    return penstock


def by_push(lab, path, transport):
    penstock = lab.start_penstock(lab.node, pushing(lab))
    ffmpeg(lab, path, transport)
    return penstock


def by_pull(lab, path, transport):
    camera.start(lab.source, film=path)
    return lab.start_penstock(lab.node, pulling(lab, {"live": f"url: \"rtsp://{SOURCE[4]}:8554/film\", transport: {transport}"}))


@cases(source=("rtp", "push_udp", "push_tcp", "pull_udp", "pull_tcp"))
def test_source(source):
    way, *transport = source.split("_")
    with Relay(1) as lab:
        path = film(lab)
        penstock = {"rtp": by_rtp, "push": by_push, "pull": by_pull}[way](lab, path, *transport)
        wait_for(lambda: all(penstock.metrics().sum("penstock_path_packets_total", track=track) > 10 for track in ("video", "audio")),
                 f"media\n{penstock.text()[-1500:]}", 20)
        recorders = [Recorder(lab.receivers[0], f"rtsp://{WAN[4]}/live", transport) for transport in ("udp", "tcp")]
        whole = Film(path)
        for recorder in recorders:
            recorder.assert_film(whole)
        assert_ledger(penstock.metrics())
