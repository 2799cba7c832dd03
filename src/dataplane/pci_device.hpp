#pragma once
// What sysfs tells of a PCI device.
#include <string>

namespace penstock::dataplane {

std::string bound_to(const std::string& device);  // the kernel's driver, such as "vfio-pci"; empty: none, or no device
std::string kind_of(
    const std::string& device);  // "8086:154c, virtual function": vendor and device, as lspci -n has them
bool is_virtual_function(const std::string& device);

}  // namespace penstock::dataplane
