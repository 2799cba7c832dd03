"""The demonstration behind tools/demo: real programs around penstock, a live table, a verdict at the end."""
import argparse
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

from judge import Capture, assert_no_loss
from lab import wait_for, xdp_refused
from media import AUDIO_PT, VIDEO_PT, FfmpegReceiver, GstreamerReceiver, start_source
from relay import LAN, Relay, assert_ledger, endpoint, leg_packets, receiver_address, wait_legs

GROUP = "239.2.2.2"
TRACKS = (("video", VIDEO_PT, "H264/90000", 0), ("audio", AUDIO_PT, "mpeg4-generic/48000", 2))
WIDTH = 100


def say(text):
    print(f"demo: {text}", flush=True)


class Demo:
    def __init__(self, driver, frames):
        self.frames = frames
        self.lab = Relay(3, driver, name="demo")
        self.penstock = self.source = None
        self.players, self.captures = [], []

    def start(self, judged):
        lab = self.lab
        self.penstock = lab.start_penstock(lab.node, lab.config([
            (kind, payload_type, encoding, [endpoint(LAN[4], 20000 + port)],
             [endpoint(receiver_address(1), 6000 + port), endpoint(receiver_address(2), 6000 + port),
              f"{{ rtp: {GROUP}:{7000 + port}, ttl: 16, port: wan }}"])
            for kind, payload_type, encoding, port in TRACKS]))
        wait_legs(self.penstock, 6)
        if judged:  # headers are enough: 96 bytes of each packet
            self.captures = [Capture(receiver, "eth0", bytes_each=96) for receiver in lab.receivers]
        picture = lambda name: (self.frames / f"{name}.png").absolute() if self.frames else None
        self.players = [
            FfmpegReceiver("receiver1-ffmpeg", lab.receivers[0], receiver_address(1), 6000, 6002, picture("receiver1-ffmpeg")),
            GstreamerReceiver("receiver2-gstreamer", lab.receivers[1], receiver_address(2), 6000, 6002,
                              picture("receiver2-gstreamer")),
            FfmpegReceiver("receiver3-ffmpeg-group", lab.receivers[2], GROUP, 7000, 7002, picture("receiver3-ffmpeg-group"))]
        for player in self.players:
            player.start()
        for player in self.players:  # the first key frame must find them listening
            wait_for(player.ready, f"{player.name} to listen", 20)
        self.source = start_source(lab.source, LAN[4], 20000, 20002)

    def show(self, seconds):
        """Redraws until the time is over; None: for ever."""
        table = Table(self.lab.driver)
        started = time.monotonic()
        while seconds is None or time.monotonic() - started < seconds:
            for process in (self.penstock, self.source, *(player.process for player in self.players)):
                if not process.running():
                    raise RuntimeError(f"{process.command[2]} ended:\n{process.text()[-2000:]}")
            table.draw(self.penstock.metrics(), time.monotonic() - started)
            time.sleep(1)

    def judge(self, seconds):
        """Stops the source, then the players; whether all was well. Says so for each."""
        self.source.stop()
        seen = [-1]
        wait_for(lambda: seen.append(leg_packets(self.penstock)) or seen[-1] == seen[-2], "the last packet", every=0.3)
        metrics = self.penstock.metrics()
        # Encoders and players need a moment to start: a second and a half of the time is not asked for.
        pictures, sounds = int((seconds - 1.5) * 25 * 0.9), int((seconds - 1.5) * 48000 / 1024 * 0.9)
        good = True
        for player, capture in zip(self.players, self.captures):
            problems = player.stop().verdict(pictures, sounds)
            try:
                streams = assert_no_loss(capture, *player.ports, packets=int((seconds - 1.5) * 10))
                mine = [stream for stream in streams if stream.port in player.ports]
                heard = f"{sum(stream.packets for stream in mine)} RTP packets, {sum(stream.lost for stream in mine)} lost"
            except AssertionError as error:
                heard, problems = "tshark: " + str(error), problems or "loss"
            good &= not problems
            say(f"{'ok  ' if not problems else 'FAIL'} {player.name}: {player.pictures()} pictures, {player.sounds()} sound frames "
                f"at {player.volume():.0f} dB; {heard}{'; ' + problems if problems else ''}")
        return good & self._balance(metrics)

    def _balance(self, metrics):
        good = True
        for track in ("video", "audio"):
            arrived = metrics.sum("penstock_path_packets_total", track=track)
            lost = metrics.sum("penstock_path_lost_packets_total", track=track)
            legs = [count for _, count in metrics.named("penstock_leg_packets_total", track=track)]
            fine = arrived > 0 and not lost and len(legs) == 3 and all(count == arrived for count in legs)
            good &= fine
            say(f"{'ok  ' if fine else 'FAIL'} {track}: {arrived:.0f} packets arrived, {lost:.0f} lost, "
                f"each leg sent {', '.join(f'{count:.0f}' for count in legs)}")
        try:
            assert_ledger(metrics)
            say("ok   every packet is accounted for")
        except AssertionError as error:
            good = False
            say(f"FAIL the ledger: {error}")
        return good

    def close(self):
        self.lab.close()


