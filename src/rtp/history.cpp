#include "rtp/history.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "rtp/header.hpp"

namespace penstock::rtp {

History::History(Codec codec, size_t bytes)
    : codec_(codec),
      entries_(std::bit_ceil(std::max(bytes, kLeast) / kUsual)),
      bytes_(std::max(bytes, kLeast) / kLine * kLine) {}

std::optional<uint64_t> History::keep(std::span<const std::byte> packet) noexcept {
    const auto header = Header::parse(packet);
    if (!header || packet.size() > kLargest) return {};
    const auto place = numbering_.place(header->sequence(), header->ssrc());
    if (!place) return {};
    const uint64_t number = place->number;
    if (place->restarted) restart();
    if (kept(number)) return number;
    if (entry(number).number > number && entry(number).at >= born_) return number;  // later than the memory is long

    // Never in two pieces: what is left at the end is skipped, as if written.
    uint64_t at = written_;
    if (at % bytes_.size() + packet.size() > bytes_.size()) at += bytes_.size() - at % bytes_.size();
    std::memcpy(&bytes_[at % bytes_.size()], packet.data(), packet.size());
    entry(number) = {number, at, static_cast<uint32_t>(packet.size())};
    written_ = at + (packet.size() + kLine - 1) / kLine * kLine;
    if (number > numbering_.newest()) numbering_.advance(number);

    const bool there = beginning().has_value();
    if (has_begin_ && !there) {
        has_begin_ = false;
        counters_.overruns.add();
    }
    const Part part = part_of(codec_, packet.subspan(header->size()));
    if (const auto begin = key_frames_.see(part, number, header->timestamp())) {
        if (!has_begin_ || *begin > begin_) counters_.key_frames.add();
        begin_ = *begin;
        has_begin_ = true;
    }
    return number;
}

void History::restart() noexcept {
    if (life_++ != 0) counters_.restarts.add();
    forget_beginning();
    born_ = written_;
}

void History::forget_beginning() noexcept {
    key_frames_ = {};
    has_begin_ = false;
}

}  // namespace penstock::rtp
