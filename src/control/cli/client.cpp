#include "control/cli/client.hpp"

#include <cmdline_rdline.h>
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <vector>

#include "control/cli/connection.hpp"
#include "control/cli/follow.hpp"

namespace penstock::cli {
namespace {

constexpr char kPrompt[] = "penstock> ";
constexpr std::chrono::milliseconds kMoment{200};

// The terminal as rdline wants it, key by key and without echo; given back at the end.
class RawTerminal {
public:
    RawTerminal() {
        tcgetattr(STDIN_FILENO, &before_);
        termios raw = before_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    ~RawTerminal() { tcsetattr(STDIN_FILENO, TCSANOW, &before_); }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    termios before_{};
};

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r\n") == std::string_view::npos; }

class Prompt {
public:
    Prompt(Connection& connection, bool json) : connection_(connection), json_(json) {}

    // Whether the command was done.
    Result<bool> execute(std::string_view line) {
        const auto reply = connection_.ask(json_ ? "json" : "text", line);
        if (!reply) return fail(reply.error().text);
        print(*reply);
        return reply->ok;
    }

    // The same; what is captured is waited for.
    Result<bool> execute_to_the_end(std::string_view line) {
        if (!is_capture(line)) return execute(line);
        hold_interrupts();
        const auto started = connection_.ask(json_ ? "json" : "text", line);
        if (!started) return fail(started.error().text);
        if (!started->ok || !json_) print(*started);  // in JSON the answer is what came of it
        if (!started->ok) return false;
        const auto followed = follow_capture(connection_, std::nullopt);
        if (!followed) return fail(followed.error().text);
        const auto shown = execute("show capture");
        if (!shown) return fail(shown.error().text);
        if (!followed->wrong.empty()) fmt::print(stderr, "{}\n", followed->wrong);
        return followed->wrong.empty();
    }

    Result<bool> run() {
        const RawTerminal raw;
        const std::unique_ptr<rdline, decltype(&rdline_free)> editor(rdline_new(write_char, on_line, on_complete, this),
                                                                     rdline_free);
        if (!editor) return fail("no memory for the line editor");
        rdline_newline(editor.get(), kPrompt);
        for (char c = 0; read(STDIN_FILENO, &c, 1) == 1;) {
            const int result = rdline_char_in(editor.get(), c);
            if (result == RDLINE_RES_EOF || result == RDLINE_RES_EXITED) break;
            if (!broken_.empty()) return fail(broken_);
            if (result == RDLINE_RES_VALIDATED && !left_) rdline_newline(editor.get(), kPrompt);
            if (left_) break;
        }
        fmt::print("\n");
        return true;
    }

private:
    static bool is_capture(std::string_view line) {
        return line.substr(std::min(line.size(), line.find_first_not_of(" \t"))).starts_with("capture ");
    }
    void print(const Connection::Reply& reply) const {
        std::FILE* to = reply.ok || json_ ? stdout : stderr;
        std::fwrite(reply.body.data(), 1, reply.body.size(), to);
        std::fflush(to);
    }

    static Prompt& of(rdline* editor) { return *static_cast<Prompt*>(rdline_get_opaque(editor)); }

    static int write_char(rdline*, char c) { return static_cast<int>(write(STDOUT_FILENO, &c, 1)); }

    static void on_line(rdline* editor, const char* text, unsigned) {
        Prompt& self = of(editor);
        std::string line = text;
        while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
        if (blank(line)) return;
        rdline_add_history(editor, line.c_str());
        if (line == "quit" || line == "exit") {
            self.left_ = true;
            return;
        }
        const auto done = self.execute(line);
        if (!done) self.broken_ = done.error().text;
        if (done && *done && is_capture(line)) self.tell_of_failure();
    }
    // The prompt does not wait for a capture, but a file that cannot be made is known at once.
    void tell_of_failure() {
        const auto followed = follow_capture(connection_, kMoment);
        if (!followed) broken_ = followed.error().text;
        if (followed && !followed->wrong.empty()) fmt::print(stderr, "{}\n", followed->wrong);
    }

    // rdline asks again and again: 2 and what to append, or 1 and the next of several choices, or 0 for no more.
    static int on_complete(rdline* editor, const char* text, char* to, unsigned size, int* state) {
        Prompt& self = of(editor);
        // '?' is rdline's key for help (state -1), but in a URL it is a letter like any other.
        const std::string_view typed = text;
        if (*state < 0 && typed.substr(typed.find_last_of(" \t") + 1).find("://") != std::string_view::npos)
            return copy("?", to, size, RDLINE_RES_COMPLETE);
        if (*state <= 0) {
            const auto reply = self.connection_.ask("complete", text);
            if (!reply || !reply->ok) return 0;
            self.choices_.clear();
            for (std::string_view rest = reply->body; !rest.empty();) {
                const size_t end = rest.find('\n');
                self.choices_.emplace_back(rest.substr(0, end));
                rest.remove_prefix(std::min(rest.size(), end + 1));
            }
            const std::string_view line = text;
            const size_t begun = line.size() - (line.find_last_of(" \t") + 1);
            if (*state == 0 && !self.choices_.empty()) {
                std::string common = self.choices_.front();
                for (const std::string& choice : self.choices_) {
                    const auto differs = std::ranges::mismatch(common, choice).in1;
                    common.erase(differs, common.end());
                }
                if (self.choices_.size() == 1) common += ' ';
                if (common.size() > begun) return copy(common.substr(begun), to, size, RDLINE_RES_COMPLETE);
            }
            *state = 0;
        }
        if (static_cast<size_t>(*state) >= self.choices_.size()) return 0;
        return copy(self.choices_[static_cast<size_t>((*state)++)], to, size, 1);
    }
    static int copy(const std::string& text, char* to, unsigned size, int result) {
        if (text.size() >= size) return 0;
        std::memcpy(to, text.c_str(), text.size() + 1);
        return result;
    }

    Connection& connection_;
    const bool json_;
    bool left_ = false;
    std::string broken_;
    std::vector<std::string> choices_;
};

}  // namespace

Result<bool> run_client(const Client& client) {
    auto connection = Connection::open(client.socket);
    if (!connection) return fail(connection.error().text);
    Prompt prompt(*connection, client.json);
    if (!client.words.empty()) return prompt.execute_to_the_end(client.words);
    if (isatty(STDIN_FILENO)) return prompt.run();
    bool all = true;
    for (std::string line; std::getline(std::cin, line);) {
        if (blank(line)) continue;
        if (line == "quit" || line == "exit") break;
        const auto done = prompt.execute(line);
        if (!done) return fail(done.error().text);
        all = all && *done;
    }
    return all;
}

}  // namespace penstock::cli
