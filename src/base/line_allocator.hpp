#pragma once
// Memory that begins with a cache line, for types that do not ask for it: std::allocate_shared puts its counts first, in
// 16 bytes, so that what is 48 bytes into the type begins the next line, and nothing is padded.
#include <cstddef>
#include <new>

namespace penstock {

template <class T>
struct LineAllocator {
    using value_type = T;
    static constexpr std::align_val_t kLine{64};

    LineAllocator() noexcept = default;
    template <class U>
    LineAllocator(const LineAllocator<U>&) noexcept {}
    T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
    void deallocate(T* p, size_t n) noexcept { ::operator delete(p, n * sizeof(T), kLine); }
    bool operator==(const LineAllocator&) const noexcept { return true; }
};

}  // namespace penstock
