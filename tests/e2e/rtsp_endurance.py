"""RTSP by the thousand, and under those that die: sessions leave nothing behind, viewers stay when their source goes and comes back."""
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import camera
from cases import cases
from churn import Talker, descriptors, resident
from judge import Capture
from lab import wait_for
from media import start_source
from relay import LAN, SOURCE, Relay, assert_ledger, receiver_address
from rtsp import Client, TcpClient, config
from rtsp_play import URL, is_part_of, sessions, wait_sessions
from rtsp_pull import config as pull_config, wait_media

MANY = "listen: [\":554\"], per_address: { requests: 100000, connections: 2000, sessions: 2000 }"
GROWTH = 2 << 20  # bytes of resident memory: what the allocator gives and takes, a thousandth of it a session


def end(client, how):
    """By TEARDOWN, by closing the connection, or as the kernel does it for a program that is killed with bytes unread: RST."""
    if how == "teardown":
        assert client.request("TEARDOWN").status == 200
    elif how == "killed":
        client.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.tcp.close()
    for pair in client.sockets.values():
        for opened in pair:
            opened.close()


POLITE, MIXED = ("teardown",) * 4, ("teardown", "closed", "teardown", "killed")


def some(lab, kind, ends=POLITE):
    """Four sessions at a time."""
    clients = []
    for _ in range(4):
        client = kind(lab.receivers[0])
        client.tcp.settimeout(20)
        assert client.setup("video").status == 200
        assert client.request("PLAY").status == 200
        clients.append(client)
    for client, how in zip(clients, ends):
        end(client, how)


def thousand(lab, kind, ends):
    """128 at a time."""
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: some(lab, kind, ends), range(250)))


