#pragma once
// Who is measured: takes what was fed, 32 packets a turn, and sends the copies.
#include <cstdint>
#include <memory>

#include "stage.hpp"

namespace penstock::bench {

class Subject {
public:
    virtual ~Subject() = default;
    virtual void turn() = 0;
    // Whether `packets` were taken and each left as `fanout` copies, as far as the subject itself can tell. Copies of a
    // second path and repair are not among them.
    virtual bool accounts_for(uint64_t packets, uint32_t fanout) const = 0;
};

struct Load {
    uint32_t flows = 1000;
    uint32_t fanout = 1;
    bool share = true;  // the tx port takes chained buffers
    Kind kind = Kind::plain;
};

// penstock: dataplane::Worker with a table compiled by mesh::Mesh.
std::unique_ptr<Subject> make_forwarder(const Stage& stage, const Load& load);
// The least loop that does the work: see floor.cpp.
std::unique_ptr<Subject> make_floor(const Stage& stage, const Load& load);

}  // namespace penstock::bench
