// Reading a session description. Every deviation from RFC 8866 that is let through names who is known to send it.
#include <fmt/format.h>

#include <limits>

#include "base/text.hpp"
#include "control/sdp/description.hpp"

namespace penstock::sdp {
namespace {

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> all;
    while (!(text = trimmed(text)).empty()) {
        const size_t end = text.find_first_of(" \t");
        all.push_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end);
    }
    return all;
}

class Reader {
public:
    Result<Description> read(std::string_view text) {
        if (text.size() > kLongest) return fail(fmt::format("more than {} bytes", kLongest));
        while (!text.empty()) {
            // Cameras that end lines with LF only: RFC 8866 section 5 asks readers for that.
            const size_t end = text.find_first_of("\r\n");
            const std::string_view line = text.substr(0, end);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
            if (trimmed(line).empty()) continue;  // FFmpeg's push and many cameras: an empty line at the end
            if (++lines_ > kMostLines) return fail(fmt::format("more than {} lines", kMostLines));
            if (auto taken = take(line); !taken)
                return fail(fmt::format("line {} ({:.1}=): {}", lines_, line, taken.error().text));
        }
        if (lines_ == 0) return fail("it is empty");
        return std::move(out_);
    }

private:
    Result<void> take(std::string_view line) {
        if (line.size() < 2 || line[1] != '=') return fail("not of the form TYPE=VALUE");
        const char type = line[0];
        const std::string_view value = line.substr(2);
        if (lines_ == 1 && (type != 'v' || trimmed(value) != "0")) return fail("it begins with v=0");
        if (value.find('\0') < trimmed(value).size()) return fail("a NUL inside");
        if (type == 'm') return take_media(value);
        return out_.media.empty() ? take_session(type, value) : take_of_media(type, value, out_.media.back());
    }

    Result<void> take_session(char type, std::string_view value) {
        switch (type) {
            case 'v': return {};
            case 'o': return take_origin(value);
            case 's': out_.name = trimmed(value).empty() ? "-" : std::string(value); return {};
            case 'i': out_.information = value; return {};
            case 'u': out_.uri = value; return {};
            case 'e': out_.emails.emplace_back(value); return {};
            case 'p': out_.phones.emplace_back(value); return {};
            case 'c': out_.connection = connection(value); return {};
            case 'b': return take_bandwidth(value, out_.bandwidths);
            case 't': return take_time(value);
            case 'r':
                if (out_.times.empty()) out_.times.emplace_back();
                out_.times.back().repeats.emplace_back(value);
                return {};
            case 'z': out_.zones = value; return {};
            case 'k': out_.key = value; return {};
            case 'a': return take_attribute(value, out_.attributes);
            default: return take_other(type, value, out_.others);
        }
    }

    Result<void> take_of_media(char type, std::string_view value, Media& media) {
        switch (type) {
            case 'i': media.information = value; return {};
            case 'c':
                if (auto c = connection(value)) media.connections.push_back(std::move(*c));
                return {};
            case 'b': return take_bandwidth(value, media.bandwidths);
            case 'k': media.key = value; return {};
            case 'a': return take_attribute(value, media.attributes);
            // Cameras that put t= or r= behind a media section: it is about the session there, too.
            case 't': return take_time(value);
            default: return take_other(type, value, media.others);
        }
    }

    Result<void> take_origin(std::string_view value) {
        auto w = words(value);
        if (w.size() < 6) return {};  // cameras that write `o=-`: nothing depends on it
        // Cameras with blanks in their user name: the last five words are the rest.
        const size_t name = w.size() - 5;
        const auto last = static_cast<size_t>(w[name - 1].data() - value.data()) + w[name - 1].size();
        std::string username(trimmed(value.substr(0, last)));
        for (char& c : username)
            if (c == ' ' || c == '\t') c = '_';
        out_.origin = {std::move(username),      std::string(w[name]),     std::string(w[name + 1]),
                       std::string(w[name + 2]), std::string(w[name + 3]), std::string(w[name + 4])};
        return {};
    }

