"""A running forwarder is watched and changed: the CLI, reload, and clients that misbehave. Media that a change does not touch
loses nothing, judged by the payloads that arrive."""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from cases import cases
from groups import memberships
from judge import Capture
from lab import ROOT, Skip, wait_for
from relay import LAN, Relay, Sender, assert_ledger, endpoint, receiver_address, wait_forwarded, wait_legs

RATE = 1000  # packets a second


class Steady:
    """A sender that does not pause while the forwarder is changed."""

    def __init__(self, lab, port=20000, ssrc=0x5eed):
        self.sender = Sender(lab.source, LAN[4], port, ssrc=ssrc)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._ending.is_set():
            self.sender.send(10, per_second=RATE)

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: len(self.sent) > 50, "the sender to be under way")
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()

    @property
    def sent(self):
        return self.sender.sent

    def go_on(self, seconds=0.3):
        """Until so much more was sent: what happened before has had its effect."""
        wanted = len(self.sent) + seconds * RATE
        wait_for(lambda: len(self.sent) >= wanted, "the sender to go on", seconds * 5 + 5)


def stream(name, port, *outputs, source=LAN[4]):
    """An entry of `streams`."""
    return "\n".join([f"  - name: {name}", "    tracks:",
                      "      - media: video", "        payload_type: 96", "        encoding: H264/90000",
                      f"        sources: [{{ rtp: \"{endpoint(source, port)}\" }}]",
                      f"        outputs: [{', '.join(f'{{ rtp: {output} }}' for output in outputs)}]", ""])


def config(lab, *streams):
    head = lab.config([]).split("streams:")[0]
    return head + "streams:\n" + "".join(streams)


def start(lab, *streams):
    penstock = lab.start_penstock(lab.node, config(lab, *streams))
    wait_legs(penstock, sum(text.count("{ rtp: 10.") for text in streams))
    return penstock


def leg(number, port=6000):
    return endpoint(receiver_address(number), port)


def listener(lab, number, port=6000):
    opened = lab.receivers[number - 1].socket(bind=(receiver_address(number), port))
    opened.settimeout(1)
    return opened


def wait_silence(opened, seconds=3):
    """Until nothing came for 0.3 s."""
    opened.settimeout(0.3)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            opened.recv(2000)
        except TimeoutError:
            return
    raise AssertionError(f"packets still come after {seconds} s")


@cases(driver=("af_xdp", "af_packet"))
def test_outputs(driver):
    """An output is added and deleted under way; the other receiver does not notice."""
    with Relay(2, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        untouched = Capture(lab.receivers[0], "eth0")
        second = listener(lab, 2)
        with Steady(lab) as steady:
            said = penstock.cli("add", "output", "camera-1", f"rtp://{leg(2)}?ttl=9")
            assert "added" in said and leg(2) in said, said
            assert second.recv(2000)  # within a second
            legs = penstock.show("stream camera-1")["legs"]
            assert [row["leg"] for row in legs] == [leg(1), leg(2)], legs
            for wrong, why in ((f"add output camera-1 rtp://{leg(2)}", "already"), (f"add output moon rtp://{leg(2)}", "no stream 'moon'"),
                               (f"add output camera-1 rtp://{endpoint(LAN[4], 20000)}", "loop"), ("add output camera-1 rtp://nowhere", "nowhere"),
                               (f"del output camera-1 rtp://{leg(1, 7000)}", "no output"), ("fly", "'fly' is not understood")):
                code, out, errors = penstock.cli_exit(*wrong.split())
                assert code == 1 and why in errors and not out, (wrong, code, out, errors)
                code, out, errors = penstock.cli_exit("--json", *wrong.split())
                assert code == 1 and why in json.loads(out)["error"], (wrong, code, out, errors)
            assert "deleted" in penstock.cli("del", "output", "camera-1", f"rtp://{leg(2)}")
            wait_silence(second)
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent), leg=leg(1))
        assert untouched.payloads(6000, to=receiver_address(1)) == steady.sent
        assert_ledger(penstock.metrics())


