#pragma once
// result<T>: a value, or an error with a code and a detail: the fault, its place, and the remedy.

#include <concepts>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/errc.hpp"

namespace cpns {

struct error {
  errc code = errc::internal;
  std::string detail;  ///< never holds a secret

  error(errc c, std::string d = {}) : code(c), detail(std::move(d)) {}

  /// The sentence of the code, then the detail.
  [[nodiscard]] std::string message() const {
    std::string out{sentence_of(code)};
    if (!detail.empty()) out += ": " + detail;
    return out;
  }
  friend bool operator==(const error& a, errc b) { return a.code == b; }
};

template <class T>
using result = tl::expected<T, error>;
using status = result<void>;

/// `return fail(errc::x, "where and what");` in any function that returns a result.
inline tl::unexpected<error> fail(errc code, std::string detail = {}) {
  return tl::unexpected<error>(error{code, std::move(detail)});
}
/// Keeps the further members of a derived error, such as plugins::open_error.
template <std::derived_from<error> E>
tl::unexpected<E> fail(E e) {
  return tl::unexpected<E>(std::move(e));
}

// CPNS_TRY(auto x, f());  declares x with the value of f(), or returns its error from this function.
// CPNS_CHECK(f());        returns the error of f(), if there is one.
#define CPNS_CONCAT_(a, b) a##b
#define CPNS_CONCAT(a, b) CPNS_CONCAT_(a, b)
#define CPNS_TRY_(tmp, decl, ...)                                                                            \
  auto tmp = (__VA_ARGS__);                                                                                  \
  if (!tmp) return ::cpns::fail(std::move(tmp).error());                                                     \
  decl = std::move(*tmp)
#define CPNS_TRY(decl, ...) CPNS_TRY_(CPNS_CONCAT(cpns_try_, __COUNTER__), decl, __VA_ARGS__)
#define CPNS_CHECK(...)                                                                                      \
  do {                                                                                                       \
    if (auto cpns_check_ = (__VA_ARGS__); !cpns_check_) return ::cpns::fail(std::move(cpns_check_).error()); \
  } while (false)

}  // namespace cpns
