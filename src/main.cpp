// penstock: what was asked for on the command line, and nothing else.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/client.hpp"
#include "control/config/load.hpp"
#include "dataplane/heap.hpp"
#include "doctor/capabilities.hpp"
#include "doctor/read.hpp"
#include "doctor_command.hpp"
#include "node.hpp"
#include "privileges.hpp"
#include "rtsps.hpp"
#include "version.hpp"

namespace penstock {
namespace {

constexpr int kFine = 0, kFailed = 1, kWrong = 2;
constexpr std::string_view kDefaultFile = "/etc/penstock/penstock.yaml";

constexpr std::string_view kUsage =
    "usage: penstock COMMAND\n"
    "\n"
    "  penstock run   [-c FILE]   forward media until SIGTERM or SIGINT\n"
    "  penstock check [-c FILE]   validate a configuration: exit 0, or 2 with FILE:LINE:COLUMN, what is wrong and what "
    "is allowed\n"
    "  penstock doctor [-c FILE] [--json]\n"
    "                             look at the machine: what is met, degraded or missing, why it matters, what mends "
    "it;\n"
    "                             exit 0 when run would start\n"
    "  penstock cli   [-s SOCKET] [--json] [WORDS...]\n"
    "                             a prompt on a running forwarder; with WORDS, one command; try: penstock cli help\n"
    "  penstock version           print the version\n"
    "  penstock --help            print this\n"
    "\n"
    "SOCKET defaults to /run/penstock/cli.sock, as control.socket does.\n"
    "FILE defaults to /etc/penstock/penstock.yaml. Every key is explained in config/penstock.yaml.\n"
    "Exit codes: 0 fine, 1 run-time failure, 2 wrong usage or configuration.\n";

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (file.bad()) return std::nullopt;
    return text;
}

std::string host_name() {
    std::array<char, 256> name{};
    gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::optional<std::string> environment(std::string_view name) {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return value;
}

// `look`: at the files that it names as well, and at `now` whether certificates are valid.
Result<config::Config> configuration(const std::string& path, bool look = true, std::optional<std::time_t> now = {}) {
    const auto text = read_file(path);
    if (!text)
        return fail(
            fmt::format("{}: cannot be read: {}; name another file with -c FILE\n", path, std::strerror(errno)));
    const auto file = [](const std::string& named) -> Result<std::string> {
        auto content = read_file(named);
        if (!content) return fail(std::strerror(errno));
        return std::move(*content);
    };
    auto loaded = config::load(*text, environment, host_name(), file);
    if (!loaded) return fail(config::format(path, loaded.error()));
    if (const auto problems = look ? problems_of_files(*loaded, now) : std::vector<config::Problem>();
        !problems.empty())
        return fail(config::format(path, problems));
    return std::move(*loaded);
}

int wrong_configuration(const Error& error) {
    fmt::print(stderr, "{}", error.text);
    return kWrong;
}

int check(const std::string& path) {
    const auto config = configuration(path, true, std::time(nullptr));
    if (!config) return wrong_configuration(config.error());
    fmt::print("{}: fine: {} ports, {} streams\n", path, config->ports.size(), config->streams.size());
    return kFine;
}

// Nothing is opened on a machine that is not ready. The words are those of `penstock doctor`.
bool fit(const std::vector<doctor::Finding>& findings, const std::string& path, Log& log) {
    for (const doctor::Finding& finding : findings) {
        if (finding.status == doctor::Status::missing) log.error("{}", doctor::sentence(finding));
        if (finding.status == doctor::Status::degraded) log.debug("{}", doctor::sentence(finding));
    }
    if (!doctor::would_start(findings)) log.error("not started; see `penstock doctor -c {}`", path);
    return doctor::would_start(findings);
}

int run(const std::string& path) {
    const auto config = configuration(path);
    if (!config) return wrong_configuration(config.error());
    Log log(config->log.level, config->log.format);
    if (!fit(examine(*config), path, log)) return kFailed;
    Node node(*config, log, [path] { return configuration(path); });
    if (auto opened = node.open(); !opened) {
        log.error("{}", opened.error().text);
        return kFailed;
    }
    const auto to_reopen = doctor::to_reopen(*config, doctor::without_iommu(*config));
    if (auto dropped = drop_privileges(doctor::to_keep(*config).bits(), to_reopen.bits()); !dropped) {
        log.error("{}", dropped.error().text);
        return kFailed;
    }
    node.run();
    return kFine;
}

// Without a file at the default place, the machine is judged in general.
int look(const std::string& path, bool json) {
    if (path == kDefaultFile && !std::filesystem::exists(path))
        return print_findings(examine_in_general(), "", json) ? kFine : kFailed;
    const auto config = configuration(path, false);
    if (!config) return wrong_configuration(config.error());
    return print_findings(examine(*config), path, json) ? kFine : kFailed;
}

int wrong_usage(std::string_view what) {
    fmt::print(stderr, "penstock: {}\n\n{}", what, kUsage);
    return kWrong;
}

int cli(std::span<char*> args) {
    cli::Client client{.socket = config::Control{}.socket, .json = false, .words = {}};
    for (size_t i = 0; i < args.size(); i++) {
        const std::string_view arg = args[i];
        if (arg == "--json") {
            client.json = true;
        } else if (arg == "-s" && client.words.empty()) {
            if (++i == args.size()) return wrong_usage("-s needs a SOCKET");
            client.socket = args[i];
        } else if ((arg == "--help" || arg == "-h") && client.words.empty()) {
            fmt::print("{}", kUsage);
            return kFine;
        } else {
            client.words += fmt::format("{}{}", client.words.empty() ? "" : " ", arg);
        }
    }
    const auto ran = cli::run_client(client);
    if (ran) return *ran ? kFine : kFailed;
    fmt::print(stderr, "penstock cli: {}\n", ran.error().text);
    return kFailed;
}

int dispatch(std::span<char*> args) {
    if (args.empty()) return wrong_usage("a command is missing");
    const std::string_view command = args[0];
    if (command == "--help" || command == "-h" || command == "help") {
        fmt::print("{}", kUsage);
        return kFine;
    }
    if (command == "version" || command == "--version") {
        if (args.size() > 1) return wrong_usage(fmt::format("'{}' is too much: version takes no argument", args[1]));
        fmt::print("penstock {}\n", kVersion);
        return kFine;
    }
    if (command == "cli") return cli(args.subspan(1));
    if (command != "run" && command != "check" && command != "doctor")
        return wrong_usage(fmt::format("'{}' is no command", command));
    std::string file{kDefaultFile};
    bool json = false;
    for (size_t i = 1; i < args.size(); i++) {
        const std::string_view arg = args[i];
        if (arg == "--help" || arg == "-h") {
            fmt::print("{}", kUsage);
            return kFine;
        }
        if (arg == "--json" && command == "doctor") {
            json = true;
            continue;
        }
        if (arg != "-c") return wrong_usage(fmt::format("'{}' is no option of {}", arg, command));
        if (++i == args.size()) return wrong_usage("-c needs a FILE");
        file = args[i];
    }
    if (command == "doctor") return look(file, json);
    return command == "check" ? check(file) : run(file);
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
    penstock::dataplane::put_heap_on_huge_pages();
    return penstock::dispatch(std::span(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
}
