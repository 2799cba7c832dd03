#pragma once
// What sysfs tells of a PCI device.
#include <string>

namespace penstock::dataplane {

std::string bound_to(const std::string& device);  // the kernel's driver, such as "vfio-pci"; empty: none, or no device
bool is_virtual_function(const std::string& device);

}  // namespace penstock::dataplane
