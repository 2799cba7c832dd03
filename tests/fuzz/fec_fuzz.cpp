// Hostile: any packets in any order; what comes out is RTP, once for each repair packet at most. Honest: an
// encoder's packets, any of them lost, late or twice; what comes out is what was lost, byte by byte.
#include "rtp/fec/decoder.hpp"

#include <algorithm>
#include <vector>

#include "base/wire.hpp"
#include "expect.hpp"
#include "rtp/fec/encoder.hpp"
#include "rtp/header.hpp"

using namespace penstock;
using namespace penstock::rtp;

namespace {

using Packet = std::vector<std::byte>;

constexpr fec::Carriage kCarriages[] = {
    {}, {fec::Scheme::flexfec, 110}, {fec::Scheme::ulpfec, 122}, {fec::Scheme::ulpfec, 122, true}};

// A code of each scheme, by a few bits.
fec::Code code_of(unsigned scheme, fec::Matrix matrix, bool mask) {
    fec::Code code{.carriage = kCarriages[scheme & 3], .matrix = matrix};
    code.mask = mask && code.carriage.scheme == fec::Scheme::flexfec;
    if (code.carriage.scheme == fec::Scheme::ulpfec) code.matrix.column_repair = !code.matrix.row_repair;
    return code;
}

// Records of a byte of kind, a byte of size and a packet.
void hostile(std::span<const std::byte> in) {
    fec::Decoder decoder(100, {}, 64);
    if (in.empty()) return;
    const unsigned scheme = wire::load8(&in[0]);
    in = in.subspan(1);
    const auto code = code_of(scheme, {.columns = 4, .rows = 4, .staggered = true}, (scheme & 4) != 0);
    fec::Encoder encoder(code, 100);
    uint64_t repairs = 0, recovered = 0;
    while (in.size() >= 2) {
        const std::byte kind = in[0];
        const bool repair = (kind & std::byte{1}) != std::byte{0};
        const size_t size = std::min<size_t>(wire::load8(&in[1]), in.size() - 2);
        const auto packet = in.subspan(2, size);
        in = in.subspan(2 + size);
        if (repair) {
            // Of any scheme: sources of one track may bring different ones. Among the media it is RTP, as a worker
            // found.
            const fec::Carriage& carriage = kCarriages[wire::load8(&kind) >> 1 & 3];
            if (carriage.among_media && !Header::parse(packet)) continue;
            repairs++;
            decoder.repair(carriage, packet);
        } else if (Header::parse(packet)) {
            decoder.media(packet);
            if (const auto made = encoder.protect(packet)) {
                Packet whole(made->head.span().begin(), made->head.span().end());
                whole.insert(whole.end(), made->body.begin(), made->body.end());
                EXPECT(fec::parse_repair(code.carriage, whole).has_value());
            }
        }
        while (const auto found = decoder.recover()) {
            EXPECT(found->size() <= 100 && Header::parse(*found).has_value());
            recovered++;
        }
    }
    EXPECT(recovered <= repairs && decoder.counters().recovered.read() == recovered);
}

// One byte for the matrix, then one for each packet: whether it is lost, when it comes, and again.
void honest(std::span<const std::byte> in) {
    if (in.empty()) return;
    const unsigned shape = wire::load8(&in[0]);
    const fec::Matrix matrix{.columns = static_cast<uint8_t>(1 + (shape & 7)),
                             .rows = static_cast<uint8_t>(4 + (shape >> 3 & 3)),
                             .row_repair = (shape & 0x20) != 0,
                             .staggered = (shape & 0x40) != 0};
    const auto code = code_of(in.size() > 1 ? wire::load8(&in[1]) : 0, matrix, (shape & 1) != 0);
    fec::Encoder encoder(code, 100);
    fec::Decoder decoder(100, {}, 256);
    std::vector<Packet> media;
    std::vector<std::pair<bool, Packet>> waiting[16];
    const uint16_t from = (shape & 0x80) != 0 ? 0xffe0 : 7;
    const auto deliver = [&](const std::pair<bool, Packet>& arrival) {
        if (arrival.first) {
            decoder.repair(code.carriage, arrival.second);
        } else {
            decoder.media(arrival.second);
        }
        while (const auto found = decoder.recover()) {
            const auto original = std::ranges::find_if(
                media, [&](const Packet& p) { return wire::load16(&p[2]) == wire::load16(&(*found)[2]); });
            EXPECT(original != media.end() && std::ranges::equal(*found, *original));
        }
    };
    size_t now = 0;
    const auto send = [&](bool repair, Packet packet, std::byte fate) {
        const unsigned how = std::to_integer<unsigned>(fate);
        if ((how & 3) != 3) waiting[(now + (how >> 4)) % 16].emplace_back(repair, packet);
        if ((how & 0xc) == 0xc) waiting[(now + 3) % 16].emplace_back(repair, std::move(packet));
        for (const auto& arrival : waiting[now % 16]) deliver(arrival);
        waiting[now % 16].clear();
        now++;
    };
    for (size_t i = 1; i + 1 < in.size(); i += 2) {
        Packet packet(12 + (i * 37 + wire::load8(&in[i])) % 80);
        for (size_t b = 12; b < packet.size(); b++) packet[b] = static_cast<std::byte>(i * 7 + b * b);
        wire::store16(packet.data(), static_cast<uint16_t>(0x8021 | (i & 4) << 5));
        wire::store16(&packet[2], static_cast<uint16_t>(from + media.size()));
        wire::store32(&packet[4], static_cast<uint32_t>(i * 1500));
        wire::store32(&packet[8], 9);
        const auto repair = encoder.protect(packet);
        if (encoder.renumbers()) wire::store16(&packet[2], encoder.sequence());
        media.push_back(packet);
        send(false, std::move(packet), in[i]);
        if (!repair) continue;
        Packet whole(repair->head.span().begin(), repair->head.span().end());
        whole.insert(whole.end(), repair->body.begin(), repair->body.end());
        send(true, std::move(whole), in[i + 1]);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    (data[0] & 1) != 0 ? honest(input(data + 1, size - 1)) : hostile(input(data + 1, size - 1));
    return 0;
}
