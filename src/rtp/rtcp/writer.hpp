#pragma once
// Writes a compound RTCP packet into a buffer of the caller's: each call adds one packet of it, or nothing when there
// is no room. RFC 3550 section 6.1: a report comes first, an SDES with CNAME goes along.
#include <cstdint>
#include <span>
#include <string_view>

#include "rtp/rtcp/extended.hpp"
#include "rtp/rtcp/report.hpp"

namespace penstock::rtp {

class RtcpWriter {
public:
    static constexpr size_t kMostBlocks = 31;  // of one report
    static constexpr size_t kMostText = 255;   // bytes

    explicit RtcpWriter(std::span<std::byte> into) : into_(into) {}
    std::span<const std::byte> written() const noexcept { return into_.first(size_); }

    bool receiver_report(uint32_t ssrc, std::span<const ReportBlock> blocks) noexcept;
    bool cname(uint32_t ssrc, std::string_view name) noexcept;
    bool bye(uint32_t ssrc, std::string_view reason = {}) noexcept;
    // Of the numbers, which ascend, as many as there is room for: how many.
    size_t nack(uint32_t from, uint32_t media, std::span<const uint16_t> numbers) noexcept;
    bool pli(uint32_t from, uint32_t media) noexcept;
    bool fir(uint32_t from, uint32_t media, uint8_t number) noexcept;  // a command that is repeated keeps its number
    bool reference_time(uint32_t from, uint64_t ntp) noexcept;
    bool since_reference(uint32_t from, const SinceReference& what) noexcept;

private:
    std::byte* add(RtcpType type, size_t count, size_t body) noexcept;
    static void write(std::byte* at, const ReportBlock& block) noexcept;

    std::span<std::byte> into_;
    size_t size_ = 0;
};

}  // namespace penstock::rtp
