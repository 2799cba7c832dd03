#pragma once
// What a receiver reports of one source: RFC 3550 appendix A.3, and when. Written by the one worker that owns the
// track. Times are of the workers' clock: seconds as 32.32 fixed point.
#include <cstdint>
#include <optional>

#include "rtp/reception.hpp"
#include "rtp/rtcp/interval.hpp"
#include "rtp/rtcp/report.hpp"

namespace penstock::rtp {

class Reporter {
public:
    // The source sent a report, with this NTP time.
    void heard(uint64_t ntp, uint64_t now) noexcept {
        former_ = last_;
        last_ = {middle_of(ntp), now};
    }
    // How long a receiver of the source is away, there and back, by its report, which arrived now; none: it refers to
    // no report of the last two.
    std::optional<uint64_t> round_trip(const ReportBlock& block, uint64_t now) const noexcept {
        for (const Heard& heard : {last_, former_}) {
            if (heard.middle == 0 || heard.middle != block.last_report) continue;
            const uint64_t away = now - heard.at, there = uint64_t{block.since_report} << 16;
            return away > there ? away - there : 0;
        }
        return std::nullopt;
    }

    // Whether it is time for a report; the first call only begins to wait. None of a source that sent nothing since the
    // last. `chance`: 32 random bits.
    bool due(const Reception& reception, uint64_t now, uint32_t chance) noexcept {
        if (next_ != 0 && now < next_) return false;
        const uint64_t bytes = reception.counters().bytes.read();
        const bool due = next_ != 0 && bytes != bytes_;
        RtcpSession session;
        session.first = next_ == 0;
        if (measured_ != 0 && now > measured_)
            session.bandwidth =
                static_cast<double>(bytes - bytes_) * 8 / (static_cast<double>(now - measured_) * 0x1p-32);
        measured_ = now;
        bytes_ = bytes;
        next_ = now + static_cast<uint64_t>(randomized(interval(session), chance) * 0x1p32);
        return due;
    }

    // For a report that is sent now.
    ReportBlock block(const Reception& reception, uint64_t now) noexcept {
        const auto [expected, received, highest] = reception.extent();
        const bool same = reception.ssrc() == ssrc_ && expected >= expected_ && received >= received_;
        const uint64_t wanted = expected - (same ? expected_ : 0), got = received - (same ? received_ : 0);
        ssrc_ = reception.ssrc();
        expected_ = expected;
        received_ = received;
        ReportBlock block{.ssrc = ssrc_, .highest = highest};
        if (wanted > got)
            block.fraction_lost = static_cast<uint8_t>(std::min<uint64_t>((wanted - got) * 256 / wanted, 255));
        const int64_t lost = static_cast<int64_t>(expected) - static_cast<int64_t>(received);
        block.lost = static_cast<int32_t>(std::clamp<int64_t>(lost, -0x800000, 0x7fffff));
        block.jitter = static_cast<uint32_t>(reception.counters().jitter.read()) >> 4;
        block.last_report = last_.middle;
        if (last_.middle != 0) block.since_report = static_cast<uint32_t>((now - last_.at) >> 16);
        return block;
    }

private:
    struct Heard {
        uint32_t middle = 0;
        uint64_t at = 0;
    };
    Heard last_, former_;
    uint64_t next_ = 0, measured_ = 0, bytes_ = 0;
    uint64_t expected_ = 0, received_ = 0;  // by the last report
    uint32_t ssrc_ = 0;
};

}  // namespace penstock::rtp
