// Facts and a configuration in, findings out.
#include <algorithm>
#include <catch2/catch.hpp>

#include "doctor_cases.hpp"

using namespace penstock;
using namespace penstock::doctor;
using namespace penstock::test;
using Catch::Matchers::Contains;

TEST_CASE("a machine that is ready", "[doctor]") {
    using enum config::Driver;
    const auto driver = GENERATE(pci, af_xdp, af_packet, vhost, tap, pcap, ring, null);
    const Findings findings = judge(with(port(driver)), ready(driver), plan());
    CHECK(not_met(findings) == std::vector<std::string>{});
    CHECK(would_start(findings));
    for (const Finding& f : findings) {
        CHECK_FALSE(f.found.empty());
        CHECK((f.why.empty() && f.mend.empty()));
    }
}

TEST_CASE("each thing that is amiss is found, alone, with what mends it", "[doctor]") {
    for (const Case& c : cases()) {
        INFO(c.what);
        const Findings findings = judged(c);
        CHECK(not_met(findings) == c.expected);
        CHECK(would_start(findings) ==
              std::ranges::none_of(c.expected, [](const std::string& e) { return e.starts_with("missing"); }));
        for (const Finding& f : findings) {
            if (f.status == Status::met) continue;
            CHECK_FALSE((f.found.empty() || f.why.empty() || f.mend.empty()));
            if (std::string{word(f.status)} + " " + f.check == c.expected.back()) CHECK_THAT(f.mend, Contains(c.mend));
        }
    }
}

TEST_CASE("a device with the default route is not to be bound", "[doctor]") {
    Facts facts = ready();
    config::Config config = with(port(config::Driver::pci));
    PciDevice& device = facts.devices["0000:3b:02.1"];
    device.driver = "ice";
    device.netdevs = {"eth1"};
    facts.interfaces["eth1"].routes = {{true, "default via 10.0.0.254"}, {false, "10.0.0.0/24"}};
    const auto uplink = [&] {
        const Findings all = judge(config, facts, plan());
        const auto found = std::ranges::find(all, "uplink", &Finding::check);
        REQUIRE(found != all.end());
        const bool bind =
            std::ranges::any_of(all, [](const Finding& f) { return f.mend.find("--bind") != std::string::npos; });
        return std::pair{*found, bind};
    };
    const auto [refused, told] = uplink();
    CHECK(refused.status == Status::missing);
    CHECK_THAT(refused.found, Contains("'default via 10.0.0.254' by eth1, '10.0.0.0/24' by eth1"));
    CHECK_FALSE(told);  // no command that would cut the branch
    config.ports[0].force = true;
    const auto [forced, told_then] = uplink();
    CHECK(forced.status == Status::degraded);
    CHECK(told_then);
}

TEST_CASE("claims of low ports", "[doctor]") {
    Facts facts = ready(config::Driver::af_packet);
    facts.capabilities = kAll.without({Capability::net_bind_service});
    config::Config config = with(port(config::Driver::af_packet));
    config.streams.push_back({.name = "s", .at = {}, .tracks = {config::Track{}}});
    config.streams[0].tracks[0].sources.push_back(
        {.rtp = *Endpoint::parse("10.0.0.1:600"), .at = {}, .from = {}, .port = {}});
    CHECK(not_met(judge(config, facts, plan())) == std::vector<std::string>{"degraded low ports"});
    facts.first_free_port = 600;
    CHECK(not_met(judge(config, facts, plan())).empty());
}

TEST_CASE("without a configuration nothing is missing", "[doctor]") {
    Facts facts = ready();
    facts.capabilities = {};
    facts.xdp_sockets = false;
    facts.interfaces["eth1"].routes = {{true, "default"}};
    const Findings findings = judge_in_general(facts, plan());
    CHECK(would_start(findings));
    CHECK(std::ranges::count(findings, Status::degraded, &Finding::status) == 4);  // three drivers, BPF
    const auto eth1 = std::ranges::find(findings, "eth1", &Finding::of);
    REQUIRE(eth1 != findings.end());
    CHECK(eth1->found ==
          "driver ice, up, mtu 1500, native XDP yes, zero-copy yes, 1 queues, NUMA node 0, the node's uplink");
}

TEST_CASE("what is kept while it runs", "[doctor]") {
    using enum config::Driver;
    CHECK(to_keep(with(port(af_xdp))).text() == "CAP_NET_ADMIN, CAP_BPF");
    CHECK(to_keep(with(port(af_packet))).text() == "CAP_NET_ADMIN, CAP_NET_BIND_SERVICE");
    CHECK(to_keep(with(port(pci))).text() == "CAP_NET_ADMIN");  // it has a twin
    CHECK(to_keep(with(port(vhost))).empty());
    CHECK(to_reopen(with(port(pci)), false).text() == "CAP_IPC_LOCK");
    CHECK(to_reopen(with(port(pci)), true).text() == "CAP_SYS_ADMIN, CAP_IPC_LOCK, CAP_SYS_RAWIO");
}

TEST_CASE("findings as text and JSON", "[doctor]") {
    const Findings findings{
        {"kernel", "", Status::met, "6.1.0", "", ""},
        {"queues", "lan", Status::missing, "3 are asked for, eth1 has 1",
         "each queue of the port needs one of the interface, and \"one\" is not three, however long the line becomes",
         "ethtool -L eth1 combined 3"}};
    CHECK(as_text(findings, "x.yaml") ==
          "met       kernel      6.1.0\n"
          "missing   queues lan  3 are asked for, eth1 has 1\n"
          "                      why:  each queue of the port needs one of the interface, and \"one\" is not\n"
          "                            three, however long the line becomes\n"
          "                      mend: ethtool -L eth1 combined 3\n"
          "\n`penstock run -c x.yaml` would not start: 1 missing\n");
    CHECK(sentence(findings[1]) ==
          "missing: queues lan: 3 are asked for, eth1 has 1; each queue of the port needs one of the interface, and "
          "\"one\" is not three, however long the line becomes; mend it: ethtool -L eth1 combined 3");
    CHECK(as_json({findings[0]}, "x.yaml") ==
          "{\"verdict\":[{\"configuration\":\"x.yaml\",\"would_start\":true}],\"findings\":[{\"check\":\"kernel\","
          "\"of\":null,"
          "\"status\":\"met\",\"found\":\"6.1.0\",\"why\":null,\"mend\":null}]}\n");
}
