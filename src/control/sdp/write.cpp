// Writing a session description, in the order that RFC 8866 section 9 demands.
#include <fmt/format.h>

#include "control/sdp/description.hpp"

namespace penstock::sdp {
namespace {

class Writer {
public:
    Result<std::string> write(const Description& d) {
        line('v', "0");
        const Origin& o = d.origin;
        for (const std::string* word :
             {&o.username, &o.session_id, &o.version, &o.net_type, &o.address_type, &o.address})
            single(*word, "a word of o=");
        line('o', fmt::format("{} {} {} {} {} {}", o.username, o.session_id, o.version, o.net_type, o.address_type,
                              o.address));
        if (d.name.empty()) wrong("s= is empty");
        line('s', d.name);
        optional('i', d.information);
        optional('u', d.uri);
        for (const std::string& email : d.emails) line('e', email);
        for (const std::string& phone : d.phones) line('p', phone);
        if (d.connection) connection(*d.connection);
        for (const Bandwidth& b : d.bandwidths) bandwidth(b);
        if (d.times.empty()) line('t', "0 0");  // one at least: a session without bounds
        for (const Time& t : d.times) {
            line('t', fmt::format("{} {}", t.start, t.stop));
            for (const std::string& repeat : t.repeats) line('r', repeat);
        }
        optional('z', d.zones);
        optional('k', d.key);
        for (const Attribute& a : d.attributes) attribute(a);
        for (const Line& other : d.others) unknown(other, "vosiuepcbtrzkam");
        for (const Media& m : d.media) media(m);
        if (!wrong_.empty()) return fail(wrong_);
        return std::move(out_);
    }

private:
    void wrong(std::string_view why) {
        if (wrong_.empty()) wrong_ = why;
    }
    void line(char type, std::string_view value) {
        if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
            wrong(fmt::format("{}= holds a line break", type));
        out_ += type;
        out_ += '=';
        out_ += value;
        out_ += "\r\n";
    }
    void optional(char type, const std::optional<std::string>& value) {
        if (value) line(type, *value);
    }
    void single(std::string_view word, std::string_view what) {
        if (word.empty() || word.find_first_of(" \t") != std::string_view::npos)
            wrong(fmt::format("{} is empty or holds a blank", what));
    }
    void connection(const Connection& c) {
        for (const std::string* word : {&c.net_type, &c.address_type, &c.address}) single(*word, "a word of c=");
        if (c.address.find('/') != std::string::npos) wrong("the address of c= holds a slash");
        // RFC 8866 section 5.7: IPv4 groups have a TTL, and their number comes after it; IPv6 ones have none.
        if (c.address_type == "IP4" ? c.count && !c.ttl : c.ttl.has_value()) wrong("the TTL of c= does not fit");
        std::string value = fmt::format("{} {} {}", c.net_type, c.address_type, c.address);
        if (c.ttl) value += fmt::format("/{}", *c.ttl);
        if (c.count) value += fmt::format("/{}", *c.count);
        line('c', value);
    }
    void bandwidth(const Bandwidth& b) {
        single(b.type, "the type of b=");
        line('b', fmt::format("{}:{}", b.type, b.value));
    }
    void attribute(const Attribute& a) {
        single(a.name, "the name of an attribute");
        if (a.name.find(':') != std::string::npos) wrong("the name of an attribute holds a colon");
        line('a', a.value ? fmt::format("{}:{}", a.name, *a.value) : a.name);
    }
    void unknown(const Line& other, std::string_view known) {
        if (other.type < 'a' || other.type > 'z' || known.find(other.type) != std::string_view::npos)
            wrong("a line of a known type among the unknown ones");
        line(other.type, other.value);
    }
    void media(const Media& m) {
        single(m.type, "the media of m=");
        single(m.protocol, "the protocol of m=");
        if (m.formats.empty()) wrong("m= names no format");
        std::string value = fmt::format("{} {}", m.type, m.port);
        if (m.port_count) value += fmt::format("/{}", *m.port_count);
        value += ' ' + m.protocol;
        for (const std::string& format : m.formats) {
            single(format, "a format of m=");
            value += ' ' + format;
        }
        line('m', value);
        optional('i', m.information);
        for (const Connection& c : m.connections) connection(c);
        for (const Bandwidth& b : m.bandwidths) bandwidth(b);
        optional('k', m.key);
        for (const Attribute& a : m.attributes) attribute(a);
        for (const Line& other : m.others) unknown(other, "icbkatm");
    }

    std::string out_;
    std::string wrong_;
};

}  // namespace

Result<std::string> write(const Description& description) { return Writer{}.write(description); }

}  // namespace penstock::sdp
