#pragma once
// What befell a thread that has a core for itself, as the kernel counts it: so that a delay can be told apart into what
// other programs, the kernel, and we did.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>

namespace penstock::bench {

struct Weather {
    uint64_t faults = 0;      // pages that the thread touched and were not there
    uint64_t switches = 0;    // to another thread, against its will
    uint64_t waited_ns = 0;   // for the core, while another thread had it
    uint64_t shootdowns = 0;  // interrupts of the core: pages that somebody else of the process gave back
    uint64_t others = 0;      // other interrupts of the core, its timer's apart

    // Until now; of the calling thread, and the core that it is on. Takes some hundred microseconds.
    static Weather now(unsigned core) {
        Weather seen;
        rusage usage{};
        getrusage(RUSAGE_THREAD, &usage);
        seen.faults = static_cast<uint64_t>(usage.ru_minflt + usage.ru_majflt);
        seen.switches = static_cast<uint64_t>(usage.ru_nivcsw);
        std::istringstream schedule(text("/proc/thread-self/schedstat"));  // ns on a core, ns waiting for one, times
        uint64_t ran = 0;
        schedule >> ran >> seen.waited_ns;
        std::istringstream interrupts(text("/proc/interrupts"));
        std::string line, word;
        std::getline(interrupts, line);
        size_t column = 0;  // of the core, and as many as there are
        const std::string name = fmt::format("CPU{}", core);
        for (std::istringstream heads(line); heads >> word && word != name;) column++;
        while (std::getline(interrupts, line)) {
            std::istringstream words(line);
            std::string what;
            words >> what;
            uint64_t count = 0;
            for (size_t i = 0; i <= column && words; i++)
                if (!(words >> count)) count = 0;
            if (what == "TLB:")
                seen.shootdowns += count;
            else if (what != "LOC:")
                seen.others += count;
        }
        return seen;
    }
    Weather operator-(const Weather& before) const { return with(before, std::minus<>()); }
    Weather& operator+=(const Weather& more) { return *this = with(more, std::plus<>()); }

private:
    template <class Op>
    Weather with(const Weather& b, Op op) const {
        return {op(faults, b.faults), op(switches, b.switches), op(waited_ns, b.waited_ns),
                op(shootdowns, b.shootdowns), op(others, b.others)};
    }
    static std::string text(const char* path) {
        std::string all;
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return all;
        std::array<char, 16384> part;
        for (ssize_t n = 0; (n = read(fd, part.data(), part.size())) > 0;)
            all.append(part.data(), static_cast<size_t>(n));
        close(fd);
        return all;
    }
};

}  // namespace penstock::bench
