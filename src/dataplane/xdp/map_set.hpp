#pragma once
// A hash map of the XDP program, used as a set, and what it holds: changed by difference, so that what is in before and
// after is never absent for a moment.
#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "base/result.hpp"

namespace penstock::dataplane {

template <size_t N>
class MapSet {
public:
    using Key = std::array<std::byte, N>;  // as the map compares them: byte by byte

    MapSet(int map, size_t capacity, std::string_view what) : map_(map), capacity_(capacity), what_(what) {}

    // Makes it hold exactly these; refused as a whole when they are too many.
    Result<void> replace(std::span<const Key> keys) {
        const std::unordered_set<Key, Hash> wanted(keys.begin(), keys.end());
        if (wanted.size() > capacity_)
            return fail(fmt::format("{} {} cannot be steered: {} is the most on one interface", wanted.size(), what_,
                                    capacity_));
        std::vector<Key> gone;
        for (const Key& key : held_)
            if (!wanted.contains(key)) gone.push_back(key);
        refused_.clear();
        remove(gone);
        return add(keys);
    }

    Result<void> add(std::span<const Key> keys) {
        const uint8_t present = 1;
        int error = 0;
        size_t left_out = 0;
        for (const Key& key : keys) {
            if (held_.contains(key)) continue;
            const int failed =
                held_.size() == capacity_ ? E2BIG : -bpf_map_update_elem(map_, key.data(), &present, BPF_ANY);
            if (failed == 0) {
                held_.insert(key);
                refused_.erase(key);
                continue;
            }
            error = failed;
            left_out++;
            refused_.insert(key);
        }
        if (error == 0) return {};
        if (error == E2BIG)
            return fail(
                fmt::format("{} {} are not steered: {} is the most on one interface", left_out, what_, capacity_));
        return fail(fmt::format("{} {} are not steered: {}", left_out, what_, std::generic_category().message(error)));
    }

    void remove(std::span<const Key> keys) {
        for (const Key& key : keys) {
            refused_.erase(key);
            if (held_.erase(key) != 0) bpf_map_delete_elem(map_, key.data());  // could fail only by not being there
        }
        if (refused_.empty()) return;
        const std::vector<Key> again(refused_.begin(),
                                     refused_.end());  // there may be room now; that there is not, was told
        static_cast<void>(add(std::span{again}.first(std::min(again.size(), capacity_ - held_.size()))));
    }

private:
    struct Hash {
        size_t operator()(const Key& key) const noexcept {
            return std::hash<std::string_view>{}({reinterpret_cast<const char*>(key.data()), N});
        }
    };

    int map_;
    size_t capacity_;
    std::string_view what_;
    std::unordered_set<Key, Hash> held_, refused_;
};

}  // namespace penstock::dataplane
