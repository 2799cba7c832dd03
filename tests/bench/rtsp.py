"""RTSP beside a GStreamer RTSP server: most viewers of one stream of 4 Mbit/s, what one costs, sessions set up per second.

   source eth0 --- lan0 [server] wan0 --- eth0 viewers

Both servers are fed the same RTP packets by the same ffmpeg, and asked by the same bench-viewers. Each trial has a server of its
own. It went well when every viewer had every packet and no one fell behind. Viewers share the cores with the server, so receiving
may be what ends it. Where they are deaf it is not: their kernel throws media away as it comes from the link, and the counters of
the link say what was sent: bytes, because several packets may leave as one (segmentation), which counts as one there. The film comes
as an encoder of 25 pictures a second sends it: all packets of a picture at once, some seventeen, of one size.
"""
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from lab import Lab, run, wait_for, xdp_refused

SOURCE, LAN, WAN, VIEWERS = "10.1.0.2", "10.1.0.1", "10.2.0.1", "10.2.0.2"
MEDIA, RTSP = 20000, 554
PACKET, HEADERS = 1328, 42  # bytes: of RTP, and before it
IN_STEP = 0.95  # of the packets that were sent meanwhile; the first and last picture are cut off by the clock
DEAF = "table netdev deaf {\n chain media {\n type filter hook ingress device eth0 priority 0;\n meta l4proto udp drop;\n }\n}\n"
SETUPS = 1000  # viewers of the trial by which memory and set-ups are compared
SETUP_TRIALS = 3
AT_ONCE = 256  # of them, viewers that are being set up: penstock answers PLAY with the next picture, which it waits for
FIRST = 64  # viewers of the first trial
EACH = 6000  # viewers of one process: its descriptors
CONNECTIONS = 4096  # those that penstock takes: kMostConnections in src/control/rtsp/limits.hpp. Sessions over UDP do without
TICK = os.sysconf("SC_CLK_TCK")


class Ground(Lab):
    """Three namespaces, and a film that is sent all the time."""

    def __init__(self):
        super().__init__("bench-rtsp")
        try:
            self.source, self.server, self.viewers = (self.namespace(name) for name in ("source", "server", "viewers"))
            self.veth(self.source, "eth0", self.server, "lan0")
            self.veth(self.server, "wan0", self.viewers, "eth0")
            for namespace, interface, address in ((self.source, "eth0", SOURCE), (self.server, "lan0", LAN),
                                                  (self.server, "wan0", WAN), (self.viewers, "eth0", VIEWERS)):
                namespace.ip("address", "add", f"{address}/24", "dev", interface)
            film = self.file("film.ts")
            run("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=8,noise=alls=20:allf=t",
                "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-b:v", "4500k", "-maxrate", "4500k",
                "-bufsize", "400k", "-pix_fmt", "yuv420p", film)
            self.sender = self.source.start(
                "ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", -1, "-i", film, "-c", "copy", "-f", "rtp_mpegts",
                f"rtp://{LAN}:{MEDIA}?pkt_size={PACKET}")
        except BaseException:
            self.close()
            raise

    def deaf(self, deaf):
        self.viewers.run("nft", "flush", "ruleset")
        if deaf:
            self.viewers.run("nft", "-f", "-", input=DEAF)

    @staticmethod
    def link(namespace, interface):
        """(packets of media sent by it, of those lost)."""
        sent = json.loads(namespace.ip("-j", "-s", "link", "show", interface))[0]["stats64"]["tx"]
        return (sent["bytes"] - HEADERS * sent["packets"]) / PACKET, sent["dropped"] + sent["errors"]


class Penstock:
    name = "penstock"

    def __init__(self, ground, binary, driver, ports="", outputs=""):
        self.process = ground.start_penstock(ground.server, f"""\
node: bench
log: {{ level: warning }}
memory: {{ mbufs: 131072 }}
media: {{ ports: 20000-59999 }}
rtsp:
  listen: [":{RTSP}"]
  per_address: {{ connections: 65535, sessions: 65535, requests: 100000 }}
ports:
  - {{ name: lan, driver: {driver}, interface: lan0 }}
  - {{ name: wan, driver: {driver}, interface: wan0 }}
{ports}streams:
  - name: film
    tracks:
      - {{ media: video, payload_type: 33, encoding: MP2T/90000, sources: [{{ rtp: "{LAN}:{MEDIA}" }}], outputs: [{outputs}] }}
""", binary=binary)

    def drops(self):
        """Copies that did not leave, whatever the reason."""
        return sum(drop["packets"] for drop in self.process.show("drops")["drops"] if drop["of"] == "copies")


