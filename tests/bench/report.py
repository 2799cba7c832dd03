"""What a person reads of a benchmark run, and what was to be reached."""

FLOOR_GOAL = 1.4
KERNEL_GOALS = {1: 20, 64: 40}
FLOWS_GOAL = 1.5
KEPT_GOAL = 40
CHANGES_GOAL = 1.1

TITLES = {
    "relay": "one packet in, copies out by a port that takes chained buffers",
    "relay-copy": "the same by a port that takes whole packets only: every copy is copied",
}


def key(row):
    return tuple(row.get(k) for k in ("case", "subject", "size", "fanout", "flows", "cache"))


def find(rows, *wanted):
    return next((row for row in rows if key(row) == wanted), None)


def figure(row):
    return f"{row['cycles_median']:.0f} [{row['cycles_best']:.0f}]"


def kept(relay, keeping):
    more = keeping["cycles_median"] - relay["cycles_median"]
    print(f"\npackets kept to be sent again, 1300 bytes, hot: {figure(keeping)} cycles a packet, of a relay without {figure(relay)}: "
          f"{more:.0f} more (goal: {KEPT_GOAL})")


def machine(facts):
    print(f"machine: {facts['cpu']}, {facts['cores']} cores, TSC {facts['tsc_hz'] / 1e9:.3f} GHz, load average "
          f"{facts['load_average']}")
    print(f"memory:  {facts['hugepages_free']} hugepages free; transparent ones: {facts['transparent_hugepages']}, "
          f"{facts['memory_on_huge_pages_mib']} MiB of the benchmark are on them")
    if facts["load_average"] > 1:
        print("The machine is busy: medians show it, ratios and best figures suffer less.")


def heading(case):
    print(f"\n{case}: {TITLES[case]}")
    print("TSC cycles per output packet: median [best of all batches]\n")
    print(f"{'payload':>8} {'packets':>8} {'fan-out':>8} {'flows':>8} {'penstock':>15} {'floor':>15} {'ratio':>8}")


def pair(ours, floor):
    ratio = ours["cycles_median"] / floor["cycles_median"]
    print(f"{ours['size']:>8} {ours['cache']:>8} {ours['fanout']:>8} {ours['flows']:>8} {figure(ours):>15} "
          f"{figure(floor):>15} {ratio:>8.2f}", flush=True)


def table(rows):
    print("\ntable: one change among all flows, and classify + find of packets one by one (nothing prefetched)\n")
    for row in rows:
        if row["case"] == "table-change":
            print(f"{row['flows']:>8} flows: a change takes {row['microseconds_median']} us "
                  f"[{row['microseconds_best']}]", end="")
        elif row["case"] == "classify-find":
            print(f", classify + find {figure(row)} cycles")
    print()


def changes(rows):
    found = [row for row in rows if row["case"] == "changes"]
    if not found:
        print("changes: not run, it takes two cores")
        return
    print("\nchanges: one flow at full rate among 100,000, while others are changed or not; latency in us, from arrival to sent\n")
    print(f"{'changes/s':>10} {'cycles':>12} {'packets':>12} {'lost':>6} {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>8} {'a change':>12}")
    for row in found:
        change = f"{row['change_us_median']} us" if row["change_us_median"] else "-"
        print(f"{row['changes_per_second']:>10} {figure(row):>12} {row['packets']:>12} {row['lost']:>6} {row['latency_p50_us']:>8} "
              f"{row['latency_p99_us']:>8} {row['latency_p999_us']:>8} {row['latency_max_us']:>8} {change:>12}")


def peers(rows):
    print("\npeers: penstock and programs of their own, round by round; cycles of CPU time per output packet\n")
    print(f"{'payload':>8} {'fan-out':>8} {'penstock hot':>15} {'cold':>15} {'kernel':>15} {'testpmd io':>13} {'macswap':>13}")
    for size in 200, 1300:
        for fanout in 1, 64:
            ours = [find(rows, "relay-beside-peers", "penstock", size, fanout, 1000, cache) for cache in ("hot", "cold")]
            others = [find(rows, "relay", name, size, fanout, 1, "hot") for name in ("kernel", "testpmd-io", "testpmd-macswap")]
            cells = [figure(row) if row else "-" for row in ours + others]
            print(f"{size:>8} {fanout:>8} {cells[0]:>15} {cells[1]:>15} {cells[2]:>15} {cells[3]:>13} {cells[4]:>13}")


