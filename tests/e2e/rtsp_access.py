"""Who may watch and publish by RTSP: real players with right and wrong passwords, rules, guessing, and a reload under viewers."""
import hashlib
import os
import re
import signal
import subprocess

from cases import cases
from lab import wait_for
from media import start_source
from relay import LAN, WAN, Relay, assert_ledger, receiver_address
from rtsp import Client, config
from rtsp_play import sessions, wait_sessions
from rtsp_push import config as push_config, film, gone, wait_published
from steady import Steady


def md5(*words):
    return hashlib.md5(":".join(words).encode()).hexdigest()


class Known(Client):
    """A client of few words that knows a password: asked for it, it asks again."""

    def __init__(self, namespace, user, password, **where):
        super().__init__(namespace, **where)
        self.user, self.password = user, password

    def request(self, method, url=None, body="", **headers):
        reply = super().request(method, url, body, **headers)
        if reply.status != 401:
            return reply
        realm, nonce = (re.search(rf'{name}="([^"]*)"', reply["WWW-Authenticate"]).group(1) for name in ("realm", "nonce"))
        response = md5(md5(self.user, realm, self.password), nonce, md5(method, url or self.url))
        headers["Authorization"] = f'Digest username="{self.user}", realm="{realm}", nonce="{nonce}", uri="{url or self.url}", response="{response}"'
        return super().request(method, url, body, **headers)


def ffmpeg(lab, receiver, user, name="camera-1"):
    """Exit code and what it says; it watches for a moment."""
    return ("ffprobe", "-v", "error", "-rtsp_transport", "udp", "-show_entries", "stream=codec_name", "-of", "csv=p=0", f"rtsp://{user}{WAN[4]}/{name}")


def gstreamer(lab, receiver, user, name="camera-1", scheme="rtsp"):
    known = dict(zip(("user-id", "user-pw"), user.rstrip("@").split(":"))) if user else {}
    return ("timeout", "-s", "KILL", "30", "gst-launch-1.0", "rtspsrc", f"location={scheme}://{WAN[4]}/{name}", "protocols=tcp",
            *(f"{key}={value}" for key, value in known.items()), "!", "fakesink", "num-buffers=5")


def tunnel(lab, receiver, user, name="camera-1"):
    return gstreamer(lab, receiver, user, name, "rtsph")


PLAYERS = {"ffmpeg": ffmpeg, "gstreamer": gstreamer, "tunnel": tunnel}


@cases(player=("ffmpeg", "gstreamer", "tunnel"))
def test_players(player):
    """By file, hash and plain password; who is wrong, who may not, and who comes from where nobody may."""
    with Relay(2) as lab:
        lab.file("eve").write_text("s3cret\n")
        penstock = lab.start_penstock(lab.node, config(lab, (
            f"listen: [\":554\"], users: [{{ name: eve, password_file: {lab.file('eve')} }}, {{ name: adam, digest: {{ md5: {md5('adam', 'penstock', 'hashed')} }} }}, "
            f"{{ name: mallory, password: vfsm7 }}], rules: [{{ deny: [play], users: anyone, from: [{receiver_address(2)}] }}, "
            "{ allow: [play], users: [eve, adam], streams: [\"camera-?\"] }]")))
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="audio") > 20, "media", 20)

        def watch(user, receiver=0):
            command = PLAYERS[player](lab, receiver, user)
            done = subprocess.run(lab.receivers[receiver].inside(command), capture_output=True, text=True, timeout=40)
            said = done.stdout + done.stderr
            # GStreamer that ends within a moment of its beginning breaks off its own PAUSE, and calls that an error.
            return done.returncode == 0 or "Got EOS" in said, said
        for user in ("eve:s3cret@", "adam:hashed@"):
            played, said = watch(user)
            assert played and (player != "ffmpeg" or "h264" in said), (user, said)
        for user, receiver, word in (("eve:hashed@", 0, "(?i)401|unauthorized"), ("mallory:vfsm7@", 0, "(?i)403|forbidden"), ("eve:s3cret@", 1, "(?i)403|forbidden"), ("", 0, "(?i)401|unauthorized")):
            played, said = watch(user, receiver)
            assert not played and re.search(word, said), (user, receiver, said)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_access_total", result="wrong") >= 1 and metrics.sum("penstock_rtsp_access_total", result="forbidden") >= 2
        assert metrics.sum("penstock_rtsp_sessions_total") == 2
        for secret in ("s3cret", "hashed", "vfsm7"):
            assert secret not in penstock.text() and secret not in penstock.cli("show", "config")
        wait_sessions(penstock, 0)
        assert_ledger(metrics)


