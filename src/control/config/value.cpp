#include "control/config/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace penstock::config {
namespace {

constexpr size_t kMaxProblems = 1000;
constexpr size_t kMaxText = 4096;  // PATH_MAX: no setting is longer

constexpr std::string_view words_for(Kind kind) {
    switch (kind) {
        case Kind::null: return "nothing";
        case Kind::text: return "a single value";
        case Kind::list: return "a list";
        case Kind::map: return "a map";
    }
    return "";
}

constexpr bool is_name_character(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

bool is_variable_name(std::string_view name) {
    return !name.empty() && is_name_character(name.front(), true) &&
           std::ranges::all_of(name, [](char c) { return is_name_character(c, false); });
}

std::expected<std::string, std::string> expand(std::string_view text, const Environment& environment) {
    std::string out;
    while (true) {
        if (out.size() + text.size() > kMaxText)
            return std::unexpected(fmt::format("the value is too long: at most {} characters are allowed", kMaxText));
        const size_t start = text.find("${");
        out += text.substr(0, start);
        if (start == std::string_view::npos) return out;
        const size_t end = text.find('}', start);
        const std::string_view name = text.substr(start + 2, end == std::string_view::npos ? end : end - start - 2);
        if (end == std::string_view::npos || !is_variable_name(name))
            return std::unexpected(fmt::format("{} is not allowed: ${{NAME}} with a NAME of letters, digits and _",
                                               quoted(text.substr(start))));
        const auto found = environment ? environment(name) : std::nullopt;
        if (!found)
            return std::unexpected(
                fmt::format("${{{}}} is not set: set that environment variable or write the value here", name));
        out += *found;
        text.remove_prefix(end + 1);
    }
}

}  // namespace

void Problems::add(Mark at, std::string text) {
    if (problems_.size() < kMaxProblems)
        problems_.push_back({at, std::move(text)});
    else
        left_out_++;
}

std::vector<Problem> Problems::sorted() && {
    std::ranges::sort(problems_, {}, [](const Problem& p) {
        return std::tuple{p.at.line, p.at.column, std::string_view{p.text}};
    });
    if (left_out_ > 0) problems_.push_back({problems_.back().at, fmt::format("and {} more problems", left_out_)});
    return std::move(problems_);
}

Value::Value(const Node& root, const Environment& environment, Problems& problems)
    : node_(root), key_at_(root.at), environment_(&environment), problems_(&problems) {}

Value::Value(const Value& list, const Node& node, size_t index)
    : node_(node),
      up_(&list),
      index_(index),
      key_at_(node.at),
      environment_(list.environment_),
      problems_(list.problems_) {}

Value::Value(const Value& map, std::string_view key)
    : up_(&map), key_(key), environment_(map.environment_), problems_(map.problems_) {}

Value::Value(const Value& map, const Node& key, const Node& node)
    : node_(node),
      up_(&map),
      key_(key.content->text),
      key_at_(key.at),
      environment_(map.environment_),
      problems_(map.problems_) {}

std::string Value::path() const {
    if (up_ == nullptr) return {};
    const std::string before = up_->path();
    if (key_.empty()) return fmt::format("{}[{}]", before, index_);
    return before.empty() ? std::string{key_} : fmt::format("{}.{}", before, key_);
}

void Value::problem(Mark at, std::string_view what) const {
    const std::string where = path();
    problems_->add(at, where.empty() ? std::string{what} : fmt::format("{}: {}", where, what));
}

void Value::not_allowed(std::string_view text, std::string_view allowed) const {
    problem(fmt::format("{} is not allowed: {}", quoted(text), allowed));
}

bool Value::expect(Kind kind) const {
    if (is(kind)) return true;
    if (*this && !is(Kind::null))
        problem(fmt::format("must be {}, but is {}", words_for(kind), words_for(node_.content->kind)));
    return false;
}

std::optional<std::string> Value::text() const {
    if (is(Kind::null)) problem("has no value");
    if (!expect(Kind::text)) return std::nullopt;
    auto text = expand(node_.content->text, *environment_);
    if (text) return std::move(*text);
    problem(text.error());
    return std::nullopt;
}

std::optional<std::string> Value::bare_text() const {
    if (is(Kind::null) && node_.content->text == "null") return "null";
    return text();
}

std::optional<uint64_t> Value::number_between(uint64_t low, uint64_t high) const {
    return parsed(fmt::format("a number from {} to {}", low, high),
                  [&](std::string_view text) -> std::optional<uint64_t> {
                      const auto value = decimal(text);
                      return value && *value >= low && *value <= high ? value : std::nullopt;
                  });
}

std::optional<bool> Value::boolean() const {
    static constexpr Name<bool> kNames[] = {{"true", true},   {"on", true},   {"yes", true},
                                            {"false", false}, {"off", false}, {"no", false}};
    return one_of<bool>(kNames);
}

Map::Map(Value value) : value_(value) {
    if (value_.expect(Kind::map)) items_ = value_.node_.content->items;
}

void Map::allow(std::span<const std::string_view> keys, std::span<const std::string_view> some) const {
    std::vector<Mark> seen(keys.size());
    for (size_t i = 0; i < items_.size(); i += 2) {
        const auto& [at, content] = items_[i];
        if (content->kind != Kind::text) {
            value_.problem(at, fmt::format("a key must be a word. Allowed: {}", joined(some)));
            continue;
        }
        const auto known = std::ranges::find(keys, content->text);
        if (known == keys.end()) {
            const auto near = nearest(content->text, some);
            value_.problem(at, fmt::format("unknown key {}{} Allowed: {}", quoted(content->text),
                                           near ? fmt::format(": did you mean '{}'?", *near) : ".", joined(some)));
            continue;
        }
        Mark& first = seen[static_cast<size_t>(known - keys.begin())];
        if (first.line == 0)
            first = at;
        else
            value_.problem(at, fmt::format("key '{}' stands twice: first in line {}", *known, first.line));
    }
}

void Map::narrow(std::span<const std::string_view> all, std::span<const std::string_view> some,
                 std::string_view where) const {
    for (const std::string_view key : all) {
        const Value value = (*this)[key];
        if (value && std::ranges::find(some, key) == some.end())
            value_.problem(value.key_at(),
                           fmt::format("key '{}' does not go {}. Allowed: {}", key, where, joined(some)));
    }
}

Value Map::operator[](std::string_view key) const {
    for (size_t i = 0; i < items_.size(); i += 2)
        if (items_[i].content->kind == Kind::text && items_[i].content->text == key)
            return {value_, items_[i], items_[i + 1]};
    return {value_, key};
}

Value Map::required(std::string_view key) const {
    const Value value = (*this)[key];
    if (!value && (value_.is(Kind::map) || value_.is(Kind::null))) value_.problem(fmt::format("'{}' is missing", key));
    return value;
}

}  // namespace penstock::config