@cases(transport=("udp", "tcp"))
def test_thousands(transport):
    """A thousand sessions that say goodbye, and a thousand of which every other one vanishes: ports, descriptors, legs and
    memory are what they were."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, MANY + ", session_timeout: 5s", media="20000-22999"))
        source = Talker(lab, [20000], 200)
        source.start()
        kind = Client if transport == "udp" else TcpClient
        metrics = penstock.metrics
        memory = []
        some(lab, kind)  # whatever is opened once, at the first need
        wait_sessions(penstock, 0, 20)
        files = descriptors(penstock)
        for count, ends in ((1004, POLITE), (2004, MIXED)):
            thousand(lab, kind, ends)
            wait_sessions(penstock, 0, 20)
            wait_for(lambda: metrics().sum("penstock_rtsp_connections") == metrics().sum("penstock_rtsp_tcp_connections") == 0, "the connections to be gone")
            wait_for(lambda: metrics().sum("penstock_table_pending") == 0, "old tables to go")
            assert metrics().sum("penstock_rtsp_sessions_total") == count
            assert metrics().sum("penstock_rtsp_port_pairs_taken") == metrics().sum("penstock_rtsp_tcp_renditions") == 0
            assert not penstock.show("stream camera-1")["legs"]
            # Those of this test's own questions (CLI, metrics) are closed a moment after they were answered.
            wait_for(lambda: descriptors(penstock) <= files, f"{files} descriptors; there are {descriptors(penstock)}")
            memory.append(resident(penstock))
        assert memory[1] <= memory[0] + GROWTH, f"{memory[0] >> 10} KiB after the first thousand, {memory[1] >> 10} KiB after the second"
        source.stop()
        ended = {reason: metrics().sum("penstock_rtsp_sessions_ended_total", reason=reason) for reason in ("teardown", "connection_lost", "timeout", "replaced")}
        assert ended["teardown"] == 1504 and sum(ended.values()) == 2004, ended
        assert (ended["connection_lost"] == 500) == (transport == "tcp"), ended
        print(f"{ended}; descriptors {files}; memory {[size >> 10 for size in memory]} KiB")
        assert_ledger(metrics())


def taken(viewer, count):
    return [viewer.packet("video", 20)[0] if type(viewer) is Client else viewer.take(1, 0)[0] for _ in range(count)]


def without_numbers(packet):
    """As hexadecimal text: what is left of a packet when number, time and SSRC are those of another life of the source."""
    return packet[:2].hex() + packet[12:].hex()


@cases(source=("encoder", "camera"))
def test_source_restarts(source):
    """The source is killed and comes back as another one (SSRC, numbers) under fifty viewers, half of them over TCP: all of them
    go on with all that it sends, in the session that they had, under the SSRC and with the numbers that they had."""
    with Relay(1) as lab:
        if source == "encoder":
            penstock = lab.start_penstock(lab.node, config(lab, MANY))
            begin = lambda: start_source(lab.source, LAN[4], 20000, 20002, pattern="testsrc2=size=160x90:rate=10")
        else:
            penstock = lab.start_penstock(lab.node, pull_config(lab, {"camera-1": f"url: \"rtsp://{SOURCE[4]}:8554/live\", transport: udp"}).replace(
                "rtsp: { listen: [\":554\"] }", f"rtsp: {{ {MANY} }}"))
            begin = lambda: camera.start(lab.source)
        process = begin()
        wait_media(penstock, "camera-1")
        viewers = [kind(lab.receivers[0]) for kind in (Client, TcpClient) * 25]
        for viewer in viewers:
            assert viewer.setup("video").status == 200 and viewer.request("PLAY").status == 200
        with ThreadPoolExecutor(len(viewers)) as pool:
            before = list(pool.map(lambda viewer: taken(viewer, 30), viewers))
            process.child.kill()
            process.child.wait()
            sent = Capture(lab.source, "eth0", "udp and src host " + SOURCE[4])
            second = begin()
            if source == "encoder":
                wait_for(lambda: penstock.metrics().sum("penstock_path_ssrc_changes_total", track="video") == 1, "another source", 20)
            else:  # it has ports of its own, as every session with a camera
                penstock.wait_for_text("RTSP pull 'camera-1': closed", 20)
                wait_for(lambda: penstock.text().count("RTSP pull 'camera-1': video, audio comes from") == 2, "another source", 20)
            after = list(pool.map(lambda viewer: taken(viewer, 200), viewers))
        port = int(penstock.show("stream camera-1")["paths"][0]["source"].rsplit(":", 1)[1])
        second.child.kill()
        everything = [without_numbers(bytes.fromhex(packet)) for packet in sent.payloads(port, to=LAN[4])]
        known = set(everything)
        for viewer, old, new in zip(viewers, before, after):
            what, packets = type(viewer).__name__, old + new
            assert len({packet[8:12] for packet in packets}) == 1, f"{what} sees several SSRCs"
            numbers = [int.from_bytes(packet[2:4], "big") for packet in packets]
            # While nobody reads a socket overflows. That none is left out the players tell: rtsp_continuity.
            assert all(1 <= (b - a) % 0x10000 < 2000 for a, b in zip(numbers, numbers[1:])), f"{what}: {numbers}"
            ours = [body for body in map(without_numbers, new) if body in known]
            runs = [ours[at:at + 30] for at in range(0, len(ours) - 29, 5)]
            assert any(is_part_of(run, everything) for run in runs), f"{what} has not all that was sent: {len(ours)}"
        assert len(sessions(penstock)) == 50 and penstock.metrics().sum("penstock_rtsp_sessions_total") == 50
        assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total") == 0
        assert_ledger(penstock.metrics())


def test_viewer_killed():
    """A player over TCP that is killed is gone at once, with its leg and its place in the sender; the one beside it goes on.
    (Over UDP: rtsp_play.vanished.)"""
    with Relay(2) as lab:
        penstock = lab.start_penstock(lab.node, config(lab))
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_media(penstock, "camera-1")
        other = TcpClient(lab.receivers[1])
        other.setup("video")
        assert other.request("PLAY").status == 200
        player = lab.receivers[0].start("ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", URL, "-f", "null", "-")
        wait_for(lambda: sum(row["packets"] for row in penstock.show("rtsp sessions")["tracks"] if row["to"].startswith(receiver_address(1))) > 50,
                 "the player to play", 20)
        player.child.kill()
        player.child.wait()
        wait_sessions(penstock, 1, 2)
        assert len(penstock.show("stream camera-1")["legs"]) == 1 and other.take(50, 0)
        wait_for(lambda: penstock.metrics().sum("penstock_rtsp_tcp_connections") == 1, "the sender to forget it")
        assert penstock.metrics().sum("penstock_rtsp_tcp_renditions") == 1
        assert penstock.metrics().sum("penstock_rtsp_sessions_ended_total", reason="connection_lost") == 1
        assert_ledger(penstock.metrics())
