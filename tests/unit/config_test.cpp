// The configuration: settings and ports, right and wrong, and what is no YAML.
#include <fmt/format.h>

#include "config_cases.hpp"

using namespace penstock;
using namespace penstock::config;

TEST_CASE("an empty file means the defaults of the contract") {
    for (const char* yaml : {"", "# nothing\n", "---\n", "log:\nworkers:\nports:\nstreams: []\n"}) {
        const Config c = right(yaml);
        CHECK(c.node == "host");
        CHECK(c.log.level == Level::info);
        CHECK(c.log.format == LogFormat::text);
        CHECK_FALSE(c.workers.cores.has_value());
        CHECK(c.workers.idle == Idle::sleep);
        CHECK(c.memory.hugepages == Hugepages::automatic);
        CHECK_FALSE(c.memory.mbufs);
        CHECK(packet_buffers(c) == 32768);
        CHECK(c.control.socket == "/run/penstock/cli.sock");
        CHECK(c.metrics.listen == Endpoint::parse("127.0.0.1:9464"));
        CHECK(c.media.first_port == 20000);
        CHECK(c.media.last_port == 29999);
        CHECK(c.ports.empty());
        CHECK(c.streams.empty());
    }
}

TEST_CASE("every setting is read") {
    const Config c = right(
        "node: edge-1\nlog: { level: \"${LEVEL}\", format: json }\nworkers: { cores: \"2-4,7\", idle: poll }\n"
        "memory: { hugepages: no, mbufs: 4096 }\n"
        "control: { socket: /run/cli }\nmetrics: { listen: off }\nmedia: { ports: 5000-5999 }\n");
    CHECK(c.node == "edge-1");
    CHECK(c.log.level == Level::debug);
    CHECK(c.log.format == LogFormat::json);
    CHECK(c.workers.cores == std::vector<unsigned>{2, 3, 4, 7});
    CHECK(c.workers.idle == Idle::poll);
    CHECK(c.memory.hugepages == Hugepages::off);
    CHECK(c.memory.mbufs == 4096);
    CHECK(c.control.socket == "/run/cli");
    CHECK_FALSE(c.metrics.listen.has_value());
    CHECK(c.media.first_port == 5000);
    CHECK(c.media.last_port == 5999);
    CHECK(right("workers: { cores: [5, 2] }").workers.cores == std::vector<unsigned>{5, 2});
    CHECK(right("workers: { cores: 3 }").workers.cores == std::vector<unsigned>{3});
    CHECK_FALSE(right("workers: { cores: auto }").workers.cores.has_value());
    CHECK(right("memory: { hugepages: on }").memory.hugepages == Hugepages::on);
    CHECK(right("metrics: { listen: \"[::]:80\" }").metrics.listen == Endpoint::parse("[::]:80"));
}

