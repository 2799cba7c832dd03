#pragma once
// The one cold interface between the planes: the data plane implements it, control calls it, tests record with it.
#include <cstddef>
#include <memory>

#include "flow/table.hpp"

namespace penstock::flow {

class Publisher {
public:
    static constexpr size_t kMaxPending = 8;  // retired tables that some worker may still read

    virtual ~Publisher() = default;
    virtual void publish(std::unique_ptr<const Table> next) = 0;
    // Frees the tables whose grace period passed and says how many are still pending. Never blocks.
    virtual size_t reclaim() = 0;
};

}  // namespace penstock::flow
