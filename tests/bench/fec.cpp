// bench-fec: what FEC costs a media packet of 1300 bytes beyond the relay, ST 2022-1 10 x 10 with rows and columns: the
// encoder with all it makes, each repair packet written out once; the decoder when nothing is lost. Without a NIC, a
// relay or a socket. Prints a JSON object a line: TSC cycles per media packet.
//
// hot: a few packets, in the L2 cache. cold: packets from 128 MiB, none of which is in any cache, as far apart as
// buffers of a pool are. One stream, or many: then sums and copies of packets are cold, too, and fetched ahead as a
// worker fetches them. How much they cost all the same hangs on how many packets of a stream come together: one by one,
// each reads and writes a row's and a column's sum, five times its own bytes; of a picture that comes at once, the
// row's sum is hot; of a whole matrix, all sums are, and what is left is reading the packets.
#include <rte_cycles.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "base/wire.hpp"
#include "dataplane/heap.hpp"
#include "rtp/fec/decoder.hpp"
#include "rtp/fec/encoder.hpp"
#include "samples.hpp"

namespace {

using namespace penstock;
using namespace penstock::bench;

constexpr size_t kSize = 1300, kStride = 2368;  // as far apart as buffers of a pool
constexpr size_t kHot = 128, kCold = (size_t{128} << 20) / kStride;
constexpr unsigned kAhead = 3;  // packets that are fetched before their turn
constexpr rtp::fec::Code kCode{};
constexpr unsigned kRound = 16 * kHot;  // packets a sample
constexpr unsigned kRounds = 300;
// Rounds before the first sample: then all memory of a decoder of each of kMany streams was used.
constexpr uint32_t kMany = 256;
constexpr unsigned kWarm = kMany * rtp::fec::Decoder::kWindow / kRound + 1;
// Streams whose sums are far more than any cache holds, 66 MiB of those that are in use at once.
constexpr uint32_t kVeryMany = 4096;
constexpr unsigned kPicture = 16;  // packets: 4 to 6 Mbit/s at 25 pictures a second

struct Packets {
    explicit Packets(size_t wanted) : bytes(wanted * kStride), count(wanted) {
        uint64_t x = 1;
        for (std::byte& b : bytes)
            b = static_cast<std::byte>((x = x * 6364136223846793005u + 1442695040888963407u) >> 56);
    }
    std::span<std::byte> next(uint16_t sequence) {
        std::byte* p = &bytes[at * kStride];
        at = at + 1 == count ? 0 : at + 1;
        wire::store16(p, 0x8060);
        wire::store16(p + 2, sequence);
        wire::store32(p + 4, sequence * 3000u);
        wire::store32(p + 8, 1);
        return {p, kSize};
    }
    std::vector<std::byte> bytes;
    size_t count, at = 0;
};

// A repair packet as it goes into a buffer of its own.
struct alignas(64) Written {
    std::array<std::byte, 2176> bytes;  // as far apart as buffers of a pool: not at a power of two
    size_t size = 0;
    void take(const rtp::fec::Repair& repair) {
        std::memcpy(bytes.data(), repair.head.bytes.data(), repair.head.size);
        std::memcpy(bytes.data() + repair.head.size, repair.body.data(), repair.body.size());
        size = repair.head.size + repair.body.size();
    }
};

// Whose packet is next: so many of one stream, then of the next one. Without a division, which costs as much as a good
// part of what is measured.
class Turns {
public:
    Turns(size_t streams, unsigned together) : streams_(streams), together_(together) {}
    size_t next() {
        if (left_ == 0) {
            stream_ = stream_ + 1 == streams_ ? 0 : stream_ + 1;
            left_ = together_;
        }
        left_--;
        return stream_;
    }

private:
    const size_t streams_;
    const unsigned together_;
    size_t stream_ = 0;
    unsigned left_ = 0;
};

// What it takes to read a packet, fetched some ahead, whatever is done with it: the least that anything can cost which
// has to see it.
void read_once(Packets& packets) {
    Samples samples;
    std::array<std::span<const std::byte>, kHot> arrived;
    alignas(64) std::array<std::byte, rtp::fec::Slots::kLine*((kSize + 63) / 64)> sum{};
    for (unsigned round = 0; round < kRounds; round++) {
        uint64_t taken = 0;
        for (unsigned n = 0; n < kRound; n += kHot) {
            for (auto& packet : arrived) packet = packets.next(0);
            const uint64_t start = rte_rdtsc_precise();
            for (size_t i = 0; i < kHot; i++) {
                if (i + kAhead < kHot) rtp::fec::fetch_lines(arrived[i + kAhead].data(), kSize);
                rtp::fec::fastest_xor().one(sum.data(), arrived[i].data(), kSize);
            }
            taken += rte_rdtsc_precise() - start;
        }
        samples.add(static_cast<double>(taken) / kRound);
    }
    print({"read-once", "bound", kSize, 1, 1, "cold"}, samples);
}

// `together`: packets of a stream, one behind the other. They lie there when they are looked at, as a NIC leaves them,
// and are fetched some ahead, as a worker does.
void encode(Packets& packets, uint32_t flows, const char* cache, unsigned together = 1) {
    std::vector<std::unique_ptr<rtp::fec::Encoder>> encoders(flows);
    for (auto& e : encoders) e = std::make_unique<rtp::fec::Encoder>(kCode, 1472);
    std::vector<uint16_t> sequences(flows);
    std::vector<Written> out(64);
    size_t made = 0;
    const bool many = flows > 24;  // as a worker has it
    Turns turns(flows, together);
    Samples samples;
    std::array<std::span<const std::byte>, kHot> arrived;
    std::array<rtp::fec::Encoder*, kHot> by;
    for (unsigned round = 0; round < kRounds; round++) {
        uint64_t taken = 0;
        for (unsigned n = 0; n < kRound; n += kHot) {
            for (size_t i = 0; i < kHot; i++) {
                const size_t f = turns.next();
                by[i] = encoders[f].get();
                arrived[i] = packets.next(sequences[f]++);
            }
            const uint64_t start = rte_rdtsc_precise();
            for (size_t i = 0; i < kHot; i++) {
                const size_t next = i + kAhead, after = next + kAhead, then = after + kAhead;
                if (next < kHot) rtp::fec::fetch_lines(arrived[next].data(), kSize);
                if (many && next < kHot) by[next]->fetch_sums(arrived[next]);
                if (many && after < kHot) by[after]->fetch_places();
                if (many && then < kHot) by[then]->fetch_state();
                if (const auto repair = by[i]->protect(arrived[i])) out[made++ % out.size()].take(*repair);
            }
            taken += rte_rdtsc_precise() - start;
        }
        if (round >= kWarm) samples.add(static_cast<double>(taken) / kRound);
    }
    print({"fec-encode", "penstock", kSize, 1, flows, cache}, samples);
}

void decode(Packets& packets, uint32_t flows, const char* cache) {
    // Repair is made beforehand; that it is the sum of other bytes is not noticed, for none is used.
    std::vector<std::unique_ptr<rtp::fec::Decoder>> decoders(flows);
    for (auto& d : decoders) d = std::make_unique<rtp::fec::Decoder>(1472);
    rtp::fec::Encoder encoder(kCode, 1472);
    std::vector<Written> repairs(0x10000);
    std::vector<std::byte> packet(kSize);
    for (uint32_t n = 0; n < 0x20000; n++) {
        Written& w = repairs[n & 0xffff];
        wire::store16(packet.data(), 0x8060);
        wire::store16(&packet[2], static_cast<uint16_t>(n));
        w.size = 0;
        if (const auto repair = encoder.protect(packet)) w.take(*repair);
    }
    std::vector<uint16_t> sequences(flows);
    Turns turns(flows, 1);
    Samples samples;
    for (unsigned round = 0; round < kRounds; round++) {
        const uint64_t start = rte_rdtsc_precise();
        for (unsigned i = 0; i < kRound; i++) {
            const size_t f = turns.next();
            rtp::fec::Decoder& decoder = *decoders[f];
            const uint16_t sequence = sequences[f]++;
            decoder.media(packets.next(sequence));
            const Written& w = repairs[sequence];
            if (w.size != 0) decoder.repair({}, std::span{w.bytes}.first(w.size));
            if (decoder.recover()) std::abort();  // nothing was lost
        }
        if (round >= kWarm) samples.add(static_cast<double>(rte_rdtsc_precise() - start) / kRound);
    }
    print({"fec-decode", "penstock", kSize, 1, flows, cache}, samples);
}

}  // namespace

int main() {
    dataplane::put_heap_on_huge_pages();  // as penstock does
    Packets hot(kHot), cold(kCold);
    for (const uint32_t flows : {1u, kMany}) {
        encode(hot, flows, "hot");
        encode(cold, flows, "cold");
        decode(hot, flows, "hot");
        decode(cold, flows, "cold");
    }
    read_once(cold);
    encode(cold, kVeryMany, "cold");
    encode(cold, kVeryMany, "cold, a picture at a time", kPicture);
    encode(cold, kVeryMany, "cold, a matrix at a time", kCode.matrix.columns * kCode.matrix.rows);
    return 0;
}
