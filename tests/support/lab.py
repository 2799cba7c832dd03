"""Network namespaces, processes and a running penstock, for the demo and the end-to-end tests.

Everything a Lab made is undone by Lab.close(): processes by their pid, then namespaces (and the veth pairs in them), then
files. Nothing outside its own namespaces is touched.
"""
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build"))
PENSTOCK = BUILD / "penstock"

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 321)


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


def xdp_refused():
    """Why AF_XDP cannot be used here, or an empty text."""
    try:
        socket.socket(44, socket.SOCK_RAW).close()  # AF_XDP
    except OSError as error:
        return f"no AF_XDP sockets: {error.strerror}"
    # bpf(BPF_MAP_CREATE): a map of type BPF_MAP_TYPE_XSKMAP with one slot
    attributes = ctypes.create_string_buffer(struct.pack("IIII", 17, 4, 4, 1), 72)
    map_fd = _libc.syscall(_SYS_BPF, 0, attributes, len(attributes))
    if map_fd < 0:
        return f"no BPF maps for AF_XDP: {os.strerror(ctypes.get_errno())}"
    os.close(map_fd)
    return ""


def run(*command, check=True, **options):
    """Runs a short command and returns what it printed; what it complained of is in the exception."""
    done = subprocess.run([str(word) for word in command], capture_output=True, **{"text": True, **options})
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr or done.stdout}")
    return done.stdout


