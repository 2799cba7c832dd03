"""docs/performance.md, from the rows of a run."""
import plot

KINDS = "plain", "rewrite", "fec-encode", "fec-decode", "merge"
FANOUTS = 1, 10, 100, 1000
SIZES = 200, 1300
STREAMS = 10, 100, 1000, 10_000, 100_000
LEGS = 1, 10, 100, 1000, 10_000, 100_000
RATES = 10, 100, 1000
PEER_FANOUTS = 1, 64
PEERS = {"testpmd-io": "DPDK testpmd io", "testpmd-macswap": "DPDK testpmd macswap", "kernel": "kernel relay",
         "kernel-gso": "kernel relay, GSO", "gstreamer": "GStreamer relay"}
WIRE_FANOUTS = 1, 16
WIRE = {"penstock-af_xdp": "penstock, AF_XDP", "penstock-af_packet": "penstock, AF_PACKET", "kernel": "kernel relay", "kernel-gso": "kernel relay, GSO",
        "rtpengine": "rtpengine, userspace"}
WORDS = {"plain": "plain", "rewrite": "rewrite", "fec-encode": "FEC encode", "fec-decode": "FEC decode", "merge": "merge"}
NONE = "not measured"


def pick(rows, case, **wanted):
    return next((row for row in rows if row["case"] == case and all(row.get(k) == v for k, v in wanted.items())), None)


def cell(row, key="cycles_median", digits=0):
    return NONE if row is None or row.get(key) is None else f"{row[key]:,.{digits}f}"


def table(heads, lines):
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for line in lines:
        yield "| " + " | ".join(str(word) for word in line) + " |"
    yield ""


def ours(rows, size, fanout, cache):
    return pick(rows, "relay-beside-peers", subject="penstock", size=size, fanout=fanout, cache=cache)


def peer(rows, name, size, fanout):
    return pick(rows, "relay", subject=name, size=size, fanout=fanout)


def plots(rows):
    """{name: SVG}."""
    def walks(size, key):
        return {WORDS[kind]: [(row["fanout"], row[key]) for row in rows if row["case"] == "walk" and row["kind"] == kind and row["size"] == size]
                for kind in KINDS}

    def growth(case, per, key, scale=lambda row: 1):
        return [(row[per], row[key] / scale(row)) for row in rows if row["case"] == case]

    drawn = {}
    for size in SIZES:
        drawn[f"cycles-{size}"] = plot.lines(f"Cost of a copy, {size} B", "fan-out", "TSC cycles per output packet", walks(size, "cycles_median"), log_y=True)
        drawn[f"latency-{size}"] = plot.lines(f"Latency at half load, {size} B, p99", "fan-out", "microseconds", walks(size, "p99_us"), log_y=True)
        for fanout in PEER_FANOUTS:
            values = {f"penstock, {cache}": ours(rows, size, fanout, cache) for cache in ("hot", "cold")}
            values |= {words: peer(rows, name, size, fanout) for name, words in PEERS.items()}
            drawn[f"peers-{size}-{fanout}"] = plot.bars(f"1 → {fanout}, {size} B", "TSC cycles per output packet",
                                                        {name: row and row["cycles_median"] for name, row in values.items()})
        for fanout in WIRE_FANOUTS:
            values = {words: pick(rows, "wire", subject=name, size=size, fanout=fanout) for name, words in WIRE.items()}
            drawn[f"wire-{size}-{fanout}"] = plot.bars(f"1 → {fanout}, {size} B, over veth", "packets for a second of CPU time",
                                                       {name: row and row["packets_per_cpu_second"] for name, row in values.items()})
    drawn["growth"] = plot.lines("Cost against number, 200 B", "number of streams (1 → 1), of legs (of one stream)", "TSC cycles per output packet",
                                 {"streams": growth("streams", "flows", "cycles_median"), "legs": growth("legs", "fanout", "cycles_median")})
    drawn["memory"] = plot.lines("Memory against number", "number of streams with one leg, of legs of one stream", "bytes that the process grows, each",
                                 {"a stream": [p for p in growth("streams", "flows", "grown_bytes", lambda row: row["flows"]) if p[0] >= 1000],
                                  "a leg": [p for p in growth("legs", "fanout", "grown_bytes", lambda row: row["fanout"]) if p[0] >= 1000]}, log_y=True)
    changed = [row for row in rows if row["case"] == "changes" and row["changes_per_second"] > 0]
    drawn["changes"] = plot.lines("Latency of a stream while others are changed", "table changes per second, among 100,000 streams", "microseconds",
                                  {name: [(row["changes_per_second"], row[key]) for row in changed] for name, key in
                                   (("p50", "latency_p50_us"), ("p99", "latency_p99_us"), ("p99.9", "latency_p999_us"))}, log_y=True)
    return drawn


