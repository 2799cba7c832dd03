#pragma once
// A value, or a sentence that tells a person what went wrong and what to do about it.
#include <expected>
#include <string>
#include <utility>

namespace penstock {

struct Error {
    std::string text;
    bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string text) { return std::unexpected<Error>(Error{std::move(text)}); }

}  // namespace penstock
