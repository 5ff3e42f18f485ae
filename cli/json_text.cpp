#include "cli/json_text.hpp"

#include <boost/json.hpp>

namespace cpns::cli {
namespace {

class indenter {
 public:
  explicit indenter(std::size_t width) : width_(width) {}

  void put(const boost::json::value& v, std::size_t depth, std::size_t before) {
    const auto flat = boost::json::serialize(v);
    const auto* object = v.if_object();
    const auto* array = v.if_array();
    const bool nested = (object != nullptr && !object->empty()) || (array != nullptr && !array->empty());
    if (!nested || (depth > 0 && before + flat.size() <= width_)) {
      out += flat;
      return;
    }
    const std::string lead(2 * (depth + 1), ' ');
    out += object != nullptr ? "{" : "[";
    bool first = true;
    const auto next = [&] {
      out += (first ? "\n" : ",\n") + lead;
      first = false;
    };
    if (object != nullptr) {
      for (const auto& [key, value] : *object) {
        next();
        const auto name = boost::json::serialize(boost::json::string(key)) + ": ";
        out += name;
        put(value, depth + 1, lead.size() + name.size());
      }
    } else {
      for (const auto& value : *array) {
        next();
        put(value, depth + 1, lead.size());
      }
    }
    out += "\n" + std::string(2 * depth, ' ') + (object != nullptr ? "}" : "]");
  }
  std::string out;

 private:
  std::size_t width_;
};

}  // namespace

std::string indented(const boost::json::value& v, std::size_t width) {
  indenter to(width);
  to.put(v, 0, 0);
  return std::move(to.out) + "\n";
}

}  // namespace cpns::cli
