#include "rtp/rtcp/writer.hpp"

#include <algorithm>
#include <cstring>

#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/feedback.hpp"

namespace penstock::rtp {
namespace {

constexpr size_t kBlock = 24;

constexpr size_t words(size_t bytes) { return (bytes + 3) / 4 * 4; }

}  // namespace

// The header of one more packet; its body, all zeros. Null: no room.
std::byte* RtcpWriter::add(RtcpType type, size_t count, size_t body) noexcept {
    if (count > 31 || into_.size() - size_ < 4 + body) return nullptr;
    std::byte* const p = into_.data() + size_;
    p[0] = static_cast<std::byte>(0x80 | count);
    p[1] = static_cast<std::byte>(type);
    wire::store16(p + 2, static_cast<uint16_t>(body / 4));
    std::fill_n(p + 4, body, std::byte{0});
    size_ += 4 + body;
    return p + 4;
}

void RtcpWriter::write(std::byte* p, const ReportBlock& block) noexcept {
    wire::store32(p, block.ssrc);
    wire::store32(p + 4, uint32_t{block.fraction_lost} << 24 |
                             (static_cast<uint32_t>(std::clamp(block.lost, -0x800000, 0x7fffff)) & 0xffffff));
    wire::store32(p + 8, block.highest);
    wire::store32(p + 12, block.jitter);
    wire::store32(p + 16, block.last_report);
    wire::store32(p + 20, block.since_report);
}

bool RtcpWriter::receiver_report(uint32_t ssrc, std::span<const ReportBlock> blocks) noexcept {
    std::byte* p = add(RtcpType::rr, blocks.size(), 4 + kBlock * blocks.size());
    if (p == nullptr) return false;
    wire::store32(p, ssrc);
    for (size_t i = 0; i < blocks.size(); i++) write(p + 4 + kBlock * i, blocks[i]);
    return true;
}

bool RtcpWriter::cname(uint32_t ssrc, std::string_view name) noexcept {
    if (name.size() > kMostText) return false;
    std::byte* p = add(RtcpType::sdes, 1, 4 + words(2 + name.size() + 1));  // a zero ends the list of items
    if (p == nullptr) return false;
    wire::store32(p, ssrc);
    p[4] = static_cast<std::byte>(kCname);
    p[5] = static_cast<std::byte>(name.size());
    std::memcpy(p + 6, name.data(), name.size());
    return true;
}

bool RtcpWriter::bye(uint32_t ssrc, std::string_view reason) noexcept {
    if (reason.size() > kMostText) return false;
    std::byte* p = add(RtcpType::bye, 1, 4 + (reason.empty() ? 0 : words(1 + reason.size())));
    if (p == nullptr) return false;
    wire::store32(p, ssrc);
    if (reason.empty()) return true;
    p[4] = static_cast<std::byte>(reason.size());
    std::memcpy(p + 5, reason.data(), reason.size());
    return true;
}

size_t RtcpWriter::nack(uint32_t from, uint32_t media, std::span<const uint16_t> numbers) noexcept {
    if (numbers.empty()) return 0;
    const size_t begin = size_;
    std::byte* p = add(RtcpType::rtpfb, kNack, 8);
    if (p == nullptr) return 0;
    wire::store32(p, from);
    wire::store32(p + 4, media);
    size_t done = 0;
    while (done < numbers.size() && into_.size() - size_ >= 4) {
        const uint16_t first = numbers[done++];
        unsigned more = 0;
        for (; done < numbers.size(); done++) {
            const auto after = static_cast<uint16_t>(numbers[done] - first);
            if (after == 0 || after > 16) break;
            more |= 1u << (after - 1);
        }
        wire::store16(into_.data() + size_, first);
        wire::store16(into_.data() + size_ + 2, static_cast<uint16_t>(more));
        size_ += 4;
    }
    if (done == 0) {
        size_ = begin;
    } else {
        wire::store16(into_.data() + begin + 2, static_cast<uint16_t>((size_ - begin) / 4 - 1));
    }
    return done;
}

bool RtcpWriter::pli(uint32_t from, uint32_t media) noexcept {
    std::byte* p = add(RtcpType::psfb, kPli, 8);
    if (p == nullptr) return false;
    wire::store32(p, from);
    wire::store32(p + 4, media);
    return true;
}

bool RtcpWriter::fir(uint32_t from, uint32_t media, uint8_t number) noexcept {
    std::byte* p = add(RtcpType::psfb, kFir, 16);
    if (p == nullptr) return false;
    wire::store32(p, from);
    wire::store32(p + 8, media);
    p[12] = static_cast<std::byte>(number);
    return true;
}

bool RtcpWriter::reference_time(uint32_t from, uint64_t ntp) noexcept {
    std::byte* p = add(RtcpType::xr, 0, 4 + 4 + 8);
    if (p == nullptr) return false;
    wire::store32(p, from);
    p[4] = static_cast<std::byte>(kReferenceTime);
    wire::store16(p + 6, 2);
    wire::store32(p + 8, static_cast<uint32_t>(ntp >> 32));
    wire::store32(p + 12, static_cast<uint32_t>(ntp));
    return true;
}

bool RtcpWriter::since_reference(uint32_t from, const SinceReference& what) noexcept {
    std::byte* p = add(RtcpType::xr, 0, 4 + 4 + 12);
    if (p == nullptr) return false;
    wire::store32(p, from);
    p[4] = static_cast<std::byte>(kSinceReference);
    wire::store16(p + 6, 3);
    wire::store32(p + 8, what.ssrc);
    wire::store32(p + 12, what.last);
    wire::store32(p + 16, what.since);
    return true;
}

}  // namespace penstock::rtp
