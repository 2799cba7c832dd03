// Who may do what by RTSP: rtsp.realm, auth, users and rules.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/config/settings.hpp"

namespace penstock::config {
namespace {

constexpr std::string_view kSecretAllowed = "1-255 printable characters";

std::optional<std::string> word(std::string_view text, std::string_view forbidden) {
    if (text.empty() || text.size() > 255 || text.find_first_of(forbidden) != std::string_view::npos)
        return std::nullopt;
    if (!std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; })) return std::nullopt;
    return std::string(text);
}

std::optional<std::string> hash(std::string_view text, size_t digits) {
    if (text.size() != digits) return std::nullopt;
    std::string lower(text);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c + ('a' - 'A'));
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return std::nullopt;
    }
    return lower;
}

// What is wrong with a secret is said without it: a log has more readers.
template <class Parse>
std::string secret(const Value& value, std::string_view allowed, Parse parse) {
    const auto text = value.text();
    if (!text) return {};
    auto parsed = parse(std::string_view(*text));
    if (!parsed) value.problem(fmt::format("is not allowed: {}", allowed));
    return parsed.value_or("");
}

std::string read_password_file(const Value& value, const Files& files) {
    const auto path = value.parsed("the whole path of a file, which begins with /", [](std::string_view text) {
        return text.starts_with('/') ? std::optional<std::string>(text) : std::nullopt;
    });
    if (!path) return {};
    const auto content = files ? files(*path) : Result<std::string>(fail("files are not read here"));
    if (!content) {
        value.problem(fmt::format("{} cannot be read: {}", quoted(*path), content.error().text));
        return {};
    }
    std::string_view line = std::string_view(*content).substr(0, content->find('\n'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    auto password = word(line, "");
    if (!password) value.problem(fmt::format("the first line of {} is not allowed: {}", quoted(*path), kSecretAllowed));
    return password.value_or("");
}

void read_hashes(const Value& value, User& user) {
    static constexpr std::string_view kKeys[] = {"md5", "sha-256"};
    const Map map{value, kKeys};
    user.md5 =
        secret(map["md5"], "32 hexadecimal digits, as md5sum prints them", [](auto text) { return hash(text, 32); });
    user.sha_256 = secret(map["sha-256"], "64 hexadecimal digits, as sha256sum prints them",
                          [](auto text) { return hash(text, 64); });
    if (!map["md5"] && !map["sha-256"]) value.problem("'md5' or 'sha-256' is missing");
}

User read_user(const Value& value, const Files& files) {
    static constexpr std::string_view kKeys[] = {"name", "password", "password_file", "digest"};
    const Map map{value, kKeys};
    User user;
    // Digest joins name, realm and password with colons (RFC 7616 section 3.4.2).
    user.name = map.required("name")
                    .parsed("1-255 printable characters without : and \"", [](auto text) { return word(text, ":\""); })
                    .value_or("");
    const Value password = map["password"], file = map["password_file"], digest = map["digest"];
    const auto given = std::array{static_cast<bool>(password), static_cast<bool>(file), static_cast<bool>(digest)};
    if (value.is(Kind::map) && std::ranges::count(given, true) != 1)
        value.problem("one of 'password', 'password_file' and 'digest' is needed, and one only");
    if (password) user.password = secret(password, kSecretAllowed, [](auto text) { return word(text, ""); });
    if (file) user.password = read_password_file(file, files);
    if (digest) read_hashes(digest, user);
    return user;
}

// What the rule is about.
void read_actions(const Value& value, Rule& rule) {
    static constexpr Name<bool Rule::*> kActions[] = {{"play", &Rule::play}, {"publish", &Rule::publish}};
    const size_t count = value.each([&](const Value& entry) {
        if (const auto action = entry.one_of<bool Rule::*>(kActions)) rule.** action = true;
    });
    if (value.is(Kind::list) && count == 0) value.problem("names nothing: play, publish or both are allowed");
}

void read_who(const Value& value, Rule& rule, const std::vector<User>& users) {
    static constexpr Name<Rule::Who> kWho[] = {{"anyone", Rule::Who::anyone}, {"known", Rule::Who::known}};
    if (!value.is(Kind::list)) {
        const auto who = value.one_of<Rule::Who>(kWho);
        if (who == Rule::Who::known && users.empty()) value.problem("nobody is known: there are no users");
        rule.who = who.value_or(rule.who);
        return;
    }
    rule.who = Rule::Who::named;
    value.each([&](const Value& entry) {
        const auto name = entry.text();
        if (!name) return;
        if (std::ranges::find(users, *name, &User::name) == users.end())
            entry.problem(fmt::format("{} is none of rtsp.users", quoted(*name)));
        rule.users.push_back(*name);
    });
}

Rule read_rule(const Value& value, const std::vector<User>& users) {
    static constexpr std::string_view kKeys[] = {"allow", "deny", "users", "streams", "from"};
    const Map map{value, kKeys};
    Rule rule;
    const Value allow = map["allow"], deny = map["deny"];
    if (value.is(Kind::map) && static_cast<bool>(allow) == static_cast<bool>(deny))
        value.problem("one of 'allow' and 'deny' is needed, and one only");
    rule.allow = static_cast<bool>(allow);
    read_actions(rule.allow ? allow : deny, rule);
    read_who(map.required("users"), rule, users);
    map["streams"].each([&](const Value& entry) {
        const auto pattern =
            entry.parsed("names of streams, with * for any characters and ? for one", [](std::string_view text) {
                std::string plain(text);
                for (char& c : plain)
                    if (c == '*' || c == '?') c = '.';
                return is_plain_name(plain, kLongestName) ? std::optional<std::string>(text) : std::nullopt;
            });
        if (pattern) rule.streams.push_back(*pattern);
    });
    map["from"].each([&](const Value& entry) {
        const auto network = entry.parsed("an address or a network such as 10.0.0.0/8 or fd00::/8",
                                          [](std::string_view text) -> std::optional<Prefix> {
                                              if (const auto ip = Ip::parse(text))
                                                  return Prefix{*ip, static_cast<uint8_t>(ip->is_v4() ? 32 : 128)};
                                              return Prefix::parse(text);
                                          });
        if (network) rule.from.push_back(*network);
    });
    for (const std::string_view key : {"streams", "from"})
        if (const Value list = map[key]; list.is(Kind::list) && list.each([](const Value&) {}) == 0)
            list.problem("an empty list fits nothing: leave it out to mean all");
    return rule;
}

}  // namespace

Access read_access(const Map& rtsp, const Files& files) {
    Access access;
    access.realm =
        rtsp["realm"]
            .parsed("1-255 printable characters without : and \"", [](auto text) { return word(text, ":\""); })
            .value_or(access.realm);
    if (const Value auth = rtsp["auth"]) {
        static constexpr Name<bool Access::*> kWays[] = {{"digest", &Access::digest}, {"basic", &Access::basic}};
        access.digest = false;
        const size_t count = auth.each([&](const Value& entry) {
            if (const auto way = entry.one_of<bool Access::*>(kWays)) access.** way = true;
        });
        if (auth.is(Kind::list) && count == 0) auth.problem("names nothing: digest, basic or both are allowed");
    }
    rtsp["users"].each([&](const Value& entry) {
        User user = read_user(entry, files);
        if (!user.name.empty() && std::ranges::find(access.users, user.name, &User::name) != access.users.end())
            return entry.problem(fmt::format("the name {} is taken: names are unique", quoted(user.name)));
        access.users.push_back(std::move(user));
    });
    if (const Value rules = rtsp["rules"]) {
        access.rules.emplace();
        rules.each([&](const Value& entry) { access.rules->push_back(read_rule(entry, access.users)); });
    }
    return access;
}

}  // namespace penstock::config