def machine(measured):
    facts = measured["machine"]
    yield f"* {measured['date']}{', with `--quick`: fewer repetitions' if measured['quick'] else ''}"
    yield f"* {facts['cpu']}, {facts['cores']} cores, TSC {facts['tsc_hz'] / 1e9:.3f} GHz; no NIC"
    yield (f"* load average {facts['load_average']} at the beginning, {facts['load_average_at_end']} at the end; transparent huge pages: "
           f"{facts['transparent_hugepages']}, {facts['memory_on_huge_pages_mib']} MiB of the benchmark on them")
    if facts["load_average"] > 1.5:
        yield "* **The machine was busy with other work when this began: the percentiles tell of that, and ratios are better than figures.**"
    yield ""


def targets(verdict):
    def word(goal):
        return NONE if goal["met"] is None else "met" if goal["met"] else "**missed**"
    yield "## Targets\n"
    yield from table(["target", "figure", "", "worst at"],
                     [(g["goal"], f"{g['worst']:,.4g}" if "worst" in g else "-", word(g), g.get("at", "-")) for g in verdict])
    missed = {}
    for g in verdict:
        if g["met"] is False and g.get("why"):
            missed.setdefault(g["why"], []).append(g["goal"])
    if missed:
        yield "Why these were missed:\n"
        yield from (f"- *{'; '.join(goals)}*: {why}." for why, goals in missed.items())
        yield ""


def walks(rows, where):
    yield "## What a packet costs\n"
    yield "TSC cycles of the production worker per copy of a media packet (median of batches), and how long packets stay at half of the rate that this"
    yield "allows, from when each is due to the end of the turn that sent it. `rewrite`: outputs with a TTL and a DSCP of their own. `FEC encode`: ST 2022-1,"
    yield "10 x 10 with rows and columns, sent to every output beside the media; `FEC decode`: the same arriving, nothing lost. `merge`: two paths, both"
    yield "whole. Repair and second copies are paid for and not counted. Ports are a ring and a sink, so that a NIC's descriptors are not in it.\n"
    for size in SIZES:
        yield f"### {size} B\n"
        lines = []
        for kind in KINDS:
            for fanout in FANOUTS:
                row = pick(rows, "walk", kind=kind, size=size, fanout=fanout)
                lines.append([WORDS[kind], fanout, cell(row), cell(row, "cycles_best"), *(cell(row, key, 1) for key in ("p50_us", "p99_us", "p999_us"))])
        yield from table(["", "fan-out", "cycles", "best", "p50 µs", "p99 µs", "p99.9 µs"], lines)
        yield f"![cycles against fan-out]({where}/cycles-{size}.svg) ![latency against fan-out]({where}/latency-{size}.svg)\n"
    yield "Again: `build-bench/tests/bench/bench-walk 1.5 fec-encode:1300:10:10` (seconds, KIND:SIZE:FANOUT:STREAMS).\n"


