#include "dataplane/xdp/libbpf_words.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <xdp/libxdp.h>

#include <cstdarg>
#include <cstdio>
#include <string_view>
#include <system_error>

namespace penstock::dataplane {
namespace {

// The reason of a failure (the verifier's log, the netlink answer) comes only through libbpf's print callback. There is
// one for the whole process, and libxdp inside the DPDK driver speaks through it too; it is called on the thread that
// failed, so a text per thread keeps threads apart.
thread_local std::string said;

int remember(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN) return 0;
    va_list again;
    va_copy(again, arguments);
    const int size = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (size <= 0) return 0;
    std::string text(static_cast<size_t>(size), '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, arguments);
    said += text;
    constexpr size_t kKept = 2048;  // a verifier's log tells the reason at its end
    if (said.size() > kKept) said.erase(0, said.size() - kKept);
    return size;
}

}  // namespace

void listen_to_libbpf() {
    libbpf_set_print(remember);
    // libxdp has a printer of its own, and says at each queue that it will not detach our program: we do.
    libxdp_set_print([](libxdp_print_level, const char*, va_list) { return 0; });
}
void forget_libbpf_words() { said.clear(); }
const std::string& libbpf_words() noexcept { return said; }

std::string kernel_reason(int error) {
    constexpr std::string_view kKernel = "Kernel error message: ";
    const std::string meaning = std::generic_category().message(error);
    const size_t at = said.rfind(kKernel);
    if (at == std::string::npos) return meaning;
    const size_t from = at + kKernel.size();
    return fmt::format("{} ({})", said.substr(from, said.find('\n', from) - from), meaning);
}

}  // namespace penstock::dataplane