class Gstreamer:
    name = "gstreamer"

    def __init__(self, ground):
        log = ground.file(f"gstreamer{time.monotonic_ns()}.log")  # of its own: what an older one said does not count
        self.process = ground.server.start("/usr/bin/python3", "-B", Path(__file__).with_name("gst_rtsp_server.py"), RTSP, "0.0.0.0", MEDIA,
                                           log=log)
        self.process.wait_for_text("listening", 15)

    def drops(self):
        return 0  # it counts none; the link does


def process_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def softirq_seconds():
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[7]) / TICK


def resident_kib(pid):
    return int(next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1])


class Snapshot:
    """All that counts at one moment."""

    def __init__(self, ground, server):
        pid = server.process.pid
        self.at, self.cpu, self.softirq, self.resident = time.monotonic(), process_seconds(pid), softirq_seconds(), resident_kib(pid)
        self.film, _ = ground.link(ground.source, "eth0")
        self.sent, self.lost = ground.link(ground.server, "wan0")
        self.drops = server.drops()


def row_of(server, before, a, b, **found):
    """What two snapshots tell; `before` is the first of all, without viewers."""
    took, film = b.at - a.at, b.film - a.film
    viewers = found["viewers"]
    row = {"case": "rtsp", "subject": server.name, **found, "lost": found.get("lost", 0) + b.lost - a.lost + b.drops - a.drops,
           "packets_per_second": round(film / took, 1), "kib_per_viewer": round((a.resident - before.resident) / viewers, 1),
           "server_cores": round((b.cpu - a.cpu) / took, 3), "softirq_cores": round((b.softirq - a.softirq) / took, 3)}
    row["fine"] = row["playing"] == viewers and row["lost"] == 0 and row["behind"] < 1 - IN_STEP
    return row


