// Any sequence of packets: six bytes of input are one. Loss never runs backwards, and every packet is one of what it
// can be.
#include "rtp/reception.hpp"

#include "expect.hpp"
#include "rtp/merge.hpp"

using namespace penstock::rtp;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Reception reception;
    Merge merge;
    Arrivals arrivals[2];
    const auto& seen = reception.counters();
    uint64_t lost = 0, packets = 0, now = 0;
    for (; size >= 6; data += 6, size -= 6) {
        const auto sequence = static_cast<uint16_t>(data[0] << 8 | data[1]);
        const uint32_t timestamp = static_cast<uint32_t>(data[2]) << 24 | data[3], ssrc = data[4] & 1;
        reception.receive(sequence, timestamp, ssrc, 100, 0, static_cast<uint32_t>(data[5]) << 24, 90000);
        packets++;
        EXPECT(seen.packets.read() == packets);
        EXPECT(seen.lost.read() >= lost);
        EXPECT(seen.missing.read() < Reception::kWindow);
        EXPECT(seen.duplicate.read() + seen.reordered.read() + seen.restarts.read() + seen.ssrc_changes.read() <
               packets);
        EXPECT(reception.ssrc() == ssrc);
        lost = seen.lost.read();
        const unsigned path = data[4] >> 1 & 1;
        now += static_cast<uint64_t>(data[5]) << 24;
        const bool used = merge.take(path, arrivals[path], sequence, timestamp, ssrc, now) == Arrival::first;
        const bool again = merge.take(path, arrivals[path], sequence, timestamp, ssrc, now) == Arrival::first;
        EXPECT(!used || !again);  // of two copies at most one is used
        uint64_t all = 0;
        for (const Arrivals& a : arrivals) all += a.first.read() + a.second.read() + a.late.read() + a.apart.read();
        EXPECT(all == 2 * packets);
    }
    return 0;
}
