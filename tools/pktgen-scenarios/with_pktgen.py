"""Drives a scenario with Pktgen-DPDK: its packets come from a file that penstock-gen wrote, its pace and its counts from the
scenario's pktgen.lua."""
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from lab import BUILD

HERE = Path(__file__).resolve().parent
MICROSECONDS = b"\xd4\xc3\xb2\xa1"  # the only kind of file that pktgen knows; it does not look at the times
PCAP_HEADER, RECORD = 24, struct.Struct("<IIII")  # of a little-endian pcap file: seconds, fraction, kept bytes, bytes


def program():
    """Of the environment variable PKTGEN, or on the path; None: not installed."""
    return shutil.which(os.environ.get("PKTGEN", "pktgen"))


def sizes(data):
    """Of the packets of a file, in bytes."""
    at = PCAP_HEADER
    while at < len(data):
        kept = RECORD.unpack_from(data, at)[2]
        yield kept
        at += RECORD.size + kept


def write_packets(plan, pcap, to_mac, seconds, scale):
    done = subprocess.run([BUILD / "tools/gen/penstock-gen", "--plan", plan, "--to-mac", to_mac, "--seconds", str(seconds), "--scale",
                           str(scale), "--tx", f"pcap:{pcap}"], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"penstock-gen: exit {done.returncode}\n{done.stderr}{done.stdout}")
    pcap.write_bytes(MICROSECONDS + pcap.read_bytes()[len(MICROSECONDS):])


def lcores():
    """One thread sleeps and counts, the other polls and takes all of its core: the first, where penstock has its control thread. On
    the next is penstock's first worker, which shall compete with nobody."""
    cores = sorted(os.sched_getaffinity(0))
    return f"0@{cores[min(1, len(cores) - 1)]},1@{cores[0]}"


def drive(bench, directory, seconds, scale):
    """What pktgen counted, each name with `pktgen.` before it."""
    pcap, report, log = bench.file("packets.pcap"), bench.file("pktgen.json"), bench.file("pktgen.log")
    write_packets(directory / "plan", pcap, bench.node.mac("lan0"), seconds, scale)
    frames = list(sizes(pcap.read_bytes()))
    environment = {"PENSTOCK_SCENARIOS": str(HERE), "PENSTOCK_PACKETS": str(len(frames)), "PENSTOCK_PPS":
                   str(len(frames) / seconds), "PENSTOCK_FRAME": str(sum(frames) / len(frames)), "PENSTOCK_REPORT": str(report)}
    ports = [f"--vdev=net_af_packet{n},iface={name},blocksz=65536,framesz=2048,framecnt=2048" for n, name in enumerate(("tx0", "rx0"))]
    command = [program(), "--no-pci", "--no-huge", "-m", "4096", "--no-telemetry", "--iova-mode=va", f"--file-prefix=pktgen{os.getpid()}",
               "--lcores", lcores(), *ports, "--", "-P", "-m", "1.0,1.1", "-s", f"0:{pcap}", "-f", str(directory / "pktgen.lua")]
    with open(log, "w") as output:
        subprocess.run(bench.generator.inside(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                       env=os.environ | environment, timeout=seconds * 20 + 120, check=False)
    if not report.exists():
        said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log.read_text(errors="replace"))
        raise AssertionError(f"{command[0]}: it ended without a report\n{said[-2000:]}")
    return {f"pktgen.{name}": value for name, value in json.loads(report.read_text()).items()}
