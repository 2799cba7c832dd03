#pragma once
// What a killed process leaves in the file system.
#include <string>

namespace penstock::dataplane {

// Removes a UNIX socket that nobody serves any more: vhost's driver does not start while one is there. Anything else
// stays.
void remove_stale_socket(const std::string& path);

}  // namespace penstock::dataplane