def beside(rows, tsc_hz, where):
    yield "## Beside others\n"
    yield "From the same run, turn by turn; cycles of CPU time per output packet and, in brackets, packets per CPU-second. testpmd neither parses nor"
    yield "copies and has no fan-out. The kernel relay is recvmmsg and sendmmsg over veth; with GSO, 32 packets to one receiver leave in one system call,"
    yield "uncut: the best case for it. The GStreamer relay is `udpsrc ! multiudpsink` over veth.\n"

    def figure(row):
        return NONE if row is None else f"{row['cycles_median']:,.0f} ({plot.short(tsc_hz / row['cycles_median'])}/s)"

    heads = ["", *(f"1 → {fanout}, {size} B" for fanout in PEER_FANOUTS for size in SIZES)]
    lines = [[f"penstock, packets {cache}", *(figure(ours(rows, size, fanout, cache)) for fanout in PEER_FANOUTS for size in SIZES)]
             for cache in ("hot", "cold")]
    lines += [[words, *("-" if name.startswith("testpmd") and fanout > 1 else figure(peer(rows, name, size, fanout))
                        for fanout in PEER_FANOUTS for size in SIZES)] for name, words in PEERS.items()]
    yield from table(heads, lines)
    yield " ".join(f"![1 → {fanout}, {size} B]({where}/peers-{size}-{fanout}.svg)" for fanout in PEER_FANOUTS for size in SIZES) + "\n"
    yield "Again: `tools/bench --report`, which makes the namespaces SOURCE, NODE and RECEIVER and plays, for each size and fan-out,\n"
    yield "```"
    yield "build-bench/tests/bench/bench-relay 0.4 relay:200:64:1000:hot relay:200:64:1000:cold"
    yield "build-bench/tests/bench/bench-kernel SOURCE NODE 10.77.1.2 10.77.2.2 200 64 0.4 [gso]"
    yield "ip netns exec NODE gst-launch-1.0 udpsrc address=10.77.1.2 port=20001 ! multiudpsink clients=10.77.2.2:6000,... sync=false async=false"
    yield "dpdk-testpmd --no-pci --no-huge -m 128 --vdev=net_null0,size=242 --vdev=net_null1,size=242 -- -i --forward-mode=macswap"
    yield "```\n"


def wire(rows, where):
    yield "## Over veth, end to end\n"
    yield "Every relay as a process of its own between the same source and the same namespaces, offered more and more packets: thousands of packets that it"
    yield "got out for a second of CPU time, the best of the rates at which it lost none, and in brackets that rate. CPU time is user, system and softirq:"
    yield "of the relay's threads and ksoftirqd, and what the source's core spends on taking the packets from the link. rtpengine relays in userspace,"
    yield "told to by its ng protocol: `publish`, and a `subscribe request` and `subscribe answer` for each receiver.\n"

    def figure(row):
        return NONE if row is None else f"{row['packets_per_cpu_second'] / 1000:,.0f} ({row['packets_per_second'] / 1000:,.0f})"

    ends = [(fanout, size) for fanout in WIRE_FANOUTS for size in SIZES]
    yield from table(["", *(f"1 → {fanout}, {size} B" for fanout, size in ends)],
                     [[words, *(figure(pick(rows, "wire", subject=name, size=size, fanout=fanout)) for fanout, size in ends)] for name, words in WIRE.items()])
    yield " ".join(f"![1 → {fanout}, {size} B]({where}/wire-{size}-{fanout}.svg)" for fanout, size in ends) + "\n"
    yield "Again: `tools/bench --report`; the source is `build-bench/tests/bench/bench-wire send`, the kernel relay `bench-wire relay`.\n"


def missing(not_measured):
    for what, why in not_measured.items():
        yield f"* {what}, not measured: {why}."
    yield ""


def growth(rows, where):
    yield "## Against the number of streams and of legs\n"
    yield "Streams have one leg each and get packets in turn; legs are of one stream, each to an address of its own. Memory is what the process grows by"
    yield "when model and table are made, control's part included; below a thousand it is pages that are counted.\n"
    for case, per, numbers in ("streams", "flows", STREAMS), ("legs", "fanout", LEGS):
        lines = []
        for number in numbers:
            row = pick(rows, case, **{per: number})
            each = f"{row['grown_bytes'] / number:,.0f}" if row and number >= 1000 else "-" if row else NONE
            lines.append([f"{number:,}", cell(row), each])
        yield from table([case, "cycles per output packet", "bytes each"], lines)
    yield f"![cost against number]({where}/growth.svg) ![memory against number]({where}/memory.svg)\n"
    yield "Again: `build-bench/tests/bench/bench-walk 1.5 plain:200:1:100000`, `… plain:200:100000:1`.\n"