@cases(driver=("af_xdp", "af_packet"))
def test_streams(driver):
    """A stream is added by one line, carries media, and is deleted again; the other stream does not notice."""
    with Relay(2, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = [Capture(receiver, "eth0") for receiver in lab.receivers]
        tracks = (f"{{tracks: [{{media: video, payload_type: 96, encoding: H264/90000, sources: [{{rtp: \"{endpoint(LAN[4], 21000)}\"}}], "
                  f"outputs: [{{rtp: \"{leg(2)}\"}}]}}]}}")
        with Steady(lab) as steady:
            assert "added" in penstock.cli("add", "stream", "late", tracks)
            code, _, errors = penstock.cli_exit("add", "stream", "late", tracks)
            assert code == 1 and "there already" in errors, errors
            code, _, errors = penstock.cli_exit("add", "stream", "again", tracks)
            assert code == 1 and "stream 'late' has it" in errors, errors
            code, _, errors = penstock.cli_exit("add", "stream", "torn", "{tracks: [")
            assert code == 1 and "column" in errors, errors
            wait_legs(penstock, 2)
            late = Sender(lab.source, LAN[4], 21000, ssrc=0x1a7e).send(300)
            wait_forwarded(penstock, 300, stream="late")
            assert {row["stream"]: row["packets"] for row in penstock.show("stream all")["streams"]}["late"] == 300
            assert "deleted" in penstock.cli("del", "stream", "late")
            code, _, errors = penstock.cli_exit("show", "stream", "late")
            assert code == 1 and "no stream 'late'" in errors, errors
            assert not penstock.metrics().named("penstock_path_packets_total", stream="late")
            before = len(late.sent)
            steady.go_on(0.1)  # the new table is in force
            late.send(50)
            wait_for(lambda: penstock.metrics().drops().get("no_flow", 0) >= 50 or driver == "af_packet", "the rest to be no one's")
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent), stream="camera-1")
        assert heard[0].payloads(6000, to=receiver_address(1)) == steady.sent
        assert heard[1].payloads(6000, to=receiver_address(2)) == late.sent[:before]
        assert_ledger(penstock.metrics())


def test_deleted_before_the_start():
    """A stream goes while its next hop is still waited for: the start does not ask for it any more."""
    with Relay(1) as lab:
        penstock = lab.start_penstock(lab.node, config(lab, stream("camera-1", 20000, leg(9)), stream("camera-2", 20010, leg(1))), ready=False)
        wait_for(penstock.socket.exists, "the control socket", 10, every=0.005)
        assert "deleted" in penstock.cli("del", "stream", "camera-1")
        penstock.wait_ready()
        wait_legs(penstock, 1)
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()


def reload_by(penstock, how):
    """Whether it was done, and what it says."""
    if how == "cli":
        code, out, errors = penstock.cli_exit("reload")
        return code == 0, out + errors
    before = len(penstock.text())
    os.kill(penstock.pid, signal.SIGHUP)
    wait_for(lambda: re.search(r"SIGHUP: (.*\n)+", penstock.text()[before:]), "SIGHUP to be answered in the log")
    penstock.cli("show", "config")  # the log is written by then
    said = penstock.text()[before:]
    return not re.search(r"(?i)\berror\b.*SIGHUP", said), said


