#pragma once
// Reads the JSON files of this folder and walks their cases.

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"

namespace cpns::vectors {

/// One case. A field that is missing or has another type fails the test by an exception.
class test_case {
 public:
  explicit test_case(const boost::json::object& o) : o_(o) {}

  [[nodiscard]] bool valid() const { return text("result") == "valid"; }
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] std::uint64_t number(std::string_view key) const;
  [[nodiscard]] bool flag(std::string_view key) const { return o_.at(key).as_bool(); }
  [[nodiscard]] bool has(std::string_view key) const { return o_.contains(key) && !o_.at(key).is_null(); }
  [[nodiscard]] bytes hex(std::string_view key) const;
  template <std::size_t N>
  [[nodiscard]] byte_array<N> array(std::string_view key) const {
    const auto b = hex(key);
    if (b.size() != N) throw std::runtime_error(std::string{key} + " has another length");
    return first<N>(b);
  }
  [[nodiscard]] secret32 key(std::string_view name) const { return secret32{array<32>(name)}; }
  [[nodiscard]] std::optional<tag16> tag(std::string_view name) const {
    return has(name) ? std::optional<tag16>{tag16{array<16>(name)}} : std::nullopt;
  }
  [[nodiscard]] test_case part(std::string_view name) const { return test_case{o_.at(name).as_object()}; }
  [[nodiscard]] const boost::json::object& json() const { return o_; }

 private:
  const boost::json::object& o_;
};

/// Calls `check` for each case of each group of type `type` with a scoped trace that names it; the number of
/// cases.
std::size_t for_each_case(const std::string& file, std::string_view type,
                          const std::function<void(const test_case&)>& check);

}  // namespace cpns::vectors
