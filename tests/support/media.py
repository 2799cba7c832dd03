"""Real programs that send and play: ffmpeg and GStreamer. They generate the media themselves and judge it themselves."""
import re
import signal
import subprocess

from relay import endpoint

VIDEO_PT, AUDIO_PT = 96, 97
# AudioSpecificConfig of what the source makes: AAC-LC, 48 kHz, one channel (ISO 14496-3 section 1.6.2.1).
AAC_CONFIG = "1188"
AAC_FMTP = ("profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=" + AAC_CONFIG)


def start_source(namespace, host, video_port, audio_port, pattern="testsrc2=size=640x360:rate=25"):
    """ffmpeg sends H.264 and AAC as RTP in real time, until it is stopped."""
    to = lambda port: f"rtp://{endpoint(host, port)}?pkt_size=1200&buffer_size=1000000"
    return namespace.start(
        "ffmpeg", "-nostdin", "-hide_banner", "-v", "warning",
        "-re", "-f", "lavfi", "-i", pattern, "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
        # A key frame each half second: a receiver that starts late sees a picture soon.
        "-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12", "-b:v", "1500k",
        "-pix_fmt", "yuv420p", "-f", "rtp", "-payload_type", VIDEO_PT, to(video_port),
        "-map", "1:a", "-c:a", "aac", "-b:a", "96k", "-f", "rtp", "-payload_type", AUDIO_PT, to(audio_port),
        "-sdp_file", namespace.lab.file("source.sdp"))


class Receiver:
    """A player that decodes both tracks; the numbers below are valid after stop()."""

    def __init__(self, name, namespace, address, video_port, audio_port, frame=None):
        self.name, self.namespace, self.address = name, namespace, address
        self.ports = (video_port, audio_port)
        self.frame = frame  # where to keep a picture
        self.process = None

    def stop(self):
        self.process.stop(signal.SIGINT, seconds=8)
        return self

    def ready(self):
        """Whether both of its sockets are open: what is sent from now on is heard."""
        table = self.namespace.run("ss", "-Hlun", "-A", "udp")
        return all(re.search(rf":{port}\s", table) for port in self.ports)

    def verdict(self, pictures, sounds):
        """An empty text, or what was wrong."""
        problems = []
        if self.pictures() < pictures:
            problems.append(f"{self.pictures()} pictures, wanted {pictures}")
        if self.different_pictures() < pictures * 0.8:
            problems.append(f"only {self.different_pictures()} pictures differ from the one before")
        if self.sounds() < sounds:
            problems.append(f"{self.sounds()} sound frames, wanted {sounds}")
        if not -40 < self.volume() < 0:
            problems.append(f"volume {self.volume()} dB: that is not the tone that was sent")
        problems += self.complaints()
        return "; ".join(problems)


