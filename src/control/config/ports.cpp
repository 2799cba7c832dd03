// The ports section: which keys go with which driver, and what two ports must not share.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "control/config/settings.hpp"

namespace penstock::config {
namespace {

constexpr Name<Driver> kDrivers[] = {
    {"pci", Driver::pci}, {"af_xdp", Driver::af_xdp}, {"af_packet", Driver::af_packet}, {"vhost", Driver::vhost},
    {"tap", Driver::tap}, {"pcap", Driver::pcap},     {"ring", Driver::ring},           {"null", Driver::null}};

constexpr std::string_view kAllKeys[] = {"name",   "driver",    "queues",   "interface", "device",
                                         "socket", "read",      "write",    "mode",      "zero_copy",
                                         "twin",   "addresses", "peer_mac", "force",     "segmentation"};
constexpr std::string_view kPciKeys[] = {"name", "driver", "device", "queues", "twin", "addresses", "force"};
constexpr std::string_view kAfXdpKeys[] = {"name", "driver",    "interface",    "queues",
                                           "mode", "zero_copy", "segmentation", "force"};
constexpr std::string_view kAfPacketKeys[] = {"name", "driver", "interface", "queues"};
constexpr std::string_view kVhostKeys[] = {"name", "driver", "socket", "queues", "twin", "addresses", "peer_mac"};
constexpr std::string_view kTapKeys[] = {"name", "driver", "interface", "twin", "addresses", "peer_mac"};
constexpr std::string_view kPcapKeys[] = {"name", "driver", "read", "write", "addresses", "peer_mac"};
constexpr std::string_view kRingKeys[] = {"name", "driver", "queues", "twin", "addresses", "peer_mac"};
constexpr std::string_view kNullKeys[] = {"name", "driver", "queues", "addresses", "peer_mac"};

std::span<const std::string_view> keys_of(Driver driver) {
    switch (driver) {
        case Driver::pci: return kPciKeys;
        case Driver::af_xdp: return kAfXdpKeys;
        case Driver::af_packet: return kAfPacketKeys;
        case Driver::vhost: return kVhostKeys;
        case Driver::tap: return kTapKeys;
        case Driver::pcap: return kPcapKeys;
        case Driver::ring: return kRingKeys;
        case Driver::null: return kNullKeys;
    }
    return kAllKeys;
}

// What the kernel takes for the name of a netdev: IFNAMSIZ - 1 characters, no slash, colon or space.
bool is_netdev_name(std::string_view text) { return is_plain_name(text, 15) && text != "." && text != ".."; }
constexpr std::string_view kNetdevAllowed = "the name of a network interface, 1-15 characters of A-Z a-z 0-9 . _ -";

std::optional<std::string> read_netdev(const Value& value) {
    return value.parsed(kNetdevAllowed, [](std::string_view text) {
        return is_netdev_name(text) ? std::optional{std::string{text}} : std::nullopt;
    });
}

// "0000:3b:02.1", in lower case.
std::optional<std::string> pci_address(std::string_view text) {
    constexpr std::string_view kShape = "xxxx:xx:xx.7";
    // A domain may have up to eight digits (a VMD bridge makes 10000).
    const size_t extra = text.size() > kShape.size() ? std::min<size_t>(text.size() - kShape.size(), 4) : 0;
    const std::string shape = std::string(extra, 'x') + std::string{kShape};
    const auto lower = [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; };
    std::string address{text};
    std::ranges::transform(address, address.begin(), lower);
    const bool fits = std::ranges::equal(address, shape, [](char c, char s) {
        if (s == 'x') return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        return s == '7' ? c >= '0' && c <= '7' : c == s;
    });
    return fits ? std::optional{address} : std::nullopt;
}

std::vector<Prefix> read_addresses(const Value& value) {
    std::vector<Prefix> addresses;
    value.each([&](const Value& entry) {
        const auto prefix = entry.parsed("an address of ours with its network, such as 10.0.0.1/24 or fd00::1/64",
                                         [](std::string_view text) {
                                             auto p = Prefix::parse(text);
                                             if (p && (p->ip.is_multicast() || p->ip.is_unspecified())) p.reset();
                                             return p;
                                         });
        if (!prefix) return;
        if (std::ranges::find(addresses, prefix->ip, &Prefix::ip) != addresses.end())
            entry.problem(fmt::format("{} stands twice", prefix->ip.text()));
        else
            addresses.push_back(*prefix);
    });
    return addresses;
}

std::optional<Mac> read_peer_mac(const Value& value) {
    return value.parsed("a MAC address such as 02:00:00:00:00:01", [](std::string_view text) {
        auto mac = Mac::parse(text);
        if (mac == Mac{}) mac.reset();
        return mac;
    });
}

void read_af_xdp(const Map& map, Port& port) {
    static constexpr Name<XdpMode> kModes[] = {
        {"auto", XdpMode::automatic}, {"native", XdpMode::native}, {"generic", XdpMode::generic}};
    static constexpr Name<ZeroCopy> kZeroCopy[] = {
        {"auto", ZeroCopy::automatic}, {"true", ZeroCopy::on}, {"on", ZeroCopy::on}, {"yes", ZeroCopy::on},
        {"false", ZeroCopy::off},      {"off", ZeroCopy::off}, {"no", ZeroCopy::off}};
    static constexpr Name<Segmentation> kSegmentation[] = {
        {"auto", Segmentation::automatic}, {"true", Segmentation::on},   {"on", Segmentation::on},
        {"yes", Segmentation::on},         {"false", Segmentation::off}, {"off", Segmentation::off},
        {"no", Segmentation::off}};
    port.mode = map["mode"].one_of<XdpMode>(kModes).value_or(port.mode);
    port.zero_copy = map["zero_copy"].one_of<ZeroCopy>(kZeroCopy).value_or(port.zero_copy);
    port.segmentation = map["segmentation"].one_of<Segmentation>(kSegmentation).value_or(port.segmentation);
    if (port.mode == XdpMode::generic && port.zero_copy == ZeroCopy::on)
        map["zero_copy"].problem("generic mode always copies: choose mode native or auto, or zero_copy auto or off");
}

void read_pcap(const Map& map, Port& port) {
    port.read = read_path(map["read"], kLongestPath);
    port.write = read_path(map["write"], kLongestPath);
    if (!map["read"] && !map["write"])
        map.value().problem("'read' or 'write' is missing: a pcap port needs one at least");
    if (!port.read.empty() && port.read == port.write) map["write"].problem("the file that is read must be another");
}

// Of ports that may have a twin. With one the kernel knows the neighbours.
void read_twin(const Map& map, Port& port) {
    if (!map["twin"]) return;
    port.twin = read_netdev(map["twin"]);
    if (const Value value = map["peer_mac"])
        value.problem(value.key_at(), "does not go with a twin: the kernel knows the neighbours then");
}

// pci has a twin whether it is named or not.
void name_pci_twin(const Map& map, Port& port) {
    if (map["twin"] || port.name.empty()) return;
    if (is_netdev_name(port.name))
        port.twin = port.name;
    else
        map["name"].problem(
            fmt::format("the kernel twin cannot be called {}: give `twin`, {}", quoted(port.name), kNetdevAllowed));
}

// What exists once, and where it was claimed first.
class Claims {
public:
    bool claim(const Value& value, std::string_view kind, const std::string& what) {
        if (what.empty()) return true;
        const auto [first, fresh] = taken_.try_emplace(fmt::format("{} {}", kind, what), value.at());
        if (!fresh)
            value.problem(fmt::format("{} {} is taken in line {} already: each port needs its own", kind, quoted(what),
                                      first->second.line));
        return fresh;
    }

private:
    std::map<std::string, Mark> taken_;
};

void claim_all(const Map& map, const Port& port, Claims& claims) {
    const bool fresh = claims.claim(map["name"], "name", port.name);
    claims.claim(map["interface"], "interface", port.interface);
    claims.claim(map["device"], "device", port.device);
    claims.claim(map["socket"], "socket", port.socket);
    claims.claim(map["write"], "file", port.write);
    // A twin is an interface too, and one that is not named bears the name of the port.
    const Value twin = map["twin"];
    if (twin || fresh) claims.claim(twin ? twin : map["name"], "interface", port.twin.value_or(""));
}

Port read_port(const Value& value, Claims& claims) {
    Port port;
    const Map map{value, kAllKeys};
    const Value name = map.required("name");
    port.name = read_name(name).value_or("");
    port.at = name ? name.at() : value.at();
    port.queues = map["queues"].number<unsigned>(1, 64).value_or(port.queues);
    const auto driver = map.required("driver").one_of<Driver>(kDrivers);
    if (!driver) {
        claims.claim(name, "name", port.name);
        return port;
    }
    port.driver = *driver;

    const auto keys = keys_of(*driver);
    const auto has = [&](std::string_view key) { return std::ranges::find(keys, key) != keys.end(); };
    const auto driver_name = std::ranges::find(kDrivers, *driver, &Name<Driver>::value)->text;
    map.narrow(kAllKeys, keys, fmt::format("with driver {}", driver_name));
    if (has("interface")) port.interface = read_netdev(map.required("interface")).value_or("");
    if (has("device"))
        port.device = map.required("device").parsed("a PCI address such as 0000:3b:02.1", pci_address).value_or("");
    // sun_path of sockaddr_un holds 108 bytes with the terminating zero.
    if (has("socket")) port.socket = read_path(map.required("socket"), 107);
    if (has("mode")) read_af_xdp(map, port);
    if (has("read")) read_pcap(map, port);
    if (has("addresses")) port.addresses = read_addresses(map["addresses"]);
    if (has("peer_mac")) port.peer_mac = read_peer_mac(map["peer_mac"]);
    if (has("twin")) read_twin(map, port);
    if (*driver == Driver::pci) name_pci_twin(map, port);
    if (has("force")) port.force = map["force"].boolean().value_or(port.force);
    claim_all(map, port, claims);
    return port;
}

}  // namespace

std::vector<Port> read_ports(const Value& value) {
    std::vector<Port> ports;
    Claims claims;
    value.each([&](const Value& entry) { ports.push_back(read_port(entry, claims)); });
    return ports;
}

}  // namespace penstock::config