def changes(rows, where):
    yield "## While others are changed\n"
    yield "One stream at full rate among 100,000, 200 B, while outputs and streams beside it come and go; with changes and without by turns.\n"
    lines = []
    for rate in RATES:
        found = [row for row in rows if row["case"] == "changes" and row.get("changes_per_second") == rate]
        row = found[0] if found else None
        lines.append([rate, cell(row), cell(row, "lost"), *(cell(row, key, 1) for key in ("latency_p50_us", "latency_p99_us", "latency_p999_us", "change_us_median"))])
    calm = [row for row in rows if row["case"] == "changes" and row["changes_per_second"] == 0]
    row = calm[0] if calm else None
    lines.insert(0, [0, cell(row), cell(row, "lost"), *(cell(row, key, 1) for key in ("latency_p50_us", "latency_p99_us", "latency_p999_us")), "-"])
    yield from table(["changes/s", "cycles", "lost", "p50 µs", "p99 µs", "p99.9 µs", "a change, µs"], lines)
    yield f"![latency against changes]({where}/changes.svg)\n"
    yield "Again: `build-bench/tests/bench/bench-changes 15 1000` (seconds, changes a second).\n"


def beside_spin(rows):
    yield "## Latency beside the machine's own\n"
    yield "Packets of 200 B at half of what the worker can do among 100,000 streams, of which a hundred a second change, from when each is due to the end of"
    yield "the turn that sent it. Beside it what two loops on the same core make of the same schedule: one that does nothing with a packet sees the gaps that"
    yield "the machine makes; one that takes as long as penstock, and touches no memory, what any server has that is busy half of the time: what came during"
    yield "a gap takes as long again to be done, so twice as many packets are late. The three take turns of 25 to 75 ms in an order by chance, so that all meet"
    yield "the same weather, and changes go on all the time. A packet that is due in a turn counts, however late it is served.\n"
    yield "`rx → tx` is from when the worker took a packet, in process; from when it was due it also waited for what the machine had kept the worker from."
    yield "Both are judged beside the bare spin loop, but the latter misses 1.5 x by the above where the gaps take about as much time as the percentile leaves;"
    yield "what penstock adds to it is told by the loop that takes as long. `gaps` is the share of the time in looks at the clock that took longer than 20 µs,"
    yield "which no burst does; of these `others` had the core, as the kernel's scheduler counts them; the rest is interrupts and the hypervisor. Page faults of"
    yield "the worker's thread, and interrupts of its core to forget pages (TLB) that control gave back, are those that a change of the table could cost it.\n"
    words = {"penstock": "penstock", "busy": "as long, doing nothing", "spin": "bare spin loop"}
    lines = []
    for subject, word in words.items():
        row = pick(rows, "latency-beside-spin", subject=subject)
        share = lambda key: NONE if row is None else f"{row[key] * 100:.2f} %"
        taken = [cell(row, key, 2) if subject == "penstock" else "-" for key in ("taken_p50_us", "taken_p99_us", "taken_p999_us")]
        lines.append([word, *(cell(row, key, 2) for key in ("p50_us", "p99_us", "p999_us")), " / ".join(taken), share("gaps"), share("others"),
                      cell(row, "longest_us"), cell(row, "faults_per_second", 1), cell(row, "shootdowns_per_second", 1)])
    yield from table(["", "p50 µs", "p99 µs", "p99.9 µs", "rx → tx, p50 / p99 / p99.9 µs", "gaps", "others", "longest, µs", "faults/s", "TLB/s"], lines)
    yield "Again: `build-bench/tests/bench/bench-latency 20`.\n"


