// The running forwarder as DPDK's telemetry tells of it: the rows of the show commands, as objects.
#include "node.hpp"

namespace penstock {
namespace {

using dataplane::Telemetry;

// A row without its first cells, which say what it is about. Telemetry has no fractions, so those are text.
Telemetry::Fields fields_of(const cli::Section& section, const std::vector<cli::Cell>& row, size_t from) {
    Telemetry::Fields fields;
    for (size_t c = from; c < row.size(); c++) {
        const std::string& key = section.columns[c].key;
        if (const auto* number = std::get_if<uint64_t>(&row[c])) {
            fields.emplace_back(key, *number);
        } else if (const auto* yes = std::get_if<bool>(&row[c])) {
            fields.emplace_back(key, uint64_t{*yes});
        } else if (const auto* fraction = std::get_if<double>(&row[c])) {
            fields.emplace_back(key, fmt::format("{:.3f}", *fraction));
        } else if (const auto* text = std::get_if<std::string>(&row[c])) {
            fields.emplace_back(key, *text);
        }
    }
    return fields;
}

}  // namespace

Result<void> Node::open_telemetry() {
    auto telemetry = Telemetry::open([this](Telemetry::About what, std::string_view of) { return tell(what, of); });
    if (!telemetry) return fail(telemetry.error().text);
    telemetry_ = std::move(*telemetry);
    telemetry_watch_ = loop_.watch(telemetry_->fd(), [this] { telemetry_->serve(); });
    return {};
}

std::optional<Telemetry::Told> Node::tell(Telemetry::About what, std::string_view of) const {
    Telemetry::Told told;
    switch (what) {
        case Telemetry::About::streams:
            for (auto it = mesh_->streams().upper_bound(std::string(of)); it != mesh_->streams().end(); ++it)
                told.names.push_back(it->first);
            return told;
        case Telemetry::About::stream: {
            if (mesh_->stream(std::string(of)) == nullptr) return std::nullopt;
            const auto report = cli::show_streams(*mesh_, dataplane::clock_now());
            for (const auto& row : report.sections[0].rows)
                if (std::get<std::string>(row[0]) == of)
                    told.parts.emplace_back(std::get<std::string>(row[1]), fields_of(report.sections[0], row, 2));
            return told;
        }
        case Telemetry::About::workers: {
            const auto report = cli::show_workers(*mesh_, worker_facts());
            for (const auto& row : report.sections[0].rows)
                told.parts.emplace_back(fmt::format("worker_{}", std::get<uint64_t>(row[0])),
                                        fields_of(report.sections[0], row, 1));
            return told;
        }
        case Telemetry::About::drops: {
            const auto report = cli::show_drops(worker_facts());
            for (const auto& row : report.sections[0].rows)
                told.fields.emplace_back(std::get<std::string>(row[0]), std::get<uint64_t>(row[1]));
            return told;
        }
    }
    return std::nullopt;
}

}  // namespace penstock
