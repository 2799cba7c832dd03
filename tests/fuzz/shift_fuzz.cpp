// What a source says is translated for those who see it as another: whatever the datagram, only words that name it and
// the times of its reports change, the datagram stays as valid as it was, and translated back it is what it was.
#include "rtp/rtcp/shift.hpp"

#include <algorithm>
#include <vector>

#include "expect.hpp"
#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/report.hpp"

using namespace penstock;
using namespace penstock::rtp;

namespace {

using Bytes = std::vector<std::byte>;

std::vector<SenderInfo> reports(std::span<const std::byte> datagram) {
    std::vector<SenderInfo> all;
    each_packet(datagram, [&](const RtcpPacket& packet) {
        if (const auto info = sender_info(packet)) all.push_back(*info);
    });
    return all;
}

// Whom packets are of, leave or describe, in their order.
std::vector<uint32_t> named(std::span<const std::byte> datagram) {
    std::vector<uint32_t> all;
    each_packet(datagram, [&](const RtcpPacket& packet) {
        const bool list = packet.type == RtcpType::bye || packet.type == RtcpType::sdes;
        if (!list && packet.body.size() >= 4) all.push_back(wire::load32(packet.body.data()));
        each_leaving(packet, [&](uint32_t ssrc) { all.push_back(ssrc); });
        each_item(packet, [&](uint32_t ssrc, uint8_t, std::string_view) { all.push_back(ssrc); });
    });
    return all;
}

bool has(std::span<const std::byte> datagram, uint32_t word) {
    for (size_t at = 0; at + 4 <= datagram.size(); at += 4)
        if (wire::load32(&datagram[at]) == word) return true;
    return false;
}

// What becomes of it. `may` says whether a word may become another.
template <class Each, class May>
Bytes changed(const Bytes& datagram, Each each, May may) {
    Bytes after = datagram;
    each(std::span<const std::byte>(datagram), [&](size_t at, uint32_t word) {
        EXPECT(at % 4 == 0 && at >= 4 && at + 4 <= datagram.size());
        EXPECT(may(at, wire::load32(&datagram[at])));
        wire::store32(&after[at], word);
    });
    EXPECT(valid_rtcp(after));
    EXPECT(reports(after).size() == reports(datagram).size());
    return after;
}

}  // namespace

// The SSRC that is translated, how, and the datagram.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr size_t kHead = 12;
    if (size < kHead) return 0;
    const auto head = input(data, kHead), rest = input(data + kHead, size - kHead);
    const uint32_t from = wire::load32(&head[0]);
    const Shift shift{wire::load32(&head[4]), wire::load32(&head[8]), 0};
    if (!valid_rtcp(rest)) return 0;
    const Bytes datagram(rest.begin(), rest.end());
    const auto said = reports(datagram);

    // `at` is where a report of `from` has the words `first` to `last` of its body.
    const auto in_report = [&](size_t at, size_t first, size_t last) {
        bool found = false;
        each_packet(datagram, [&](const RtcpPacket& packet) {
            const auto body = static_cast<size_t>(packet.body.data() - datagram.data());
            const auto info = sender_info(packet);
            found |= info && info->ssrc == from && at >= body + first && at <= body + last;
        });
        return found;
    };
    const Bytes seen = changed(
        datagram, [&](auto bytes, auto store) { each_shifted(bytes, from, shift, store); },
        [&](size_t at, uint32_t word) { return word == from || in_report(at, 12, 12); });
    const auto heard = reports(seen);
    for (size_t i = 0; i < said.size(); i++) {
        SenderInfo expected = said[i];
        if (expected.ssrc == from) {
            expected.ssrc = shift.ssrc;
            expected.timestamp += shift.timestamp;
        }
        EXPECT(heard[i] == expected);
    }
    auto renamed = named(datagram);
    std::ranges::replace(renamed, from, shift.ssrc);
    EXPECT(named(seen) == renamed);
    const auto begins = wire::load8(&datagram[1]);
    const bool report = begins == static_cast<unsigned>(RtcpType::sr) || begins == static_cast<unsigned>(RtcpType::rr);
    if (report && datagram.size() >= 8 && wire::load16(&datagram[2]) != 0 && sender_of(datagram) == from)
        EXPECT(sender_of(seen) == shift.ssrc);
    if (!has(datagram, shift.ssrc)) {
        const Bytes back = changed(
            seen,
            [&](auto bytes, auto store) {
                each_shifted(bytes, shift.ssrc, {from, -shift.timestamp, 0}, store);
            },
            [](size_t, uint32_t) { return true; });
        EXPECT(back == datagram);
    }

    const Bytes restated = changed(
        datagram, [&](auto bytes, auto store) { each_restated(bytes, from, shift.ssrc, shift.timestamp, 7, store); },
        [&](size_t at, uint32_t word) { return word == from || in_report(at, 16, 20); });
    EXPECT(named(restated) == renamed);
    const auto counted = reports(restated);
    for (size_t i = 0; i < said.size(); i++) {
        SenderInfo expected = said[i];
        if (expected.ssrc == from) expected = {shift.ssrc, expected.ntp, expected.timestamp, shift.timestamp, 7};
        EXPECT(counted[i] == expected);
    }
    return 0;
}
