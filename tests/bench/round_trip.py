"""How long a packet is away that comes in by AF_XDP over veth and is sent back: by penstock, and by a plain echo, which is DPDK's
testpmd that swaps addresses and ports. By turns, so that all meet the same weather."""
import json
import os
import shutil
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from lab import Lab, run, wait_for, xdp_refused

import page

SOURCE, NODE = "10.1.0.2", "10.1.0.1"
PORT, BACK = 20000, 7000
RATE = 2000  # packets a second


class Ground(Lab):
    def __init__(self):
        super().__init__("bench-round-trip")
        try:
            self.source, self.node = self.namespace("source"), self.namespace("node")
            self.veth(self.source, "eth0", self.node, "lan0")
            self.source.ip("address", "add", f"{SOURCE}/24", "dev", "eth0")
            self.node.ip("address", "add", f"{NODE}/24", "dev", "lan0")
            # The echo answers no ARP, and sends back whatever checksum came.
            mac = json.loads(self.node.ip("-j", "link", "show", "lan0"))[0]["address"]
            self.source.ip("neigh", "add", NODE, "lladdr", mac, "dev", "eth0", "nud", "permanent")
            self.source.run("ethtool", "-K", "eth0", "tx", "off")
        except BaseException:
            self.close()
            raise


def penstock(idle):
    def start(ground, core, binary):
        process = ground.start_penstock(ground.node, f"""\
node: bench
log: {{ level: warning }}
workers: {{ cores: [{core}], idle: {idle} }}
ports: [{{ name: lan, driver: af_xdp, interface: lan0 }}]
streams:
  - name: camera-1
    tracks:
      - {{ media: video, payload_type: 96, encoding: H264/90000, sources: [{{ rtp: "{NODE}:{PORT}" }}], outputs: [{{ rtp: "{SOURCE}:{BACK}" }}] }}
""", binary=binary)
        wait_for(lambda: process.metrics().sum("penstock_leg_ready") == 1, "the next hop", 15)
    return start


def echo(ground, core, binary):
    cores = sorted(os.sched_getaffinity(0))
    process = ground.node.start(
        "stdbuf", "-oL", "dpdk-testpmd", "--no-pci", "--no-huge", "-m", 128, "--no-telemetry", "--no-shconf", "--iova-mode=va", f"--file-prefix=bench-{os.getpid()}",
        "--lcores", f"0@{cores[0]},1@{core}", "--main-lcore=0", "--vdev=net_af_xdp0,iface=lan0", "--", "--auto-start", "--forward-mode=5tswap",
        "--port-topology=loop", "--total-num-mbufs=8192", "--stats-period=3600")
    process.wait_for_text("Logical Core 1", 15)


SUBJECTS = {"penstock-poll": penstock("poll"), "penstock-sleep": penstock("sleep"), "echo": echo}


def measure(programs, quick):
    """Rows of what could be measured, and {subject: why not}."""
    cores = sorted(os.sched_getaffinity(0))
    why = "it takes two cores" if len(cores) < 2 else "" if shutil.which("dpdk-testpmd") else "dpdk-testpmd is not installed"
    if why := why or xdp_refused():
        return [], {"round trip": why}
    found = {}
    for _ in range(1 if quick else 5):
        for size in page.SIZES:
            for name, start in SUBJECTS.items():
                with Ground() as ground:
                    start(ground, cores[-1], programs.parent.parent / "penstock")
                    play = ["taskset", "-c", cores[0], programs / "bench-round-trip", ground.source.name, NODE, PORT, BACK, size, RATE]
                    run(*play, 0.2)
                    found.setdefault((name, size), []).append(json.loads(run(*play, 1 if quick else 2)))
    return [{"case": "round-trip", "subject": name, "size": size, "packets": sum(r["packets"] for r in rounds), "lost": sum(r["lost"] for r in rounds),
             **{key: round(median(r[key] for r in rounds), 1) for key in ("p50_us", "p99_us", "p999_us")}}
            for (name, size), rounds in found.items()], {}
