"""Operators with the tools they have at hand: the prompt in tmux, and the bare socket through socat."""
import json
import os
import re
import subprocess

from lab import wait_for
from relay import LAN, Relay, endpoint
from steady import leg, start, stream


class Tmux:
    """penstock cli in a tmux session of its own: keys in, and the screen as a person sees it."""

    def __init__(self, lab, penstock, columns=100, rows=40):
        self.server = f"penstock-test-{os.getpid()}"
        lab.on_close(lambda: self.tmux("kill-server"))
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "operator", "-x", columns, "-y", rows, *penstock.cli_command())
        self.shows(r"^penstock>$")

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-L", self.server, *map(str, words)], capture_output=True, text=True, timeout=20)
        return done.stdout

    def type(self, *keys):
        self.tmux("send-keys", "-t", "operator", *keys)

    def screen(self):
        return "\n".join(line.rstrip() for line in self.tmux("capture-pane", "-p", "-t", "operator").splitlines()).rstrip()

    def shows(self, pattern):
        try:
            wait_for(lambda: re.search(pattern, self.screen(), re.M), f"/{pattern}/ on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}, which shows:\n{self.screen()}") from None


def test_prompt_in_tmux():
    """Tab completes, the arrow brings back what was typed, help explains, nothing is broken over the screen's 100 columns."""
    with Relay(1) as lab:
        # Two paths, two legs and a long setting: all columns have something to tell.
        wide = stream("camera-1", 20000, leg(1) + ", fec: { scheme: flexfec, port: +2, columns: 5, rows: 8, header: mask }").replace(
            "sources: [", "sources: [{ rtp: \"%s\", nack: {} }, " % endpoint(LAN[4], 20100)).replace(
            "outputs: [", "outputs: [{ live_live: [{ rtp: \"%s\", port: wan }, { rtp: \"%s\" }] }, " % (leg(1, 6100), leg(1, 6200)))
        penstock = start(lab, wide)
        tmux = Tmux(lab, penstock)
        tmux.type("sh", "Tab")
        tmux.shows(r"^penstock> show$")
        tmux.type("stream cam", "Tab")
        tmux.shows(r"^penstock> show stream camera-1$")
        tmux.type("Enter")
        tmux.shows(re.escape(endpoint(LAN[4], 20000)))
        tmux.shows(r"^penstock>$")
        tmux.type("fly", "Enter")
        tmux.shows(r"'fly' is not understood: expected .*")
        tmux.type("Up")
        tmux.shows(r"^penstock> fly$")
        tmux.type("Up")
        tmux.shows(r"^penstock> show stream camera-1$\Z")
        tmux.type("C-a", "C-k", "help show drops", "Enter")
        tmux.shows(r"show drops +packets and copies that went no further, by reason")
        for command in ("show worker all", "show stream all", "show port info all", "show stream camera-1", "show stream camera-1 path",
                        "show stream camera-1 repair", "show config"):
            tmux.type("C-l", command, "Enter")
            tmux.shows(rf"^penstock> {command}$[^$]+^penstock>$")
            out = penstock.cli(*command.split())
            for line in filter(None, (line.rstrip() for line in out.splitlines())):
                assert len(line) <= 100, f"{command}: {len(line)} columns: {line}"
        tmux.type("quit", "Enter")
        wait_for(lambda: "operator" not in tmux.tmux("list-sessions"), "the prompt to end")
        assert "camera-1" in penstock.cli("show", "stream", "all"), "quit ended more than the prompt"


def test_bare_socket_through_socat():
    """A script without penstock at hand: a line in; `ok` or `error`, the size, and so many bytes out."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))

        def ask(lines):
            done = subprocess.run(["socat", "-t10", "-", f"UNIX-CONNECT:{penstock.socket}"], input=lines.encode(), capture_output=True, timeout=30)
            assert done.returncode == 0, done.stderr
            left, replies = done.stdout, []
            while left:
                head, left = left.split(b"\n", 1)
                verdict, size = head.split()
                replies.append((verdict.decode(), left[:int(size)].decode()))
                left = left[int(size):]
            return replies

        assert oct(os.stat(penstock.socket).st_mode & 0o777) == "0o660"
        [(verdict, body)] = ask("json show stream camera-1\n")
        assert verdict == "ok" and json.loads(body)["paths"][0]["packets"] == 0, body
        (first, _), (second, why), (third, table) = ask("text show drops\njson fly\ntext show stream all\n")
        assert (first, second, third) == ("ok", "error", "ok")
        assert "fly" in why and "camera-1" in table
        [(verdict, why)] = ask("shout show drops\n")
        assert verdict == "error" and why
        assert len(penstock.cli("show", "stream", "all").splitlines()) == 2
