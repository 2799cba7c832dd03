#pragma once
// Facts and a configuration in, findings out. What is missing here stops `penstock run`, with the same words. Pure.
#include <vector>

#include "control/config/config.hpp"
#include "doctor/facts.hpp"
#include "doctor/finding.hpp"

namespace penstock::doctor {

using Findings = std::vector<Finding>;

// Everything that `config` needs, and nothing else.
Findings judge(const config::Config& config, const Facts& facts, const Plan& plan);
// Without a configuration: the machine, each interface, and what each driver would find. Nothing is missing here.
Findings judge_in_general(const Facts& facts, const Plan& plan);

// The parts of it, a file each.
void judge_system(const config::Config& config, const Facts& facts, Findings& out);
void judge_certificate(const config::Tls& tls, const CertificateFacts& facts, Findings& out);
void judge_memory(const config::Config& config, const Facts& facts, const Plan& plan, Findings& out);
void judge_cores(const Facts& facts, const Plan& plan, Findings& out);
void judge_bpf(const Facts& facts, Findings& out);
void judge_port(const config::Port& port, const config::Config& config, const Facts& facts, const Plan& plan,
                Findings& out);
void judge_interface(const config::Port& port, const Interface& interface, const Facts& facts, Findings& out);
void judge_pci(const config::Port& port, const Facts& facts, Findings& out);
void judge_capabilities(std::string_view of, Capabilities needed, const Facts& facts, Findings& out);
void judge_numa(const config::Port& port, int node, const Facts& facts, const Plan& plan, Findings& out);

}  // namespace penstock::doctor