@cases(how=("cli", "sighup"))
def test_reload(how):
    """The file's streams are the forwarder's; what it leaves alone loses no packet and goes on counting."""
    with Relay(2) as lab:
        first = (stream("stays", 20000, leg(1)), stream("changes", 20010, leg(1, 6010)), stream("goes", 20020, leg(1, 6020)))
        penstock = start(lab, *first)
        heard = Capture(lab.receivers[0], "eth0")
        arriving = listener(lab, 2, 6010)
        leaving = listener(lab, 1, 6020)
        with Steady(lab) as stays, Steady(lab, 20010, 2) as changes, Steady(lab, 20020, 3):
            assert leaving.recv(2000)
            counted = penstock.metrics().sum("penstock_path_packets_total", stream="stays")
            penstock.config.write_text(config(lab, "# moved\n\n", stream("new", 20030, leg(2, 6030)), stream("changes", 20010, leg(1, 6010), leg(2, 6010)),
                                              stream("stays", 20000, leg(1))) + penstock.control)
            done, said = reload_by(penstock, how)
            assert done, said
            for line in ("added: new", "removed: goes", "touched: changes"):
                assert re.search(rf"{line}$", said, re.MULTILINE), said
            assert "stays" not in said, said
            assert arriving.recv(2000)
            wait_silence(leaving)
            assert {row["stream"] for row in penstock.show("stream all")["streams"]} == {"stays", "changes", "new"}
            assert penstock.metrics().sum("penstock_path_packets_total", stream="stays") > counted > 0
            wait_legs(penstock, 4)
            new = Sender(lab.source, LAN[4], 20030).send(50)
            wait_forwarded(penstock, len(new.sent), stream="new")
            done, said = reload_by(penstock, how)
            assert done and "nothing differs" in said, said
            stays.go_on()
        wait_forwarded(penstock, len(stays.sent), stream="stays")
        wait_forwarded(penstock, len(changes.sent), stream="changes", leg=leg(1, 6010))
        assert heard.payloads(6000) == stays.sent
        assert heard.payloads(6010) == changes.sent  # a receiver that the change did not touch, either
        paths = penstock.metrics()
        for name, steady in (("stays", stays), ("changes", changes)):
            assert paths.sum("penstock_path_packets_total", stream=name) == len(steady.sent)
            assert paths.sum("penstock_path_lost_packets_total", stream=name) == 0
        assert_ledger(paths)


@cases(how=("cli", "sighup"))
def test_reload_refused(how):
    """A file with a mistake changes nothing and is told by FILE:LINE:COLUMN; media flows on."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        fine = penstock.config.read_text()
        before = penstock.show("config")
        with Steady(lab) as steady:
            for wrong, place in ((fine.replace("payload_type: 96", "payload_type: 960"), r":(\d+):\d+: "), ("garbage: [\n", r":\d+:\d+: "),
                                 (fine + stream("camera-1", 20010, leg(1)) if fine.endswith("]\n") else fine.replace("streams:\n", "streams:\n" + stream("camera-1", 20010, leg(1))),
                                  r":(\d+):\d+: .*name"),
                                 *((fine.replace("name: wan", "name: uplink").replace(rtp, f"port: uplink, {rtp}"), "not open") for rtp in ("rtp: 10.2", "rtp: \"10.1"))):
                penstock.config.write_text(wrong)
                done, said = reload_by(penstock, how)
                assert not done and "nothing is changed" in said, said
                assert re.search((re.escape(str(penstock.config)) if place[0] == ":" else "") + place, said), (place, said)
                assert penstock.show("config") == before
            penstock.config.unlink()
            done, said = reload_by(penstock, how)
            assert not done and str(penstock.config) in said, said
            penstock.config.write_text(fine.replace("idle: sleep", "idle: poll"))
            done, said = reload_by(penstock, how)
            assert done and "workers: changed in the file, takes effect at the next start" in said, said
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent


TYPES = {"text": str, "integer": int, "number": (int, float), "boolean": bool}


def documented():
    """What docs/cli.md says: {show command: {array: {key: (type, may be null)}}}."""
    schemas, command = {}, None
    for line in (ROOT / "docs/cli.md").read_text().splitlines():
        if heading := re.match(r"#+ `(show [^`]+)`", line):
            command = heading[1]
        elif line.startswith("#"):
            command = None
        elif command and (row := re.match(r"\| `(\w+)\[\]\.(\w+)` \| (\w+)( or null)? \|", line)):
            schemas.setdefault(command, {}).setdefault(row[1], {})[row[2]] = (TYPES[row[3]], bool(row[4]))
    return schemas


def test_json():
    """Every show command in JSON has the keys and types that docs/cli.md tells, no more and no fewer."""
    with Relay(2) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1), leg(2)), stream("gate", 20010, leg(1, 6010)))
        Sender(lab.source, LAN[4], 20000).send(100)
        Sender(lab.source, LAN[4], 25000).send(10)  # nobody's: a drop to show
        wait_forwarded(penstock, 200)
        wait_for(lambda: penstock.metrics().drops(), "a drop")
        helped = penstock.cli("help")
        commands = [re.sub(r"\s{2,}.*", "", line.strip()) for line in helped.splitlines() if line.strip().startswith("show ")]
        schemas = documented()
        assert set(schemas) == set(commands), f"documented {sorted(schemas)}, helped {sorted(commands)}"
        for command, schema in schemas.items():
            shown = penstock.show(command[5:].replace("STREAM", "camera-1").replace("PORT", "all"))
            assert set(shown) == set(schema), (command, set(shown), set(schema))
            for array, rows in shown.items():
                assert rows, (command, array)
                for row in rows:
                    assert set(row) == set(schema[array]), (command, array, set(row) ^ set(schema[array]))
                    for key, value in row.items():
                        kind, optional = schema[array][key]
                        assert (optional and value is None) or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))), (
                            command, array, key, value)
        assert penstock.show("port info lan")["ports"][0]["port"] == "lan"
        assert [row["packets"] for row in penstock.show("stream all")["streams"]] == [100, 0]
        assert json.loads(penstock.cli("--json", "reload"))["done"]
        # Counting anew concerns what is shown, not the metrics.
        penstock.cli("clear", "port", "stats", "all")
        received = [row["value"] for row in penstock.show("port stats lan")["counters"] if row["counter"] == "rx_good_packets"]
        assert received[0] < 100 < penstock.metrics().sum("penstock_port_rx_good_packets_total", port="lan"), received


def test_clients():
    """Two hundred clients that hang, half of them with replies that they never read: media and operators do not notice."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        with Steady(lab) as steady:
            hung = []
            for number in range(200):
                client = socket.socket(socket.AF_UNIX)
                lab.on_close(client.close)
                client.connect(str(penstock.socket))
                client.setblocking(False)
                try:
                    while number % 2:  # until the forwarder does not listen to this one any more
                        client.send(b"json show port xstats all\n" * 100)
                except BlockingIOError:
                    pass
                if number % 2 == 0:
                    client.send(b"text show str")
                hung.append(client)
            for _ in range(20):
                asked = time.monotonic()
                assert "camera-1" in penstock.cli("show", "stream", "all")
                assert time.monotonic() - asked < 1, "operators wait"
            for client in hung[:100]:
                client.close()
            assert "camera-1" in penstock.cli("show", "stream", "all")
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent
        for client in hung:
            client.close()
        descriptors = lambda: len(os.listdir(f"/proc/{penstock.pid}/fd"))
        with_clients = descriptors()
        wait_for(lambda: descriptors() <= with_clients and descriptors() < 100, "the descriptors of the gone to be closed")
        assert penstock.stop(signal.SIGTERM) == 0, penstock.text()
        assert not penstock.socket.exists()


