"""What is to be reached, against the rows of a run: each with the worst figure and where it was met."""


def of(rows, case, **wanted):
    return [row for row in rows if row["case"] == case and all(row.get(k) == v for k, v in wanted.items())]


def over(above, below, at):
    """(ratio of medians, where): none where one of them was not measured."""
    return [(above[0]["cycles_median"] / below[0]["cycles_median"], at)] if above and below else []


def beside(rows, size, fanout):
    return of(rows, "relay-beside-peers", size=size, fanout=fanout, cache="hot")


def grown(rows, case, per):
    """Bytes that a process grows by per stream or leg, of the largest number: pages count for little there."""
    found = [row for row in of(rows, case) if row[per] == 100_000]
    return [(row["grown_bytes"] / row[per], f"{row[per]:,} {case}") for row in found]


# Of what is missed: why, and where more of it is.
WHY = {
    ("fec-encode", "hot"): "to read a packet in the L2 cache and add it to one sum takes 30 cycles on an EPYC of 2024, on which GStreamer's encoder takes "
                           "1,260: a twenty-fifth of that is 50; [decision 0031](decisions/0031-memory-is-fetched-ahead.md) says where the rest goes",
    "sums": "two sums of 1,300 B that no cache holds are read and written for each packet, unless packets of a stream come together: "
            "[decision 0031](decisions/0031-memory-is-fetched-ahead.md) says what holding packets instead was measured to take",
    "latency": "the processor is taken away for milliseconds at a time, by the hypervisor and other programs; what was due meanwhile is late, and so is what waits "
               "behind it, while the spin loop has nothing to catch up with. `gaps` in [the table of it](#latency-beside-the-machines-own) says how much of the time",
    "turns": "a process here runs at one of two speeds from its start to its end, 5 or 7 us a round trip, the echo as well: the medians of a few turns do not "
             "always meet the same",
    "moments": "a few seconds are judged, in which the machine takes a core away for milliseconds: of the packets that a peak is made of, or of the control "
               "thread that waits for a worker",
    "memory": "[decision 0029](decisions/0029-one-piece-a-track.md) has a table of where the bytes are, and what would have to go",
}


