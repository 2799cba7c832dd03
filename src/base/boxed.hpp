#pragma once
// A value that is rarely there: while it is not, it takes the room of a pointer. Otherwise as std::optional: a value,
// copied with what it is part of.
#include <compare>
#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace penstock {

template <class T>
class Boxed {
public:
    Boxed() noexcept = default;
    Boxed(std::nullopt_t) noexcept {}
    template <class U>
    requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Boxed> &&
             !std::same_as<std::remove_cvref_t<U>, std::optional<T>>) Boxed(U&& value)
        : value_(std::make_unique<T>(std::forward<U>(value))) {}
    Boxed(T value) : value_(std::make_unique<T>(std::move(value))) {}
    Boxed(const std::optional<T>& value) : value_(value ? std::make_unique<T>(*value) : nullptr) {}
    Boxed(const Boxed& other) : value_(other ? std::make_unique<T>(*other) : nullptr) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(Boxed other) noexcept {
        value_ = std::move(other.value_);
        return *this;
    }
    ~Boxed() = default;

    explicit operator bool() const noexcept { return value_ != nullptr; }
    bool has_value() const noexcept { return value_ != nullptr; }
    const T& operator*() const noexcept { return *value_; }
    T& operator*() noexcept { return *value_; }
    const T* operator->() const noexcept { return value_.get(); }
    T* operator->() noexcept { return value_.get(); }
    T value_or(T other) const { return value_ ? *value_ : std::move(other); }
    template <class U>
    requires std::convertible_to<const T&, U>
    operator std::optional<U>() const { return value_ ? std::optional<U>(*value_) : std::nullopt; }

    template <class... Arguments>
    T& emplace(Arguments&&... arguments) {
        value_ = std::make_unique<T>(std::forward<Arguments>(arguments)...);
        return *value_;
    }
    void reset() noexcept { value_.reset(); }

    friend bool operator==(const Boxed& a, const Boxed& b) { return a && b ? *a == *b : !a && !b; }
    friend bool operator==(const Boxed& a, std::nullopt_t) { return !a; }
    template <class U>
    requires(!std::same_as<U, Boxed> && std::convertible_to<const U&, T>) friend bool operator==(const Boxed& a,
                                                                                                 const U& b) {
        return a && *a == b;
    }
    friend auto operator<=>(const Boxed& a, const Boxed& b) requires std::three_way_comparable<T> {
        using Order = std::compare_three_way_result_t<T>;
        return a && b ? *a <=> *b : Order(a.has_value() <=> b.has_value());  // absent comes first
    }

private:
    std::unique_ptr<T> value_;
};

}  // namespace penstock
