"""RTSP viewers over multicast: a track has one leg to a group, however many players watch by it. tshark judges the wire, a switch
that snoops who has joined."""
import re
import socket
import struct
import time

from cases import cases
from judge import Capture
from lab import wait_for
from media import start_source
from relay import LAN, WAN, Relay, assert_ledger, receiver_address
from rtsp import Client, config
from rtsp_play import is_part_of, sessions, wait_sessions
from steady import Steady

URL = f"rtsp://{WAN[4]}/camera-1"
GROUPS = {4: "239.10.0.0/24", 6: "ff15::10:0/120"}


def node(lab, groups=GROUPS[4], more=""):
    return lab.start_penstock(lab.node, config(lab, f"listen: [\":554\"], multicast: {{ groups: \"{groups}\", ttl: 9, port: wan }}{more}"))


def snoop(lab):
    """The switch gives a group to those ports alone where somebody joined it, as from a second after it began to ask."""
    lab.switch.ip("link", "set", "br0", "type", "bridge", "mcast_query_response_interval", "100", "mcast_last_member_interval", "20")
    lab.switch.ip("link", "set", "br0", "type", "bridge", "mcast_snooping", "1", "mcast_querier", "1")


def groups(penstock):
    """{track: group and port} of all sessions: each track has one."""
    found = {}
    for row in penstock.show("rtsp sessions")["tracks"]:
        assert found.setdefault(row["track"], row["to"]) == row["to"], "two groups for one track"
    return found


def ffmpeg(lab):
    return lab.receivers[0].start(
        "ffmpeg", "-nostdin", "-hide_banner", "-v", "info", "-rtsp_transport", "udp_multicast", "-i", URL,
        "-map", "0:v", "-flush_packets", "1", "-f", "framemd5", lab.file("video.md5"), "-map", "0:a", "-f", "null", "-")


def gstreamer(lab):
    return lab.receivers[1].start(
        "gst-launch-1.0", "-e", "-v", "rtspsrc", f"location={URL}", "protocols=udp-mcast", "name=s",
        "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "avdec_h264", "!", "checksumsink",
        "s.", "!", "application/x-rtp,media=audio", "!", "rtpmp4gdepay", "!", "avdec_aac", "!", "fakesink", log=lab.file("gst.log"))


def ffmpeg_pictures(lab):
    path = lab.file("video.md5")
    return sum(1 for line in path.read_text().splitlines() if line[:1] not in ("", "#")) if path.exists() else 0


def gstreamer_pictures(lab):
    return len(re.findall(r"^\d+:\d\d:\d\d\.\d+ [0-9a-f]{40}$", lab.file("gst.log").read_text(errors="replace"), re.MULTILINE))


def test_players():
    """ffmpeg and GStreamer watch at the same time, one copy crosses the wire, and goes to those who joined. One leaves and the
    other goes on; when that was killed its session times out, and the wire is silent."""
    with Relay(3) as lab:
        snoop(lab)
        penstock = node(lab, more=", session_timeout: 5s")
        sent, wire, bystander = Capture(lab.source, "eth0"), Capture(lab.switch, "uplink", "udp or igmp"), Capture(lab.receivers[2], "eth0")
        source = start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: all(penstock.metrics().sum("penstock_path_packets_total", track=t) > 20 for t in ("video", "audio")), "media", 20)
        one = ffmpeg(lab)
        wait_for(lambda: ffmpeg_pictures(lab) >= 10, f"ffmpeg's pictures\n{penstock.text()[-800:]}", 20)
        two = gstreamer(lab)
        wait_for(lambda: gstreamer_pictures(lab) >= 25, f"GStreamer's pictures\n{lab.file('gst.log').read_text()[-800:]}", 20)
        wait_for(lambda: {row["session"] for row in penstock.show("rtsp sessions")["tracks"] if row["feedback_packets"]} == {row["session"] for row in sessions(penstock)},
                 "reports of both players", 20)
        both = groups(penstock)
        assert both.keys() == {"video", "audio"} and len(set(both.values())) == 2, both
        assert [row["transport"] for row in sessions(penstock)] == ["multicast"] * 2
        assert len(penstock.show("stream camera-1")["legs"]) == 2  # one a track
        assert penstock.metrics().sum("penstock_rtsp_sessions", state="playing", transport="multicast") == 2
        assert penstock.metrics().sum("penstock_rtsp_multicast_groups_taken") == 2
        two.stop()
        wait_sessions(penstock, 1)
        assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="teardown") == 1
        seen = ffmpeg_pictures(lab)
        wait_for(lambda: ffmpeg_pictures(lab) > seen + 25, "ffmpeg to go on", 15)
        one.child.kill()
        one.child.wait()
        wait_sessions(penstock, 0, 15)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="timeout") == 1
        assert metrics.sum("penstock_rtsp_multicast_groups_taken") == 0 and metrics.sum("penstock_rtsp_port_pairs_taken") == 0
        assert not penstock.show("stream camera-1")["legs"]
        before = metrics.sum("penstock_path_packets_total", track="video")
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="video") > before + 60, "media that nobody wants")
        source.stop()
        ends = {}
        for track, port in (("video", 20000), ("audio", 20002)):
            group, to = both[track].rsplit(":", 1)
            got, whole = wire.payloads(int(to), to=group, sender=WAN[4]), sent.payloads(port, to=LAN[4])
            assert len(got) > 100 and is_part_of(got, whole), f"{track}: {len(got)} packets are not what was sent, once each"
            ends[track] = len(whole) - whole.index(got[-1])
            joined = {row[0] for row in wire.fields(f"igmp.maddr == {group}", "ip.src")}
            assert joined >= {receiver_address(1), receiver_address(2)}, joined
        assert {row[0] for row in wire.fields(f"udp && ip.dst == 239.10.0.0/24 && ip.src == {WAN[4]}", "ip.ttl")} == {"9"}
        assert bystander.count("udp && ip.dst == 239.10.0.0/24") == 0
        assert ends["video"] > 30  # silent from the end of the last session
        assert_ledger(metrics)
        assert "over multicast" in penstock.text()


