#include "dataplane/pci_device.hpp"

#include <filesystem>
#include <system_error>

namespace penstock::dataplane {
namespace {

std::filesystem::path place(const std::string& device) { return "/sys/bus/pci/devices/" + device; }

}  // namespace

std::string bound_to(const std::string& device) {
    std::error_code none;
    return std::filesystem::read_symlink(place(device) / "driver", none).filename();
}

bool is_virtual_function(const std::string& device) {
    std::error_code none;
    return std::filesystem::exists(place(device) / "physfn", none);
}

}  // namespace penstock::dataplane
