#include "control/config/document.hpp"

#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>
#include <unordered_map>

namespace penstock::config {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;  // 100,000 streams in block style are 24 MB
// Of the whole text with every alias written out: a few lines of nested aliases can stand for billions of values.
constexpr uint64_t kMaxValues = 8'000'000;

Mark place(const YAML::Mark& mark) { return mark.is_null() ? Mark{1, 1} : Mark{mark.line + 1, mark.column + 1}; }

// The only way out of the midst of parsing.
struct Refusal {
    Problem problem;
};
[[noreturn]] void refuse(Mark at, std::string why) { throw Refusal{{at, std::move(why)}}; }

class Builder final : public YAML::EventHandler {
public:
    Builder(std::string_view yaml, std::deque<Content>& contents) : yaml_(yaml), contents_(contents) {}
    Node root;

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        open(Kind::null, mark, anchor).text = spelling(mark);
        close();
    }
    void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string& text) override {
        open(Kind::text, mark, anchor).text = text;
        close();
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) refuse(place(mark), "the alias has no anchor");
        if (found->second->size == 0) refuse(place(mark), "the alias stands for a value that holds it");
        last_ = place(mark);
        add({place(mark), found->second});
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(Kind::list, mark, anchor);
    }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(Kind::map, mark, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

private:
    struct Open {
        Mark at;
        Content* content;
    };

    // The parser tells "null" from nothing at all, but not us; `driver: null` must not be the same as `driver:`.
    std::string spelling(const YAML::Mark& mark) const {
        if (mark.is_null() || static_cast<size_t>(mark.pos) > yaml_.size()) return {};
        for (const std::string_view word : {"null", "Null", "NULL", "~"})
            if (yaml_.substr(static_cast<size_t>(mark.pos)).starts_with(word)) return std::string{word};
        return {};
    }

    Content& open(Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
        last_ = place(mark);
        Content& content = contents_.emplace_back();
        content.kind = kind;
        if (anchor != YAML::NullAnchor) anchors_[anchor] = &content;
        open_.push_back({place(mark), &content});
        return content;
    }

    void close() {
        const Open done = open_.back();
        open_.pop_back();
        done.content->size = 1;
        for (const Node& item : done.content->items) done.content->size += item.content->size;
        if (done.content->size > kMaxValues)
            refuse(last_, fmt::format("more than {} values, aliases written out", kMaxValues));
        add({done.at, done.content});
    }

    void add(Node node) {
        if (open_.empty()) {
            root = node;
            return;
        }
        Content& parent = *open_.back().content;
        // The parser places an absent value wherever the next token is: its key or its list is nearer.
        if (node.content->kind == Kind::null && node.content->text.empty())
            node.at =
                parent.kind == Kind::map && parent.items.size() % 2 == 1 ? parent.items.back().at : open_.back().at;
        parent.items.push_back(node);
    }

    std::string_view yaml_;
    std::deque<Content>& contents_;
    std::vector<Open> open_;
    std::unordered_map<YAML::anchor_t, const Content*> anchors_;
    Mark last_;  // of the newest value: where the parser is
};

// YAML allows no control characters, and the parser takes some of them for the end of the text.
std::optional<Problem> control_character(std::string_view yaml) {
    Mark at{1, 1};
    for (const char c : yaml) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f)
            return Problem{at, fmt::format("byte 0x{:02x} is not allowed: the file must be UTF-8 text", byte)};
        at = c == '\n' ? Mark{at.line + 1, 1} : Mark{at.line, at.column + 1};
    }
    return std::nullopt;
}

}  // namespace

std::expected<Document, Problem> Document::parse(std::string_view yaml) {
    if (yaml.size() > kMaxBytes)
        return std::unexpected(
            Problem{{1, 1}, fmt::format("the file has {} bytes: at most {} are allowed", yaml.size(), kMaxBytes)});
    if (yaml.starts_with("\xef\xbb\xbf")) yaml.remove_prefix(3);
    if (auto problem = control_character(yaml)) return std::unexpected(std::move(*problem));

    Document document;
    Content& nothing = document.contents_.emplace_back();
    nothing.size = 1;
    document.root_ = {{1, 1}, &nothing};
    try {
        std::istringstream in{std::string{yaml}};
        YAML::Parser parser{in};
        Builder first{yaml, document.contents_};
        if (parser.HandleNextDocument(first) && first.root.content != nullptr) document.root_ = first.root;
        Builder second{yaml, document.contents_};
        if (parser.HandleNextDocument(second))
            return std::unexpected(Problem{second.root.at, "a second document begins here: a file holds only one"});
    } catch (const Refusal& refusal) {
        return std::unexpected(refusal.problem);
    } catch (const YAML::DeepRecursion& e) {
        return std::unexpected(Problem{place(e.mark), "nested too deeply"});
    } catch (const YAML::Exception& e) {
        return std::unexpected(Problem{place(e.mark), "not YAML: " + e.msg});
    }
    return document;
}

}  // namespace penstock::config
