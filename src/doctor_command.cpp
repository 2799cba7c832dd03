#include "doctor_command.hpp"

#include <fmt/format.h>

#include "cores.hpp"
#include "dataplane/dataplane.hpp"
#include "doctor/judge.hpp"
#include "doctor/read.hpp"

namespace penstock {
namespace {

doctor::Plan plan_for(const config::Config& config) {
    doctor::Plan plan{.hugepages = dataplane::hugepages_for(dataplane::memory_of(config::packet_buffers(config))),
                      .pool = dataplane::pool_memory(config::packet_buffers(config), dataplane::kPacketRoom),
                      .control = 0,
                      .workers = {},
                      .cores_refusal = {}};
    if (const auto cores = choose_cores(config.workers.cores, allowed_cores())) {
        plan.control = cores->control;
        plan.workers = cores->workers;
    } else {
        plan.cores_refusal = cores.error().text;
    }
    return plan;
}

}  // namespace

std::vector<doctor::Finding> examine(const config::Config& config) {
    return doctor::judge(config, doctor::read_facts(config), plan_for(config));
}

std::vector<doctor::Finding> examine_in_general() {
    config::Config defaults;
    return doctor::judge_in_general(doctor::read_facts(defaults), plan_for(defaults));
}

bool print_findings(const std::vector<doctor::Finding>& findings, const std::string& path, bool json) {
    fmt::print("{}", json ? doctor::as_json(findings, path) : doctor::as_text(findings, path));
    return !path.empty() && doctor::would_start(findings);
}

}  // namespace penstock