class FfmpegReceiver(Receiver):
    def stop(self):
        # It sees the first SIGINT only when the next packet comes; the second one interrupts the wait for it.
        for _ in range(2):
            if self.process.running():
                self.process.child.send_signal(signal.SIGINT)
            try:
                self.process.child.wait(0.3)
            except subprocess.TimeoutExpired:
                pass
        super().stop()
        if self.frame:
            self.frame.with_name(self.frame.name + ".tmp").unlink(missing_ok=True)  # a picture that it was writing
        return self

    def start(self):
        lab = self.namespace.lab
        sdp = lab.file(f"{self.name}.sdp", (
            "v=0\no=- 0 0 IN IP{0} {1}\ns=penstock\nc=IN IP{0} {1}\nt=0 0\n"
            f"m=video {self.ports[0]} RTP/AVP {VIDEO_PT}\na=rtpmap:{VIDEO_PT} H264/90000\n"
            f"a=fmtp:{VIDEO_PT} packetization-mode=1\n"
            f"m=audio {self.ports[1]} RTP/AVP {AUDIO_PT}\na=rtpmap:{AUDIO_PT} MPEG4-GENERIC/48000/1\n"
            f"a=fmtp:{AUDIO_PT} {AAC_FMTP}\n").format(6 if ":" in self.address else 4, self.address))
        self.video, self.audio = lab.file(f"{self.name}.video"), lab.file(f"{self.name}.audio")
        frame = ["-map", "0:v", "-vf", "fps=2", "-update", "1", "-atomic_writing", "1", self.frame] if self.frame else []
        self.process = self.namespace.start(
            "ffmpeg", "-nostdin", "-hide_banner", "-y", "-v", "info", "-nostats",
            "-protocol_whitelist", "file,udp,rtp", "-buffer_size", "4000000", "-analyzeduration", "2000000",
            "-i", sdp, "-map", "0:v", "-vsync", "passthrough", "-flush_packets", "1", "-f", "framemd5", self.video,
            "-map", "0:a", "-af", "volumedetect", "-flush_packets", "1", "-f", "framemd5", self.audio, *frame,
            log=lab.file(f"{self.name}.log"))
        return self

    @staticmethod
    def _hashes(path):
        if not path.exists():
            return []
        return [line.split(",")[-1].strip() for line in path.read_text().splitlines() if line and line[0] != "#"]

    def pictures(self):
        return len(self._hashes(self.video))

    def different_pictures(self):
        return len(set(self._hashes(self.video)))

    def sounds(self):
        return len(self._hashes(self.audio))

    def volume(self):
        found = re.search(r"mean_volume: (-?[\d.]+) dB", self.process.text())
        return float(found.group(1)) if found else -999.0

    def complaints(self):
        text = self.process.text()
        missed = sum(map(int, re.findall(r"RTP: missed (\d+) packets", text)))
        damaged = len(re.findall(r"concealing|error while decoding", text))
        return [f"{count} {what}" for count, what in ((missed, "RTP packets missed"), (damaged, "damaged pictures")) if count]


class GstreamerReceiver(Receiver):
    def start(self):
        group = self._group()
        udp = lambda port: f"udpsrc address={self.address} port={port} buffer-size=4000000 {group}".split()
        frame = []
        if self.frame:
            frame = (f"pictures. ! queue leaky=downstream ! videorate drop-only=true ! video/x-raw,framerate=2/1 ! videoconvert "
                     f"! pngenc ! multifilesink location={self.frame} async=false").split()
        self.process = self.namespace.start(
            "gst-launch-1.0", "-e", "-v", "-m", *udp(self.ports[0]),
            f"caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload={VIDEO_PT}",
            *"! rtpjitterbuffer latency=200 do-lost=true ! identity silent=false ! rtph264depay ! avdec_h264 ! tee name=pictures".split(),
            *"pictures. ! queue ! checksumsink sync=false".split(), *frame,
            *udp(self.ports[1]),
            f"caps=application/x-rtp,media=audio,clock-rate=48000,encoding-name=MPEG4-GENERIC,payload={AUDIO_PT},"
            f"mode=AAC-hbr,sizelength=(string)13,indexlength=(string)3,indexdeltalength=(string)3,config=(string){AAC_CONFIG}",
            *("! rtpjitterbuffer latency=200 do-lost=true ! identity silent=false ! rtpmp4gdepay ! avdec_aac ! identity name=sound silent=false ! audioconvert "
              "! level ! fakesink sync=false").split(),
            log=self.namespace.lab.file(f"{self.name}.log"))
        return self

    def _group(self):
        first = self.address.split(".")[0]
        return "multicast-iface=eth0" if first.isdigit() and 224 <= int(first) <= 239 or first.startswith("ff") else ""

    def _hashes(self):
        return re.findall(r"^\d+:\d\d:\d\d\.\d+ ([0-9a-f]{40})$", self.process.text(), re.MULTILINE)  # checksumsink

    def pictures(self):
        return len(self._hashes())

    def different_pictures(self):
        return len(set(self._hashes()))

    def sounds(self):
        return self.process.text().count("GstIdentity:sound: last-message = chain")

    def volume(self):
        loud = re.findall(r"level, .*?rms=[^{<]*[{<] ?(?:\(double\))?(-?[\d.]+)", self.process.text())
        return sum(map(float, loud)) / len(loud) if loud else -999.0

    def complaints(self):
        text = self.process.text()
        lost = len(re.findall(r"last-message = event .*GstRTPPacketLost", text))  # the jitter buffer's word for a gap
        return sorted(set(re.findall(r"(?:ERROR|WARNING): .*", text))) + ([f"{lost} gaps in its RTP"] if lost else [])