def join(client, track, transport, interface):
    """The sockets of a track are members of the group that the answer names."""
    group, port = (re.search(rf"{name}=([^;]+)", transport).group(1) for name in ("destination", "port"))
    family = client.tcp.family
    pair = []
    for number in map(int, port.split("-")):
        opened = client.namespace.socket(family, bind=(group, number))
        if family == socket.AF_INET:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4sII", socket.inet_aton(group), 0, interface))
        else:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(family, group) + struct.pack("I", interface))
        pair.append(opened)
    client.sockets[track] = pair


def set_up(client, track="video"):
    reply = client.request("SETUP", f"{client.url}/{track}", Transport="RTP/AVP;multicast")
    if reply.status == 200:
        client.session = reply["Session"].split(";")[0]
        join(client, track, reply["Transport"], client.namespace.index("eth0"))
    return reply


@cases(driver=("af_xdp", "af_packet"), family=(4, 6))
def test_shared(driver, family):
    """PAUSE is each session's own, and so is TEARDOWN; the numbers go on; what is promised comes; nothing is left."""
    with Relay(2, driver) as lab:
        penstock = node(lab, GROUPS[family])
        with Steady(lab):
            wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="video") > 20, "media")
            one, two = (Client(receiver, host=WAN[family]) for receiver in lab.receivers)
            transports = {set_up(client)["Transport"] for client in (one, two)}
            assert len(transports) == 1, transports  # the same for both
            promised = transports.pop()
            assert f"source={WAN[family]}" in promised and "ttl=9" in promised and "ssrc=00005EED" in promised, promised
            assert one.silent("video")  # not before PLAY
            reply = one.request("PLAY")
            packet, sender = one.packet("video")
            first = int(re.search(r"seq=(\d+)", reply["RTP-Info"]).group(1))
            assert int.from_bytes(packet[2:4], "big") == first and sender[0] == WAN[family], (packet[:4].hex(), first, sender)
            assert not two.silent("video")  # a group is a group: it comes although this one has not played yet
            reply = two.request("PLAY")  # of a leg that runs nobody knows which packet is the first one here
            assert reply.status == 200 and reply["RTP-Info"] == f"url={two.url}/video", reply.headers
            assert one.request("PAUSE").status == 200
            assert not two.silent("video")
            assert two.request("PAUSE").status == 200
            wait_for(lambda: two.silent("video"), "silence: nobody plays")
            assert "seq=" in one.request("PLAY")["RTP-Info"]
            assert two.packet("video")
            three = Client(lab.receivers[0], host=WAN[family])
            assert set_up_again(three).status == 200 and three.request("PLAY").status == 200
            assert one.request("TEARDOWN").status == 200
            two.drain("video")
            numbers = [int.from_bytes(two.packet("video")[0][2:4], "big") for _ in range(100)]
            assert all((b - a) % 65536 == 1 for a, b in zip(numbers, numbers[1:])), numbers
            assert three.request("TEARDOWN").status == 200  # the last one that plays, not the last one
            wait_for(lambda: two.silent("video"), "silence: who is left has paused")
            assert penstock.metrics().sum("penstock_rtsp_multicast_groups_taken") == 1
            assert two.request("TEARDOWN").status == 200
            metrics = penstock.metrics()
            assert metrics.sum("penstock_rtsp_multicast_groups_taken") == 0 and metrics.sum("penstock_rtsp_port_pairs_taken") == 0
            assert not penstock.show("stream camera-1")["legs"]
        assert_ledger(penstock.metrics())


