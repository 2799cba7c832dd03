#pragma once
// The machine as it is. Each reader fills in what it knows and leaves the rest as it was; what cannot be read is not
// known. `root` stands before /proc and /sys, for tests.
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"
#include "doctor/facts.hpp"

namespace penstock::doctor {

Facts read_facts(const config::Config& config);
// Whether vfio serves a device of the configuration without an IOMMU.
bool without_iommu(const config::Config& config);

// The parts of it, a file each.
void read_machine(const std::string& root, Facts& facts);  // kernel, memory, cores, limits
void read_device(const std::string& root, const std::string& address, Facts& facts);
void read_interfaces(const config::Config& config, Facts& facts);
void read_interrupts(const std::string& root, const std::string& name, unsigned index, Interface& interface);
void read_bpf(Facts& facts);
void read_paths(const config::Config& config, Facts& facts);    // files, devices and directories of the ports
void read_sockets(const config::Config& config, Facts& facts);  // control.socket, metrics.listen
void read_certificate(const config::Tls& tls, Facts& facts);

// Small notations of the kernel.
std::string first_line(const std::string& path);         // empty: it cannot be read
std::vector<unsigned> core_list(std::string_view text);  // "0-2,5"
// The tables /proc/net/route and /proc/net/ipv6_route: what goes by `interface`.
std::vector<Route> routes_by(std::string_view interface, std::string_view ipv4, std::string_view ipv6);

}  // namespace penstock::doctor