TEST_CASE("ports are read, driver by driver") {
    const Config c = right(R"(ports:
  - { name: a, driver: af_xdp, interface: eth0, queues: 4, mode: native, zero_copy: true, segmentation: off }
  - { name: b, driver: af_packet, interface: eth1 }
  - { name: c, driver: pci, device: "${NIC}" }
  - { name: d, driver: vhost, socket: /run/d.sock, addresses: [10.0.0.1/24, "fd00::1/64"], peer_mac: "02:00:00:00:00:01" }
  - { name: e, driver: tap, interface: tap0, twin: twin0 }
  - { name: f, driver: pcap, read: in.pcap }
  - { name: g, driver: ring, queues: 2 }
  - { name: h, driver: null }
  - { name: i, driver: pci, device: "10000:01:00.0", twin: other, addresses: [10.2.0.1/16], force: yes }
)");
    REQUIRE(c.ports.size() == 9);
    CHECK(c.ports[0].driver == Driver::af_xdp);
    CHECK(c.ports[0].interface == "eth0");
    CHECK(c.ports[0].queues == 4);
    CHECK(c.ports[0].mode == XdpMode::native);
    CHECK(c.ports[0].zero_copy == ZeroCopy::on);
    CHECK(c.ports[0].segmentation == Segmentation::off);
    CHECK(c.ports[1].segmentation == Segmentation::automatic);
    CHECK_FALSE(c.ports[0].force);
    CHECK(c.ports[8].force);
    CHECK(c.ports[0].at.line == 2);
    CHECK(c.ports[1].driver == Driver::af_packet);
    CHECK(c.ports[1].queues == 1);
    CHECK(c.ports[1].mode == XdpMode::automatic);
    CHECK(c.ports[2].device == "0000:3b:02.1");
    CHECK(c.ports[2].twin == "c");
    CHECK(c.ports[8].addresses == std::vector{*Prefix::parse("10.2.0.1/16")});
    CHECK(c.ports[3].socket == "/run/d.sock");
    CHECK(c.ports[3].addresses == std::vector{*Prefix::parse("10.0.0.1/24"), *Prefix::parse("fd00::1/64")});
    CHECK(c.ports[3].peer_mac == Mac::parse("02:00:00:00:00:01"));
    CHECK_FALSE(c.ports[3].twin.has_value());
    CHECK(c.ports[4].interface == "tap0");
    CHECK(c.ports[4].twin == "twin0");
    CHECK(c.ports[5].read == "in.pcap");
    CHECK(c.ports[6].driver == Driver::ring);
    CHECK(c.ports[7].driver == Driver::null);
    CHECK(c.ports[8].device == "10000:01:00.0");
    CHECK(c.ports[8].twin == "other");
}

TEST_CASE("what is no YAML, or too much of it, is one problem") {
    std::string deep = "ports: ";
    for (int i = 0; i < 100000; i++) deep += '[';
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 8; i++) {
        const std::string last = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int j = 0; j < 10; j++) bomb += last + " , ";
        bomb += "]\n";
    }
    expect({{"node: edge\nlog: [1, 2\nports: x\n", {{3, 6, "not YAML"}}},
            {"node: *nowhere\n", {{1, 7, "not YAML"}}},
            {"node: a\n---\nnode: b\n", {{3, 1, "a second document"}}},
            {"node: a\nlog: \x04\nfoo: bar\n", {{2, 6, "byte 0x04 is not allowed: the file must be UTF-8"}}},
            {"streams: &s [*s]\n", {{1, 14, "stands for a value that holds it"}}},
            {std::string((64u << 20) + 1, '#'), {{1, 1, "at most 67108864"}}}});
    for (const auto& [yaml, says] : {std::pair{deep, "nested too deeply"}, {bomb, "more than 8000000 values"}}) {
        const auto config = load(yaml, environment, "host");
        REQUIRE_FALSE(config.has_value());
        CHECK(config.error().size() == 1);
        CHECK(config.error()[0].text.starts_with(says));
    }
}

TEST_CASE("wrong kinds of values are problems everywhere, never more") {
    expect({{"- node\n", {{1, 1, "must be a map, but is a list"}}},
            {"hello\n", {{1, 1, "must be a map, but is a single value"}}},
            {"log: debug\n", {{1, 6, "log: must be a map, but is a single value"}}},
            {"node: [a]\n", {{1, 7, "node: must be a single value, but is a list"}}},
            {"node:\n", {{1, 1, "node: has no value"}}},
            {"node: ~\n", {{1, 7, "node: has no value"}}},
            {"log: { level: {} }\n", {{1, 15, "log.level: must be a single value, but is a map"}}},
            {"[a, b]: c\n", {{1, 1, "a key must be a word"}}},
            {"ports: { name: x }\n", {{1, 8, "ports: must be a list, but is a map"}}},
            {"ports: [x]\n", {{1, 9, "ports[0]: must be a map, but is a single value"}}},
            {"ports:\n  - \n", {{2, 3, "ports[0]: 'driver' is missing"}, {2, 3, "ports[0]: 'name' is missing"}}},
            {"ports: [{ name: a, driver: }]\n", {{1, 20, "ports[0].driver: has no value"}}},
            {"ports: [{ name: a, driver: ring, addresses: 10.0.0.1/24 }]\n", {{1, 45, "must be a list"}}},
            {"workers: { cores: { a: b } }\n", {{1, 19, "workers.cores: must be a single value"}}},
            {"workers: { cores: [[1]] }\n", {{1, 20, "workers.cores[0]: must be a single value"}}},
            {"streams: [{ name: s, tracks: x }]\nports: [{ name: p, driver: ring }]\n", {{1, 30, "must be a list"}}}});
}