class Table:
    """What penstock counts, per path and leg, as rates since the last drawing."""

    def __init__(self, driver):
        self.driver, self.before, self.height = driver, {}, 0
        self.live = sys.stdout.isatty()

    def draw(self, metrics, elapsed):
        now = time.monotonic()
        lines = [f"penstock {self.driver}   {int(elapsed) // 60:02}:{int(elapsed) % 60:02}   Ctrl-C stops".ljust(WIDTH), "",
                 f"{'stream':10} {'track':6} {'path / leg':32} {'packets/s':>9} {'Mbit/s':>7} {'lost':>6} {'reorder':>8} "
                 f"{'jitter ms':>10}", "-" * WIDTH]
        for labels, packets in metrics.named("penstock_path_packets_total"):
            of = {key: labels[key] for key in ("stream", "track", "path")}
            value = lambda name: metrics.sum(f"penstock_path_{name}", **of)
            lines.append(self._row(labels, "-> path " + labels["path"], packets, value("bytes_total"), now,
                                   f"{value('lost_packets_total'):6.0f} {value('reordered_packets_total'):8.0f} "
                                   f"{value('jitter_seconds') * 1000:10.2f}"))
            for leg, sent in metrics.named("penstock_leg_packets_total", stream=of["stream"], track=of["track"]):
                of_leg = {key: leg[key] for key in ("stream", "track", "leg")}
                dropped = sum(count for _, count in metrics.named("penstock_leg_drops_total", **of_leg))
                lines.append(self._row(leg, "   <- leg " + leg["leg"], sent, metrics.sum("penstock_leg_bytes_total", **of_leg),
                                       now, f"{dropped:6.0f}"))
        drops = metrics.drops()
        lines += ["", "drops: " + (", ".join(f"{reason} {count}" for reason, count in sorted(drops.items())) or "none")]
        if self.live and self.height:
            print(f"\x1b[{self.height}A", end="")
        print("\n".join(line[:WIDTH].ljust(WIDTH) for line in lines), flush=True)
        self.height = len(lines)

    def _row(self, labels, name, packets, octets, now, rest):
        key = (labels["stream"], labels["track"], name)
        last_packets, last_octets, last = self.before.get(key, (packets, octets, now - 1))
        self.before[key] = packets, octets, now
        span = max(now - last, 0.001)
        return (f"{labels['stream'][:10]:10} {labels['track'][:6]:6} {name[:32]:32} {(packets - last_packets) / span:9.0f} "
                f"{(octets - last_octets) * 8 / span / 1e6:7.2f} {rest}")


def interrupted(*_):
    raise KeyboardInterrupt


def start(driver, given, frames):
    demo = Demo(driver, frames)
    try:
        demo.start(judged=given.seconds is not None)
    except BaseException:
        demo.close()
        raise
    return demo


def main():
    parser = argparse.ArgumentParser(prog="tools/demo", add_help=False)
    parser.add_argument("--driver", choices=("af_xdp", "af_packet"))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--save-frames", type=Path, metavar="DIR")
    given = parser.parse_args()
    if given.seconds is not None and given.seconds < 4:
        parser.error("--seconds: at least 4, the programs need a moment to start")
    if given.save_frames:
        given.save_frames.mkdir(parents=True, exist_ok=True)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, interrupted)

    driver = given.driver or "af_xdp"
    if driver == "af_xdp" and (why := xdp_refused()):
        say(f"this machine refuses AF_XDP ({why}): using af_packet")
        driver = "af_packet"
    demo = None
    try:
        say(f"starting penstock on {driver}, a source and three receivers")
        try:
            demo = start(driver, given, given.save_frames)
        except AssertionError as error:
            if driver == "af_packet" or given.driver:
                raise
            say(f"penstock does not start on AF_XDP here: using af_packet. It said:\n{error}")
            driver = "af_packet"
            demo = start(driver, given, given.save_frames)
        demo.show(given.seconds)
        good = demo.judge(given.seconds)
    except KeyboardInterrupt:
        good = given.seconds is None  # Ctrl-C is how the endless show ends; the other one was cut short
        print()
    except (AssertionError, RuntimeError) as error:
        say(f"FAIL {error}")
        good = False
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning up
        if demo:
            demo.close()
    if given.save_frames:
        for picture in sorted(given.save_frames.glob("*.png")):
            say(f"picture: {picture}")
    say("everything that was made is removed: " + ("all is well" if good else "it failed"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
