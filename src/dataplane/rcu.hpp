#pragma once
// How control replaces what workers read: one writer (control), one reader a worker, a QSBR grace period (rte_rcu_qsbr)
// that is polled for and never waited on.
#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>

namespace penstock::dataplane {

class Qsbr {
public:
    explicit Qsbr(unsigned max_readers) {
        const size_t size = (rte_rcu_qsbr_get_memsize(max_readers) + 63) / 64 * 64;
        state_.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(64, size)));
        rte_rcu_qsbr_init(state_.get(), max_readers);
    }

    // One worker's membership. Made and destroyed by whoever runs the worker; the rest is called by its thread only.
    class Reader {
    public:
        Reader(Qsbr& qsbr, unsigned id) : state_(qsbr.state_.get()), id_(id) {
            rte_rcu_qsbr_thread_register(state_, id_);
            rte_rcu_qsbr_thread_online(state_, id_);
        }
        ~Reader() {
            rte_rcu_qsbr_thread_offline(state_, id_);
            rte_rcu_qsbr_thread_unregister(state_, id_);
        }
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;
        void quiescent() noexcept { rte_rcu_qsbr_quiescent(state_, id_); }
        // Around a sleep: a reader that is away holds no grace period up.
        void offline() noexcept { rte_rcu_qsbr_thread_offline(state_, id_); }
        void online() noexcept { rte_rcu_qsbr_thread_online(state_, id_); }

    private:
        rte_rcu_qsbr* state_;
        unsigned id_;
    };

    uint64_t start() noexcept { return rte_rcu_qsbr_start(state_.get()); }
    bool passed(uint64_t token) noexcept { return rte_rcu_qsbr_check(state_.get(), token, false) == 1; }

private:
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<rte_rcu_qsbr, Free> state_;
};

// Destroyed only after the workers have stopped.
template <class T>
class Published {
public:
    Published(Qsbr& qsbr, std::unique_ptr<const T> first) : qsbr_(qsbr), current_(first.release()) {}
    ~Published() { delete current_.load(std::memory_order_relaxed); }
    Published(const Published&) = delete;
    Published& operator=(const Published&) = delete;

    // Worker. Valid until its next quiescent(). The acquire pairs with the exchange in publish(): who sees the pointer
    // sees what it points to.
    const T& read() const noexcept { return *current_.load(std::memory_order_acquire); }

    void publish(std::unique_ptr<const T> next) {  // control
        std::unique_ptr<const T> old(current_.exchange(next.release(), std::memory_order_acq_rel));
        retired_.push_back({qsbr_.start(), std::move(old)});
    }
    size_t reclaim() {  // control: frees what no worker can read any more, says how many are left
        while (!retired_.empty() && qsbr_.passed(retired_.front().token)) retired_.pop_front();
        return retired_.size();
    }

private:
    struct Retired {
        uint64_t token;
        std::unique_ptr<const T> object;
    };
    Qsbr& qsbr_;
    std::atomic<const T*> current_;
    std::deque<Retired> retired_;
};

}  // namespace penstock::dataplane
