"""The commands that README.md and docs/rtsp.md print for players and encoders, as they stand there: only the node's name and the file
are those of the laboratory, and pictures and sound go nowhere."""
import os
import re
import shlex

from certificates import authority, issue
from lab import ROOT, wait_for
from media import start_source
from relay import LAN, WAN, Relay, assert_ledger
from rtsp import config
from rtsp_play import wait_sessions
from rtsp_push import film

NOWHERE = {**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
NO_DISPLAY = {"autovideosink": "fakesink sync=true"}  # which it looks for, and crashes
TRUSTING = {"rtspsrc": "rtspsrc tls-validation-flags=0"}  # no authority of this system vouches for our certificate


def printed():
    """The commands, without what is said of them."""
    for name in ("README.md", "docs/rtsp.md"):
        for line in (ROOT / name).read_text().splitlines():
            found = re.match(r" {4}((ffplay|ffprobe|ffmpeg|curl|gst-launch-1.0) .*rtsp.*)", line)
            if found:
                yield name, re.sub(r" {2,}#.*", "", found[1])


def words(line, address, path):
    line = re.sub(r"//(node|10\.0\.0\.1)\b", f"//{address}", line).replace("FILE", str(path))
    for plain, instead in (NO_DISPLAY | (TRUSTING if "rtsps://" in line else {})).items():
        line = line.replace(plain, instead)
    return shlex.split(line)


def packets(penstock, state):
    """Of the sessions in that state."""
    shown = penstock.show("rtsp sessions")
    playing = {row["session"] for row in shown["sessions"] if row["state"] == state}
    return sum(row["packets"] for row in shown["tracks"] if row["session"] in playing)


def test_commands():
    """Each of them plays, or pushes, or says what there is."""
    with Relay(1) as lab:
        authority(lab)
        pem, key = issue(lab, "node", LAN[4], WAN[4])
        more = f"listen: [\":554\"], session_timeout: 5s, publish: {{}}, multicast: {{ groups: 239.10.0.0/24, port: wan }}, tls: {{ certificate: {pem}, key: {key} }}"
        penstock = lab.start_penstock(lab.node, config(lab, more))
        path = film(lab)
        start_source(lab.source, LAN[4], 20000, 20002)
        wait_for(lambda: penstock.metrics().sum("penstock_path_packets_total", track="audio") > 20, "media", 20)
        done = []
        for page, line in printed():
            pushes = "rtspclientsink" in line or "-f rtsp" in line
            once = line.startswith(("ffprobe", "curl"))
            where, address = (lab.source, LAN[4]) if pushes else (lab.receivers[0], WAN[4])
            process = where.start(*words(line, address, path), log=lab.file(f"printed-{len(done)}.log"), env=NOWHERE)
            what = f"{page}: {line}"
            if once:
                assert process.wait(30) == 0, f"{what}\n{process.text()[-1500:]}"
            else:
                wait_for(lambda: packets(penstock, "recording" if pushes else "playing") > 60,
                         f"{what}\n{process.text()[-1500:]}\n{penstock.show('rtsp sessions')}\n{penstock.text()[-1000:]}", 30)
                assert process.running(), f"{what}\n{process.text()[-1500:]}"
                process.stop()
                wait_sessions(penstock, 0, 15)  # those that say no goodbye are gone by their timeout
            done.append(what)
        assert len(done) >= 14, done
        print("\n".join(done))
        assert_ledger(penstock.metrics())