def test_publishers():
    """One may publish and not watch, one may watch and not publish; each by its own names."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, push_config(lab, (
            "listen: [\":554\"], publish: {}, users: [{ name: encoder, password: push }, { name: eve, password: watch }], rules: ["
            "{ allow: [publish], users: [encoder], streams: [live] }, { allow: [play], users: [eve] }]")))
        path = film(lab, 4)

        def push(user, name):
            return ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-re", "-stream_loop", "-1", "-i", path, "-map", "0:v", "-c", "copy", "-f", "rtsp",
                    f"rtsp://{user}@{LAN[4]}/{name}"]
        for user, name, word in (("encoder:push", "other", "403"), ("eve:watch", "live", "403"), ("encoder:x", "live", "401")):
            done = subprocess.run(lab.source.inside(push(user, name)), capture_output=True, text=True, timeout=30)
            assert done.returncode and word in done.stderr, (user, name, done.stderr)
        process = lab.source.start(*push("encoder:push", "live"))
        wait_published(penstock, process)
        encoder, eve = (Known(lab.receivers[0], user, password, name="live") for user, password in (("encoder", "push"), ("eve", "watch")))
        assert encoder.request("DESCRIBE").status == 403
        assert "H264" in eve.request("DESCRIBE").body
        # Its session is its own: whoever else learns the number is told that there is none.
        assert eve.setup("video").status == 200
        encoder.session = eve.session
        assert encoder.request("TEARDOWN").status == 454
        assert eve.request("PLAY").status == 200 and eve.packet("video")
        assert {(row["user"], row["state"]) for row in sessions(penstock)} == {("encoder", "recording"), ("eve", "playing")}
        assert eve.request("TEARDOWN").status == 200
        process.stop(signal.SIGINT)
        wait_for(lambda: gone(penstock), f"all to be gone\n{penstock.text()[-1500:]}", 10)
        assert re.search(r"had 'live' .* ended by teardown; user 'eve'; agent '", penstock.text())
        assert re.search(r"published 'live' .* ended by \w+; user 'encoder'; agent 'Lavf", penstock.text())


def test_guessing():
    """Who proves nothing learns nothing, not even a name; who guesses is shut out, and nobody else."""
    with Relay(2) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, "listen: [\":554\"], per_address: { failures: 3 }, users: [{ name: eve, password: s3cret }]"))
        stranger = Client(lab.receivers[0])
        assert stranger.request("OPTIONS").status == 200
        for method in ("DESCRIBE", "SETUP", "PLAY", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "PAUSE"):
            replies = [stranger.request(method, f"rtsp://{WAN[4]}/{name}") for name in ("camera-1", "camera-2", "camera-1/video")]
            told = [(r.status, {k: v for k, v in r.headers.items() if k != "cseq"}, r.body) for r in replies]
            assert told[0][0] == 401 and told[0] == told[1] == told[2], told
        said = lab.receivers[0].run("curl", "-s", "-i", stranger.url)
        assert "200 OK" in said and "WWW-Authenticate" not in said, said
        for _ in range(3):
            assert Known(lab.receivers[0], "eve", "guess").request("DESCRIBE").status == 401
        for password in ("guess", "s3cret"):
            last = Known(lab.receivers[0], "eve", password)
            reply = last.request("DESCRIBE")
            assert reply.status == 503 and 0 < int(reply["Retry-After"]) <= 60, reply.headers
            assert last.closed()
        assert Known(lab.receivers[1], "eve", "s3cret").request("DESCRIBE").status == 200
        lines = re.findall(r".*too many wrong passwords.*", penstock.text())
        assert len(lines) == 1 and receiver_address(1) in lines[0], lines
        assert penstock.metrics().sum("penstock_rtsp_access_total", result="blocked") == 2


def test_reload():
    """Users, files and rules change under viewers: who may still watch loses no packet, who may not is gone."""
    with Relay(2) as lab:
        lab.file("adam").write_text("first")

        def rtsp(listen="\":554\"", more="", name="adam"):
            return config(lab, f"listen: [{listen}], users: [{{ name: eve, password: s3cret }}, {{ name: adam, password_file: {lab.file(name)} }}]{more}")

        def reload(text):
            penstock.config.write_text(text + penstock.control)
            return penstock.cli_exit("reload")
        penstock = lab.start_penstock(lab.node, rtsp())
        with Steady(lab) as steady:
            wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="video") > 20, "media")
            eve, adam = Known(lab.receivers[0], "eve", "s3cret"), Known(lab.receivers[1], "adam", "first")
            for client in (eve, adam):
                assert client.setup("video").status == 200 and client.request("PLAY").status == 200 and client.packet("video")
            first = int.from_bytes(eve.packet("video")[0][2:4], "big")
            code, said, errors = reload(rtsp(name="missing"))
            assert code and re.search(r"nothing is changed:\s.*\.yaml:\d+:\d+: rtsp\.users\[1\]\.password_file: .* cannot be read: No such file", said + errors), said + errors
            lab.file("adam").write_text("second")
            code, said, errors = reload(rtsp(more=", per_address: { failures: 99 }"))
            assert code == 0 and said == "rtsp: changed\n", said + errors
            assert adam.closed()
            wait_sessions(penstock, 1)
            adam = Known(lab.receivers[1], "adam", "first")
            assert adam.request("DESCRIBE").status == 401
            adam.password = "second"
            assert adam.setup("video").status == 200
            code, said, errors = reload(rtsp("\":8554\"", ", rules: [{ allow: [play], users: [eve] }]"))
            assert code == 0 and said == "rtsp: changed in the file, takes effect at the next start\nrtsp: changed\n", said + errors
            assert adam.closed()
            assert Known(lab.receivers[1], "adam", "second").request("DESCRIBE").status == 403
            assert eve.request("GET_PARAMETER").status == 200
            # Not one packet of hers is missing.
            steady.go_on()
            numbers = [first]
            while len(numbers) < 100:
                numbers.append(int.from_bytes(eve.packet("video")[0][2:4], "big"))
            assert numbers == [(first + n) % 65536 for n in range(100)], numbers
            assert [row["viewer"] for row in sessions(penstock)] == [receiver_address(1)]
            # By SIGHUP: nobody may any more.
            penstock.config.write_text(rtsp(more=", rules: []") + penstock.control)
            os.kill(penstock.pid, signal.SIGHUP)
            assert eve.closed()
            wait_sessions(penstock, 0)
        metrics = penstock.metrics()
        assert metrics.sum("penstock_rtsp_sessions_ended_total", reason="forbidden") == 3
        assert metrics.sum("penstock_rtsp_port_pairs_taken") == 0
        assert_ledger(metrics)
