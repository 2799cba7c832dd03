"""live555 as player and as camera, where it is installed: Debian has it no more. `openRTSP` and `live555MediaServer` are looked for on the
path and in the directory that LIVE555 names."""
import os
import shutil

from bitstream import Film
from cases import cases
from lab import Skip, run, wait_for
from relay import SOURCE, WAN, Relay, assert_ledger
from rtsp_identity import by_rtp
from rtsp_play import wait_sessions
from rtsp_pull import config as pulling, wait_media
from rtsp_push import film


def program(name):
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("LIVE555", ""), os.environ["PATH"]]))
    if not found:
        raise Skip(f"{name} of live555 is not installed: it is not on the path, nor in the directory that LIVE555 names")
    return found


@cases(transport=("udp", "tcp", "http"))
def test_player(transport):
    """What it writes is the film, slice by slice; its session ends when it says so."""
    player = program("openRTSP")
    with Relay(1) as lab:
        path = film(lab)
        penstock = by_rtp(lab, path)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="video") > 10, f"media\n{penstock.text()[-1500:]}", 20)
        process = lab.receivers[0].start(player, "-V", "-d", 3, "-b", 200_000, "-F", lab.file("live555-"), *{"udp": [], "tcp": ["-t"], "http": ["-T", 554]}[transport],
                                         f"rtsp://{WAN[4]}/live")
        wait_sessions(penstock, 1, 20)
        process.wait(30)
        Film(path).assert_video(next(lab.directory.glob("live555-video-H264-*")).read_bytes(), 30)
        wait_sessions(penstock, 0)
        assert_ledger(penstock.metrics())


@cases(transport=("udp", "tcp"))
def test_camera(transport):
    """A file that its server plays is what a viewer gets."""
    server = program("live555MediaServer")
    with Relay(1) as lab:
        path = film(lab)
        run("ffmpeg", "-nostdin", "-v", "error", "-stream_loop", 3, "-i", path, "-map", "0:v", "-c", "copy", "-f", "h264", lab.file("film.264"))
        camera = lab.source.start(server, cwd=lab.directory)
        camera.wait_for_text("rtsp://", 10)
        penstock = lab.start_penstock(lab.node, pulling(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}/film.264\", transport: {transport}"}))
        wait_media(penstock)
        viewer = lab.receivers[0].start("ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-t", 3, "-i", f"rtsp://{WAN[4]}/gate",
                                        "-map", "0:v", "-c", "copy", "-f", "h264", lab.file("viewed.264"))
        viewer.wait(30)
        Film(path).assert_video(lab.file("viewed.264").read_bytes(), 30)
        assert_ledger(penstock.metrics())
