#include "dataplane/rcu.hpp"
#include "dataplane/worker.hpp"
#include "subject.hpp"

namespace penstock::bench {
namespace {

class Forwarder final : public Subject {
public:
    Forwarder(const Stage& stage, const Load& load)
        : kind_(load.kind),
          mesh_(make_mesh(load.flows, load.fanout, load.share, load.kind)),
          qsbr_(1),
          table_(qsbr_, mesh_->compile()),
          capture_(qsbr_, std::make_unique<const flow::Capture>()),
          ports_(qsbr_, std::make_unique<const dataplane::PortSet>()),
          worker_(qsbr_, table_, capture_, ports_, plan(stage, load)) {}

    void turn() override { worker_.turn(); }
    bool accounts_for(uint64_t packets, uint32_t fanout) const override {
        const flow::Ledger ledger = worker_.ledger().read();
        uint64_t lost = 0;
        for (const auto& track : mesh_->tracks()) lost += track->paths.front().state->reception.counters().lost.read();
        return ledger.balanced() && ledger.forwarded == packets && lost == 0 &&
               (kind_ == Kind::fec_encode ? ledger.sent > packets * fanout : ledger.sent == packets * fanout);
    }

private:
    static dataplane::WorkerPlan plan(const Stage& stage, const Load& load) {
        dataplane::WorkerPlan plan;
        plan.rx.emplace_back().ethdev = stage.rx();
        for (int port = 0; port < 2; port++) plan.tx.emplace_back(stage.tx(), uint16_t{0}, load.share);
        plan.ports.resize(1);
        plan.ingest = stage.by_tcp();
        plan.pools = stage.pools();
        return plan;
    }

    Kind kind_;
    std::unique_ptr<mesh::Mesh> mesh_;
    dataplane::Qsbr qsbr_;
    dataplane::Published<flow::Table> table_;
    dataplane::Published<flow::Capture> capture_;
    dataplane::Published<dataplane::PortSet> ports_;
    dataplane::Worker worker_;
};

}  // namespace

std::unique_ptr<Subject> make_forwarder(const Stage& stage, const Load& load) {
    return std::make_unique<Forwarder>(stage, load);
}

}  // namespace penstock::bench
