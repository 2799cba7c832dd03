"""FEC, delay and retransmission of a stream are changed by reloads while it flows: no receiver misses a packet, or gets one twice."""
import re

from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, Relay, assert_ledger, receiver_address, wait_forwarded, wait_legs
from steady import Steady

RECEIVERS = (1, 2, 3)


def written(lab, source, outputs, more=""):
    """A configuration: `source` and each of `outputs` is the rest of a map."""
    addresses = [f"{{ rtp: \"{receiver_address(number)}:6000\"{rest} }}" for number, rest in zip(RECEIVERS, outputs)]
    config = lab.config([("video", 96, "H264/90000", [f"{{ rtp: \"{LAN[4]}:20000\"{source} }}"], addresses)])
    return config.rstrip() + "\n" + more


STEPS = (
    # source, the three outputs, the rest of the track; what is made of FEC then
    ("", (", fec: { scheme: flexfec }", "", ""), "", ["flexfec 110 10x10 row+column block"]),
    ("", (", fec: { scheme: flexfec, columns: 5, rows: 8 }", "", ""), "", ["flexfec 110 5x8 row+column block"]),
    ("", (", fec: { scheme: flexfec, columns: 5, rows: 8, header: mask }", ", fec: { scheme: st2022-1 }", ""), "",
     ["flexfec 110 mask 5x8 row+column block", "st2022-1 10x10 row+column block"]),
    (", fec: { scheme: flexfec }", ("", ", fec: { scheme: st2022-1, mode: column, align: staggered }", ""), "",
     ["st2022-1 10x10 column staggered"]),
    (", fec: { scheme: st2022-1 }", ("", ", fec: { scheme: st2022-1, mode: column, align: staggered }", ", fec: { scheme: flexfec }"),
     "        delay: 20ms\n", ["st2022-1 10x10 column staggered", "flexfec 110 10x10 row+column block"]),
    (", nack: {}", ("", ", rtx: { payload_type: 97 }", ""), "        feedback: { retransmit: 256 }\n", []),
    ("", ("", "", ""), "", []),
)


def test_changed_under_way():
    with Relay(len(RECEIVERS)) as lab:
        penstock = lab.start_penstock(lab.node, written(lab, *STEPS[0][:3]))
        wait_legs(penstock, len(RECEIVERS))
        heard = [Capture(receiver, "eth0", "udp port 6000") for receiver in lab.receivers]
        with Steady(lab) as steady:
            steady.go_on()
            for number, (source, outputs, more, made) in enumerate(STEPS):
                if number > 0:
                    penstock.config.write_text(written(lab, source, outputs, more) + penstock.control)
                    said = penstock.cli("reload")
                    assert "touched: camera-1: " in said, said
                rows = lambda: penstock.show("stream camera-1 repair")["sent"]
                # Of each matrix that is new some repair has left, and so have two matrices of media.
                wait_for(lambda: [row["fec"] for row in rows()] == made and all(row["repair_columns"] > 5 for row in rows()),
                         f"{made} to be made; there is {rows()}")
                steady.go_on()
        for number in RECEIVERS:
            wait_forwarded(penstock, len(steady.sent), leg=f"{receiver_address(number)}:6000")
        for number, capture in zip(RECEIVERS, heard):
            media = [payload for payload in capture.payloads(6000) if int(payload[2:4], 16) & 0x7f == 96]
            assert media == steady.sent, f"receiver {number}: {len(media)} packets of {len(steady.sent)}, " \
                f"{len(set(steady.sent) - set(media))} are missing, {len(media) - len(set(media))} came twice"
        metrics = penstock.metrics()
        assert metrics.sum("penstock_path_packets_total") == len(steady.sent)
        assert_ledger(metrics)


# What may be written wrong: the rest of the source, of the first output, of the track; before which text the mark is; what
# is said there.
WRONG = (
    (", fec: { scheme: flexfecc }", "", "", "flexfecc", "one of st2022-1, flexfec, ulpfec"),
    (", fec: { scheme: flexfec, colums: 5 }", "", "", "colums", "scheme, payload_type, port"),
    (", fec: { payload_type: 110 }", "", "", "{ payload_type: 110 }", "'scheme' is missing"),
    ("", ", fec: { scheme: flexfec, colums: 5 }", "", "colums", "did you mean 'columns'"),
    ("", ", fec: { scheme: flexfec, columns: 21 }", "", "21", "2 to 20"),
    ("", ", fec: { scheme: st2022-1, columns: 3 }", "", "3 }", "4"),
    ("", ", fec: { scheme: st2022-1, mode: rows }", "", "rows }", "one of row+column, column"),
    ("", ", fec: { scheme: flexfec, align: blok }", "", "blok", "one of block, staggered"),
    ("", ", fec: { scheme: flexfec, port: 6001 }", "", "6001", "a port that is not that of the RTCP"),
    ("", ", fec: { scheme: flexfec, payload_type: 95 }", "", "95", "96"),
    ("", ", fec: { scheme: flexfec, header: short }", "", "short", "one of fixed, mask"),
    (", nack: { deadlin: 200ms }", "", "", "deadlin", "wait, deadline, budget, rtx"),
    (", nack: { deadline: 200 }", "", "", "200 }", "10ms to 5000ms"),
    (", nack: { budget: many }", "", "", "many", "1 to 100000"),
    ("", ", rtx: { payload_type: 200 }", "", "200 }", "96"),
    ("", ", duplicate_after: 50", "", "50 }", "1ms to 500ms"),
    ("", "", "        feedback: { retransmitt: 512 }\n", "retransmitt", "retransmit, budget"),
    ("", "", "        feedback: { retransmit: 5 }\n", "5 }\n", "16-16384"),
    ("", "", "        delay: 50\n", "50\n", "1ms to 1000ms"),
    ("", "", "        delais: 50ms\n", "delais", "delay"),
    ("", "", "        skew: E\n", "E\n", "A, B, C or D"),
)


def test_written_wrong():
    """Each mistake is told at its line and column with what is allowed instead, by `check` and by `reload`, which changes nothing."""
    with Relay(len(RECEIVERS)) as lab:
        penstock = lab.start_penstock(lab.node, written(lab, *STEPS[0][:3]))
        before = penstock.show("config"), penstock.show("stream camera-1 repair")["sent"]
        bad = []
        for source, output, more, mark, says in WRONG:
            text = written(lab, source, (output, "", ""), more) + penstock.control
            penstock.config.write_text(text)
            at = text.index(mark)
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            code, _, errors = penstock.cli_exit("reload")
            told = re.findall(r":(\d+):(\d+): (.*)", errors)
            if code != 1 or not any((int(l), int(c)) == (line, column) and says in what for l, c, what in told):
                bad.append(f"{mark!r} at {line}:{column}, {says!r}: exit {code}, {errors.strip()}")
        assert not bad, "\n".join(bad)
        assert (penstock.show("config"), penstock.show("stream camera-1 repair")["sent"]) == before
