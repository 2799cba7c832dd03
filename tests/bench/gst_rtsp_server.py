#!/usr/bin/python3
"""What penstock's RTSP is measured against: gst-rtsp-server as its own example server is, one shared media at /film for all
viewers. It is fed as penstock is, by RTP (MPEG-TS, RFC 2250), and pays the same packets anew: 7 TS packets each.
Usage: gst_rtsp_server.py PORT ADDRESS RTP-PORT

Run by /usr/bin/python3, which has GObject introspection."""
import sys

import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer


def serve(port, address, rtp_port):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(address)
    server.set_service(port)
    server.set_backlog(1024)  # of 5 that it has, connections that come at once are refused
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( udpsrc address={address} port={rtp_port} buffer-size=4000000 "
                       "caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=MP2T,payload=33 "
                       "! rtpmp2tdepay ! rtpmp2tpay mtu=1400 name=pay0 pt=33 )")
    factory.set_shared(True)
    server.get_mount_points().add_factory("/film", factory)
    server.attach(None)
    print("listening", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