    // Cameras that write `c=IN ` without an address: as if the line were not there.
    static std::optional<Connection> connection(std::string_view value) {
        const auto w = words(value);
        if (w.size() < 3) return std::nullopt;
        Connection c;
        c.net_type = w[0];
        // Cameras that write IPV4 or IPV6 (with a V) mean IP4 and IP6.
        c.address_type = w[1] == "IPV4" ? "IP4" : w[1] == "IPV6" ? "IP6" : std::string(w[1]);
        std::string_view rest = w[2];
        const auto part = [&] {
            const size_t slash = rest.find('/');
            const std::string_view first = rest.substr(0, slash);
            rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
            return first;
        };
        c.address = part();
        if (c.address_type == "IP4" && !rest.empty()) c.ttl = number<uint8_t>(part());  // IPv6 has no TTL here
        if (!rest.empty()) c.count = number<uint32_t>(part());
        return c;
    }

    static Result<void> take_bandwidth(std::string_view value, std::vector<Bandwidth>& into) {
        const size_t colon = value.find(':');
        if (colon == 0 || colon == std::string_view::npos) return {};  // cameras that write `b=`: no bandwidth is told
        const auto n = number<uint64_t>(trimmed(value.substr(colon + 1)));
        if (n) into.push_back({std::string(value.substr(0, colon)), *n});
        return {};
    }

    Result<void> take_time(std::string_view value) {
        const auto w = words(value);
        const auto start = w.empty() ? std::nullopt : number<uint64_t>(w[0]);
        const auto stop = w.size() < 2 ? std::nullopt : number<uint64_t>(w[1]);
        out_.times.push_back({start.value_or(0), stop.value_or(0), {}});
        return {};
    }

    static Result<void> take_attribute(std::string_view value, Attributes& into) {
        const size_t colon = value.find(':');
        const std::string_view name = trimmed(value.substr(0, colon));
        if (name.empty()) return {};  // an `a=` with nothing behind it says nothing
        Attribute a{std::string(name), std::nullopt};
        if (colon != std::string_view::npos) a.value = trimmed(value.substr(colon + 1));
        into.push_back(std::move(a));
        return {};
    }

    static Result<void> take_other(char type, std::string_view value, std::vector<Line>& into) {
        if (type < 'a' || type > 'z') return fail("a type is a small letter");
        into.push_back({type, std::string(value)});
        return {};
    }

    Result<void> take_media(std::string_view value) {
        if (out_.media.size() == kMostMedia) return fail(fmt::format("more than {} media", kMostMedia));
        const auto w = words(value);
        if (w.size() < 3) return fail("MEDIA PORT PROTOCOL FORMAT... is wanted");
        Media m;
        m.type = w[0];
        const size_t slash = w[1].find('/');
        const auto port = number<uint16_t>(w[1].substr(0, slash));
        if (!port) return fail("the port is no number from 0 to 65535");
        m.port = *port;
        if (slash != std::string_view::npos) {
            m.port_count = number<uint32_t>(w[1].substr(slash + 1));
            if (!m.port_count) return fail("the number of ports is none");
        }
        m.protocol = w[2];
        for (size_t i = 3; i < w.size(); i++) m.formats.emplace_back(w[i]);
        out_.media.push_back(std::move(m));
        return {};
    }

    Description out_;
    size_t lines_ = 0;
};

// "96 H264/90000" for "96" -> "H264/90000".
std::optional<std::string_view> of_format(const Attributes& attributes, std::string_view name,
                                          std::string_view format) {
    for (const Attribute& a : attributes) {
        if (a.name != name || !a.value) continue;
        const std::string_view value = *a.value;
        const size_t blank = value.find_first_of(" \t");
        if (value.substr(0, blank) == format)
            return blank == std::string_view::npos ? std::string_view() : trimmed(value.substr(blank));
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string_view> find(const Attributes& attributes, std::string_view name) {
    for (const Attribute& a : attributes)
        if (a.name == name) return a.value ? std::string_view(*a.value) : std::string_view();
    return std::nullopt;
}

std::optional<std::string_view> Media::rtpmap(std::string_view format) const {
    return of_format(attributes, "rtpmap", format);
}

std::optional<std::string_view> Media::fmtp(std::string_view format) const {
    return of_format(attributes, "fmtp", format);
}

Result<Description> parse(std::string_view text) { return Reader{}.read(text); }

}  // namespace penstock::sdp