@cases(driver=("af_xdp", "af_packet"))
def test_group(driver):
    """The group of a stream that is added is joined, and left when the last stream that needs it goes."""
    with Relay(1, driver) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        group = "239.1.1.7"
        heard = Capture(lab.receivers[0], "eth0")

        def add(name, port):
            track = f"media: video, payload_type: 96, encoding: H264/90000, sources: [{{rtp: \"{group}:{port}\", port: lan}}]"
            penstock.cli("add", "stream", name, f"{{tracks: [{{{track}, outputs: [{{rtp: \"{leg(1, port)}\"}}]}}]}}")
        assert group not in memberships(lab.node, 4)
        add("one", 5004)
        wait_for(lambda: group in memberships(lab.node, 4), "the group to be joined")
        add("two", 5010)
        wait_legs(penstock, 3)
        senders = {port: Sender(lab.source, group, port).send(60) for port in (5004, 5010)}
        wait_forwarded(penstock, 60, stream="one")
        wait_forwarded(penstock, 60, stream="two")
        penstock.cli("add", "output", "one", f"rtp://{leg(1, 5020)}")  # the track is made anew: still a member
        penstock.cli("del", "stream", "one")
        assert group in memberships(lab.node, 4)
        penstock.cli("del", "stream", "two")
        wait_for(lambda: group not in memberships(lab.node, 4), "the group to be left")
        for port, sender in senders.items():
            assert heard.payloads(port, to=receiver_address(1)) == sender.sent


