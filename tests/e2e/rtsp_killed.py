"""penstock itself is killed in the middle of everything, and started again: nothing of the former one is in the way, cameras come
back, players and publishers that connect again get what they want."""
import signal

import camera
import rtsp_push
from cases import alone
from lab import wait_for
from life import xdp_programs
from relay import LAN, SOURCE, WAN, Relay, assert_ledger, receiver_address
from rtsp_continuity import ffmpeg, gstreamer
from rtsp_play import sessions
from rtsp_pull import source, state_of, wait_media

EXTRA = "listen: [\":554\"], publish: {}, multicast: { groups: 239.10.0.0/24, port: wan }"


def node(lab):
    return lab.start_penstock(lab.node, f"""node: {lab.name}
workers: {{ idle: sleep }}
memory: {{ mbufs: 16384 }}
rtsp: {{ {EXTRA} }}
ports:
{lab.ports()}streams:
  - name: gate
    rtsp: {{ url: "rtsp://{SOURCE[4]}:8554/live", transport: udp }}
    tracks: [{{ media: video, outputs: [{{ rtp: "{receiver_address(4)}:6000" }}] }}]
""")


def players(lab):
    return [ffmpeg(lab, 0, f"rtsp://{WAN[4]}/gate", "udp"), gstreamer(lab, 1, f"rtsp://{WAN[4]}/live", "tcp"),
            ffmpeg(lab, 2, f"rtsp://{WAN[4]}/gate", "udp_multicast")]


def wait_pictures(lab, penstock, playing):
    wait_for(lambda: all(len(pictures()) > 25 for _, pictures in playing),
             f"pictures: {[len(pictures()) for _, pictures in playing]}\n" + "\n".join(p.text()[-300:] for p, _ in playing) + state_of(penstock), 40)


def groups_joined(lab):
    return [line for line in lab.node.run("ip", "maddress", "show").splitlines() if " 239." in line]


@alone
def test_killed():
    """kill -9 under a camera, a publisher, outputs and players by UDP, TCP and multicast."""
    with Relay(4) as lab:
        camera.start(lab.source)
        film = rtsp_push.film(lab)
        first = node(lab)
        publisher = rtsp_push.ffmpeg(lab, film, "udp")
        for stream in ("gate", "live"):
            wait_media(first, stream)
        playing = players(lab)
        wait_pictures(lab, first, playing)
        first.stop(signal.SIGKILL)
        assert not groups_joined(lab), groups_joined(lab)  # the kernel's, of its sockets
        publisher.wait(20)
        for player, _ in playing:
            player.stop()
        for number in range(3):
            lab.file(f"{number}.md5").unlink(missing_ok=True)
        lab.file("1.log").write_text("")

        second = node(lab)
        publisher = rtsp_push.ffmpeg(lab, film, "udp")
        for stream in ("gate", "live"):
            wait_media(second, stream)
        playing = players(lab)
        wait_pictures(lab, second, playing)
        wait_for(lambda: second.metrics().sum("penstock_leg_packets_total", stream="gate", leg=f"{receiver_address(4)}:6000") > 50, "the output")
        # What cameras and publishers still send to the former one does not get between.
        metrics = second.metrics()
        for what in ("duplicate_packets", "ssrc_changes", "reordered_packets"):
            assert metrics.sum(f"penstock_path_{what}_total") == 0, (what, metrics.named(f"penstock_path_{what}_total"))
        assert source(second)["connects"] == 1 and source(second)["failure"] is None
        assert len(sessions(second)) == 4
        # Two tracks a way: of the camera, of the publisher, of the player by UDP, and of the groups.
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 8
        assert metrics.sum("penstock_rtsp_sessions_total") == 4
        assert lab.node.ip("link", "show").count("prog/xdp") == 2
        assert_ledger(metrics)
        assert second.stop(signal.SIGTERM) == 0, second.text()[-2000:]
        assert not xdp_programs(lab.node) and not groups_joined(lab)
        listening = lab.node.run("ss", "-Htlun")
        assert ":554 " not in listening, listening
