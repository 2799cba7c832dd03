#include "control/io/kept_neighbours.hpp"

#include "control/io/kernel.hpp"

namespace penstock::io {

KeptNeighbours::KeptNeighbours() {
    auto kernel = Kernel::open();
    if (!kernel) return;
    if (const auto view = kernel->view()) noted_ = view->permanent();
}

// One that cannot be written is not to be kept: its interface went, or we may not.
KeptNeighbours::~KeptNeighbours() {
    if (noted_.empty()) return;
    auto kernel = Kernel::open();
    if (!kernel) return;
    const auto view = kernel->view();
    if (!view) return;
    for (const Neighbour& noted : noted_) {
        const Neighbour* now = view->neighbour(noted.key);
        if (now == nullptr || !now->permanent()) kernel->write(noted);
    }
}

}  // namespace penstock::io
