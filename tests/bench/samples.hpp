#pragma once
// What was measured for one subject, one number a batch, and how it is told: one JSON object a line.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

namespace penstock::bench {

class Samples {
public:
    void add(double value) { values_.push_back(value); }
    void clear() { values_.clear(); }
    size_t count() const { return values_.size(); }
    double median() {
        if (values_.empty()) return 0;
        const auto middle = values_.begin() + static_cast<std::ptrdiff_t>(values_.size() / 2);
        std::ranges::nth_element(values_, middle);
        return *middle;
    }
    double best() const { return values_.empty() ? 0 : *std::ranges::min_element(values_); }

private:
    std::vector<double> values_;
};

struct Row {
    std::string_view of, subject;  // `of`: the case
    uint32_t size = 0, fanout = 1, flows = 1;
    std::string_view cache = "hot";
};

inline void print(const Row& row, Samples& samples) {
    fmt::print(R"({{"case": "{}", "subject": "{}", "size": {}, "fanout": {}, "flows": {}, "cache": "{}", )"
               R"("cycles_median": {:.1f}, "cycles_best": {:.1f}, "batches": {}}})"
               "\n",
               row.of, row.subject, row.size, row.fanout, row.flows, row.cache, samples.median(), samples.best(),
               samples.count());
    std::fflush(stdout);
}

}  // namespace penstock::bench
