"""Those that penstock is compared with and that are programs of their own: a kernel relay, and DPDK's testpmd."""
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

NODE, RECEIVER = "10.77.1.2", "10.77.2.2"


class Lab:
    """Three network namespaces in a row: source, node, receiver. Empty, with the reason, where they cannot be made."""

    def __init__(self):
        self.names = [f"bench-{os.getpid()}-{part}" for part in ("source", "node", "receiver")]
        self.missing = "" if os.geteuid() == 0 else "needs root: it makes network namespaces"

    def __enter__(self):
        if self.missing:
            print(f"bench: the kernel relay is skipped: {self.missing}")
            return self
        source, node, receiver = self.names
        try:
            for name in self.names:
                self.ip("netns", "add", name)
            self.ip("-n", node, "link", "add", "in", "type", "veth", "peer", "name", "out", "netns", source)
            self.ip("-n", node, "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", receiver)
            self.ip("-n", source, "addr", "add", "10.77.1.1/24", "dev", "out")
            self.ip("-n", node, "addr", "add", f"{NODE}/24", "dev", "in")
            self.ip("-n", node, "addr", "add", "10.77.2.1/24", "dev", "out")
            for name, link in (source, "out"), (node, "in"), (node, "out"), (receiver, "in"):
                self.ip("-n", name, "link", "set", link, "up")
            # Not the receiver's MAC: its kernel drops the packet first thing, and answers nothing.
            self.ip("-n", node, "neigh", "add", RECEIVER, "lladdr", "02:00:00:00:00:99", "dev", "out")
        except subprocess.CalledProcessError as error:
            self.missing = f"{' '.join(error.cmd)}: {error.stderr.strip()}"
            print(f"bench: the kernel relay is skipped: {self.missing}")
        return self

    def __exit__(self, *_):
        for name in self.names:
            if Path("/run/netns", name).exists():
                self.ip("netns", "del", name)

    @staticmethod
    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    def kernel(self, program, size, seconds, *how):
        """`how`: "gso", or nothing."""
        if self.missing:
            return []
        rows = []
        for fanout in 1, 64:
            words = [program, *self.names[:2], NODE, RECEIVER, size, fanout, seconds, *how]
            done = subprocess.run([str(w) for w in words], check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
        return rows


def testpmd(size, tsc_hz, seconds=0.5):
    """io and macswap between two null ports: CPU time of its forwarding thread a packet."""
    if not shutil.which("dpdk-testpmd"):
        return []
    rows = []
    frame = size + 42
    for mode in "io", "macswap":
        cores = sorted(os.sched_getaffinity(0))
        words = ["dpdk-testpmd", "--no-pci", "--no-huge", "-m", "128", "--no-telemetry", "--no-shconf", "--iova-mode=va",
                 f"--file-prefix=bench-{os.getpid()}", "--lcores", f"0@{cores[0]},1@{cores[-1]}", "--main-lcore=0",
                 f"--vdev=net_null0,size={frame}", f"--vdev=net_null1,size={frame}", "--",
                 "-i", f"--forward-mode={mode}", "--total-num-mbufs=8192"]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def cpu_ns():  # of the thread that worked most
            return max(int(stat.read_text().split()[0]) for stat in Path(f"/proc/{process.pid}/task").glob("*/schedstat"))

        def say(word, then):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            time.sleep(then)

        say("start", seconds + 1)  # it needs a moment to come up
        say("stop", 0.2)           # now the thread sleeps, and its account stands still
        ns = cpu_ns()
        out, _ = process.communicate("quit\n")
        packets = re.search(r"Accumulated.*?TX-packets: (\d+)", out, re.S)
        if process.returncode != 0 or not packets or int(packets[1]) == 0:
            print(f"bench: testpmd {mode} is skipped: it said\n{out[-500:]}")
            continue
        cycles = round(ns * 1e-9 * tsc_hz / int(packets[1]), 1)
        rows.append({"case": "relay", "subject": f"testpmd-{mode}", "size": size, "fanout": 1, "flows": 1, "cache": "hot",
                     "cycles_median": cycles, "cycles_best": cycles})
    return rows
