"""RTSP in HTTP: GStreamer pushes through it, players ask through it, and what hostile or mistaken peers get."""
import base64
import re
import signal

from cases import cases
from lab import wait_for
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, rtp_packet
from rtsp import Client, config
from rtsp_play import wait_sessions
from rtsp_push import FfmpegPlayer, GstreamerPlayer, config as push_config, ffmpeg, film, gone, gstreamer, wait_published


class Tunnel(Client):
    """A client that speaks by POST, every message encoded by itself, and hears by GET."""
    ACCEPT = "Accept: application/x-rtsp-tunnelled\r\nPragma: no-cache\r\n"

    def __init__(self, namespace, cookie="AbC/1", **where):
        super().__init__(namespace, **where)
        self.cookie = cookie
        self.tcp.sendall(f"GET /camera-1 HTTP/1.0\r\nx-sessioncookie: {cookie}\r\n{self.ACCEPT}\r\n".encode())
        self.answer = self.reply()
        self.open()

    def open(self):
        self.post = Client(self.namespace, host=self.host)
        self.post.send(f"POST /camera-1 HTTP/1.0\r\nx-sessioncookie: {self.cookie}\r\n{self.ACCEPT}Content-Length: 32767\r\n\r\n")

    def send(self, data):
        self.post.tcp.sendall(base64.b64encode(data if isinstance(data, bytes) else data.encode()))
        return self


def test_pushed():
    """What GStreamer pushes through HTTP, media included, is what a player gets."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, push_config(lab))
        path = film(lab)
        process = gstreamer(lab, path, "tcp", f"rtsph://{LAN[4]}/live")
        wait_published(penstock, process)
        assert penstock.metrics().sum("penstock_rtsp_tunnels") == 1
        assert penstock.metrics().sum("penstock_rtsp_connections") == 1  # of the two, one is RTSP
        player = FfmpegPlayer(lab)
        player.process.wait(30)
        process.stop(signal.SIGINT)
        wait_for(lambda: gone(penstock), f"all to be gone\n{penstock.text()[-1500:]}", 15)
        got, whole = player.pictures(), player.film(path) * 3
        assert len(got) > 30 and any(got[20:] == whole[at:at + len(got) - 20] for at in range(len(whole))), len(got)
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_tunnels") == 0, "the tunnel to be gone")
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_tunnels_total") == 1 and metrics.sum("penstock_ingest_packets_total") > 100
        assert metrics.sum("penstock_ingest_drops_total") == metrics.sum("penstock_rtsp_stray_frames_total") == 0
        assert re.search(rf"{SOURCE[4]} published 'live' .* over TCP", penstock.text())
        assert_ledger(metrics)


def test_watched():
    """Requests go through the tunnel, media by UDP; a POST may end and another follow; what is no tunnel is told so."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        viewer = Tunnel(lab.receivers[0])
        assert viewer.answer.status == 200 and viewer.answer["Content-Type"] == "application/x-rtsp-tunnelled"
        assert "m=video" in viewer.request("DESCRIBE").body
        assert viewer.setup("video").status == 200
        assert viewer.request("PLAY").status == 200
        source = lab.source.socket(bind=(SOURCE[4], 0))
        source.sendto(rtp_packet(1, b"through"), (LAN[4], 20000))
        assert viewer.packet("video")[0].endswith(b"through")
        viewer.post.tcp.close()
        viewer.open()
        assert viewer.request("PAUSE").status == 200
        other = Tunnel(lab.receivers[0], host=WAN[6], cookie="AbC/1")  # of another address
        assert other.request("OPTIONS").status == 200
        assert viewer.request("TEARDOWN").status == 200
        assert penstock.metrics().sum("penstock_rtsp_tunnels") == 2
        viewer.tcp.close()
        assert viewer.post.closed()
        other.send(b"$\0\0\1x").post.send("=")
        assert other.closed() and other.post.closed()

        plain = Client(lab.receivers[0]).send("GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        assert plain.reply().status == 404 and plain.closed()
        tls = Client(lab.receivers[0]).send(b"\x16\x03\x01\x02\x00\x01")
        assert tls.closed()
        metrics = penstock.metrics()
        for reason in ("base64", "no_tunnel"):
            assert metrics.sum("penstock_rtsp_tunnels_refused_total", reason=reason) == 1
        assert metrics.sum("penstock_rtsp_connections_refused_total", reason="tls") == 1
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_connections") == 0, "the connections to be gone")


@cases(player=("ffmpeg", "gstreamer"))
def test_player(player):
    """Players that ask through HTTP get their media through it: they decode what is pushed, picture by picture."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, push_config(lab))
        path = film(lab)
        wait_published(penstock, ffmpeg(lab, path, "udp"))
        if player == "ffmpeg":
            playing = FfmpegPlayer(lab, f"rtsp://{WAN[4]}:554/live", transport="http")
        else:
            playing = GstreamerPlayer(lab, f"rtsph://{WAN[4]}/live", transport="tcp+http")
        wait_for(lambda: len(penstock.show("rtsp sessions")["tracks"]) == 4, f"the player's session\n{playing.process.text()[-1500:]}", 20)
        assert penstock.metrics().sum("penstock_rtsp_tunnels_total") == 1
        playing.process.wait(30)
        got, whole = playing.pictures(), playing.film(path) * 3
        assert len(got) > 30 and playing.sounds() > 20, (len(got), playing.sounds(), playing.process.text()[-2000:])
        assert any(got[20:] == whole[at:at + len(got) - 20] for at in range(len(whole))), f"{len(got)} pictures are not those that were pushed"
        wait_sessions(penstock, 1)
        assert penstock.metrics().sum("penstock_rtsp_tcp_frames_total") > 100
        assert_ledger(penstock.metrics())
