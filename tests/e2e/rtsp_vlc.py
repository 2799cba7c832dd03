"""VLC as a camera, where it is installed. As a player Debian's has no RTSP: it is built without live555, and the module that takes
rtsp:// in its place knows SAT>IP alone."""
import shutil

from bitstream import Film
from lab import Skip
from relay import SOURCE, WAN, Relay, assert_ledger
from rtsp_pull import config as pulling, wait_media
from rtsp_push import film


def test_camera():
    """A file that it sends is what a viewer gets."""
    if not shutil.which("vlc"):
        raise Skip("vlc is not installed (vlc-bin, vlc-plugin-base)")
    with Relay(1) as lab:
        path = film(lab)
        lab.directory.chmod(0o755)
        # It does not run as root.
        camera = lab.source.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "vlc", "-I", "dummy", "--loop", path,
                                  "--sout", "#rtp{sdp=rtsp://:8554/x}", "--sout-keep")
        penstock = lab.start_penstock(lab.node, pulling(lab, {"gate": f"url: \"rtsp://{SOURCE[4]}:8554/x\", transport: udp"}))
        wait_media(penstock, seconds=30)
        viewer = lab.receivers[0].start("ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-t", 3, "-i", f"rtsp://{WAN[4]}/gate",
                                        "-map", "0:v", "-c", "copy", "-f", "h264", lab.file("viewed.264"))
        viewer.wait(30)
        Film(path).assert_video(lab.file("viewed.264").read_bytes(), 30)
        assert_ledger(penstock.metrics())
        assert camera.running(), camera.text()[-1500:]
