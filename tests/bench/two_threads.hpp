#pragma once
// For what takes two cores: a worker on one of them, and on the other the control side, which changes its table.
#include <sched.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/rcu.hpp"
#include "dataplane/worker.hpp"
#include "stage.hpp"
#include "traffic.hpp"

namespace penstock::bench {

inline void run_on(unsigned core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
}

// Two cores of our own, or less.
inline std::vector<unsigned> two_cores() {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::vector<unsigned> cores;
    for (unsigned core = 0; core < CPU_SETSIZE && cores.size() < 2; core++)
        if (CPU_ISSET(core, &allowed)) cores.push_back(core);
    return cores;
}

// One worker with all that it refers to, and the model that its tables are of.
struct Forwarding {
    Forwarding(const Stage& stage, uint32_t flows, uint32_t fanout)
        : mesh(make_mesh(flows, fanout, true)),
          qsbr(1),
          table(qsbr, mesh->compile()),
          capture(qsbr, std::make_unique<const flow::Capture>()),
          ports(qsbr, std::make_unique<const dataplane::PortSet>()),
          worker(qsbr, table, capture, ports, plan(stage)) {}

    std::unique_ptr<mesh::Mesh> mesh;
    dataplane::Qsbr qsbr;
    dataplane::Published<flow::Table> table;
    dataplane::Published<flow::Capture> capture;
    dataplane::Published<dataplane::PortSet> ports;
    dataplane::Worker worker;

private:
    static dataplane::WorkerPlan plan(const Stage& stage) {
        dataplane::WorkerPlan plan;
        plan.rx.emplace_back().ethdev = stage.rx();
        for (int port = 0; port < 2; port++) plan.tx.emplace_back(stage.tx(), uint16_t{0}, true);
        plan.pools = stage.pools();
        return plan;
    }
};

// The control side: its own thread. Of all flows but the first few, which are watched.
class Changer {
public:
    Changer(Forwarding& of, uint32_t flows, uint32_t fanout = 1, uint32_t watched = 1)
        : of_(of), flows_(flows), fanout_(fanout), watched_(watched) {}

    void change() {
        const uint32_t flow = watched_ + number_ / 4 * 7919 % (flows_ - watched_);
        switch (number_++ % 4) {
            case 0: put(stream_of(flow, fanout_ + 1)); break;  // an output more
            case 1: put(stream_of(flow, fanout_)); break;
            case 2: of_.mesh->remove(std::to_string(flow)); break;
            default: put(stream_of(flow, fanout_)); break;
        }
        answer(*of_.mesh);
        of_.mesh->take_sources();
        of_.mesh->take_keys();
        of_.table.publish(of_.mesh->compile());
    }

private:
    void put(const config::Stream& stream) {
        if (!of_.mesh->put(stream)) std::abort();
    }

    Forwarding& of_;
    const uint32_t flows_, fanout_, watched_;
    uint32_t number_ = 0;
};

}  // namespace penstock::bench
