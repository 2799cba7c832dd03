#pragma once
// What libbpf and the kernel said about the last failure, for the texts of errors: nothing of it goes to stderr.
#include <string>

namespace penstock::dataplane {

void listen_to_libbpf();                     // for the whole process, from now on
void forget_libbpf_words();                  // before a call that may fail
const std::string& libbpf_words() noexcept;  // all since then, on this thread
// "Peer MTU is too large to set XDP (Numerical result out of range)": the driver's own words when it had some.
std::string kernel_reason(int error);

}  // namespace penstock::dataplane
