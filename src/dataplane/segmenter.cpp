#include "dataplane/segmenter.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace penstock::dataplane {

using flow::Drop;
using flow::Leg;

namespace {

constexpr Drop kSent = Drop::count_;

// The kernel, or this device, does not take such a packet.
bool refused(int error) { return error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP || error == EIO; }

}  // namespace

Segmenter::Segmenter(int socket, uint32_t from_legs, SegmenterCounters& counters)
    : socket_(socket), from_legs_(from_legs), counters_(counters), messages_(kMessages) {
    for (size_t i = 0; i < kMessages; i++) headers_[i].msg_hdr.msg_iov = messages_[i].parts.data();
}

void Segmenter::add(const Leg& leg, const Trains::One& train, flow::Ledger& ledger) noexcept {
    Message& message = messages_[size_];
    message.leg = &leg;
    message.train = &train;
    const Held& first = *train.packets.front();
    message.header.segments = {};
    if (train.packets.size() == 1) {
        flow::write_header(message.header.bytes.data(), leg, first.in, first.sum);
    } else {
        message.header.segments = {.flags = VirtioHeader::kNeedsChecksum,
                                   .segments = VirtioHeader::kUdp,
                                   .header_size = leg.header_size,
                                   .segment_size = train.train.size(),
                                   .checksum_from = static_cast<uint16_t>(leg.header_size - 8),
                                   .checksum_at = 6};
        flow::write_train_header(message.header.bytes.data(), leg, first.in, train.train);
    }
    message.parts[0] = {&message.header, sizeof(VirtioHeader) + leg.header_size};
    std::ranges::copy(train.payloads, &message.parts[1]);
    headers_[size_].msg_hdr.msg_iovlen = 1 + train.payloads.size();
    if (++size_ == kMessages) send(ledger);
}

void Segmenter::send(flow::Ledger& ledger) noexcept {
    size_t done = 0;
    for (bool taking = true; taking && done != size_;) {
        const int sent = sendmmsg(socket_, &headers_[done], static_cast<unsigned>(size_ - done), MSG_DONTWAIT);
        if (sent < 0) {
            const Message& message = messages_[done];
            if (errno == EINTR) continue;
            if (refused(errno) && message.train->packets.size() > 1) {
                send_singly(message, ledger);
                done++;
            } else if (errno == ENOBUFS) {  // this one is lost, the next may not be
                account(message, message.train->packets, Drop::tx_full, ledger);
                done++;
            } else {
                taking = false;
            }
            continue;
        }
        for (const size_t end = done + static_cast<size_t>(sent); done != end; done++) {
            counters_.trains.add(messages_[done].train->packets.size() > 1);
            account(messages_[done], messages_[done].train->packets, kSent, ledger);
        }
    }
    for (; done != size_; done++) account(messages_[done], messages_[done].train->packets, Drop::tx_full, ledger);
    size_ = 0;
}

// From now on the port's queues are taken: the kernel is older than 6.2, or the device has a reason of its own.
void Segmenter::send_singly(const Message& message, flow::Ledger& ledger) noexcept {
    from_legs_ = kNever;
    counters_.refused.add();
    for (Held* const& packet : message.train->packets) {
        struct {
            VirtioHeader segments;
            std::array<std::byte, flow::kMaxHeader> bytes;
        } header;
        flow::write_header(header.bytes.data(), *message.leg, packet->in, packet->sum);
        std::array<iovec, 2> parts{{{&header, sizeof(VirtioHeader) + message.leg->header_size},
                                    {rte_pktmbuf_mtod(packet->m, void*), packet->in.payload_size}}};
        msghdr one{};
        one.msg_iov = parts.data();
        one.msg_iovlen = parts.size();
        account(message, {&packet, 1}, sendmsg(socket_, &one, MSG_DONTWAIT) < 0 ? Drop::tx_full : kSent, ledger);
    }
}

void Segmenter::account(const Message& message, std::span<Held* const> packets, Drop why,
                        flow::Ledger& ledger) noexcept {
    const Leg& leg = *message.leg;
    const bool all = packets.size() == message.train->packets.size();
    const uint64_t bytes =
        packets.size() * leg.ip_overhead() + (all ? message.train->train.bytes() : packets.front()->in.payload_size);
    if (why == kSent) {
        leg.state->packets.add(packets.size());
        leg.state->bytes.add(bytes);
        counters_.packets.add(packets.size());
        counters_.bytes.add(bytes + packets.size() * leg.l3_offset);
        ledger.sent += packets.size();
    } else {
        leg.state->drop(why).add(static_cast<uint32_t>(packets.size()));
        ledger[why] += packets.size();
    }
    if (tap_ != nullptr) [[unlikely]]
        capture(message, packets, why);
}

}  // namespace penstock::dataplane
