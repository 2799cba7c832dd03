#pragma once
// The way out of one worker through a packet socket of a port's interface, beside the port's tx queues: a train leaves
// as one packet, and the kernel carries it whole as far as it can (over veth into the receiver's socket, else to the
// NIC or its driver), which costs it little more than any packet of the train. The kernel copies within the call.
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "dataplane/trains.hpp"
#include "flow/capture.hpp"
#include "flow/ledger.hpp"

namespace penstock::dataplane {

// What stands before each frame on such a socket: virtio_net_hdr of <linux/virtio_net.h>, which is not for C++ (and
// that of Linux 6.1 does not know kUdp).
struct VirtioHeader {
    static constexpr uint8_t kNeedsChecksum = 1;    // flags
    static constexpr uint8_t kWhole = 0, kUdp = 5;  // segments
    uint8_t flags = 0, segments = kWhole;
    uint16_t header_size = 0, segment_size = 0, checksum_from = 0, checksum_at = 0;  // of this machine's byte order
};
static_assert(sizeof(VirtioHeader) == 10);

// Written by the worker, read by control.
struct SegmenterCounters {
    Counter packets, bytes;  // that the kernel took; bytes of frames, as if each packet had left by itself
    Counter trains;          // of two and more
    Counter refused;         // trains that had to leave packet by packet
};

class Segmenter {
public:
    static constexpr uint32_t kNever = 0xffff'ffff;

    // `from_legs`: what goes to fewer legs takes the port's queues.
    Segmenter(int socket, uint32_t from_legs, SegmenterCounters& counters);

    void follow(int socket) noexcept { socket_ = socket; }        // between turns; -1: there is none now
    void capture(flow::CaptureTap* tap) noexcept { tap_ = tap; }  // null: no more
    bool wants(size_t legs) const noexcept { return legs >= from_legs_ && socket_ >= 0; }
    // 802.1Q is left to the queues: not every device segments behind a tag.
    bool takes(const flow::Leg& leg, const flow::Train& train) const noexcept {
        return leg.l3_offset == 14 && train.size() + leg.ip_overhead() <= leg.mtu && socket_ >= 0 &&
               from_legs_ != kNever;
    }

    // What it refers to stays where it is until flush(). `leg` is one that it takes.
    void add(const flow::Leg& leg, const Trains::One& train, flow::Ledger& ledger) noexcept;
    void flush(flow::Ledger& ledger) noexcept {
        if (size_ != 0) send(ledger);
    }

private:
    static constexpr size_t kMessages = 32;  // a call

    struct Message {
        const flow::Leg* leg;
        const Trains::One* train;
        struct {
            VirtioHeader segments;
            std::array<std::byte, flow::kMaxHeader> bytes;
        } header;
        std::array<iovec, 1 + flow::Train::kMostPackets> parts;
    };

    void send(flow::Ledger& ledger) noexcept;
    void send_singly(const Message& message, flow::Ledger& ledger) noexcept;
    void account(const Message& message, std::span<Held* const> packets, flow::Drop why, flow::Ledger& ledger) noexcept;
    void capture(const Message& message, std::span<Held* const> packets, flow::Drop why) noexcept;  // capture.cpp

    int socket_;
    uint32_t from_legs_;
    SegmenterCounters& counters_;
    flow::CaptureTap* tap_ = nullptr;  // of this turn
    size_t size_ = 0;
    std::vector<Message> messages_;
    std::array<mmsghdr, kMessages> headers_{};
};

}  // namespace penstock::dataplane