def verdict(rows):
    goals = []

    def goal(text, limit, found, at_least=False, why=None):
        """`why`: it may be missed, as far as is known."""
        if not found:
            return goals.append({"goal": text, "limit": limit, "met": None})
        worst, at = min(found) if at_least else max(found)
        goals.append({"goal": text, "limit": limit, "worst": round(worst, 3), "at": at,
                      "met": worst >= limit if at_least else worst <= limit, "why": why})
        return None

    def peer(name, size, fanout):
        return of(rows, "relay", subject=name, size=size, fanout=fanout)

    sizes = 200, 1300
    goal("1 → 1, 200 B: at most 2.0 x testpmd macswap", 2.0, over(beside(rows, 200, 1), peer("testpmd-macswap", 200, 1), "200 B"))
    goal("1 → 64, per output packet: at most testpmd macswap 1 → 1", 1.0,
         [r for s in sizes for r in over(beside(rows, s, 64), peer("testpmd-macswap", s, 1), f"{s} B")])
    for fanout, least in (1, 20), (64, 40):
        goal(f"kernel relay 1 → {fanout}: at least {least} x penstock", least,
             [r for s in sizes for r in over(peer("kernel", s, fanout), beside(rows, s, fanout), f"{s} B")], at_least=True)
    for name, words, least in ("kernel", "the kernel relay", 2), ("rtpengine", "rtpengine", 4):
        goal(f"over veth 1 → 16, packets for a second of CPU time by AF_XDP: at least {least} x {words}", least,
             [(a["packets_per_cpu_second"] / b["packets_per_cpu_second"], f"{s} B") for s in sizes
              for a in of(rows, "wire", subject="penstock-af_xdp", fanout=16, size=s) for b in of(rows, "wire", subject=name, fanout=16, size=s)],
             at_least=True)
    many, few = (of(rows, "streams", flows=flows) for flows in (100_000, 1000))
    goal("100,000 streams: at most 1.5 x 1,000 streams", 1.5, over(many, few, "200 B"))
    goal("two workers: at least 1.85 x one", 1.85,
         [(row["speedup"], f"1 → {row['fanout']}, {row['size']} B") for row in of(rows, "workers")], at_least=True)
    pairs = {}
    for row in of(rows, "changes"):
        pairs.setdefault(row.get("rate", 100), {})[row["changes_per_second"] > 0] = row
    goal("changes of other streams, up to 1,000/s: at most 1.1 x without", 1.1,
         [r for rate, pair in pairs.items() for r in over([pair[True]] if True in pair else [], [pair[False]] if False in pair else [], f"{rate}/s")])
    goal("packets lost by changes of other streams", 0, [(row["lost"], f"{row['changes_per_second']}/s") for row in of(rows, "changes")])
    goal("two paths: at most 80 cycles per arriving packet", 80,
         [(row["cycles_median"], "1 track") for row in of(rows, "merge", flows=1)])
    for case, least_hot, least_cold in ("fec-encode", 25, 8), ("fec-decode", 30, None):
        word = case.replace("-", " ").replace("fec", "FEC")
        for cache, least in ("hot", least_hot), ("cold", least_cold):
            if least:
                goal(f"GStreamer's {word}: at least {least} x penstock, packets {cache}", least,
                     over(*(of(rows, case, subject=who, flows=1, cache=cache) for who in ("gstreamer", "penstock")), "1 stream"), at_least=True, why=WHY.get((case, cache)))
    for cache in "cold", "cold, a picture at a time", "cold, a matrix at a time":
        goal(f"FEC encode of 4,096 streams, packets {cache}: at most 1.5 x reading each packet once", 1.5,
             over(of(rows, "fec-encode", subject="penstock", flows=4096, cache=cache), of(rows, "read-once"), "4,096 streams"), why=WHY["sums"])
    ours, busy, spin = (of(rows, "latency-beside-spin", subject=subject) for subject in ("penstock", "busy", "spin"))
    for what, key, theirs, beyond, words in (
            ("rx → tx", "taken_", spin, 1, "a bare spin loop's, beyond two bursts of its own"), ("from when due", "", spin, 1, "the same"),
            ("from when due", "", busy, 0, "a loop's that takes as long and does nothing")):
        goal(f"latency at half load under changes, {what}: at most 1.5 x {words}", 1.5,
             [(max(0, a[f"{key}{quantile}_us"] - beyond * a["two_bursts_us"]) / b[f"{quantile}_us"], quantile.replace("p999", "p99.9"))
              for a, b in zip(ours, theirs) for quantile in ("p99", "p999") if b[f"{quantile}_us"]], why=WHY["latency"])
    goal("round trip over AF_XDP on veth: at most 1.2 x a plain DPDK echo, both polling", 1.2,
         [(a[key] / b[key], f"{s} B, {word}") for s in sizes for a in of(rows, "round-trip", subject="penstock-poll", size=s)
          for b in of(rows, "round-trip", subject="echo", size=s) for key, word in (("p50_us", "p50"), ("p99_us", "p99"))], why=WHY["turns"])
    full = of(rows, "overload")
    goal("overload: at least 1.9 x the capacity was offered", 1.9, [(row["offered"], "200 %") for row in full], at_least=True)
    goal("overload at 200 %: at least 0.95 of the peak", 0.95, [(row["of_peak"], "200 %") for row in full], at_least=True, why=WHY["moments"])
    goal("overload at 200 %: fairness over streams (Jain) at least 0.99", 0.99, [(row["fairness"], "200 %") for row in full],
         at_least=True)
    goal("overload: a change of the table in force within 1 ms, p99", 1.0, [(row["change_p99_ms"], "90-200 %") for row in full], why=WHY["moments"])
    goal("memory per stream with one leg: under 2,048 B", 2048, grown(rows, "streams", "flows"), why=WHY["memory"])
    goal("memory per leg: under 192 B", 192, grown(rows, "legs", "fanout"), why=WHY["memory"])
    return goals
