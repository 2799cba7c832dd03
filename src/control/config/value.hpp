#pragma once
// What the readers of settings see of the file: a value that knows its place and its path, and says what is wrong with
// it. Nothing here throws. An absent value answers nothing and says nothing, so that a reader is one line a setting:
//     output.ttl = map["ttl"].number<uint8_t>(1, 255);
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/document.hpp"
#include "control/config/load.hpp"
#include "control/config/words.hpp"

namespace penstock::config {

// All that is wrong with the file, bounded: a large file can be wrong in every line.
class Problems {
public:
    void add(Mark at, std::string text);
    bool empty() const noexcept { return problems_.empty(); }
    std::vector<Problem> sorted() &&;

private:
    std::vector<Problem> problems_;
    size_t left_out_ = 0;
};

// A word of the file and what it means.
template <class T>
struct Name {
    std::string_view text;
    T value;
};

class Value {
public:
    Value(const Node& root, const Environment& environment, Problems& problems);

    explicit operator bool() const noexcept { return node_.content != nullptr; }
    bool is(Kind kind) const noexcept { return *this && node_.content->kind == kind; }
    Mark at() const noexcept { return node_.at; }
    Mark key_at() const noexcept { return key_at_; }  // of a map's value
    std::string path() const;                         // "streams[0].tracks[1].media"
    void problem(Mark at, std::string_view what) const;
    void problem(std::string_view what) const { problem(at(), what); }
    void not_allowed(std::string_view text, std::string_view allowed) const;

    // As written, ${NAME} replaced from the environment.
    std::optional<std::string> text() const;
    // What `parse` makes of the text: an optional that is empty when the text is none of `allowed`.
    template <class Parse>
    auto parsed(std::string_view allowed, Parse parse) const -> decltype(parse(std::string_view{})) {
        const auto words = text();
        if (!words) return std::nullopt;
        auto value = parse(std::string_view{*words});
        if (!value) not_allowed(*words, allowed);
        return value;
    }
    template <std::unsigned_integral T>
    std::optional<T> number(T low, T high) const {
        const auto value = number_between(low, high);
        return value ? std::optional<T>{static_cast<T>(*value)} : std::nullopt;
    }
    template <class T>
    std::optional<T> one_of(std::span<const Name<T>> names) const {
        const auto word = bare_text();
        if (!word) return std::nullopt;
        std::vector<std::string_view> allowed;
        for (const Name<T>& name : names) {
            if (name.text == *word) return name.value;
            allowed.push_back(name.text);
        }
        not_allowed(*word, "one of " + joined(allowed));
        return std::nullopt;
    }
    std::optional<bool> boolean() const;

    // Calls read(Value) for each entry of a list, and returns their number. Nothing at all is an empty list.
    template <class Read>
    size_t each(Read read) const {
        if (!expect(Kind::list)) return 0;
        const auto& items = node_.content->items;
        for (size_t i = 0; i < items.size(); i++) read(Value{*this, items[i], i});
        return items.size();
    }

private:
    friend class Map;
    Value(const Value& list, const Node& node, size_t index);
    Value(const Value& map, std::string_view key);  // absent
    Value(const Value& map, const Node& key, const Node& node);
    // False, and a problem unless the value is absent or null, when it is of another kind.
    bool expect(Kind kind) const;
    std::optional<std::string> bare_text() const;  // text(), and a null that is spelt "null" is that word
    std::optional<uint64_t> number_between(uint64_t low, uint64_t high) const;

    Node node_;
    const Value* up_ = nullptr;  // lives on the stack of the caller
    std::string_view key_;
    size_t index_ = 0;
    Mark key_at_;
    const Environment* environment_;
    Problems* problems_;
};

// The keys and values of a map. Nothing at all is an empty map; another kind is a problem and then an empty map.
class Map {
public:
    explicit Map(Value value);
    Map(Value value, std::span<const std::string_view> keys) : Map(value) { allow(keys, keys); }
    Map(const Map&) = delete;
    Map& operator=(const Map&) = delete;

    // Reports every key that is not among `keys` or stands twice; `some` of them are offered in its place.
    void allow(std::span<const std::string_view> keys, std::span<const std::string_view> some) const;
    // Reports every key of `all` that is not among `some`: known, but out of place `where`.
    void narrow(std::span<const std::string_view> all, std::span<const std::string_view> some,
                std::string_view where) const;
    Value operator[](std::string_view key) const;
    Value required(std::string_view key) const;
    const Value& value() const noexcept { return value_; }

private:
    Value value_;
    std::span<const Node> items_;  // key, value, key, value, ...
};

}  // namespace penstock::config