def trial(ground, start, program, transport, deaf, viewers, seconds):
    """One server, so many viewers, and what became of it."""
    server, crowd = start(), []
    try:
        before = Snapshot(ground, server)

        def play(number, seconds):
            """So many of them, and how many play when all have been set up."""
            words = [program, "--server", f"{WAN}:{RTSP}", "--stream", "film", "--number", number, "--transport", transport,
                     "--seconds", seconds, "--tracks", 1, "--at-once", AT_ONCE,
                     "--leave", "yes" if transport == "udp" and viewers > CONNECTIONS else "no"]
            players = subprocess.Popen(ground.viewers.inside(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            crowd.append(players)
            return players, next((int(line.split()[1]) for line in players.stderr if line.startswith("counting")), 0)
        more = 0
        for _ in range((viewers - 1) // EACH):  # they only watch; deaf viewers are not counted by what they hear
            assert deaf, "what viewers of several processes hear is not measured"
            more += play(EACH, 600)[1]
        players, _ = play(viewers - (viewers - 1) // EACH * EACH, seconds)
        a = Snapshot(ground, server)
        said = players.stdout.readline()
        b = Snapshot(ground, server)
        assert said, f"bench-viewers ended with {players.poll()}"
    finally:
        for players in crowd:
            players.kill()
            players.communicate()
        server.process.stop(signal.SIGTERM)
    heard = json.loads(said)
    heard["playing"] += more
    film = b.film - a.film
    assert film > 0, "the film stands still"
    if deaf:
        behind = 1 - (b.sent - a.sent) / (film * viewers)
    else:
        behind = 1 - heard["packets_min"] / heard["seconds"] / (film / (b.at - a.at))
    return row_of(server, before, a, b, transport=transport, deaf=deaf, viewers=viewers, playing=heard["playing"],
                  failures=heard["failures"], lost=heard["lost"] + heard["torn"], behind=round(behind, 3),
                  sessions_per_second=round(heard["sessions_per_second"]),
                  viewers_cores=round(heard["cpu_seconds"] / heard["seconds"], 3))


def to_nowhere(ground, binary, viewers, seconds):
    """The same stream to receivers by a port where what is sent is gone: what one worker can do when no kernel has to send."""
    outputs = ", ".join(f'{{ rtp: "10.3.{n >> 14}.{1 + (n & 63)}:{6000 + 2 * (n >> 6 & 255)}", port: nowhere }}' for n in range(viewers))
    server = Penstock(ground, binary, "af_packet", '  - { name: nowhere, driver: "null", addresses: [10.3.255.1/16] }\n', outputs)

    def sent():
        return sum(worker["sent"] for worker in server.process.show("worker all")["workers"])
    try:
        wait_for(lambda: sent() > viewers, "the first packets", 10)
        before, a, sent_before = Snapshot(ground, server), Snapshot(ground, server), sent()
        time.sleep(seconds)
        b, sent_after = Snapshot(ground, server), sent()
    finally:
        server.process.stop(signal.SIGTERM)
    behind = 1 - (sent_after - sent_before) / ((b.film - a.film) * viewers)
    return row_of(server, before, a, b, transport="udp", deaf=True, viewers=viewers, playing=viewers, failures={},
                  behind=round(behind, 3))


def most(attempt, first, limit, steps):
    """The trial of the most viewers that went well: twice as many as long as it does, then halved in between. One that does not is made
    once more: a machine is never quite alone."""
    def tried(viewers):
        row = attempt(viewers)
        return row if row["fine"] else attempt(viewers)
    good = tried(first)
    while not good["fine"] and good["viewers"] > 1:
        good = tried(good["viewers"] // 4 or 1)
    bad = None
    while good["fine"] and bad is None and good["viewers"] < limit:
        row = tried(min(good["viewers"] * 2, limit))
        good, bad = (row, None) if row["fine"] else (good, row)
    for _ in range(steps if bad else 0):
        row = tried((good["viewers"] + bad["viewers"]) // 2)
        good, bad = (row, bad) if row["fine"] else (good, row)
    return {**good, "failed_at": {k: bad[k] for k in ("viewers", "playing", "failures", "lost", "behind")} if bad else None}


def measure(binary, program, quick):
    """Rows, as they come."""
    seconds, steps = (2, 1) if quick else (4, 3)
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))  # for the servers, too
    limits = {"udp": 14000, "tcp": CONNECTIONS}  # UDP: pairs of ports that bench-viewers has, nearly
    xdp = not xdp_refused()
    with Ground() as ground:
        def attempts(driver, transport, deaf):
            def attempt(viewers):
                try:
                    if driver == "null":
                        row = to_nowhere(ground, binary, viewers, seconds)
                    else:
                        row = trial(ground, lambda: Penstock(ground, binary, driver) if driver else Gstreamer(ground), program, transport,
                                    deaf, viewers, seconds)
                except (AssertionError, OSError, subprocess.SubprocessError) as error:  # one that did not survive it: the other figures stay
                    row = {"case": "rtsp", "subject": Penstock.name if driver else Gstreamer.name, "transport": transport, "deaf": deaf,
                           "viewers": viewers, "playing": 0, "failures": {str(error): 1}, "lost": 0, "behind": 1.0, "fine": False,
                           "sessions_per_second": 0, "kib_per_viewer": 0, "packets_per_second": 0, "server_cores": 0, "softirq_cores": 0,
                           "viewers_cores": 0}
                print(f"bench: {row['subject']} {driver or ''} {transport}{' deaf' if deaf else ''}: {viewers} viewers "
                      f"{'well' if row['fine'] else 'failed'}", flush=True)
                return {**row, "driver": driver}
            return attempt

        for transport, deaf in ("udp", True), ("udp", False), ("tcp", False):
            ground.deaf(deaf)
            # The port matters where the server is what ends it.
            for driver in (["af_xdp"] if xdp else []) + (["af_packet"] if deaf or not xdp else []) + [None]:
                attempt = attempts(driver, transport, deaf)
                setups = sorted((attempt(SETUPS) for _ in range(SETUP_TRIALS)), key=lambda row: row["sessions_per_second"])
                yield {**setups[SETUP_TRIALS // 2], "case": "rtsp-setup"}
                yield most(attempt, FIRST, limits[transport] if deaf or transport == "tcp" else min(EACH, descriptors // 3), steps)
        yield most(attempts("null", "udp", True), 8192, 65536, steps)
