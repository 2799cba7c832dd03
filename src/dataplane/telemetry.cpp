#include "dataplane/telemetry.hpp"

#include <fmt/format.h>
#include <rte_telemetry.h>
#include <rte_version.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace penstock::dataplane {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(500);

// DPDK's callbacks carry no argument and cannot be taken back, so they have to find the one Telemetry by themselves.
std::mutex present_mutex;
Telemetry* present = nullptr;

// DPDK takes no other characters in a name.
std::string name_of(std::string_view text) {
    std::string name(text);
    for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '/') c = '_';
    return name;
}

void add(rte_tel_data* dict, const Telemetry::Fields& fields) {
    for (const auto& [name, value] : fields) {
        if (const auto* number = std::get_if<uint64_t>(&value)) {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
            rte_tel_data_add_dict_uint(dict, name_of(name).c_str(), *number);
#else
            rte_tel_data_add_dict_u64(dict, name_of(name).c_str(), *number);
#endif
        } else {
            rte_tel_data_add_dict_string(dict, name_of(name).c_str(), std::get<std::string>(value).c_str());
        }
    }
}

int reply(Telemetry::About what, const char* parameter, rte_tel_data* data) {
    const std::lock_guard lock(present_mutex);  // askers take turns
    if (present == nullptr) return -1;          // starting or stopping
    const auto told = present->ask(what, parameter == nullptr ? "" : parameter);
    if (!told) return -1;
    if (what == Telemetry::About::streams) {
        rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
        // DPDK cuts an answer that is too long, names whole: the others are asked for by the last one that is there.
        for (const std::string& name : told->names)
            if (rte_tel_data_add_array_string(data, name.c_str()) != 0) break;
        return 0;
    }
    rte_tel_data_start_dict(data);
    add(data, told->fields);
    for (const auto& [name, fields] : told->parts) {
        rte_tel_data* part = rte_tel_data_alloc();  // DPDK frees it
        if (part == nullptr) return -1;
        rte_tel_data_start_dict(part);
        add(part, fields);
        if (rte_tel_data_add_dict_container(data, name_of(name).c_str(), part, 0) != 0) rte_tel_data_free(part);
    }
    return 0;
}

template <Telemetry::About what>
int command(const char*, const char* parameter, rte_tel_data* data) {
    return reply(what, parameter, data);
}

struct Command {
    const char* name;
    telemetry_cb call;
    const char* help;
};
constexpr std::array kCommands{
    Command{"/penstock/streams", command<Telemetry::About::streams>,
            "Names of the streams. Parameter: those behind this name, when there are too many for one answer"},
    Command{"/penstock/stream", command<Telemetry::About::stream>,
            "Counters of a stream, by track. Parameter: its name"},
    Command{"/penstock/workers", command<Telemetry::About::workers>, "The ledger of each worker. No parameter"},
    Command{"/penstock/drops", command<Telemetry::About::drops>, "What went no further, by reason. No parameter"}};

}  // namespace

Result<std::unique_ptr<Telemetry>> Telemetry::open(Answer answer) {
    std::unique_ptr<Telemetry> self(new Telemetry(std::move(answer)));
    self->fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->fd_ < 0) return fail(fmt::format("telemetry: eventfd: {}", std::strerror(errno)));
    for (const Command& c : kCommands)
        if (const int error = rte_telemetry_register_cmd(c.name, c.call, c.help); error != 0 && error != -EEXIST)
            return fail(fmt::format("telemetry: {}: {}", c.name, std::strerror(-error)));
    const std::lock_guard lock(present_mutex);
    present = self.get();
    return self;
}

Telemetry::~Telemetry() {
    {
        const std::lock_guard lock(present_mutex);  // after whoever is asking now
        if (present == this) present = nullptr;
    }
    if (fd_ >= 0) close(fd_);
}

std::optional<Telemetry::Told> Telemetry::ask(About what, std::string_view parameter) {
    std::unique_lock lock(mutex_);
    question_ = Question{what, std::string(parameter)};
    told_.reset();
    eventfd_write(fd_, 1);
    const bool answered = answered_.wait_for(lock, kPatience, [this] { return !question_; });
    question_.reset();
    return answered ? std::exchange(told_, {}) : std::nullopt;
}

void Telemetry::serve() {
    eventfd_t count = 0;
    eventfd_read(fd_, &count);
    std::unique_lock lock(mutex_);
    if (!question_) return;  // who asked did not wait any longer
    const Question question = *question_;
    lock.unlock();  // an answer takes its time
    auto told = answer_(question.what, question.parameter);
    lock.lock();
    if (!question_) return;
    told_ = std::move(told);
    question_.reset();
    answered_.notify_one();
}

}  // namespace penstock::dataplane