TEST_CASE("unknown keys name what is allowed, and what was probably meant") {
    expect(
        {{"sip: {}\n",
          {{1, 1,
            "unknown key 'sip'. Allowed: node, log, workers, memory, control, metrics, media, rtsp, ports, streams"}}},
         {"log: { levle: info }\n", {{1, 8, "log: unknown key 'levle': did you mean 'level'? Allowed: level, format"}}},
         {"ports: [{ name: a, driver: af_xdp, interface: x, intreface: y }]\n",
          {{1, 50, "ports[0]: unknown key 'intreface': did you mean 'interface'? Allowed: name"}}},
         {"node: a\nlog: {}\nnode: b\n", {{3, 1, "key 'node' stands twice: first in line 1"}}},
         {"Foo: { deeply: [nested, { unknown: x }] }\n", {{1, 1, "unknown key 'Foo'"}}}});
}

TEST_CASE("wrong values say what is allowed") {
    expect(
        {{"node: a b\n", {{1, 7, "node: 'a b' is not allowed: 1-253 characters"}}},
         {"node: \"a\\nb\"\n", {{1, 7, "node: 'a\\x0ab' is not allowed"}}},
         {"log: { level: loud }\n", {{1, 15, "log.level: 'loud' is not allowed: one of debug, info, warning, error"}}},
         {"log: { format: xml }\n", {{1, 16, "one of text, json"}}},
         {"workers: { idle: spin }\n", {{1, 18, "workers.idle: 'spin' is not allowed: one of poll, sleep"}}},
         {"workers: { cores: [] }\n", {{1, 19, "an empty list: name a core"}}},
         {"workers: { cores: [1, 2-x] }\n", {{1, 23, "workers.cores[1]: '2-x' is not allowed: core numbers"}}},
         {"workers: { cores: \"5-2\" }\n", {{1, 19, "'5-2' is not allowed"}}},
         {"workers: { cores: 1024 }\n", {{1, 19, "'1024' is not allowed"}}},
         {"workers: { cores: \"1-3,2\" }\n", {{1, 19, "core 2 is named twice"}}},
         {"memory: { hugepages: maybe }\n", {{1, 22, "one of auto, true"}}},
         {"memory: { mbufs: 32k }\n", {{1, 18, "memory.mbufs: '32k' is not allowed: a number from 1024 to 16777216"}}},
         {"memory: { mbufs: 04096 }\n", {{1, 18, "is not allowed"}}},
         {"memory: { mbufs: 99999999999999999999 }\n", {{1, 18, "is not allowed"}}},
         {"metrics: { listen: 9464 }\n", {{1, 20, "metrics.listen: '9464' is not allowed: ADDRESS:PORT"}}},
         {"media: { ports: 30000-20000 }\n", {{1, 17, "media.ports: '30000-20000' is not allowed: FIRST-LAST"}}},
         {"media: { ports: 0-9 }\n", {{1, 17, "FIRST-LAST"}}},
         {"media: { ports: 7-7 }\n", {{1, 17, "two ports at least"}}},
         {"media: { ports: 1-65536 }\n", {{1, 17, "FIRST-LAST"}}}});
}

