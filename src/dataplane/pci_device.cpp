#include "dataplane/pci_device.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace penstock::dataplane {
namespace {

std::filesystem::path place(const std::string& device) { return "/sys/bus/pci/devices/" + device; }

}  // namespace

std::string bound_to(const std::string& device) {
    std::error_code none;
    return std::filesystem::read_symlink(place(device) / "driver", none).filename();
}

std::string kind_of(const std::string& device) {
    const auto number = [&](const char* file) {  // "0x8086"
        std::string text;
        std::ifstream{place(device) / file} >> text;
        return text.starts_with("0x") ? text.substr(2) : text;
    };
    return number("vendor") + ":" + number("device") + (is_virtual_function(device) ? ", virtual function" : "");
}

bool is_virtual_function(const std::string& device) {
    std::error_code none;
    return std::filesystem::exists(place(device) / "physfn", none);
}

}  // namespace penstock::dataplane
