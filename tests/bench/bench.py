"""Runs the benchmark programs, prints what they found and judges it; tools/bench calls this after the build."""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import peers
import report

SIZES = 200, 1300
CACHES = "hot", "cold"
FLOWS = {1: "1000+100000", 8: "1000+100000", 64: "1000", 1024: "1000"}  # by fan-out, measured batch by batch in turn


def matches(case, fanouts, flows=FLOWS):
    return [f"{case}:{size}:{n}:{flows[n]}:{cache}" for n in fanouts for cache in CACHES for size in SIZES]


def rows_of(command, on_first=lambda pid: None):
    """The JSON lines of a program, as they come."""
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as process:
        for n, line in enumerate(process.stdout):
            if n == 0:
                on_first(process.pid)
            yield json.loads(line)
    if process.returncode != 0:
        sys.exit(f"bench: {Path(command[0]).name} failed with {process.returncode}")


def first_match(path, key):
    """What follows `key:` in a file of the kernel's, or None."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return None


def machine():
    thp = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    return {
        "cpu": first_match("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "hugepages_free": int(first_match("/proc/meminfo", "HugePages_Free")),
        "transparent_hugepages": thp[thp.index("[") + 1:thp.index("]")],
    }


def describe(facts, program):
    """Adds what only a running benchmark knows: the TSC, and whether its memory really is on huge pages."""
    def look(pid):
        facts["memory_on_huge_pages_mib"] = int(first_match(f"/proc/{pid}/smaps_rollup", "AnonHugePages").split()[0]) // 1024
    for row in rows_of([program, "0.01", "relay:200:1:1000:hot"], look):
        facts.update({k: v for k, v in row.items() if k == "tsc_hz"})


def middle(rounds):
    """One row from the rows of several rounds: the median of medians and the best of all."""
    grouped = {}
    for row in rounds:
        grouped.setdefault(report.key(row), []).append(row)
    return [{**rows[0], "cycles_median": round(median(r["cycles_median"] for r in rows), 1),
             "cycles_best": min(r["cycles_best"] for r in rows)} for rows in grouped.values()]


def beside_peers(programs, rounds, seconds, tsc_hz):
    """penstock and those it is compared with, turn by turn."""
    flows = {1: "1000", 64: "1000"}
    found = []
    with peers.Lab() as lab:
        for n in range(rounds):
            print(f"bench: peers, round {n + 1} of {rounds}", flush=True)
            for row in rows_of([programs / "bench-relay", seconds, *matches("relay", (1, 64), flows)]):
                if row.get("subject") == "penstock":
                    found.append({**row, "case": "relay-beside-peers"})
            for size in SIZES:
                found += lab.kernel(programs / "bench-kernel", size, seconds)
                found += peers.testpmd(size, tsc_hz)
    return middle(found)


def measured_or_not(programs, rounds, seconds):
    """What it costs to measure how long packets stay: our worker and one that does not, turn by turn."""
    found = []
    cases = [f"relay:200:{fanout}:{flows}:{cache}" for fanout, flows in ((1, 1000), (1, 100000), (64, 1000)) for cache in CACHES]
    for n in range(rounds):
        print(f"bench: latency, round {n + 1} of {rounds}", flush=True)
        for subject, program in ("penstock", "bench-relay"), ("unmeasured", "bench-relay-unmeasured"):
            found += [{**row, "case": "latency", "subject": subject} for row in rows_of([programs / program, seconds, *cases])
                      if row.get("subject") == "penstock"]
    return middle(found)


def measured_for_page(prog, page, measure, verdict):
    """The options of `tools/bench --report`, and what was measured now or in a file of former figures, judged."""
    options = argparse.ArgumentParser(prog=f"tools/bench {prog}", add_help=False)
    options.add_argument("--rtsp", action="store_true")
    options.add_argument("--report", type=Path, nargs="?", const=Path(page))
    options.add_argument("--programs", type=Path)
    options.add_argument("--from", type=Path, dest="taken")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--json", type=Path)
    options = options.parse_args()
    try:
        measured = json.loads(options.taken.read_text()) if options.taken else measure(options.programs, options.quick)
    except (OSError, json.JSONDecodeError) as error:
        sys.exit(f"bench: {options.taken or 'measuring'}: {error}")
    measured["verdict"] = verdict(measured["rows"])
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    return options, measured


def missed(options, measured):
    """The exit code."""
    return 1 if options.check and any(goal["met"] is False for goal in measured["verdict"]) else 0


def main():
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--programs", type=Path, required=True)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--json", type=Path)
    options = options.parse_args()
    relay = options.programs / "bench-relay"

    facts = machine()
    describe(facts, relay)
    report.machine(facts)
    rows = []
    seconds = "0.3" if options.quick else "3"
    for case, fanouts in ("relay", FLOWS), ("relay-copy", (8, 64, 1024)):
        report.heading(case)
        plan = matches(case, fanouts, FLOWS if case == "relay" else dict.fromkeys(FLOWS, "1000"))
        pair = {}
        for row in rows_of([relay, seconds, *plan]):
            if "subject" not in row:
                continue
            rows.append(row)
            pair[row["subject"]] = row
            if row["subject"] == "floor":  # the second of the two
                report.pair(pair["penstock"], row)
    kept = [row for row in rows_of([relay, seconds, "relay:1300:1:1:hot", "relay-kept:1300:1:1:hot"]) if row.get("subject") == "penstock"]
    rows.append(kept[1])
    report.kept(*kept)
    rows += list(rows_of([options.programs / "bench-table"]))
    report.table(rows)
    if facts["cores"] > 1:  # the changing thread and the worker have a core each
        rows += list(rows_of([options.programs / "bench-changes", "4" if options.quick else "20"]))
    report.changes(rows)
    rows += list(rows_of([options.programs / "bench-fec"]))
    report.fec(rows)
    rows += list(rows_of([options.programs / "bench-merge"]))
    report.merge(rows)
    rounds = 2 if options.quick else 5
    rows += beside_peers(options.programs, rounds, "0.2" if options.quick else "0.4", facts["tsc_hz"])
    report.peers(rows)
    rows += measured_or_not(options.programs, rounds, "0.2" if options.quick else "0.5")
    report.latency(rows)
    rows += list(rows_of([options.programs / "bench-scrape"]))
    report.scrape(rows)
    verdict = report.verdict(rows)
    facts["load_average_at_end"] = round(os.getloadavg()[0], 1)
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "rows": rows, "verdict": verdict}, indent=1) + "\n")
    return 1 if options.check and any(goal["met"] is False for goal in verdict) else 0


if __name__ == "__main__":
    sys.exit(main())