TEST_CASE("the environment") {
    expect({{"node: ${NOWHERE}\n", {{1, 7, "node: ${NOWHERE} is not set"}}},
            {"node: a${EMPTY}b${NOWHERE}\n", {{1, 7, "${NOWHERE} is not set"}}},
            {"node: ${NIC\n", {{1, 7, "'${NIC' is not allowed: ${NAME}"}}},
            {"node: ${1A}\n", {{1, 7, "is not allowed: ${NAME}"}}},
            {"node: ${EMPTY}\n", {{1, 7, "'' is not allowed"}}},
            {"node: " + std::string(4097, 'a') + "\n", {{1, 7, "too long"}}},
            {"node: '" + std::string(80, '!') + "'\n", {{1, 7, "'" + std::string(60, '!') + "...' is not allowed"}}}});
    CHECK(right("node: a${EMPTY}-${LEVEL}").node == "a-debug");
    CHECK(load("node: ${LEVEL}", nullptr, "host").error().at(0).at.column == 7);
}

TEST_CASE("ports: each driver has its keys") {
    const std::string start = "ports: [{ name: a, driver: ";  // 27 characters
    expect(
        {{start + "dpdk }]", {{1, 28, "one of pci, af_xdp, af_packet, vhost, tap, pcap, ring, null"}}},
         {start + "af_xdp }]", {{1, 9, "ports[0]: 'interface' is missing"}}},
         {start + "pci }]", {{1, 9, "'device' is missing"}}},
         {start + "vhost }]", {{1, 9, "'socket' is missing"}}},
         {start + "pcap }]", {{1, 9, "'read' or 'write' is missing"}}},
         {start + "pcap, read: a, write: a }]", {{1, 50, "must be another"}}},
         {start + "tap, interface: t, queues: 2 }]",
          {{1, 47,
            "key 'queues' does not go with driver tap. Allowed: name, driver, interface, twin, addresses, peer_mac"}}},
         {start + "af_packet, interface: x, mode: native }]", {{1, 53, "does not go with driver af_packet"}}},
         {start + "af_packet, interface: x, force: true }]", {{1, 53, "does not go with driver af_packet"}}},
         {start + "null, twin: x }]", {{1, 34, "'twin' does not go with driver null"}}},
         {start + "af_xdp, interface: sixteen-letters- }]",
          {{1, 47, "ports[0].interface: 'sixteen-letters-' is not allowed"}}},
         {start + "af_xdp, interface: a/b }]", {{1, 47, "is not allowed"}}},
         {start + "af_xdp, interface: .. }]", {{1, 47, "is not allowed"}}},
         {start + "af_xdp, interface: x, mode: generic, zero_copy: on }]", {{1, 76, "generic mode always copies"}}},
         {start + "af_xdp, interface: x, segmentation: maybe }]",
          {{1, 64, "ports[0].segmentation: 'maybe' is not allowed"}}},
         {start + "null, segmentation: on }]", {{1, 34, "'segmentation' does not go with driver null"}}},
         {start + "ring, queues: 65 }]", {{1, 42, "a number from 1 to 64"}}},
         {start + "pci, device: 3b:02.1 }]", {{1, 41, "a PCI address such as 0000:3b:02.1"}}},
         {start + "pci, device: 0000:3b:02.8 }]", {{1, 41, "a PCI address"}}},
         {start + "vhost, socket: " + std::string(108, 's') + " }]", {{1, 43, "a path of 1-107 characters"}}},
         {start + "ring, twin: t, addresses: [10.0.0.1/24], peer_mac: 02:00:00:00:00:01 }]",
          {{1, 69, "ports[0].peer_mac: does not go with a twin"}}},
         {start + "pci, device: \"${NIC}\", addresses: [10.0.0.1] }]",
          {{1, 63, "ports[0].addresses[0]: '10.0.0.1' is not allowed"}}},
         {start + "ring, addresses: [10.0.0.1] }]", {{1, 46, "ports[0].addresses[0]: '10.0.0.1' is not allowed"}}},
         {start + "ring, addresses: [224.0.0.1/4] }]", {{1, 46, "is not allowed"}}},
         {start + "ring, addresses: [10.0.0.1/8, 10.0.0.1/24] }]", {{1, 58, "10.0.0.1 stands twice"}}},
         {start + "ring, peer_mac: 02-00 }]", {{1, 44, "a MAC address such as"}}},
         {"ports: [{ name: \"a b\", driver: ring }]",
          {{1, 17, "ports[0].name: 'a b' is not allowed: 1-64 characters"}}},
         {"ports: [{ name: sixteen-letters-, driver: pci, device: \"${NIC}\" }]",
          {{1, 17, "the kernel twin cannot be called 'sixteen-letters-': give `twin`"}}}});
}

