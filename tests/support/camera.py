#!/usr/bin/python3
"""A camera: a gst-rtsp-server with H.264 and PCMA at /live, a multicast /mcast, and a file of H.264 and AAC, if one is given,
at /film. Usage: camera.py PORT ADDRESS FILM|- [USER PASSWORD [PEM]]

PEM has a certificate and its key: then it speaks TLS.

Run by /usr/bin/python3, which has GObject introspection. The same as a process of a test: start() below."""
import sys


def start(namespace, port=8554, user="", password="", film="-", address="0.0.0.0", pem=""):
    words = [user, password, pem] if user else []
    process = namespace.start("/usr/bin/python3", __file__, port, address, film, *words)
    process.wait_for_text("listening", 15)
    return process


def serve(port, address, film, user="", password="", pem=""):
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(address)
    server.set_service(port)
    video = ("videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! x264enc tune=zerolatency speed-preset=ultrafast "
             "key-int-max=12 bitrate=600 ! rtph264pay name=pay0 pt=96 config-interval=1")
    audio = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8"
    places = [("/live", f"( {video} {audio} )"), ("/mcast", f"( {video} )")]
    if film != "-":
        places.append(("/film", f"( filesrc location={film} ! qtdemux name=d d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 "
                                "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"))
    for path, launch in places:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_shared(True)
        if path == "/mcast":
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP_MCAST)
            pool = GstRtspServer.RTSPAddressPool()
            pool.add_range("239.77.0.1", "239.77.0.9", 5200, 5299, 1)
            factory.set_address_pool(pool)
        if user:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_role("viewer")
            for what in (GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT):
                permissions.add_permission_for_role("viewer", what, True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    if user:
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        auth.add_digest(user, password, token)
        if pem:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(pem))
        server.set_auth(auth)
    server.connect("client-connected", lambda _, client: client.connect(
        "teardown-request", lambda *_: print("TEARDOWN", flush=True)) and None)
    server.attach(None)
    GLib.timeout_add_seconds(2, lambda: server.get_session_pool().cleanup() or True)
    print("listening", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
