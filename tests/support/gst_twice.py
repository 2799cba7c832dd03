#!/usr/bin/python3
"""HOST PORT SECONDS: GStreamer sends one H.264 stream twice in one RTP session, as RFC 7198 has it: under two SSRCs with the same numbers
and times, the second 100 ms later, with RTCP of both. At the end it says as JSON whose reception the other side reported."""
import json
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

Gst.init(None)
host, port, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
payload = "rtph264pay pt=96 mtu=600 config-interval=-1 seqnum-offset=1000 timestamp-offset=4294900000 ssrc={}"
pipeline = Gst.parse_launch(f"""
    rtpbin name=session
    videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency bitrate=1000 key-int-max=25
    ! tee name=both
    both. ! queue ! {payload.format(1000)} ! join.
    both. ! queue min-threshold-time=100000000 max-size-time=0 max-size-buffers=0 max-size-bytes=0 ! {payload.format(1010)} ! join.
    rtpfunnel name=join ! session.send_rtp_sink_0
    session.send_rtp_src_0 ! udpsink host={host} port={port} bind-port=7000 sync=false async=false
    udpsrc name=heard port=7001 ! session.recv_rtcp_sink_0
    session.send_rtcp_src_0 ! udpsink name=told host={host} port={port + 1} sync=false async=false""")
# Answers come to where its RTCP comes from.
heard, told = pipeline.get_by_name("heard"), pipeline.get_by_name("told")
heard.set_state(Gst.State.READY)
told.set_property("close-socket", False)
told.set_property("socket", heard.get_property("used-socket"))
pipeline.set_state(Gst.State.PLAYING)
loop = GLib.MainLoop()
GLib.timeout_add_seconds(seconds, loop.quit)
loop.run()
stats = pipeline.get_by_name("session").emit("get-internal-session", 0).get_property("stats")
sources = [{name: source.get_value(name) for name in (source.nth_field_name(i) for i in range(source.n_fields()))
            if isinstance(source.get_value(name), (bool, int, str))} for source in stats.get_value("source-stats")]
print(json.dumps(sources), flush=True)
pipeline.set_state(Gst.State.NULL)