TEST_CASE("ports share nothing") {
    const auto two = [](const std::string& a, const std::string& b) {
        return "ports:\n - { " + a + " }\n - { " + b + " }\n";
    };
    expect({{two("name: a, driver: ring", "name: a, driver: null"), {{3, 12, "name 'a' is taken in line 2 already"}}},
            {two("name: a, driver: af_xdp, interface: x", "name: b, driver: af_packet, interface: x"),
             {{3, 45, "ports[1].interface: interface 'x' is taken in line 2 already: each port needs its own"}}},
            {two("name: a, driver: pci, device: \"${NIC}\"", "name: b, driver: pci, device: 0000:3b:02.1"),
             {{3, 36, "device '0000:3b:02.1' is taken in line 2"}}},
            {two("name: a, driver: vhost, socket: s", "name: b, driver: vhost, socket: s"), {{3, 38, "socket 's'"}}},
            {two("name: a, driver: pcap, write: f", "name: b, driver: pcap, write: f"), {{3, 36, "file 'f'"}}},
            {two("name: a, driver: tap, interface: b", "name: b, driver: pci, device: \"${NIC}\""),
             {{3, 12, "interface 'b'"}}},
            {two("name: a, driver: tap, interface: t, twin: t", "name: b, driver: null"), {{2, 48, "interface 't'"}}}});
    CHECK(right(two("name: a, driver: pcap, read: f", "name: b, driver: pcap, read: f")).ports.size() == 2);
}

TEST_CASE("all problems at once, in the order of the file") {
    const std::string yaml =
        "streams: [{ name: s, tracks: [] }]\nports:\n  - { name: a, driver: x }\nlog:\n  level: y\nfoo: 1\n";
    expect(yaml, {{1, 30, "one track"}, {3, 24, "driver"}, {5, 10, "level"}, {6, 1, "foo"}});
}