def round_trips(rows):
    yield "## Round trip over AF_XDP\n"
    yield "One packet at a time, 2,000 a second, from a socket over veth and back to it; the sender polls. The echo is testpmd, which swaps addresses and"
    yield "ports; by turns, medians of five turns.\n"
    words = {"penstock-poll": "penstock, `idle: poll`", "penstock-sleep": "penstock, `idle: sleep`", "echo": "DPDK testpmd 5tswap"}
    yield from table(["", "size", "p50 µs", "p99 µs", "p99.9 µs", "lost"],
                     [[words[row["subject"]], f"{row['size']} B", *(cell(row, key, 1) for key in ("p50_us", "p99_us", "p999_us")), cell(row, "lost")]
                      for row in rows if row["case"] == "round-trip"] or [[NONE] * 6])
    yield "Again: `tools/bench --report`; the sender is `build-bench/tests/bench/bench-round-trip`.\n"


def overload(rows):
    yield "## Overload\n"
    yield "Twice as much as a worker can forward, 1 → 16, 200 B, while the table changes: beside the most that it forwards of 90, 100 and 110 %, by turns."
    yield "What is too much is dropped by the rx ring, as a NIC does: nothing is lost behind it.\n"
    row = pick(rows, "overload")
    yield from table(["offered, of capacity", "peak, packets/s", "goodput, packets/s", "of the peak", "dropped at rx", "fairness (Jain)",
                      "a change in force, p99 ms"],
                     [[cell(row, "offered", 2), cell(row, "peak_pps"), cell(row, "goodput_pps"), cell(row, "of_peak", 3),
                       cell(row, "dropped_at_rx", 3), cell(row, "fairness", 4), cell(row, "change_p99_ms", 3)]])
    yield "Again: `build-bench/tests/bench/bench-overload 10`.\n"


def workers(rows):
    yield "## One worker against two\n"
    yield "Each on a core of its own with its half of 2,000 streams; one, the other and both by turns.\n"
    lines = []
    for fanout in 1, 8:
        for size in SIZES:
            row = pick(rows, "workers", size=size, fanout=fanout)
            both = " and ".join(f"{c:.0f}" for c in row["cycles_together"]) if row else NONE
            lines.append([f"1 → {fanout}", f"{size} B", cell(row), both, cell(row, "speedup", 2)])
    yield from table(["", "", "cycles, one", "cycles, both", "packets a second of two over one"], lines)
    yield "Again: `build-bench/tests/bench/bench-workers 24`.\n"


def parts(rows):
    yield "## FEC and merge by themselves\n"
    yield "Beyond the relay, cycles per media packet (FEC, 1300 B) and per arriving packet (merge). GStreamer's are what its elements add to a pipeline of the"
    yield "same packets, the best of three. `read once` is what it takes to read a packet of 1300 B that is in no cache. Of very many streams the sums are in"
    yield "no cache either, and fetched ahead: packet by packet each reads and writes a row's and a column's sum, five times its own bytes; what comes"
    yield "together, as a picture's packets do, finds sums that are hot; where all packets of a matrix come together, reading them is what is left. Packets lie"
    yield "as far apart as buffers of a pool ([decision 0031](decisions/0031-memory-is-fetched-ahead.md) says what else was tried).\n"
    lines = [[WORDS.get(row["case"], "read once") + (", GStreamer" if row["subject"] == "gstreamer" else ""), f"{row['flows']:,}", row["cache"],
              cell(row), cell(row, "cycles_best")]
             for row in rows if row["case"] in ("fec-encode", "fec-decode", "read-once", "merge")]
    yield from table(["", "streams", "packets", "cycles", "best"], lines or [[NONE] * 5])
    yield "Again: `build-bench/tests/bench/bench-fec`, `build-bench/tests/bench/bench-merge`.\n"


def write(measured, where):
    rows = measured["rows"]
    out = ["# Performance\n", "Written by `tools/bench --report`, which measures all of this again (about ten minutes; `--quick`: two); not to be edited.\n"]
    for part in (machine(measured), targets(measured["verdict"]), walks(rows, where),
                 beside(rows, measured["machine"]["tsc_hz"], where), wire(rows, where), missing(measured["not_measured"]), growth(rows, where),
                 changes(rows, where), beside_spin(rows), round_trips(rows), overload(rows), workers(rows), parts(rows)):
        out += part
    return "\n".join(out).rstrip("\n") + "\n"
