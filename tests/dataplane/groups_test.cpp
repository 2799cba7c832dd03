// Which multicast a NIC lets in, on drivers that take no list of it: one that can let in all, one that cannot. Those
// that take a list are in tests/sriov.
#include "dataplane/nic_groups.hpp"

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "dataplane/lab.hpp"

using namespace penstock;
using namespace penstock::test;
using Catch::Contains;
using dataplane::NicGroups;

namespace {

// A log that can be read.
class Written {
public:
    Written() : file_(open_memstream(&text_, &size_)) {}
    ~Written() {
        std::fclose(file_);
        std::free(text_);
    }
    Log& log() { return log_; }
    size_t lines() const { return static_cast<size_t>(std::count(text_, text_ + size_, '\n')); }
    std::string text() const { return {text_, size_}; }

private:
    char* text_ = nullptr;
    size_t size_ = 0;
    std::FILE* file_;
    Log log_{Level::info, LogFormat::text, file_};
};

struct Device {
    explicit Device(const char* driver, const char* arguments = "") : name(driver) {
        REQUIRE(rte_eal_hotplug_add("vdev", name, arguments) == 0);
        REQUIRE(rte_eth_dev_get_port_by_name(name, &id) == 0);
    }
    ~Device() { rte_eal_hotplug_remove("vdev", name); }
    const char* name;
    uint16_t id = 0;
};

std::vector<Mac> macs(size_t count) {
    std::vector<Mac> all(count, *Mac::parse("01:00:5e:00:00:00"));
    for (size_t i = 0; i < count; i++) all[i].bytes[5] = std::byte(i);
    return all;
}

}  // namespace

TEST_CASE("a NIC without a list of multicast addresses lets in all", "[groups]") {
    const Lab lab;  // EAL
    const Device device("net_ring_groups");
    NicGroups groups(device.id);
    Written written;
    CHECK(groups.how() == "0 by name");
    groups.follow(macs(2), "wan", written.log());
    CHECK_THAT(groups.how(), Contains("all: the driver takes no list"));
    CHECK(rte_eth_allmulticast_get(device.id) == 1);
    CHECK(written.lines() == 1);
    groups.follow(macs(2), "wan", written.log());
    groups.follow(macs(3), "wan", written.log());
    CHECK(written.lines() == 1);  // it is so still
}

TEST_CASE("multicast that a NIC refuses is said once, and asked for again", "[groups]") {
    const Lab lab;
    const auto socket = "role=server,socket=penstock-groups-" + std::to_string(getpid());  // not a file
    const Device device("net_memif_groups", socket.c_str());
    NicGroups groups(device.id);
    Written written;
    groups.follow(macs(41), "wan", written.log());
    CHECK_THAT(groups.how(), Contains("0 of 41: the driver takes no list"));
    CHECK_THAT(written.text(),
               Contains("port 'wan': the NIC lets in 0 of 41 multicast addresses") && Contains("trust on"));
    CHECK(rte_eth_allmulticast_get(device.id) == 0);
    groups.follow(macs(41), "wan", written.log());
    CHECK(written.lines() == 1);
    groups.follow(macs(42), "wan", written.log());
    CHECK(written.lines() == 2);
}
