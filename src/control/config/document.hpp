#pragma once
// A YAML text as a tree of values with their places. The only place that sees yaml-cpp: the parser's events are taken
// instead of its own node tree, which loses duplicate keys and the place of an alias, and throws when it is asked for
// what is not there.
#include <cstdint>
#include <deque>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/load.hpp"

namespace penstock::config {

enum class Kind : uint8_t { null, text, list, map };

struct Content;

// A value at a place. An alias has its own place and shares the content of its anchor.
struct Node {
    Mark at;
    const Content* content = nullptr;
};

struct Content {
    Kind kind = Kind::null;
    std::string text;         // of a text; of a null its spelling ("null", "~"), if it is spelt at all
    std::vector<Node> items;  // of a list; of a map key, value, key, value, ...
    uint64_t size = 0;        // values herein, aliases counted each time; 0: not yet complete
};

class Document {
public:
    // The problem is the text's own: no YAML, too large, more than one document.
    static std::expected<Document, Problem> parse(std::string_view yaml);
    const Node& root() const noexcept { return root_; }

private:
    Node root_;
    std::deque<Content> contents_;  // never moves what it holds
};

}  // namespace penstock::config
