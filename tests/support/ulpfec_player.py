#!/usr/bin/python3
"""PORT FILE: GStreamer receives an MPEG transport stream by RTP with ULPFEC (payload type 122) among it and writes it to the
file. A program, for the decoder needs the storage of another element, which gst-launch cannot give it."""
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

Gst.init(None)
port, file = sys.argv[1:]
pipeline = Gst.parse_launch(f"""
    udpsrc port={port} buffer-size=8000000 caps="application/x-rtp,media=video,payload=33,clock-rate=90000,encoding-name=MP2T"
    ! rtpstorage name=storage size-time=2000000000 ! rtpssrcdemux
    ! application/x-rtp,media=video,payload=33,clock-rate=90000,encoding-name=MP2T
    ! rtpjitterbuffer name=order do-lost=true latency=1000 ! rtpulpfecdec name=decoder pt=122
    ! rtpmp2tdepay ! filesink buffer-mode=unbuffered location={file}""")
pipeline.get_by_name("decoder").set_property("storage", pipeline.get_by_name("storage").get_property("internal-storage"))
pipeline.get_by_name("order").connect("request-pt-map", lambda _, payload_type: Gst.Caps.from_string(
    f"application/x-rtp,media=video,payload={payload_type},clock-rate=90000,encoding-name=MP2T"))
# Repair keeps its place in the order; what is written is media.
pipeline.get_by_name("decoder").get_static_pad("src").add_probe(
    Gst.PadProbeType.BUFFER, lambda _, info: Gst.PadProbeReturn.DROP
    if info.get_buffer().extract_dup(1, 1)[0] & 0x7f == 122 else Gst.PadProbeReturn.OK)
pipeline.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
