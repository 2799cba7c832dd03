"""RTSP viewers over TCP: real players decode what was pushed, picture by picture, and clients of few words compare packet by
packet; who does not read loses whole packets and holds up nobody."""
import re

from cases import cases
from lab import wait_for
from media import AUDIO_PT
from relay import WAN, Relay, assert_ledger, receiver_address
from rtsp import TcpClient, config
from rtsp_play import is_part_of, sessions, wait_sessions
from rtsp_push import FfmpegPlayer, GstreamerPlayer, config as push_config, ffmpeg, film, wait_published
from steady import Steady


def watched(client, sent, channel=0):
    """Whether what came on the channel is what was sent, in one piece."""
    return is_part_of([packet.hex() for number, packet in client.frames if number == channel], sent)


def start(lab, more=""):
    penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], per_address: { requests: 100000, connections: 1000, sessions: 1000 }" + more))
    return penstock


@cases(player=("ffmpeg", "gstreamer"))
def test_player(player):
    """What is pushed is decoded as it is; ffprobe sees both tracks; no pair of ports is taken for the viewer."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, push_config(lab))
        path = film(lab)
        wait_published(penstock, ffmpeg(lab, path, "udp"))
        pairs = penstock.metrics().sum("penstock_rtsp_port_pairs_taken")
        kind = FfmpegPlayer if player == "ffmpeg" else GstreamerPlayer
        playing = kind(lab, transport="tcp")
        wait_for(lambda: len(penstock.show("rtsp sessions")["tracks"]) == 4, "the player's session", 20)
        shown = penstock.show("rtsp sessions")["tracks"]
        assert {row["to"].partition("/")[2] for row in shown if "/" in row["to"]} == {"0", "2"}, shown
        assert penstock.metrics().sum("penstock_rtsp_port_pairs_taken") == pairs
        if player == "ffmpeg":
            said = lab.receivers[0].run("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0", f"rtsp://{WAN[4]}/live")
            assert "h264" in said and "aac" in said, said
        playing.process.wait(30)
        got, whole = playing.pictures(), kind.film(path) * 3
        assert len(got) > 30 and playing.sounds() > 20, (len(got), playing.sounds(), playing.process.text()[-2000:])
        assert any(got[20:] == whole[at:at + len(got) - 20] for at in range(len(whole))), f"{len(got)} pictures are not those that were pushed"
        wait_sessions(penstock, 1)
        assert re.search(r"had 'live' \(audio, video\) over TCP for .* ended by (teardown|connection_lost)", penstock.text()), penstock.text()[-1500:]
        assert_ledger(penstock.metrics())


def test_exact():
    """Numbers that are promised are those that come; channels as wanted, or others; answers between frames; PAUSE and TEARDOWN
    end the frames of this viewer before their answer; reports arrive; a closed connection ends the session."""
    with Relay(2) as lab:
        penstock = start(lab)
        with Steady(lab) as source:
            one, two = (TcpClient(receiver) for receiver in lab.receivers)
            assert "interleaved=7-8" in one.setup("video", "RTP/AVP/TCP;unicast;interleaved=7-8")["Transport"]
            assert one.setup("audio", "RTP/AVP/TCP;unicast;interleaved=8-9").status == 200
            assert one.channels == {"video": (7, 8), "audio": (0, 1)}, one.channels  # 8 is taken
            assert two.setup("video", "RTP/AVP/TCP;unicast").status == 200 and two.channels["video"] == (0, 1)
            assert two.silent()  # not before PLAY
            for client in (one, two):
                reply = client.request("PLAY")
                channel = client.channels["video"][0]
                seq, time_ = map(int, re.search(rf"url={re.escape(client.url)}/video;seq=(\d+);rtptime=(\d+)", reply["RTP-Info"]).groups())
                assert not client.frames  # none before the answer
                first = client.take(1, channel)[0]
                assert int.from_bytes(first[2:4], "big") == seq and int.from_bytes(first[4:8], "big") == time_, (first[:8].hex(), seq)
            for _ in range(20):
                assert one.request("GET_PARAMETER").status == 200 and two.request("OPTIONS").status == 200
            assert one.request("GET_PARAMETER", body="x\r\n").status == 451
            assert one.request("PAUSE").status == 200 and one.silent()
            assert watched(one, source.sent, 7)
            two.take(300)
            assert watched(two, source.sent)
            one.frames.clear()
            assert one.request("PLAY").status == 200
            one.take(100, 7)
            assert watched(one, source.sent, 7)

            two.report("video", lost=5)
            two.frame(200, b"noise").frame(0, b"").frame(1, b"no RTCP")
            wait_for(lambda: penstock.metrics().sum("penstock_leg_reported_lost_packets_total", leg=f"rtsp:{receiver_address(2)}:{two.tcp.getsockname()[1]}/0") == 5,
                     "the loss that was reported")
            wait_for(lambda: penstock.metrics().sum("penstock_rtsp_stray_frames_total") == 2, "the frames that are nobody's, which came behind it")
            legs = penstock.show("stream camera-1")["legs"]
            assert len(legs) == 3 and all("/" in row["leg"] for row in legs), legs
            assert one.request("TEARDOWN").status == 200 and one.silent()
            one.session = None
            assert one.request("OPTIONS").status == 200  # the connection is an ordinary one again
            two.tcp.close()
            wait_sessions(penstock, 0)
            wait_for(lambda: penstock.metrics().sum("penstock_rtsp_tcp_renditions") == 0, "the sender to forget what nobody watches")
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="connection_lost") == 1
        assert_ledger(metrics)


def watch_slowly(lab, penstock, client_of):
    """Two watch, of whom one stops reading: he loses whole packets, counted, of which none comes torn, and goes on when he reads
    again; the other one gets everything."""
    steady = Steady(lab, port=20002)  # of audio any packet is one to go on with
    steady.sender.payload_type = AUDIO_PT
    with steady as source:
        slow, quick = client_of(lab.receivers[0], receive_buffer=4096), client_of(lab.receivers[1])
        for client in (slow, quick):
            client.setup("audio")
            assert client.request("PLAY").status == 200

        def too_slow():
            quick.take(400)
            return penstock.metrics().sum("penstock_leg_drops_total", reason="too_slow") > 0
        wait_for(too_slow, "the slow one to lose something", 30, every=0)
        assert watched(quick, source.sent)
        numbers = {}

        def gone_on():
            slow.take(50)
            numbers.update((packet, number) for number, packet in enumerate(source.sent) if packet not in numbers)
            places = [numbers[packet.hex()] for _, packet in slow.frames]  # each is whole
            assert all(one < next_ for one, next_ in zip(places, places[1:]))
            return places[-1] - places[0] > len(places)
        wait_for(gone_on, "the slow one to go on behind what it lost", 20, every=0)
    assert_ledger(penstock.metrics())


def test_slow():
    """Who does not read holds up nobody."""
    with Relay(2) as lab:
        watch_slowly(lab, start(lab), TcpClient)


def test_many():
    """Fifty at once get every packet of the same ring; those who vanish leave nothing."""
    with Relay(1) as lab:
        penstock = start(lab)
        with Steady(lab) as source:
            clients = [TcpClient(lab.receivers[0]) for _ in range(50)]
            for client in clients:
                client.setup("video")
                assert client.request("PLAY").status == 200
            assert penstock.metrics().sum("penstock_rtsp_tcp_renditions") == 1
            for client in clients:
                client.take(200)
            for client in clients:
                assert watched(client, source.sent)
                client.tcp.close()
            wait_sessions(penstock, 0)
            wait_for(lambda: penstock.metrics().sum("penstock_rtsp_tcp_connections") == 0, "the sender to forget them")
        assert_ledger(penstock.metrics())


def test_killed():
    """A viewer that is killed while others watch is gone at once, and they do not notice."""
    with Relay(2) as lab:
        penstock = start(lab)
        with Steady(lab) as source:
            viewer = TcpClient(lab.receivers[1])
            viewer.setup("video")
            assert viewer.request("PLAY").status == 200
            player = lab.receivers[0].start("ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", f"rtsp://{WAN[4]}/camera-1", "-map", "0", "-c", "copy", "-f", "null", "-")
            wait_for(lambda: sum(row["packets"] for row in penstock.show("rtsp sessions")["tracks"] if row["to"].startswith(receiver_address(1))) > 50, "the player to play", 20)
            viewer.take(100)
            player.child.kill()
            player.child.wait()
            wait_sessions(penstock, 1)
            viewer.take(500)
            assert watched(viewer, source.sent)
        assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="connection_lost") == 1
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_tcp_connections") == 1, "the sender to forget it")
        assert_ledger(penstock.metrics())


def test_channels():
    """The last channels there are; what cannot be given: two that are one, one that does not exist. TEARDOWN of one track ends it alone,
    and the other loses nothing."""
    with Relay(1) as lab:
        penstock = start(lab)
        audio = Steady(lab, port=20002)
        audio.sender.payload_type = AUDIO_PT
        with Steady(lab) as video, audio:
            client = TcpClient(lab.receivers[0])
            for wrong in ("interleaved=255-256", "interleaved=255", "interleaved=7-6", "interleaved=x"):
                assert client.request("SETUP", client.url + "/video", Transport=f"RTP/AVP/TCP;unicast;{wrong}").status == 400, wrong
            assert client.setup("video", "RTP/AVP/TCP;unicast;interleaved=254-255").status == 200
            assert client.setup("audio", "RTP/AVP/TCP;unicast;interleaved=9-9").status == 200
            assert client.channels == {"video": (254, 255), "audio": (0, 1)}, client.channels
            assert client.request("PLAY").status == 200
            client.take(100, 254)
            client.take(100, 0)
            assert client.request("TEARDOWN", client.url + "/audio").status == 200
            heard = len(client.frames)
            client.take(300, 254)
            assert watched(client, video.sent, 254) and watched(client, audio.sent, 0)
            assert all(channel == 254 for channel, _ in client.frames[heard:])
            assert [row["track"] for row in penstock.show("rtsp sessions")["tracks"]] == ["video"]
            client.report("video", lost=3).report("audio")  # of a channel that is nobody's any more
            wait_for(lambda: penstock.metrics().sum("penstock_leg_reported_lost_packets_total") == 3, "the loss that was reported")
            assert client.request("TEARDOWN").status == 200 and client.silent()
        assert penstock.metrics().sum("penstock_leg_drops_total") == 0
        assert_ledger(penstock.metrics())
