#pragma once
// What real clients say to an RTSP server, word for word but for host and session: FFmpeg 5.1, mpv, GStreamer 1.22,
// live555's openRTSP, gortsplib, VLC's SAT>IP client. SESSION stands for the token that they were given.
#include <string>
#include <string_view>
#include <vector>

namespace penstock::test {

struct Exchange {
    std::string_view request;
    int status;
};

struct ClientScript {
    std::string_view name;
    std::vector<Exchange> exchanges;
};

inline const std::vector<ClientScript>& client_scripts() {
    static const std::vector<ClientScript> all{
        {"FFmpeg",
         {{"OPTIONS rtsp://10.0.1.1:554/cam RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Lavf59.27.100\r\n\r\n", 200},
          {"DESCRIBE rtsp://10.0.1.1:554/cam RTSP/1.0\r\nAccept: application/sdp\r\nCSeq: 2\r\n"
           "User-Agent: Lavf59.27.100\r\n\r\n",
           200},
          {"SETUP rtsp://10.0.1.1:554/cam/video RTSP/1.0\r\n"
           "Transport: RTP/AVP/UDP;unicast;client_port=23696-23697\r\nCSeq: 3\r\nUser-Agent: Lavf59.27.100\r\n\r\n",
           200},
          {"SETUP rtsp://10.0.1.1:554/cam/audio RTSP/1.0\r\n"
           "Transport: RTP/AVP/UDP;unicast;client_port=23698-23699\r\nCSeq: 4\r\nUser-Agent: Lavf59.27.100\r\n"
           "Session: SESSION\r\n\r\n",
           200},
          {"PLAY rtsp://10.0.1.1:554/cam/ RTSP/1.0\r\nRange: npt=0.000-\r\nCSeq: 5\r\n"
           "User-Agent: Lavf59.27.100\r\nSession: SESSION\r\n\r\n",
           200},
          {"GET_PARAMETER rtsp://10.0.1.1:554/cam/ RTSP/1.0\r\nCSeq: 6\r\nUser-Agent: Lavf59.27.100\r\n"
           "Session: SESSION\r\n\r\n",
           200},
          {"TEARDOWN rtsp://10.0.1.1:554/cam/ RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: Lavf59.27.100\r\n"
           "Session: SESSION\r\n\r\n",
           200}}},
        {"FFmpeg over TCP",
         {{"SETUP rtsp://10.0.1.1:554/cam/video RTSP/1.0\r\n"
           "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nCSeq: 3\r\nUser-Agent: Lavf59.27.100\r\n\r\n",
           200}}},
        {"GStreamer",
         {{"OPTIONS rtsp://10.0.1.1/cam RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "User-Agent: RealMedia Player Version 6.0.9.1235 (linux-2.0-libc6-i386-gcc2.95)\r\n"
           "ClientChallenge: 9e26d33f2984236010ef6253fb1887f7\r\nCompanyID: KnKV4M4I/B2FjJ1TToLycw==\r\n"
           "GUID: 00000000-0000-0000-0000-000000000000\r\nRegionData: 0\r\n"
           "PlayerStarttime: [28/03/2003:22:50:23 00:00]\r\n"
           "ClientID: Linux_2.4_6.0.9.1235_play32_RN01_EN_586\r\nDate: Sun, 22 Nov 2026 15:14:06 GMT\r\n\r\n",
           200},
          {"DESCRIBE rtsp://10.0.1.1/cam RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Accept: application/sdp\r\nDate: Sun, 22 Nov 2026 15:14:06 GMT\r\n\r\n",
           200},
          {"SETUP rtsp://10.0.1.1/cam/video RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Transport: RTP/AVP;unicast;client_port=44332-44333\r\nDate: Sun, 22 Nov 2026 15:14:06 GMT\r\n\r\n",
           200},
          {"PLAY rtsp://10.0.1.1/cam/ RTSP/1.0\r\nCSeq: 5\r\nUser-Agent: GStreamer/1.22.0\r\nRange: npt=now-\r\n"
           "Session: SESSION\r\nDate: Sun, 22 Nov 2026 15:14:06 GMT\r\n\r\n",
           200},
          {"PAUSE rtsp://10.0.1.1/cam/ RTSP/1.0\r\nCSeq: 6\r\nUser-Agent: GStreamer/1.22.0\r\nSession: SESSION\r\n"
           "Date: Sun, 22 Nov 2026 15:14:07 GMT\r\n\r\n",
           200},
          {"TEARDOWN rtsp://10.0.1.1/cam/ RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Session: SESSION\r\nDate: Sun, 22 Nov 2026 15:14:07 GMT\r\n\r\n",
           200}}},
        {"GStreamer, RTSP 2.0",
         {{"OPTIONS rtsp://10.0.1.1/cam RTSP/2.0\r\nCSeq: 1\r\nUser-Agent: GStreamer/1.22.0\r\n\r\n", 505}}},
        {"openRTSP",
         {{"OPTIONS rtsp://10.0.1.1:554/cam RTSP/1.0\r\nCSeq: 2\r\n"
           "User-Agent: ../../bin/openRTSP (LIVE555 Streaming Media v2026.06.24)\r\n\r\n",
           200},
          {"DESCRIBE rtsp://10.0.1.1:554/cam RTSP/1.0\r\nCSeq: 3\r\n"
           "User-Agent: ../../bin/openRTSP (LIVE555 Streaming Media v2026.06.24)\r\nAccept: application/sdp\r\n\r\n",
           200},
          {"SETUP rtsp://10.0.1.1:554/cam/video RTSP/1.0\r\nCSeq: 4\r\n"
           "User-Agent: ../../bin/openRTSP (LIVE555 Streaming Media v2026.06.24)\r\n"
           "Transport: RTP/AVP;unicast;client_port=35120-35121\r\n\r\n",
           200},
          {"PLAY rtsp://10.0.1.1:554/cam/ RTSP/1.0\r\nCSeq: 6\r\n"
           "User-Agent: ../../bin/openRTSP (LIVE555 Streaming Media v2026.06.24)\r\nSession: SESSION\r\n"
           "Range: npt=0.000-1.000\r\n\r\n",
           200},
          {"TEARDOWN rtsp://10.0.1.1:554/cam/ RTSP/1.0\r\nCSeq: 7\r\n"
           "User-Agent: ../../bin/openRTSP (LIVE555 Streaming Media v2026.06.24)\r\nSession: SESSION\r\n\r\n",
           200}}},
        {"openRTSP over TCP",
         {{"SETUP rtsp://10.0.1.1/cam/video RTSP/1.0\r\nCSeq: 4\r\n"
           "User-Agent: openRTSP (LIVE555 Streaming Media v2026.06.24)\r\n"
           "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
           200},
          {"SETUP rtsp://10.0.1.1/cam/audio RTSP/1.0\r\nCSeq: 5\r\n"
           "User-Agent: openRTSP (LIVE555 Streaming Media v2026.06.24)\r\n"
           "Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\nSession: SESSION\r\n\r\n",
           200},
          {"PLAY rtsp://10.0.1.1/cam/ RTSP/1.0\r\nCSeq: 6\r\n"
           "User-Agent: openRTSP (LIVE555 Streaming Media v2026.06.24)\r\nSession: SESSION\r\n"
           "Range: npt=0.000-4.000\r\n\r\n",
           200}}},
        {"gortsplib",
         {{"SETUP rtsp://10.0.1.1:554/cam/video RTSP/1.0\r\nCSeq: 3\r\n"
           "Transport: RTP/AVP;unicast;client_port=64138-64139\r\nUser-Agent: gortsplib\r\n\r\n",
           200},
          {"PLAY rtsp://10.0.1.1:554/cam/ RTSP/1.0\r\nCSeq: 5\r\nRange: npt=0-\r\nSession: SESSION\r\n"
           "User-Agent: gortsplib\r\n\r\n",
           200}}},
        {"VLC's SAT>IP client: SETUP of the stream itself, without DESCRIBE, and a first CSeq of 0",
         {{"SETUP rtsp://10.0.1.1:554/cam RTSP/1.0\r\nCSeq: 0\r\n"
           "Transport: RTP/AVP;unicast;client_port=9022-9023\r\n\r\n",
           200}}},
    };
    return all;
}

// The same of publishers, who push a stream "live": FFmpeg 5.1 over UDP, GStreamer 1.22's rtspclientsink over TCP, and
// an FFmpeg of before 0.11.
inline const std::vector<ClientScript>& publisher_scripts() {
    static const std::vector<ClientScript> all{
        {"FFmpeg, UDP",
         {{"OPTIONS rtsp://10.0.1.1:554/live RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Lavf59.27.100\r\n\r\n", 200},
          {"ANNOUNCE rtsp://10.0.1.1:554/live RTSP/1.0\r\nContent-Type: application/sdp\r\nCSeq: 2\r\n"
           "User-Agent: Lavf59.27.100\r\nContent-Length: 309\r\n\r\n"
           "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 10.77.0.1\r\nt=0 0\r\n"
           "a=tool:libavformat LIBAVFORMAT_VERSION\r\nm=video 0 RTP/AVP 96\r\nb=AS:3877\r\na=rtpmap:96 H264/90000\r\n"
           "a=fmtp:96 packetization-mode=1; "
           "sprop-parameter-sets=Z2QAH6yyAKALdCAAAAMAIAAAB4HjBkk=,aOvMsiw=; profile-level-id=64001F\r\n"
           "a=control:streamid=0\r\n",
           200},
          {"SETUP rtsp://10.0.1.1:554/live/streamid=0 RTSP/1.0\r\n"
           "Transport: RTP/AVP/UDP;unicast;client_port=22316-22317;mode=record\r\nCSeq: 3\r\n"
           "User-Agent: Lavf59.27.100\r\n\r\n",
           200},
          {"RECORD rtsp://10.0.1.1:554/live RTSP/1.0\r\nRange: npt=0.000-\r\nCSeq: 4\r\n"
           "User-Agent: Lavf59.27.100\r\nSession: SESSION\r\n\r\n",
           200},
          {"TEARDOWN rtsp://10.0.1.1:554/live RTSP/1.0\r\nCSeq: 5\r\nUser-Agent: Lavf59.27.100\r\n"
           "Session: SESSION\r\n\r\n",
           200}}},
        {"GStreamer, TCP",
         {{"OPTIONS rtsp://10.0.1.1:554/live RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Date: Sun, 22 Nov 2026 15:14:09 GMT\r\n\r\n",
           200},
          {"ANNOUNCE rtsp://10.0.1.1:554/live RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Content-Type: application/sdp\r\nDate: Sun, 22 Nov 2026 15:14:09 GMT\r\nContent-Length: 405\r\n\r\n"
           "v=0\r\no=- 2572935061 1 IN IP4 10.77.0.3\r\ns=Session streamed with GStreamer\r\ni=rtspclientsink\r\n"
           "t=0 0\r\na=tool:GStreamer\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:3607\r\n"
           "a=rtpmap:96 H264/90000\r\na=framerate:30\r\n"
           "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z01AH+ygKALdgLUBAQFAAAADAEAAr8gDxgxlgA==,aOrhcsg=\r\n"
           "a=control:stream=0\r\na=ts-refclk:local\r\na=mediaclk:sender\r\na=ssrc:1188328543 cname:user@host\r\n",
           200},
          {"SETUP rtsp://10.0.1.1:554/live/stream=0 RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=RECORD\r\nDate: Sun, 22 Nov 2026 15:14:09 GMT\r\n\r\n",
           200},
          {"RECORD rtsp://10.0.1.1:554/live RTSP/1.0\r\nCSeq: 4\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Session: SESSION\r\nDate: Sun, 22 Nov 2026 15:14:09 GMT\r\n\r\n",
           200},
          {std::string_view("$\0\0\5media$\1\0\7reports", 20), 0},
          {"PAUSE rtsp://10.0.1.1:554/live RTSP/1.0\r\nCSeq: 5\r\nUser-Agent: GStreamer/1.22.0\r\n"
           "Session: SESSION\r\nDate: Sun, 22 Nov 2026 15:14:10 GMT\r\n\r\n",
           200}}},
        {"old FFmpeg: mode=receive",
         {{"ANNOUNCE rtsp://10.0.1.1:554/live RTSP/1.0\r\nContent-Type: application/sdp\r\nCSeq: 1\r\n"
           "Content-Length: 120\r\n\r\n"
           "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nt=0 0\r\na=tool:libavformat 52.30.0\r\n"
           "m=audio 0 RTP/AVP 0\r\na=control:streamid=0\r\n",
           200},
          {"SETUP rtsp://10.0.1.1:554/live/streamid=0 RTSP/1.0\r\n"
           "Transport: RTP/AVP/UDP;unicast;client_port=5000-5001;mode=receive\r\nCSeq: 2\r\n\r\n",
           200},
          {"RECORD rtsp://10.0.1.1:554/live RTSP/1.0\r\nRange: npt=0.000-\r\nCSeq: 3\r\nSession: SESSION\r\n\r\n",
           200}}},
    };
    return all;
}

}  // namespace penstock::test