TEST_CASE("the rtsp section") {
    const Rtsp none = right("").rtsp;
    CHECK(none.listen.empty());
    CHECK(none.session_timeout == std::chrono::seconds(60));
    const Rtsp all = right(
                         "rtsp:\n"
                         "  listen: [\":554\", \"10.0.0.1:8554\", \"[fd00::1]:554\"]\n"
                         "  session_timeout: 2m\n"
                         "  per_address: { connections: 1, sessions: 2, requests: 3, streams: 4, failures: 5 }\n"
                         "  publish: { takeover: true }\n")
                         .rtsp;
    CHECK(all.listen ==
          std::vector{Endpoint{Ip{}, 554}, *Endpoint::parse("10.0.0.1:8554"), *Endpoint::parse("[fd00::1]:554")});
    CHECK(all.session_timeout == std::chrono::seconds(120));
    CHECK(all.connections_per_address == 1);
    CHECK(all.sessions_per_address == 2);
    CHECK(all.requests_per_address == 3);
    CHECK(all.streams_per_address == 4);
    CHECK(all.failures_per_address == 5);
    CHECK(all.publish == Publish{true});
    CHECK_FALSE(none.publish);  // nobody may
    CHECK(right("rtsp: { publish: {} }\n").rtsp.publish == Publish{false});
    CHECK_FALSE(none.multicast);
    const std::string two =
        "ports: [{ name: lan, driver: \"null\" }, { name: wan, driver: \"null\" }]\nrtsp: { multicast: ";
    CHECK(right(two + "{ groups: 239.10.0.0/24, ttl: 3, port: wan } }\n").rtsp.multicast ==
          Multicast{*Prefix::parse("239.10.0.0/24"), 3, "wan"});
    CHECK(right("rtsp: { multicast: { groups: \"ff15::10:0/112\" } }\n").rtsp.multicast ==
          Multicast{*Prefix::parse("ff15::10:0/112"), 16, std::nullopt});
    expect({{two + "{ groups: 239.10.0.0/24 } }\n", {{2, 30, "needs `port`: one of the ports lan, wan"}}},
            {two + "{ groups: 239.10.0.0/24, port: x } }\n", {{2, 51, "one of the ports lan, wan"}}},
            {"rtsp: { multicast: { ttl: 3 } }\n", {{1, 20, "'groups' is missing"}}},
            {"rtsp: { multicast: { groups: 239.10.0.0/24, ttl: 0 } }\n", {{1, 50, "1 to 255"}}}});
    for (const char* network : {"239.10.0.0", "10.0.0.0/24", "239.0.0.0/15", "224.0.0.8/32", "224.0.0.0/16",
                                "232.7.0.0/16", "ff15::/111", "fd00::/112"})
        expect({{fmt::format("rtsp: {{ multicast: {{ groups: \"{}\" }} }}\n", network),
                 {{1, 30, "a multicast network"}}}});
    CHECK_FALSE(none.on());
    CHECK((all.on() && !all.tls));
    const Rtsp secure = right("rtsp: { tls: { certificate: /c, key: /k } }\n").rtsp;
    CHECK(secure.on());
    CHECK(secure.tls == Tls{{Endpoint{Ip{}, 322}}, "/c", "/k", {}, {}});
    CHECK(right("rtsp: { tls: { listen: [\":7\"], certificate: /c, key: /k } }\n").rtsp.tls->listen ==
          std::vector{Endpoint{Ip{}, 7}});
    expect({{"rtsp: { tls: { key: /k } }\n", {{1, 14, "'certificate' is missing"}}},
            {"rtsp: { tls: { certificate: /c } }\n", {{1, 14, "'key' is missing"}}},
            {"rtsp: { tls: { certificate: \"\", key: /k } }\n", {{1, 29, "a path of 1-4095 characters"}}},
            {"rtsp: { listen: [\":322\"], tls: { listen: [\":322\"], certificate: /c, key: /k } }\n",
             {{1, 43, "stands twice"}}},
            {"rtsp: { listen: \":554\" }\n", {{1, 17, "list"}}},
            {"rtsp: { listen: [\"554\"] }\n", {{1, 18, "is not allowed"}}},
            {"rtsp: { listen: [\":0\"] }\n", {{1, 18, "is not allowed"}}},
            {"rtsp: { listen: [\":554\", \":554\"] }\n", {{1, 26, "stands twice"}}},
            {"rtsp: { session_timeout: 60 }\n", {{1, 26, "a time from 5s to 60m"}}},
            {"rtsp: { session_timeout: 4s }\n", {{1, 26, "a time from 5s to 60m"}}},
            {"rtsp: { session_timeout: 61m }\n", {{1, 26, "a time from 5s to 60m"}}},
            {"rtsp: { late_join: 4 }\n", {{1, 20, "off, or an amount of memory from 64K to 256M"}}},
            {"rtsp: { late_join: 63K }\n", {{1, 20, "off, or an amount"}}},
            {"rtsp: { late_join: 257M }\n", {{1, 20, "off, or an amount"}}},
            {"rtsp: { per_address: { sessions: 0 } }\n", {{1, 34, "1 to 65535"}}},
            {"rtsp: { per_address: { streams: 0 } }\n", {{1, 33, "1 to 65535"}}},
            {"rtsp: { publish: true }\n", {{1, 18, "map"}}},
            {"rtsp: { publish: { takeover: 1 } }\n", {{1, 30, "one of true"}}}});
}
