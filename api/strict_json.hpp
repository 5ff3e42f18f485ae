#pragma once
// JSON documents that can be read in one way only, in memory that is wiped. For api/, and for commands that read secrets.

#include <boost/json/memory_resource.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace cpns::api::detail {

/// Memory of a JSON document that may hold a password: wiped when it is freed. Boost.JSON asks for at most the default
/// alignment, and does not always give back the alignment that it asked for.
class wiping_memory final : public boost::json::memory_resource {
  void* do_allocate(std::size_t size, std::size_t) override;
  void do_deallocate(void* p, std::size_t size, std::size_t) override;
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
};

/// The reason why a document is refused.
struct json_fault {
  std::string text;      ///< a part of a sentence, without any text of the document
  std::string member{};  ///< that occurs twice; empty: another fault
};

/// Of a member that occurs twice, one program takes the first value and another one the last. A number that is too large
/// becomes infinity, which JSON cannot write. Both are faults here, and so are a text that is not JSON and a nesting over
/// 8. The value lies in `memory`.
tl::expected<boost::json::value, json_fault> parse_strictly(wiping_memory& memory, std::string_view text);

}  // namespace cpns::api::detail
