#pragma once
// How long until the next RTCP packet: RFC 3550 sections 6.2 and 6.3.1, with the reduced minimum. In seconds.
#include <algorithm>
#include <cstdint>

namespace penstock::rtp {

struct RtcpSession {
    unsigned members = 2, senders = 1;  // of which we are one that only receives
    double bandwidth = 0;               // of the session, bits/s
    double packet_size = 100;           // of RTCP with UDP and IP, bytes, on average
    bool first = true;                  // nothing was sent yet
};

// Before it is randomized.
inline double interval(const RtcpSession& session) noexcept {
    constexpr double kUsual = 5, kOfBandwidth = 0.05, kOfSenders = 0.25;
    const double minimum = session.bandwidth > 0 ? std::min(kUsual, 360e3 / session.bandwidth) : kUsual;
    double rtcp = session.bandwidth * kOfBandwidth / 8, n = session.members;
    if (session.senders <= session.members * kOfSenders) {  // senders have a quarter of it for themselves
        rtcp *= 1 - kOfSenders;
        n -= session.senders;
    }
    const double wanted = rtcp > 0 ? session.packet_size * n / rtcp : kUsual;
    return std::max(wanted, session.first ? minimum / 2 : minimum);
}

// Between half and one and a half of it, and less by what reconsideration adds on average; `chance`: 32 random bits.
inline double randomized(double interval, uint32_t chance) noexcept {
    constexpr double kCompensation = 2.71828182845904523536 - 1.5;
    return interval * (0.5 + chance * 0x1p-32) / kCompensation;
}

}  // namespace penstock::rtp
