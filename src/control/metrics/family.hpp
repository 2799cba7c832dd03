#pragma once
// One metric family in the Prometheus text format (version 0.0.4): HELP and TYPE once, then its samples, which must
// stand together. Families are filled side by side in one walk over the model and joined at the end, and a sample is
// appended piece by piece: a scrape of 10,000 legs is 60,000 lines and more, written on the control thread.
#include <charconv>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

namespace penstock::metrics {

class Family {
public:
    Family(std::string_view name, std::string_view type, std::string_view help) : name_("penstock_") {
        name_ += name;
        text_.append("# HELP ").append(name_).append(" ").append(help);
        text_.append("\n# TYPE ").append(name_).append(" ").append(type).append("\n");
    }

    // `labels`: a="b",c="d"; values escaped. `more` comes right behind.
    void sample(std::string_view labels, std::integral auto value, std::string_view more = {}) {
        line({}, labels, more, static_cast<uint64_t>(value));
    }
    void sample(std::string_view labels, double value, std::string_view more = {}) { line({}, labels, more, value); }
    // _bucket, _sum and _count of a histogram.
    void suffixed(std::string_view suffix, std::string_view labels, std::integral auto value,
                  std::string_view more = {}) {
        line(suffix, labels, more, static_cast<uint64_t>(value));
    }
    void suffixed(std::string_view suffix, std::string_view labels, double value) { line(suffix, labels, {}, value); }

    const std::string& text() const noexcept { return text_; }

private:
    template <class Value>
    void line(std::string_view suffix, std::string_view labels, std::string_view more, Value value) {
        char digits[32];
        const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
        text_.append(name_).append(suffix).append("{").append(labels).append(more).append("} ");
        text_.append(digits, static_cast<size_t>(end - digits)).append("\n");
    }

    std::string name_;
    std::string text_;
};

}  // namespace penstock::metrics