def report(client, lost=0, ssrc=7, unicast=False):
    """A receiver report, to the group or to where the track comes from."""
    rtcp = client.sockets["video"][1]
    group, port = rtcp.getsockname()[:2]
    packet = bytes([0x81, 201, 0, 7]) + ssrc.to_bytes(4, "big") + b"\0\0\x5e\xed" + lost.to_bytes(4, "big") + bytes(16)
    client.reporting.sendto(packet, (client.host if unicast else group, port))


def reporting(client):
    """A socket that sends to groups by the receiver's interface."""
    opened, interface = client.namespace.socket(client.tcp.family), client.namespace.index("eth0")
    if opened.family == socket.AF_INET:
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4sII", bytes(4), 0, interface))
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)
    return opened


@cases(how=("af_xdp_4", "af_packet_6"))
def test_heard(how):
    """Sessions whose connections are cut live by their reports, to the group or to us, as long as these come; what they lost is told.
    Reports of one who has no session count for nothing."""
    driver, family = how.rsplit("_", 1)
    with Relay(3, driver) as lab:
        snoop(lab)
        penstock = node(lab, GROUPS[int(family)], ", session_timeout: 5s")
        with Steady(lab):
            group, us, stranger = clients = [Client(receiver, host=WAN[int(family)]) for receiver in lab.receivers]
            for client in clients:
                assert set_up(client).status == 200
                client.reporting = reporting(client)
            for client in (group, us):
                assert client.request("PLAY").status == 200 and client.packet("video")
                client.tcp.close()
            assert stranger.request("TEARDOWN").status == 200
            left = {row["session"]: row["viewer"] for row in sessions(penstock)}
            began = time.monotonic()

            def go_on():
                report(group, lost=3)
                report(us, lost=5, unicast=True)
                report(stranger, lost=900)
                return time.monotonic() - began > 7
            wait_for(go_on, "seven seconds", 20, every=0.5)
            assert {row["session"]: row["viewer"] for row in sessions(penstock)} == left and len(left) == 2
            heard = {left[row["session"]]: row for row in penstock.show("rtsp sessions")["tracks"]}
            assert sorted(row["reported_lost"] for row in heard.values()) == [3, 5] and all(row["feedback_packets"] >= 2 for row in heard.values()), heard
            metrics = penstock.metrics()
            assert metrics.sum("penstock_leg_reported_lost_packets_total") == 5
            assert metrics.sum("penstock_drops_total", reason="no_flow") >= 2

            def one_is_gone():
                report(group, lost=4)
                report(stranger)
                return len(sessions(penstock)) == 1
            wait_for(one_is_gone, "the one that is silent to be gone", 15, every=0.5)
            assert sessions(penstock)[0]["silent_seconds"] < 3
            wait_sessions(penstock, 0, 15)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="timeout") == 2
        assert metrics.sum("penstock_rtsp_multicast_groups_taken") == 0
        assert not [line for line in lab.node.run("ip", "maddress", "show", "dev", "wan0").splitlines() if " 239.10." in line or " ff15:" in line]
        assert_ledger(metrics)


def set_up_again(client):
    """Of a track whose group somebody else of this namespace has joined."""
    reply = client.request("SETUP", f"{client.url}/video", Transport="RTP/AVP;multicast")
    client.session = reply["Session"].split(";")[0]
    return reply


def test_refused():
    """One group is there: the second track is told 453, and gets it when the first is over. A stream that goes ends all who share it."""
    with Relay(2) as lab:
        penstock = node(lab, "239.10.0.7/32")
        one, two, late = (Client(receiver) for receiver in (*lab.receivers, lab.receivers[0]))
        assert "destination=239.10.0.7" in set_up(one)["Transport"]
        assert set_up(two).status == 200
        assert late.request("SETUP", f"{late.url}/audio", Transport="RTP/AVP;multicast").status == 453
        for status, transport in ((403, "RTP/AVP;multicast;destination=239.9.9.9"), (461, "RTP/AVP/TCP;multicast"), (461, "RTP/SAVP;multicast")):
            assert late.request("SETUP", f"{late.url}/audio", Transport=transport).status == status, transport
        assert late.request("SETUP", f"{late.url}/audio", Transport="RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001").status == 453
        assert late.setup("audio").status == 200  # unicast
        assert late.request("TEARDOWN").status == 200
        late.session = None
        for client in (one, two):
            assert client.request("TEARDOWN").status == 200
            client.session = None
            for opened in client.sockets.pop("video"):
                opened.close()
        assert set_up(late, "audio").status == 200
        assert set_up(one, "video").status == 453
        assert late.request("TEARDOWN").status == 200
        assert set_up(one).status == 200 and set_up(two).status == 200
        penstock.cli("del", "stream", "camera-1")
        assert one.closed() and two.closed()
        wait_sessions(penstock, 0)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="stream_gone") == 2
        assert metrics.sum("penstock_rtsp_multicast_groups_taken") == 0 and metrics.sum("penstock_rtsp_port_pairs_taken") == 0
