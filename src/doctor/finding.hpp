#pragma once
// What the doctor says: one requirement, met or not, why it matters, and the command that mends it. Pure.
#include <string>
#include <string_view>
#include <vector>

namespace penstock::doctor {

enum class Status : uint8_t {
    met,
    degraded,  // `run` starts; slower or riskier than it could be
    missing,   // `run` refuses
};
std::string_view word(Status status);

struct Finding {
    std::string check;  // "hugepages"
    std::string of;     // the port, interface or driver; empty: the machine
    Status status = Status::met;
    std::string found;
    std::string why;   // empty when met
    std::string mend;  // a command, or what to write where; empty when met
    bool operator==(const Finding&) const = default;
};

bool would_start(const std::vector<Finding>& findings);
// On one line, as `run` refuses.
std::string sentence(const Finding& finding);
// For a terminal of 100 columns, and for machines. `configuration` is empty when there is none.
std::string as_text(const std::vector<Finding>& findings, std::string_view configuration);
std::string as_json(const std::vector<Finding>& findings, std::string_view configuration);

}  // namespace penstock::doctor
