"""Measures RTSP beside a GStreamer RTSP server and tells of it; tools/bench --rtsp calls this after the build."""
import datetime
import os
import sys

import bench
import rtsp
from page import machine, table, targets

KINDS = ("udp", True), ("udp", False), ("tcp", False)  # transport, deaf
GOALS = {("udp", True): 10, ("tcp", False): 3}  # times the viewers of GStreamer
SERVERS = {"penstock": "penstock", "gstreamer": "GStreamer"}


def name_of(transport, deaf):
    return transport.upper() + (", deaf" if deaf else "")


def of(rows, case, transport, deaf, subject):
    """Of penstock the better driver."""
    found = [r for r in rows if r["case"] == case and (r["transport"], r["deaf"], r["subject"]) == (transport, deaf, subject)
             and r["driver"] != "null"]
    return max(found, key=lambda r: (r["viewers"] if r["fine"] else 0, r["sessions_per_second"]), default=None)


def viewers(row):
    return row["viewers"] if row["fine"] else 0


def cores(row):
    return row["server_cores"] + row["softirq_cores"]


def copy_cycles(row, tsc_hz):
    """TSC cycles that server and kernel took for one copy."""
    return cores(row) * tsc_hz / (row["viewers"] * row["packets_per_second"]) if row["fine"] else 0


def verdict(rows):
    goals = []
    for (transport, deaf), least in GOALS.items():
        ours, theirs = (of(rows, "rtsp", transport, deaf, subject) for subject in SERVERS)
        goal = {"goal": f"viewers, {name_of(transport, deaf)}: at least {least} x the GStreamer server's", "limit": least, "met": None}
        if ours and theirs:
            ratio = viewers(ours) / max(viewers(theirs), 1)
            goal |= {"worst": round(ratio, 2), "at": ours["driver"], "met": ratio >= least}
        goals.append(goal)
    return goals


def next_that_failed(row):
    failed = row.get("failed_at")
    if not failed:
        return "not tried"
    why = f"{failed['playing']:,} play" + (f", {failed['failures']}" if failed["failures"] else "") if failed["playing"] < failed["viewers"] else \
        f"{failed['lost']} lost, {failed['behind'] * 100:.0f} % behind"
    return f"{failed['viewers']:,}: {why}"


def who(row):
    return [SERVERS[row["subject"]], row["driver"] or "sockets", name_of(row["transport"], row["deaf"])]


def most(rows, tsc_hz):
    yield "## Viewers of one stream\n"
    yield "The most viewers of one stream of 4 Mbit/s that each get every packet, in time, by one worker. Both servers get the same RTP packets over veth from"
    yield "the same ffmpeg. Cores: of the server; of the whole machine in softirq, which is where the kernel delivers; of the viewers. Deaf: the viewers'"
    yield "kernel throws media away as it comes from the link, so that what is measured is the server; otherwise one process hears all of it on the same"
    yield "cores. Cycles: of server and softirq, for a copy.\n"
    yield from table(["server", "by", "transport", "viewers", "server's cores", "softirq", "viewers' cores", "cycles", "next that failed"],
                     [[*who(row), f"{viewers(row):,}", f"{row['server_cores']:.2f}", f"{row['softirq_cores']:.2f}", f"{row.get('viewers_cores', 0):.2f}",
                       f"{copy_cycles(row, tsc_hz):,.0f}", next_that_failed(row)] for row in rows if row["case"] == "rtsp"])
    by_kernel = of(rows, "rtsp", "udp", True, "penstock")
    alone = next((r for r in rows if r["case"] == "rtsp" and r["driver"] == "null"), None)
    if by_kernel and alone and by_kernel["fine"]:
        yield (f"Of the {copy_cycles(by_kernel, tsc_hz):,.0f} cycles of a copy by {by_kernel['driver']} {copy_cycles(alone, tsc_hz):,.0f} are the worker's own, as the"
               f" port `null` shows; the rest is the kernel's way to send.\n")
    heard, theirs = (of(rows, "rtsp", "udp", False, subject) for subject in SERVERS)
    if heard and theirs and heard["fine"] and theirs["fine"]:
        receiving = heard["softirq_cores"] + heard["viewers_cores"]
        wanted = 10 * theirs["viewers"]
        yield (f"Who hears all of it takes {receiving:.2f} cores for {heard['viewers']:,} viewers in the kernel and in the process: {wanted:,}, ten times GStreamer's,"
               f" would take {receiving * wanted / heard['viewers']:.1f} cores for receiving alone. That is why the deaf are judged.\n")


def setups(rows):
    yield "## Sessions\n"
    yield (f"Set up by {rtsp.SETUPS:,} viewers, {rtsp.AT_ONCE} at once, while those that play have media (the middle of {rtsp.SETUP_TRIALS} trials); and what the process"
           " grows for each.\n")
    yield from table(["server", "by", "transport", "sessions a second", "KiB a viewer"],
                     [[*who(row), f"{row['sessions_per_second']:,}", row["kib_per_viewer"]] for row in rows if row["case"] == "rtsp-setup"])


def ratios(rows):
    yield "## penstock to GStreamer\n"
    lines = []
    for kind in KINDS:
        pair = [of(rows, "rtsp", *kind, subject) for subject in SERVERS]
        started = [of(rows, "rtsp-setup", *kind, subject) for subject in SERVERS]
        if not all(pair + started):
            continue

        def ratio(value, rows):
            return f"{value(rows[0]) / max(value(rows[1]), 1e-9):.2f}"
        lines.append([name_of(*kind), ratio(viewers, pair), ratio(lambda r: viewers(r) / max(cores(r), 0.01), pair),
                      ratio(lambda r: r["sessions_per_second"], started), ratio(lambda r: 1 / max(r["kib_per_viewer"], 0.1), started)])
    yield from table(["", "viewers", "viewers a core of server and softirq", "sessions a second", "viewers a byte of memory"], lines)


def write(measured):
    rows = measured["rows"]
    out = ["# Performance of RTSP\n", "Written by `tools/bench --rtsp --report`, which measures all of this again (about a quarter of an hour; `--quick`: six minutes); not to be edited.\n"]
    for part in (machine(measured), targets(measured["verdict"]), most(rows, measured["machine"]["tsc_hz"]), setups(rows), ratios(rows)):
        out += part
    return "\n".join(out).rstrip("\n") + "\n"


def measure(programs, quick):
    if os.geteuid():
        sys.exit("bench: --rtsp needs root: it makes network namespaces")
    facts = bench.machine()
    bench.describe(facts, programs / "bench-relay")
    rows = list(rtsp.measure(programs.parents[1] / "penstock", programs / "bench-viewers", quick))
    facts["load_average_at_end"] = round(os.getloadavg()[0], 1)
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "quick": quick, "machine": facts, "rows": rows}


def main():
    options, measured = bench.measured_for_page("--rtsp", "docs/performance-rtsp.md", measure, verdict)
    text = write(measured)
    if options.report:
        options.report.write_text(text)
        print(f"bench: wrote {options.report}")
    else:
        print("\n" + text)
    return bench.missed(options, measured)


if __name__ == "__main__":
    sys.exit(main())
