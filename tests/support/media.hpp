#pragma once
// RTP and RTCP as bytes.
#include "support/bytes.hpp"

namespace penstock::test {

struct Rtp {
    unsigned sequence = 1;
    uint32_t timestamp = 3000;
    uint32_t ssrc = 0x11223344;
    unsigned payload_type = 96;
    size_t size = 200;  // of the whole packet
};

inline Bytes rtp_packet(const Rtp& of = {}) {
    Bytes p;
    append8(p, 0x80);
    append8(p, of.payload_type);
    append16(p, of.sequence);
    append32(p, of.timestamp);
    append32(p, of.ssrc);
    append(p, numbered(of.size - p.size(), of.sequence));
    return p;
}

// RFC 3550 section 6.4.1, as ffmpeg sends it: a sender report and an SDES with CNAME "a@b".
inline Bytes sender_report() {
    return hex(
        "80c80006 11223344 e0000000 00000000 00000bb8 00000064 00004e20"
        "81ca0003 11223344 01036140 62000000");
}
inline Bytes bye() { return hex("80c90001 11223344 81cb0001 11223344"); }

}  // namespace penstock::test