class Terminal:
    """penstock cli at a prompt: what is typed, and what the screen shows."""

    def __init__(self, lab, penstock):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.child = subprocess.Popen(penstock.cli_command(), stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True)
        lab.on_close(self._close)
        os.set_blocking(self.master, False)
        self.screen = ""
        self.expect("penstock> ")

    def _close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)

    def read(self):
        try:
            self.screen += os.read(self.master, 65536).decode(errors="replace")
        except BlockingIOError:
            pass
        return self.screen

    def expect(self, *parts):
        """Waits for the parts, in order, and forgets all up to the end of the last."""
        for part in parts:
            wait_for(lambda: part in self.read(), f"'{part}' on the screen, which shows {self.screen[-600:]!r}")
            self.screen = self.screen[self.screen.index(part) + len(part):]

    def type(self, text):
        os.write(self.master, text.encode())


def test_prompt():
    """The prompt as testpmd has it: completion, history, help, and the terminal given back."""
    with Relay(2) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)), stream("camera-2", 20010, leg(1, 6010)), stream("gate", 20020, leg(1, 6020)))
        terminal = Terminal(lab, penstock)
        terminal.type("sh\t")
        terminal.expect("show ")
        terminal.type("stream g\t")
        terminal.expect("stream gate ")
        terminal.type("\n")
        terminal.expect("paths", endpoint(LAN[4], 20020), "legs", leg(1, 6020), "penstock> ")
        terminal.type("show stream ca\t")
        terminal.expect("camera-")
        terminal.type("\t")
        terminal.expect("camera-1", "camera-2")
        terminal.type("1\n")
        terminal.expect(leg(1), "penstock> ")
        terminal.type("\x1b[A\x1b[A\n")  # two commands ago
        terminal.expect("show stream gate", leg(1, 6020), "penstock> ")
        terminal.type("help show port\n")
        terminal.expect("show port info PORT", "show port xstats PORT", "penstock> ")
        terminal.type("fly\n")
        terminal.expect("'fly' is not understood", "penstock> ")
        terminal.type(f"add output gate rtp://{leg(2)}?ttl=7\n")  # a question mark is a letter here
        terminal.expect("added", "penstock> ")
        rows = [row for row in penstock.show("config")["settings"] if row["rtp"] == leg(2)]
        assert rows and rows[0]["ttl"] == 7, rows
        assert termios.tcgetattr(terminal.slave)[3] != terminal.before[3], "the prompt works key by key"
        terminal.type("quit\n")
        assert terminal.child.wait(5) == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before
        assert penstock.running()

        other = Terminal(lab, penstock)  # ended by the end of the input
        other.type("\x04")
        assert other.child.wait(5) == 0

        # A command a line from a pipe; exit 1 because one of them was refused.
        piped = subprocess.run(penstock.cli_command(), input="show drops\n\nfly\nshow worker all\nquit\nshow config\n", capture_output=True, text=True)
        assert piped.returncode == 1 and "balanced" in piped.stdout and "'fly'" in piped.stderr and "rtcp-mux" not in piped.stdout, piped
        orphan = Terminal(lab, penstock)
        assert penstock.stop(signal.SIGTERM) == 0
        orphan.type("show drops\n")
        orphan.expect("penstock has gone")
        assert orphan.child.wait(5) == 1
        code, _, errors = penstock.cli_exit("show", "drops")
        assert code == 1 and str(penstock.socket) in errors and "is it running" in errors, errors


def test_metrics_are_well_formed():
    """promtool finds nothing to mend in a scrape of a forwarder that has forwarded."""
    if not shutil.which("promtool"):
        raise Skip("promtool is not installed")
    with Relay(1) as lab:
        penstock = lab.relay([endpoint(LAN[4], 20000)], [endpoint(receiver_address(1), 6000)])
        Sender(lab.source, LAN[4], 20000).send(100)
        wait_forwarded(penstock, 100)
        status, text = lab.node.get(penstock.url + "/metrics")
        assert status == 200
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        counts = [int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("penstock_forward_latency_seconds_bucket")]
        assert counts == sorted(counts) and counts[-1] == 100, f"the latency histogram: {counts}"
