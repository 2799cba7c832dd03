// The running forwarder's second half: what operators ask of it over the control socket.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "control/capture/report.hpp"
#include "control/cli/edit.hpp"
#include "control/cli/reloaded.hpp"
#include "control/cli/url.hpp"
#include "control/config/load.hpp"
#include "node.hpp"

namespace penstock {

using cli::Action;
using Reply = io::ControlSocket::Reply;

namespace {

Reply report(const cli::Report& report, bool json) { return {true, json ? report.json() : report.text()}; }

// What is wrong, in a person's words or as {"error": ...}.
Reply refusal(std::string_view why, bool json) {
    return {false, json ? fmt::format("{{\"error\":{}}}\n", cli::json_string(why)) : fmt::format("{}\n", why)};
}

Reply done(std::string_view what, bool json) {
    return {true, json ? fmt::format("{{\"done\":{}}}\n", cli::json_string(what)) : fmt::format("{}\n", what)};
}

int numa_node_of(unsigned core) {
    for (int node = 0; node < 64; node++)
        if (std::ifstream(fmt::format("/sys/devices/system/node/node{}/cpu{}/topology/core_id", node, core)))
            return node;
    return -1;
}

}  // namespace

// `text COMMAND`, `json COMMAND`, `complete BEGINNING` with one word a line for an answer, or `progress` of a capture.
Reply Node::request(std::string_view line) {
    const size_t space = line.find(' ');
    const std::string_view verb = line.substr(0, space);
    const std::string_view rest = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    if (verb == "complete") {
        std::string words;
        for (const std::string& word :
             cli::complete(rest, [this](auto word, auto before) { return names(word, before); }))
            words += word + '\n';
        return {true, words};
    }
    if (verb == "progress") return capture_progress();
    if (verb != "text" && verb != "json")
        return refusal("a request is: text COMMAND, json COMMAND, complete BEGINNING or progress", false);
    const auto command = cli::parse(rest);
    if (!command) return refusal(command.error().text, verb == "json");
    return execute(*command, verb == "json");
}

std::vector<std::string> Node::names(std::string_view placeholder, std::span<const std::string> before) const {
    std::vector<std::string> all;
    if (placeholder == "STREAM")
        for (const auto& [name, stream] : mesh_->streams()) all.push_back(name);
    if (placeholder == "OPTIONS") all = {"count", "drops", "file", "leg", "path", "rate"};
    if (placeholder == "PORT") {
        all.emplace_back("all");
        for (const flow::PortInfo& port : ports_) all.push_back(port.name);
    }
    if (placeholder == "RECEIVER")
        if (const mesh::Stream* stream = mesh_->stream(before.front())) return cli::receivers_of(*stream);
    if (placeholder == "OUTPUT" || placeholder == "SOURCE" || placeholder == "TRACK")
        if (const mesh::Stream* stream = mesh_->stream(before.front()))
            return cli::deletable(stream->editable(), placeholder);
    return all;
}

Reply Node::execute(const cli::Command& command, bool json) {
    switch (command.action) {
        case Action::help:
            return json ? refusal("help has no JSON form", true)
                        : Reply{true, cli::help(command.arguments.empty() ? "" : command.arguments[0])};
        case Action::quit: return done("", json);
        case Action::reload: return reload(json);
        case Action::start:
        case Action::stop: return forward(command.action == Action::start, json);
        case Action::clear_port_stats:
            for (const auto& port : dataplane_->ports())
                for (auto& [counter, value] : port->counters()) stats_from_[{port->info().name, counter}] = value;
            return done("port statistics count from here on", json);
        case Action::add_stream: {
            const std::string& name = command.arguments[0];
            if (mesh_->stream(name))
                return refusal(fmt::format("stream '{}' is there already; del stream it first", name), json);
            auto stream = config::load_stream(name, cli::stream_settings(command.arguments[1]), config_.ports);
            if (!stream) return refusal(cli::text_of(stream.error(), true), json);
            if (auto put = mesh_->put(*stream); !put) return refusal(put.error().text, json);
            follow_changes();
            log_.info("stream '{}' added", name);
            return done(fmt::format("stream '{}' added", name), json);
        }
        case Action::del_stream: {
            const std::string& name = command.arguments[0];
            if (!mesh_->remove(name)) return refusal(fmt::format("there is no stream '{}'", name), json);
            follow_changes();
            log_.info("stream '{}' deleted", name);
            return done(fmt::format("stream '{}' deleted", name), json);
        }
        case Action::add_track:
        case Action::add_source:
        case Action::add_output:
        case Action::del_output:
        case Action::del_source:
        case Action::del_track: {
            const auto changed = edit(command);
            if (!changed) return refusal(changed.error().text, json);
            log_.info("{}", *changed);
            return done(*changed, json);
        }
        case Action::capture_stream:
        case Action::capture_drops: {
            const auto started = start_capture(command);
            return started ? done(*started, json) : refusal(started.error().text, json);
        }
        case Action::capture_stop: {
            const auto stopped = stop_capture();
            return stopped ? done(*stopped, json) : refusal(stopped.error().text, json);
        }
        default: return show(command, json);
    }
}

Reply Node::show(const cli::Command& command, bool json) const {
    const uint64_t now = dataplane::clock_now();
    switch (command.action) {
        case Action::show_streams: return report(cli::show_streams(*mesh_, now), json);
        case Action::show_worker: return report(cli::show_workers(*mesh_, worker_facts()), json);
        case Action::show_drops: return report(cli::show_drops(worker_facts()), json);
        case Action::show_capture:
            return report(capture_ ? capture::show(capture_->plan(), capture_->progress()) : capture::show_none(),
                          json);
        case Action::show_rtsp_sessions:
            if (!rtsp_) return refusal("RTSP is off: the configuration has no rtsp.listen and no rtsp.tls", json);
            return report(rtsp_->sessions(), json);
        case Action::show_rtsp_sources: return report(pulls_->sources(), json);
        case Action::show_config: return report(cli::show_config(*mesh_), json);
        case Action::show_stream:
        case Action::show_stream_path:
        case Action::show_stream_repair:
        case Action::show_stream_sdp: {
            const mesh::Stream* stream = mesh_->stream(command.arguments[0]);
            if (!stream)
                return refusal(fmt::format("there is no stream '{}'; try show stream all", command.arguments[0]), json);
            if (command.action == Action::show_stream_sdp) return show_sdp(command, json);
            if (command.action == Action::show_stream_repair) return report(cli::show_stream_repair(*stream), json);
            return report(command.action == Action::show_stream
                              ? cli::show_stream(*mesh_, *stream, now)
                              : cli::show_stream_path(*mesh_, *stream, port_facts("all"), worker_facts()),
                          json);
        }
        default: break;
    }
    const std::string& name = command.arguments[0];
    if (name != "all" && !mesh_->port_index(name))
        return refusal(fmt::format("there is no port '{}'; try show port info all", name), json);
    auto ports = port_facts(name);
    if (command.action == Action::show_port_info) return report(cli::show_port_info(ports), json);
    if (command.action == Action::show_port_stats)
        for (cli::PortFacts& port : ports)
            for (auto& [counter, value] : port.counters)
                if (const auto from = stats_from_.find({port.info.name, counter}); from != stats_from_.end())
                    value -= from->second;
    return report(cli::show_port_counters(ports, command.action == Action::show_port_xstats), json);
}

Reply Node::show_sdp(const cli::Command& command, bool json) const {
    const auto& words = command.arguments;
    const auto sdp = cli::stream_sdp(*mesh_, words[0], words.size() > 1 ? words[1] : "");
    if (!sdp) return refusal(sdp.error().text, json);
    return {true, json ? fmt::format("{{\"sdp\":{}}}\n", cli::json_string(*sdp)) : *sdp};
}

Result<std::string> Node::edit(const cli::Command& command) {
    const std::string& name = command.arguments[0];
    const mesh::Stream* stream = mesh_->stream(name);
    if (!stream) return fail(fmt::format("there is no stream '{}'; try show stream all", name));
    const bool brought = stream->pulled() || !stream->brought().empty();
    if (brought && command.action != Action::add_output && command.action != Action::del_output)
        return fail(
            fmt::format("the tracks of stream '{}' are those of its publisher or camera; outputs can be added "
                        "and deleted",
                        name));
    auto edit = cli::edit(stream->editable(), command, config_.ports);
    if (!edit) return fail(edit.error().text);
    if (stream->pulled()) {
        edit->stream = config::trimmed(std::move(edit->stream));
        if (!stream->brought().empty())
            for (const std::string& unmet : config::planned(edit->stream, stream->brought()).unmet)
                if (std::ranges::find(stream->unmet(), unmet) == stream->unmet().end()) return fail(unmet);
    }
    if (auto put = brought && !stream->pulled() ? mesh_->bring(name, edit->stream.tracks) : mesh_->put(edit->stream);
        !put)
        return fail(put.error().text);
    follow_changes();
    return fmt::format("stream '{}': {}", name, edit->what);
}

Reply Node::forward(bool on, bool json) {
    if (mesh_->forwarding() == on)
        return refusal(on ? "forwarding is not stopped" : "forwarding is stopped already", json);
    mesh_->set_forwarding(on);
    publish();
    log_.info("forwarding {}", on ? "started" : "stopped");
    return done(on ? "forwarding started" : "forwarding stopped; start begins again", json);
}

// The file as it is now: all of it or nothing. What is neither streams nor who may use RTSP waits for the next start.
Reply Node::reload(bool json) {
    const auto refused = [&](std::string_view why) { return refusal(fmt::format("nothing is changed:{}", why), json); };
    const auto next = reread_();
    if (!next) return refused("\n" + next.error().text.substr(0, next.error().text.find_last_not_of('\n') + 1));
    // An empty file is a right one, and most likely one that was cut off.
    if (next->ports.empty() && !config_.ports.empty()) return refused(" the file has no ports; is all of it there?");
    for (const config::Stream& stream : next->streams)
        for (const config::Track& track : stream.tracks) {
            const auto unknown = [&](const auto& entry) { return entry.port && !mesh_->port_index(entry.port); };
            if (std::ranges::any_of(track.sources, unknown) || std::ranges::any_of(track.outputs, unknown))
                return refused(fmt::format(" stream '{}' names a port that is not open; ports are opened at the start",
                                           stream.name));
        }
    cli::Reloaded reloaded;
    config::Rtsp next_rtsp = next->rtsp;
    if (rtsps_ && next_rtsp.tls) {
        auto renewed = rtsps_->renew(*next_rtsp.tls);
        if (!renewed) return refused(" " + renewed.error().text);
        reloaded.certificate = *renewed;
        next_rtsp.tls->certificate = config_.rtsp.tls->certificate;
        next_rtsp.tls->key = config_.rtsp.tls->key;
    }
    trusts_.forget();
    const auto later = [&](std::string_view section, bool same) {
        if (!same) reloaded.at_next_start.emplace_back(section);
    };
    later("node", next->node == config_.node);
    later("log", next->log == config_.log);
    later("workers", next->workers == config_.workers);
    later("memory", next->memory == config_.memory);
    later("control", next->control == config_.control);
    later("metrics", next->metrics == config_.metrics);
    later("media", next->media == config_.media);
    const config::Rtsp rtsp = config::taken_over(config_.rtsp, next_rtsp);
    later("rtsp", rtsp == next_rtsp);
    later("ports", next->ports == config_.ports);
    if (rtsp != config_.rtsp) {
        reloaded.taken_over.emplace_back("rtsp");
        config_.rtsp = rtsp;
        if (rtsp_) rtsp_->reload(rtsp);
    }
    reloaded.streams = mesh_->replace(next->streams);
    follow_changes();
    return {true, json ? reloaded.json() : reloaded.text()};
}

std::vector<cli::WorkerFacts> Node::worker_facts() const {
    std::vector<cli::WorkerFacts> all;
    for (const auto& worker : dataplane_->workers()) {
        cli::WorkerFacts facts{.core = cores_[worker->id()],
                               .numa_node = numa_node_of(cores_[worker->id()]),
                               .queues = "",
                               .placed = mesh_->placed()[worker->id()],
                               .ledger = worker->ledger().read(),
                               .latency = flow::Latency::of(worker->latency()),
                               .stalled = pulses_[worker->id()].stalled()};
        for (const dataplane::RxQueue& q : worker->rx())
            facts.queues += fmt::format("{}{}/{}", facts.queues.empty() ? "" : ", ", ports_[q.port].name, q.number);
        all.push_back(std::move(facts));
    }
    return all;
}

std::vector<cli::PortFacts> Node::port_facts(const std::string& name) const {
    std::vector<cli::PortFacts> all;
    const auto health = port_health();
    for (const auto& port : dataplane_->ports()) {
        if (name != "all" && port->info().name != name) continue;
        all.push_back({ports_[port->info().index], port->driver_name(), port->steering() ? port->steering()->how() : "",
                       port->zero_copy(), static_cast<unsigned>(port->rx().size()),
                       static_cast<unsigned>(port->tx().size()), port->numa_node(), port->device(), port->firmware(),
                       port->offloads(), port->multicast(),
                       port->flow_rules() ? std::optional(port->flow_rules()->size()) : std::nullopt,
                       health[port->info().index].why_not, port->counters(), port->segmentation()});
    }
    return all;
}

}  // namespace penstock
