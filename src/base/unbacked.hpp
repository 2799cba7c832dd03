#pragma once
// Memory that costs nothing but addresses until it is written to: a mapping of its own, since the heap lies on huge
// pages, of which what others write to backs their neighbours, too.
#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace penstock {

class Unbacked {
public:
    explicit Unbacked(size_t size) : size_(size) {
        void* const memory =
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        memory_ = static_cast<std::byte*>(memory);
        madvise(memory, size, MADV_NOHUGEPAGE);
    }
    ~Unbacked() { munmap(memory_, size_); }
    Unbacked(const Unbacked&) = delete;
    Unbacked& operator=(const Unbacked&) = delete;

    std::byte* at(size_t offset) noexcept { return memory_ + offset; }

private:
    size_t size_;
    std::byte* memory_;
};

}  // namespace penstock
