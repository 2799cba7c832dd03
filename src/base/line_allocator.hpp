#pragma once
// Memory that begins with a cache line, for types that do not ask for it: std::allocate_shared puts its counts first,
// in 16 bytes, so that what is 48 bytes into the type begins the next line, and nothing is padded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace penstock {

inline constexpr size_t kCacheLine = 64;
inline constexpr size_t up_to_line(size_t bytes) noexcept { return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

// operator new would fill up the last line, too.
inline void* allocate_lined(size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kCacheLine, bytes) != 0) throw std::bad_alloc();
    return memory;
}

template <class T>
struct LineAllocator {
    using value_type = T;

    LineAllocator() noexcept = default;
    template <class U>
    LineAllocator(const LineAllocator<U>&) noexcept {}
    T* allocate(size_t n) { return static_cast<T*>(allocate_lined(n * sizeof(T))); }
    void deallocate(T* p, size_t) noexcept { std::free(p); }
    bool operator==(const LineAllocator&) const noexcept { return true; }
};

// The same with more lines behind the object, for what belongs to it but has no fixed number.
template <class T>
struct LineAllocatorWithMore {
    using value_type = T;

    explicit LineAllocatorWithMore(size_t lines_behind) noexcept : lines(lines_behind) {}
    template <class U>
    LineAllocatorWithMore(const LineAllocatorWithMore<U>& other) noexcept : lines(other.lines) {}
    T* allocate(size_t n) { return static_cast<T*>(allocate_lined(up_to_line(n * sizeof(T)) + lines * kCacheLine)); }
    void deallocate(T* p, size_t) noexcept { std::free(p); }
    bool operator==(const LineAllocatorWithMore&) const noexcept { return true; }

    size_t lines;
};

// Of an object that was made so.
template <class T>
std::byte* lines_behind(T& object) noexcept {
    return reinterpret_cast<std::byte*>(up_to_line(reinterpret_cast<uintptr_t>(&object + 1)));
}

}  // namespace penstock
