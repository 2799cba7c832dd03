// Any line is a command, or an error that says what was expected; what completion offers goes on from what was typed.
#include <span>
#include <string>

#include "control/cli/command.hpp"
#include "control/cli/report.hpp"
#include "control/cli/url.hpp"
#include "control/config/load.hpp"
#include "expect.hpp"

using namespace penstock;

namespace {

const std::vector<config::Port>& ports() {
    static const std::vector<config::Port> all = [] {
        config::Port port;
        port.name = "wan";
        return std::vector{port};
    }();
    return all;
}

std::string_view last_word(std::string_view line) {
    const size_t space = line.find_last_of(" \t\n\v\f\r");
    return space == std::string_view::npos ? line : line.substr(space + 1);
}

// What an output's URL says goes on as YAML: nothing of it may become another setting than the URL names.
void check_url(const std::string& text) {
    const auto url = cli::parse_url(text);
    if (!url) return EXPECT(!url.error().text.empty());
    const auto output = config::load_output(url->yaml(), ports());
    if (output)
        EXPECT(output->rtp.port > 0 && output->vlan <= 4094);
    else
        EXPECT(!output.error().empty() && !output.error().front().text.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view line{reinterpret_cast<const char*>(data), size};
    const auto command = cli::parse(line);
    if (command) {
        for (const std::string& argument : command->arguments) EXPECT(!argument.empty() && argument.size() <= size);
        if (command->action == cli::Action::add_output || command->action == cli::Action::del_output)
            check_url(command->arguments.at(1));
    } else {
        EXPECT(!command.error().text.empty());
    }
    check_url(std::string(line));
    const auto words = cli::complete(line, [](std::string_view, std::span<const std::string>) {
        return std::vector<std::string>{"camera-1", "all"};
    });
    for (const std::string& word : words) EXPECT(!word.empty() && word.starts_with(last_word(line)));
    const std::string quoted = cli::json_string(line);  // what of it comes back is one JSON string
    EXPECT(quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"');
    for (const char c : quoted) EXPECT(static_cast<unsigned char>(c) >= 0x20);
    return 0;
}
