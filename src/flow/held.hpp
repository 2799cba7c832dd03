#pragma once
// What keeps alive the states that a piece of a table points at.
#include <memory>
#include <vector>

namespace penstock::flow {

class Held {
public:
    // To point at. Nothing is held of null, and once what was made in one piece.
    template <class T>
    T* add(const std::shared_ptr<T>& what) {
        const bool last = !all_.empty() && !all_.back().owner_before(what) && !what.owner_before(all_.back());
        if (what && !last) all_.push_back(what);
        return what.get();
    }
    void shrink() { all_.shrink_to_fit(); }

private:
    std::vector<std::shared_ptr<const void>> all_;
};

}  // namespace penstock::flow
