#include "api/strict_json.hpp"

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <cmath>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "base/secret.hpp"

namespace cpns::api::detail {
namespace {

namespace json = boost::json;

constexpr std::size_t depth_max = 8;

/// Looks at each member and each number of a document. The names of members lie in wiped memory, for a client may send a
/// secret as a name.
class strict_handler {
 public:
  using error_code = boost::system::error_code;
  using view = json::string_view;
  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_object_size = no_bound, max_array_size = no_bound;
  static constexpr std::size_t max_key_size = no_bound, max_string_size = no_bound;

  explicit strict_handler(wiping_memory& memory) : memory_(&memory), name_(memory_) {}
  [[nodiscard]] json_fault fault() && { return std::move(fault_); }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    open_.emplace_back(memory_);
    return true;
  }
  bool on_object_end(std::size_t, error_code&) {
    open_.pop_back();
    return true;
  }
  bool on_key_part(view part, std::size_t, error_code&) {
    name_.append(part);
    return true;
  }
  bool on_key(view part, std::size_t, error_code& ec) {
    name_.append(part);
    const bool is_new = open_.back().emplace(name_, nullptr).second;
    if (!is_new) {
      fault_ = {"a member occurs twice", std::string{name_.data(), name_.size()}};
      ec = json::error::syntax;
    }
    name_.clear();
    return is_new;
  }
  bool on_double(double d, view, error_code& ec) {
    if (std::isfinite(d)) return true;
    fault_ = {"a number is too large"};
    ec = json::error::syntax;
    return false;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_string_part(view, std::size_t, error_code&) { return true; }
  bool on_string(view, std::size_t, error_code&) { return true; }
  bool on_number_part(view, error_code&) { return true; }
  bool on_int64(std::int64_t, view, error_code&) { return true; }
  bool on_uint64(std::uint64_t, view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(view, error_code&) { return true; }
  bool on_comment(view, error_code&) { return true; }

 private:
  json::storage_ptr memory_;
  std::vector<json::object> open_;  ///< the names of each object that is not closed yet
  json::string name_;
  json_fault fault_;
};

}  // namespace

void* wiping_memory::do_allocate(std::size_t size, std::size_t) { return ::operator new(size); }
void wiping_memory::do_deallocate(void* p, std::size_t size, std::size_t) {
  wipe(p, size);
  ::operator delete(p);
}

tl::expected<json::value, json_fault> parse_strictly(wiping_memory& memory, std::string_view text) {
  json::parse_options options;
  options.max_depth = depth_max;
  boost::system::error_code ec;
  json::parser parser{&memory, options};  // its own stack is wiped, too
  parser.reset(&memory);
  parser.write(text.data(), text.size(), ec);
  if (ec) return tl::unexpected<json_fault>(json_fault{ec.message()});
  json::basic_parser<strict_handler> second{options, memory};
  second.write_some(false, text.data(), text.size(), ec);
  if (ec) return tl::unexpected<json_fault>(std::move(second.handler()).fault());
  return parser.release();
}

}  // namespace cpns::api::detail
