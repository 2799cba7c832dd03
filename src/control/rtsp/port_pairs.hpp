#pragma once
// The even/odd pairs of UDP ports that sessions are given (RFC 3550 section 11).
#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::rtsp {

class PortPairs {
public:
    // `begin` is any number: which pair is the first to be taken.
    PortPairs(uint16_t first, uint16_t last, uint64_t begin = 0)
        : first_(static_cast<uint32_t>(first) + first % 2),
          used_(last > first_ ? (static_cast<size_t>(last) - first_ + 1) / 2 : 0),
          next_(used_.empty() ? 0 : begin % used_.size()) {}

    // The even port of a pair that is free and that `usable` agrees to. Pairs go round, so that the last packets for
    // who had one do not meet who gets it next; and they begin anywhere, since a camera goes on for a minute to send to
    // who had one before penstock was killed.
    template <class Usable>
    std::optional<uint16_t> take(Usable usable) {
        for (size_t i = 0; i < used_.size(); i++) {
            const size_t pair = (next_ + i) % used_.size();
            const auto port = static_cast<uint16_t>(first_ + 2 * pair);
            if (used_[pair] || !usable(port)) continue;
            used_[pair] = true;
            taken_++;
            next_ = pair + 1;
            return port;
        }
        return std::nullopt;
    }
    void give_back(uint16_t port) {
        used_[(port - first_) / 2] = false;
        taken_--;
    }
    size_t taken() const noexcept { return taken_; }
    size_t size() const noexcept { return used_.size(); }

private:
    uint32_t first_;
    std::vector<bool> used_;
    size_t next_, taken_ = 0;
};

}  // namespace penstock::rtsp
