#pragma once
// What RTCP of ours says, and to wait for it.
#include <string>
#include <vector>

#include "dataplane/stage.hpp"
#include "rtp/rtcp/description.hpp"

namespace penstock::test {

inline std::vector<rtp::RtcpType> types_of(const Bytes& rtcp) {
    std::vector<rtp::RtcpType> types;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) { types.push_back(p.type); });
    return types;
}
// Who says, in SDES, who it is; and who leaves.
struct Said {
    uint32_t named = 0, leaving = 0;
    std::string name;
};
inline Said said(const Bytes& rtcp) {
    Said s;
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& p) {
        rtp::each_item(p, [&](uint32_t ssrc, uint8_t, std::string_view text) { s.named = ssrc, s.name = text; });
        rtp::each_leaving(p, [&](uint32_t ssrc) { s.leaving = ssrc; });
    });
    return s;
}

// Packets of so many bytes, until the source got something, or far too long.
inline std::vector<Dissected> until_told(Stage& stage, unsigned& sequence, uint32_t ssrc = 0x11223344,
                                         unsigned port = 20000) {
    const auto began = Steady::now();
    std::vector<Dissected> told;
    while (told.empty() && Steady::now() - began < std::chrono::seconds(20)) {
        stage.arrive(rtp_packet({.sequence = sequence++, .ssrc = ssrc, .size = 1400}), port);
        stage.out(kOut);
        told = stage.out(kIn);
    }
    return told;
}

}  // namespace penstock::test
