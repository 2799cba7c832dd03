"""Operators at the control socket: the prompt as testpmd has it, and clients that misbehave."""
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import time

from judge import Capture
from lab import wait_for
from relay import LAN, Relay, endpoint, wait_forwarded
from steady import Steady, leg, start, stream


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
