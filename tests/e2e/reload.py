"""The file is read again: all of it or nothing, and what it leaves alone loses no packet."""
import json
import os
import re
import signal

from cases import cases
from judge import Capture
from lab import wait_for
from relay import LAN, Relay, Sender, assert_ledger, wait_forwarded, wait_legs
from steady import Steady, config, leg, listener, start, stream, wait_silence


def reload_by(penstock, how):
    """Whether it was done, and what it says."""
    if how == "cli":
        code, out, errors = penstock.cli_exit("reload")
        return code == 0, out + errors
    before = len(penstock.text())
    os.kill(penstock.pid, signal.SIGHUP)
    wait_for(lambda: re.search(r"SIGHUP: (.*\n)+", penstock.text()[before:]), "SIGHUP to be answered in the log")
    penstock.cli("show", "config")  # the log is written by then
    said = penstock.text()[before:]
    return not re.search(r"(?i)\berror\b.*SIGHUP", said), said


@cases(how=("cli", "sighup"))
def test_reload(how):
    """The file's streams are the forwarder's; what it leaves alone loses no packet and goes on counting."""
    with Relay(2) as lab:
        first = (stream("stays", 20000, leg(1)), stream("changes", 20010, leg(1, 6010)), stream("goes", 20020, leg(1, 6020)))
        penstock = start(lab, *first)
        heard = Capture(lab.receivers[0], "eth0")
        arriving = listener(lab, 2, 6010)
        leaving = listener(lab, 1, 6020)
        with Steady(lab) as stays, Steady(lab, 20010, 2) as changes, Steady(lab, 20020, 3):
            assert leaving.recv(2000)
            counted = penstock.metrics().sum("penstock_path_packets_total", stream="stays")
            penstock.config.write_text(config(lab, "# moved\n\n", stream("new", 20030, leg(2, 6030)), stream("changes", 20010, leg(1, 6010), leg(2, 6010)),
                                              stream("stays", 20000, leg(1))) + penstock.control)
            done, said = reload_by(penstock, how)
            assert done, said
            for line in ("added: new", "removed: goes", f"touched: changes: output {leg(2, 6010)} added"):
                assert re.search(rf"{line}$", said, re.MULTILINE), said
            assert "stays" not in said, said
            assert arriving.recv(2000)
            wait_silence(leaving)
            assert {row["stream"] for row in penstock.show("stream all")["streams"]} == {"stays", "changes", "new"}
            assert penstock.metrics().sum("penstock_path_packets_total", stream="stays") > counted > 0
            wait_legs(penstock, 4)
            new = Sender(lab.source, LAN[4], 20030).send(50)
            wait_forwarded(penstock, len(new.sent), stream="new")
            done, said = reload_by(penstock, how)
            assert done and "nothing differs" in said, said
            penstock.config.write_text(penstock.config.read_text().replace(leg(2, 6030), leg(2, 6032)))
            if how == "cli":
                told = json.loads(penstock.cli("--json", "reload"))
                assert told["touched"] == [{"stream": "new", "changes": [f"output {leg(2, 6032)} added", f"output {leg(2, 6030)} removed"]}], told
                assert told["added"] == told["removed"] == told["at_next_start"] == [], told
            stays.go_on()
        wait_forwarded(penstock, len(stays.sent), stream="stays")
        wait_forwarded(penstock, len(changes.sent), stream="changes", leg=leg(1, 6010))
        assert heard.payloads(6000) == stays.sent
        assert heard.payloads(6010) == changes.sent  # a receiver that the change did not touch, either
        paths = penstock.metrics()
        for name, steady in (("stays", stays), ("changes", changes)):
            assert paths.sum("penstock_path_packets_total", stream=name) == len(steady.sent)
            assert paths.sum("penstock_path_lost_packets_total", stream=name) == 0
        assert_ledger(paths)


@cases(how=("cli", "sighup"))
def test_reload_refused(how):
    """A file with a mistake changes nothing and is told by FILE:LINE:COLUMN; media flows on."""
    with Relay(1) as lab:
        penstock = start(lab, stream("camera-1", 20000, leg(1)))
        heard = Capture(lab.receivers[0], "eth0")
        fine = penstock.config.read_text()
        before = penstock.show("config")
        with Steady(lab) as steady:
            for wrong, place in ((fine.replace("payload_type: 96", "payload_type: 960"), r":(\d+):\d+: "), ("garbage: [\n", r":\d+:\d+: "),
                                 (fine + stream("camera-1", 20010, leg(1)) if fine.endswith("]\n") else fine.replace("streams:\n", "streams:\n" + stream("camera-1", 20010, leg(1))),
                                  r":(\d+):\d+: .*name"),
                                 *((fine.replace("name: wan", "name: uplink").replace(rtp, f"port: uplink, {rtp}"), "not open") for rtp in ("rtp: 10.2", "rtp: \"10.1"))):
                penstock.config.write_text(wrong)
                done, said = reload_by(penstock, how)
                assert not done and "nothing is changed" in said, said
                assert re.search((re.escape(str(penstock.config)) if place[0] == ":" else "") + place, said), (place, said)
                assert penstock.show("config") == before
            penstock.config.unlink()
            done, said = reload_by(penstock, how)
            assert not done and str(penstock.config) in said, said
            penstock.config.write_text(fine.replace("idle: sleep", "idle: poll"))
            done, said = reload_by(penstock, how)
            assert done and "workers: changed in the file, takes effect at the next start" in said, said
            steady.go_on()
        wait_forwarded(penstock, len(steady.sent))
        assert heard.payloads(6000) == steady.sent