def wait_for(condition, what, seconds=5.0, every=0.02):
    """Asks until the condition holds and returns its value. `what` completes 'waited 5 s for ...'."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(every)


class Process:
    """A program in a namespace; all its output goes to a file."""

    def __init__(self, command, log, **options):
        self.command = [str(word) for word in command]
        self.log = Path(log)
        # The child dies with us, even when we are killed: nothing is left to poll a core for ever.
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(
                self.command, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=output, stderr=output,
                start_new_session=True, preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), **options)

    @property
    def pid(self):
        return self.child.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.child.poll() is None

    def wait(self, seconds):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command[0]} did not end within {seconds:g} s\n{self.text()[-2000:]}") from None

    def stop(self, how=signal.SIGINT, seconds=5):
        """Ends it, with force when it does not want to; returns its exit code (-9: it did not want to)."""
        if self.running():
            self.child.send_signal(how)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def wait_for_text(self, text, seconds=5):
        def seen():
            if text in self.text():
                return True
            assert self.running(), f"{self.command[0]} ended early (exit {self.child.returncode})\n{self.text()[-3000:]}"
            return False
        wait_for(seen, f"'{text}' in the output of {self.command[0]}\n{self.text()[-1500:]}", seconds)


class Namespace:
    def __init__(self, lab, name):
        self.lab = lab
        self.short = name
        self.name = f"{lab.prefix}-{name}"
        self.path = f"/run/netns/{self.name}"
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        # DAD would hold addresses back for a second or two.
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)

    def ip(self, *words, check=True):
        return run("ip", "-n", self.name, *words, check=check)

    def batch(self, *lines):
        """Commands of `ip`, in one process: to start one takes longer than most of them."""
        run("ip", "-n", self.name, "-batch", "-", input="\n".join(lines))

    def sysctl(self, key, value):
        with self.entered():
            Path("/proc/sys", key.replace(".", "/")).write_text(str(value))

    def inside(self, command):
        # nsenter and not `ip netns exec`: that one mounts a fresh /sys, which hides bpffs.
        return ["nsenter", f"--net={self.path}", *map(str, command)]

    def run(self, *command, check=True, **options):
        return run(*self.inside(command), check=check, **options)

    def start(self, *command, log=None, **options):
        return self.lab.adopt(Process(self.inside(command), log or self.lab.file(f"{self.short}-{Path(command[0]).name}.log"),
                                      **options))

    @contextmanager
    def entered(self):
        """Sockets opened within belong to this namespace, and stay there."""
        with open("/proc/thread-self/ns/net") as home, open(self.path) as there:
            self._enter(there)
            try:
                yield
            finally:
                self._enter(home)

    @staticmethod
    def _enter(namespace):
        if _libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, bind=None):
        with self.entered():
            opened = socket.socket(family, kind)
        self.lab.on_close(opened.close)
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bind:
            opened.bind(bind)
        return opened

    def raw(self, interface):
        """A socket that sends whole Ethernet frames by this interface."""
        with self.entered():
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            opened.bind((interface, 0))
        self.lab.on_close(opened.close)
        return opened

    def mac(self, interface):
        return re.search(r"link/ether (\S+)", self.ip("link", "show", interface)).group(1)

    def index(self, interface):
        return int(self.ip("link", "show", interface).split(":")[0])

    def get(self, url):
        """Status and text of an HTTP GET made from inside."""
        host, port, path = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)", url).groups()
        connection = http.client.HTTPConnection(host, int(port), timeout=3)
        with self.entered():
            connection.connect()
        connection.request("GET", path)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text


class Lab:
    def __init__(self, name="e2e", keep_files=False):
        if os.geteuid():
            raise Skip("needs root: it makes network namespaces")
        self.name = name
        self.prefix = f"penstock-{name}-{os.getpid()}"
        self.keep_files = keep_files
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        self.namespaces = {}
        self._closers = []
        self._sweep()

    def _sweep(self):
        """Removes what a killed run of the same name left behind. Its processes died with it."""
        def dead(text):
            owner = re.match(rf"penstock-{self.name}-(\d+)-", text)
            return owner and not os.path.exists(f"/proc/{owner.group(1)}")
        for line in filter(dead, run("ip", "netns", "list").splitlines()):
            run("ip", "netns", "del", line.split()[0], check=False)
        for left in Path(tempfile.gettempdir()).glob(f"penstock-{self.name}-*"):
            if dead(left.name):
                shutil.rmtree(left, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        keep = os.environ.get("PENSTOCK_E2E_FILES")
        try:
            if keep and kind and kind is not Skip:
                self._stop_all()
                shutil.copytree(self.directory, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
        finally:
            self.close()

    def _stop_all(self):
        while self._closers:
            self._closers.pop()()

    def close(self):
        self._stop_all()
        run("ip", "-force", "-batch", "-", input="\n".join(f"netns del {namespace.name}" for namespace in self.namespaces.values()), check=False)
        self.namespaces.clear()
        if not self.keep_files:
            shutil.rmtree(self.directory, ignore_errors=True)

    def on_close(self, what):
        self._closers.append(what)

    def adopt(self, process):
        self.on_close(lambda: process.stop(signal.SIGKILL))
        return process

    def file(self, name, text=None):
        path = self.directory / name
        if text is not None:
            path.write_text(text)
        return path

    def namespace(self, name):
        self.namespaces[name] = Namespace(self, name)
        return self.namespaces[name]

    def veth(self, a, a_name, b, b_name):
        run("ip", "link", "add", a_name, "netns", a.name, "type", "veth", "peer", "name", b_name, "netns", b.name)
        a.ip("link", "set", a_name, "up")
        b.ip("link", "set", b_name, "up")

    def start_penstock(self, node, config, ready=True, binary=PENSTOCK, before=()):
        """Starts `penstock run` in a namespace; returns when it says it is ready. `before`: a
        program that starts it in its turn, such as setpriv."""
        if not binary.exists():
            raise Skip(f"{binary} is not built")
        number = len(list(self.directory.glob("penstock*.yaml")))
        control = f"control: {{ socket: {self.file(f'cli{number}.sock')} }}\n"  # behind the rest: its lines keep their numbers
        path = self.file(f"penstock{number}.yaml", config.rstrip("\n") + "\n" + control)
        penstock = self.adopt(Penstock(node, binary, [*before, binary, "run", "-c", path], self.file(f"penstock{number}.log")))
        penstock.config, penstock.control, penstock.socket = path, control, self.file(f"cli{number}.sock")
        if ready:
            penstock.wait_ready()
        return penstock


class Penstock(Process):
    url = "http://127.0.0.1:9464"

    def __init__(self, node, binary, command, log):
        self.node = node
        self.binary = str(binary)
        super().__init__(node.inside(command), log)

    def wait_ready(self, seconds=15):
        def ready():
            assert self.running(), f"penstock ended (exit {self.child.returncode})\n{self.text()[-4000:]}"
            try:
                return self.node.get(self.url + "/readyz")[0] == 200
            except (OSError, http.client.HTTPException):
                return False
        wait_for(ready, f"/readyz; log:\n{self.text()[-2000:]}", seconds)

    def cli_command(self, *words):
        return [self.binary, "cli", "-s", str(self.socket), *words]

    def cli_exit(self, *words):
        """Exit code, output and complaints of one command of the CLI."""
        done = subprocess.run(self.cli_command(*words), capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout, done.stderr

    def cli(self, *words):
        """What it prints; it must be done."""
        code, out, errors = self.cli_exit(*words)
        assert code == 0, f"penstock cli {' '.join(words)}: exit {code}\n{errors}{out}"
        return out

    def show(self, what):
        """A show command as values."""
        return json.loads(self.cli("--json", "show", *what.split()))

    def metrics(self):
        return Metrics(self.node.get(self.url + "/metrics")[1])


class Metrics:
    """One scrape. `sum(name, label=value...)` adds up what matches; a metric that does not exist is an error."""

    def __init__(self, text):
        self.text = text

    def named(self, name, **labels):
        """({label: value}, number) of each. Only these rows are taken apart: of 10,000 legs a scrape has a hundred thousand."""
        rows = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.text, re.MULTILINE)
        found = [({key: value.replace('\\"', '"') for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text)}, float(number))
                 for text, number in rows]
        return [(have, value) for have, value in found if all(have.get(key) == wanted for key, wanted in labels.items())]

    def sum(self, name, **labels):
        rows = self.named(name, **labels)
        if not rows and f"# TYPE {name} " not in self.text:
            raise AssertionError(f"no metric {name}; there are: {re.findall('^# TYPE ([^ ]+)', self.text, re.MULTILINE)}")
        return sum(value for _, value in rows)

    def drops(self):
        """Every drop reason that was counted, over all workers."""
        found = {}
        for labels, value in self.named("penstock_drops_total"):
            found[labels["reason"]] = found.get(labels["reason"], 0) + value
        return {reason: int(count) for reason, count in found.items() if count}