def latency(rows):
    print("\nlatency: what measuring the time in the worker costs; cycles per output packet, round by round\n")
    print(f"{'payload':>8} {'packets':>8} {'fan-out':>8} {'flows':>8} {'measured':>15} {'not':>15} {'costs':>8}")
    for row in rows:
        if row["case"] == "latency" and row["subject"] == "penstock":
            other = find(rows, "latency", "unmeasured", *key(row)[2:])
            print(f"{row['size']:>8} {row['cache']:>8} {row['fanout']:>8} {row['flows']:>8} {figure(row):>15} {figure(other):>15} "
                  f"{row['cycles_median'] - other['cycles_median']:>8.1f}")


def scrape(rows):
    print("\nscrape: control writes the metrics of 10,000 legs\n")
    for row in rows:
        if row["case"] == "scrape":
            print(f"{row['flows']:>8} streams of {row['fanout']} legs: {row['bytes'] / 1e6:.1f} MB in {row['milliseconds_median']} ms "
                  f"[{row['milliseconds_best']}]")


def fec(rows):
    print("\nfec: ST 2022-1, 10 x 10 with rows and columns, 1300 B; cycles per media packet beyond the relay\n")
    print(f"{'streams':>8} {'packets':>8} {'encode':>15} {'decode, no loss':>16}")
    for row in rows:
        if row["case"] == "fec-encode":
            other = find(rows, "fec-decode", *key(row)[1:])
            print(f"{row['flows']:>8} {row['cache']:>8} {figure(row):>15} {figure(other) if other else '-':>16}")


def merge(rows):
    print("\nlive-live: two paths; cycles per arriving packet beyond its reception, half of the packets are copies\n")
    for row in rows:
        if row["case"] == "merge":
            print(f"{row['flows']:>8} tracks {figure(row):>15}")


def ratios(rows, above, below):
    """Each pair of rows as (ratio of medians, what it is of)."""
    found = []
    for row in rows:
        wanted = above(row)
        other = wanted and find(rows, *wanted)
        if other:
            found.append((row["cycles_median"] / other["cycles_median"], below.format(**row)))
    return found


def verdict(rows):
    goals = []

    def goal(text, limit, found, at_least=False):
        if not found:
            goals.append({"goal": text, "limit": limit, "met": None})
            return
        worst, where = min(found) if at_least else max(found)
        met = worst >= limit if at_least else worst <= limit
        goals.append({"goal": text, "limit": limit, "worst": round(worst, 2), "at": where, "met": met})

    for fanout in 1, 8, 64, 1024:
        found = ratios([r for r in rows if r.get("fanout") == fanout], lambda r: r["subject"] == "penstock" and
                       r["case"] in TITLES and (r["case"], "floor", *key(r)[2:]), "{case} {size} B {cache} {flows} flows")
        goal(f"fan-out {fanout}: at most {FLOOR_GOAL} x the floor", FLOOR_GOAL, found)
    for fanout, least in KERNEL_GOALS.items():
        # Packets come hot to the kernel relay, too.
        found = ratios([r for r in rows if r.get("fanout") == fanout], lambda r: r["subject"] == "kernel" and
                       ("relay-beside-peers", "penstock", r["size"], fanout, 1000, "hot"), "{size} B")
        goal(f"kernel relay 1 -> {fanout}: at least {least} x penstock", least, found, at_least=True)
    found = ratios(rows, lambda r: r["subject"] == "penstock" and r["case"] == "relay" and r["flows"] == 100000 and
                   ("relay", "penstock", r["size"], r["fanout"], 1000, r["cache"]), "1 -> {fanout} {size} B {cache}")
    goal(f"100,000 flows: at most {FLOWS_GOAL} x 1,000 flows", FLOWS_GOAL, found)

    lost = [(float(row["lost"]), f"{row['changes_per_second']} changes/s") for row in rows if row["case"] == "changes"]
    goal("two paths: at most 80 cycles per arriving packet", 80,
         [(row["cycles_median"], f"{row['flows']} tracks") for row in rows if row["case"] == "merge" and row["flows"] == 1])
    goal("loss of a stream that changes do not touch", 0, lost)
    calm, busy = ([row for row in rows if row["case"] == "changes" and (row["changes_per_second"] > 0) == with_them] for with_them in (False, True))
    found = [(b["cycles_median"] / a["cycles_median"], f"{b['size']} B") for a, b in zip(calm, busy)]
    goal(f"100 changes/s: at most {CHANGES_GOAL} x without", CHANGES_GOAL, found)

    print(f"\n{'goal':<46} {'worst':>7}  {'':<10} at")
    for g in goals:
        if g["met"] is None:
            print(f"{g['goal']:<46} {'-':>7}  {'not run':<10}")
            continue
        away = f"off by {abs(g['worst'] / g['limit'] - 1) * 100:.0f} %" if g["limit"] else "not met"
        print(f"{g['goal']:<46} {g['worst']:>7.2f}  {'met' if g['met'] else away:<10} {g['at']}")
    return goals
