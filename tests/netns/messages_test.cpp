// The kernel's netlink messages as bytes: parsed, cut short, and damaged.
#include "control/io/messages.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <memory>
#include <random>
#include <span>

#include "control/io/kernel_view.hpp"
#include "support/packet_builder.hpp"

using namespace penstock;
using namespace penstock::io;
using namespace penstock::test;

namespace {

// A message as the kernel sends it, in a buffer of exactly its size, so that ASan sees any read past its end.
struct Exact {
    explicit Exact(size_t count) : size(count), data(std::make_unique<std::byte[]>(count)) {}
    std::span<std::byte> span() const { return {data.get(), size}; }
    size_t size;
    std::unique_ptr<std::byte[]> data;
};

void parse_all(std::span<const std::byte> bytes, uint16_t& parsed) {
    KernelView view;
    for_each_message(bytes, [&](const nlmsghdr& message) {
        view.apply(message);
        parsed = static_cast<uint16_t>(parsed + (parse_link(message) ? 1 : 0) + (parse_address(message) ? 1 : 0) +
                                       (parse_neighbour(message) ? 1 : 0) + (parse_route(message) ? 1 : 0));
        (void)parse_error(message);
    });
}

std::vector<std::byte> neighbour_message() {
    struct {
        nlmsghdr header;
        ndmsg body;
        nlattr destination_header;
        std::array<std::byte, 4> destination;
        nlattr mac_header;
        std::array<std::byte, 6> mac;
        std::array<std::byte, 2> padding;
    } message{};
    message.header = {
        .nlmsg_len = sizeof message, .nlmsg_type = RTM_NEWNEIGH, .nlmsg_flags = 0, .nlmsg_seq = 0, .nlmsg_pid = 0};
    message.body.ndm_family = AF_INET;
    message.body.ndm_ifindex = 5;
    message.body.ndm_state = NUD_REACHABLE;
    message.destination_header = {.nla_len = 8, .nla_type = NDA_DST};
    std::ranges::copy(ip("10.0.0.2").wire(), message.destination.begin());
    message.mac_header = {.nla_len = 10, .nla_type = NDA_LLADDR};
    message.mac = mac("02:00:00:00:00:02").bytes;
    const auto bytes = std::as_bytes(std::span{&message, 1});
    return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a neighbour message is parsed") {
    const auto bytes = neighbour_message();
    int messages = 0;
    for_each_message(bytes, [&](const nlmsghdr& message) {
        messages++;
        CHECK(parse_neighbour(message) == Neighbour{{5, ip("10.0.0.2")}, NUD_REACHABLE, mac("02:00:00:00:00:02")});
    });
    CHECK(messages == 1);
}

TEST_CASE("messages that are cut short are not read past their end") {
    const auto whole = neighbour_message();
    for (size_t size = 0; size < whole.size(); size++) {
        // Cut with the length left as it was: the message does not fit and is not given.
        Exact cut{size};
        std::copy_n(whole.begin(), size, cut.data.get());
        int messages = 0;
        for_each_message(cut.span(), [&](const nlmsghdr&) { messages++; });
        CHECK(messages == 0);
        // Cut with the length made to fit: what is whole is used, the rest is not.
        if (size < sizeof(nlmsghdr)) continue;
        const auto length = static_cast<uint32_t>(size);
        std::memcpy(cut.data.get(), &length, sizeof length);
        for_each_message(cut.span(), [&](const nlmsghdr& message) {
            messages++;
            const auto parsed = parse_neighbour(message);
            CHECK(parsed.has_value() == (size >= sizeof(nlmsghdr) + sizeof(ndmsg) + 8));
            if (parsed) CHECK(parsed->mac.has_value() == (size >= whole.size() - 2));
        });
        CHECK(messages == 1);
    }
}

TEST_CASE("random and damaged messages do no harm") {
    std::mt19937 random{20240607};
    const auto byte = [&] { return static_cast<std::byte>(random() & 0xff); };
    uint16_t parsed = 0;
    const std::array<uint16_t, 10> types{RTM_NEWLINK,  RTM_DELLINK,  RTM_NEWADDR,  RTM_DELADDR, RTM_NEWNEIGH,
                                         RTM_DELNEIGH, RTM_NEWROUTE, RTM_DELROUTE, NLMSG_ERROR, NLMSG_DONE};
    for (int round = 0; round < 200000; round++) {
        Exact bytes{random() % 160};
        for (std::byte& b : bytes.span()) b = (random() % 4 == 0) ? byte() : static_cast<std::byte>(random() % 12);
        if (bytes.size >= sizeof(nlmsghdr) + 1) {
            nlmsghdr header{};
            std::memcpy(&header, bytes.data.get(), sizeof header);
            header.nlmsg_type = types[random() % types.size()];
            if (random() % 8 != 0) header.nlmsg_len = static_cast<uint32_t>(bytes.size - random() % 2);
            std::memcpy(bytes.data.get(), &header, sizeof header);
            // Often enough a family that is looked at.
            const std::array<std::byte, 3> families{std::byte{AF_UNSPEC}, std::byte{AF_INET}, std::byte{AF_INET6}};
            bytes.data[sizeof header] = families[random() % 3];
        }
        parse_all(bytes.span(), parsed);
    }
    CHECK(parsed > 100);  // some of it was not mere noise
    const auto whole = neighbour_message();
    for (size_t at = 0; at < whole.size(); at++)
        for (unsigned value = 0; value < 256; value++) {
            Exact bytes{whole.size()};
            std::ranges::copy(whole, bytes.data.get());
            bytes.data[at] = static_cast<std::byte>(value);
            parse_all(bytes.span(), parsed);
        }
}
