#pragma once
// JSON bodies and query parameters, read strictly: an unknown member, a wrong type or a bound that is not kept is a
// problem that names the field.

#include <boost/json/memory_resource.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http.hpp"

namespace cpns::api {

template <class T>
using checked = tl::expected<T, problem>;

/// The JSON object in the body of a request. A body may hold a password: all memory that the parser uses is wiped
/// when it is freed. Not thread-safe.
class json_body {
 public:
  /// An empty body counts as {}. Refuses (400, 415): another content type than application/json, no JSON, no object,
  /// nesting over 8, a member that occurs twice, a number that is too large, members other than `known`.
  static checked<json_body> read(const request& r, std::initializer_list<std::string_view> known);
  ~json_body();
  json_body(json_body&&) noexcept;
  json_body& operator=(json_body&&) = delete;

  [[nodiscard]] bool has(std::string_view field) const;
  /// A string of 1 to `max` bytes; missing: 400 "missing-field".
  [[nodiscard]] checked<std::string> text(std::string_view field, std::size_t max = 1024) const;
  /// The same for a secret.
  [[nodiscard]] checked<secret_bytes> secret(std::string_view field, std::size_t min, std::size_t max) const;
  /// nullopt if the field is missing or null.
  [[nodiscard]] checked<std::optional<std::string>> optional_text(std::string_view field,
                                                                  std::size_t max = 1024) const;
  /// For people: also without control characters, which a terminal would obey.
  [[nodiscard]] checked<std::optional<std::string>> optional_name(std::string_view field,
                                                                  std::size_t max) const;
  /// A secret of one line, as programs read it from a file or a prompt.
  [[nodiscard]] checked<secret_bytes> secret_line(std::string_view field, std::size_t min,
                                                  std::size_t max) const;
  /// The members of an object: texts of at most 1024 bytes without control characters, numbers, true and false, all as
  /// text; at most 64. Empty if the field is missing or null.
  [[nodiscard]] checked<text_map> texts(std::string_view field) const;
  /// An array of 1 to `items_max` texts of 1 to `bytes_max` bytes; missing: 400 "missing-field".
  [[nodiscard]] checked<std::vector<std::string>> text_list(std::string_view field, std::size_t items_max,
                                                            std::size_t bytes_max) const;
  [[nodiscard]] checked<bool> boolean(std::string_view field, bool if_missing) const;
  [[nodiscard]] checked<std::uint64_t> number(std::string_view field, std::uint64_t min, std::uint64_t max,
                                              std::optional<std::uint64_t> if_missing = {}) const;

 private:
  json_body();
  struct memory;
  std::unique_ptr<memory> memory_;  ///< outlives value_
  std::unique_ptr<boost::json::value> value_;
};

/// 400 "bad-json" if the body says that it is JSON and json_body::read() would not take it as such.
checked<void> check_json(const request& r);

/// The body, in which the members of `secrets` are replaced by "(secret)"; null if it is not a JSON
/// object. Other members may hold anything, so none goes to the audit trail before it was read as that which it should be.
boost::json::value body_without(const request& r, const std::vector<std::string>& secrets);

/// The value, or the problem of its error at this field.
template <class T>
checked<T> in_field(result<T> value, std::string_view field) {
  if (value) return std::move(*value);
  problem why{value.error()};
  why.field = field;
  return tl::unexpected<problem>(std::move(why));
}

/// 400 "unknown-parameter" if the query has other names; "out-of-range" if a parameter but `prefix` is empty.
checked<void> only_parameters(const request& r, std::initializer_list<std::string_view> known);
/// A number in the query.
checked<std::uint64_t> number_parameter(const request& r, std::string_view name, std::uint64_t min,
                                        std::uint64_t max, std::uint64_t if_missing);
/// A text in the query, empty if it is missing.
std::string text_parameter(const request& r, std::string_view name);

inline constexpr std::uint64_t page_limit_default = 100, page_limit_max = 1000;
/// For the parameter `after` of a list whose rows are in the order of their names.
template <class T>
checked<void> is_after(const std::string& after, result<T> (*parse)(std::string_view)) {
  if (after.empty() || parse(after)) return {};
  return refuse(400, "out-of-range", "'after' must be the member 'next' of the page before", "after");
}

/// The parameters of a list: how many rows, and after which one. `after` is what the page before gave as `next`.
struct page_wanted {
  std::size_t limit = page_limit_default;
  std::string after;
};
checked<page_wanted> page_of(const request& r);

/// An answer of status `status` with the document as body.
response json_response(const boost::json::value& v, unsigned status = 200);
/// 204, without a body.
response empty_response();

}  // namespace cpns::api
