#include "control/io/kept_neighbours.hpp"

#include "netns/namespaces.hpp"

using namespace penstock;
using namespace penstock::io;
using namespace penstock::test;

namespace {

bool shows(const std::string& address, const std::string& what) {
    return std::system(fmt::format("ip neigh show to {} dev eth1 | grep -q '{}'", address, what).c_str()) == 0;
}

const std::string kWrite = "ip neigh replace {} dev eth1 lladdr 02:00:00:00:00:05 nud {}";
const std::string kSetMac = "ip link set eth1 address 02:00:00:00:00:01";  // what it has already

}  // namespace

TEST_CASE("what an operator wrote down is there after the kernel forgot all neighbours, and nothing else is") {
    if (needs_root()) return;
    const Namespaces namespaces;
    for (const auto& [written, learnt] : {std::pair{"10.0.0.5", "10.0.0.6"}, std::pair{"fd00::5", "fd00::6"}}) {
        INFO(written);
        namespaces.node(fmt::format(fmt::runtime(kWrite), written, "permanent"));
        namespaces.node(fmt::format(fmt::runtime(kWrite), learnt, "stale"));
        {
            const KeptNeighbours kept;
            namespaces.node(kSetMac);
            REQUIRE_FALSE(shows(written, "PERMANENT"));  // or this machine's kernel needs none of it
        }
        CHECK(shows(written, "lladdr 02:00:00:00:00:05 PERMANENT"));
        CHECK_FALSE(shows(learnt, "02:00"));
    }
}

TEST_CASE("what was written down anew meanwhile stays so") {
    if (needs_root()) return;
    const Namespaces namespaces;
    namespaces.node(fmt::format(fmt::runtime(kWrite), "10.0.0.5", "permanent"));
    {
        const KeptNeighbours kept;
        namespaces.node("ip neigh replace 10.0.0.5 dev eth1 lladdr 02:00:00:00:00:77 nud permanent");
    }
    CHECK(shows("10.0.0.5", "lladdr 02:00:00:00:00:77 PERMANENT"));
}

TEST_CASE("an interface that went takes its neighbours along") {
    if (needs_root()) return;
    Namespaces namespaces;
    namespaces.node(fmt::format(fmt::runtime(kWrite), "10.0.0.5", "permanent"));
    {
        const KeptNeighbours kept;
        namespaces.node("ip link del eth1");
        namespaces.add_link();
    }
    CHECK_FALSE(shows("10.0.0.5", "PERMANENT"));
}
