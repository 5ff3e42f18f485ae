#include <array>
#include <cstring>
#include <vector>

#include "base/log.hpp"
#include "base/log_text.hpp"

namespace cpns::log {
namespace {

using part_size = std::uint32_t;

void add(std::string& to, std::string_view part) {
  std::array<char, sizeof(part_size)> head{};
  const auto size = static_cast<part_size>(part.size());
  std::memcpy(head.data(), &size, head.size());
  to.append(head.data(), head.size()).append(part.substr(0, size));
}

std::string_view take(std::string_view& from) {
  part_size size = 0;
  std::memcpy(&size, from.data(), sizeof size);
  const auto part = from.substr(sizeof size, size);
  from.remove_prefix(sizeof size + size);
  return part;
}

}  // namespace

packed_line::packed_line(level l, component c, std::string_view event, std::string_view text,
                         std::initializer_list<field> fields)
    : at_(std::chrono::system_clock::now()), level_(l) {
  auto size = c.name().size() + event.size() + text.size() + (3 + 2 * fields.size()) * sizeof(part_size);
  for (const auto& f : fields) size += f.key.size() + f.value.size();
  parts_.reserve(size);
  for (const auto part : {c.name(), event, text}) add(parts_, part);
  for (const auto& f : fields) {
    add(parts_, f.key);
    add(parts_, f.value);
  }
}

std::string_view packed_line::event() const {
  std::string_view rest{parts_};
  take(rest);
  return take(rest);
}

std::string packed_line::json() const {
  std::string_view rest{parts_};
  const auto component = take(rest), event = take(rest), text = take(rest);
  std::vector<field> fields;
  while (!rest.empty()) {
    const auto key = take(rest);
    fields.push_back({key, take(rest)});
  }
  detail::line_buffer out;
  detail::append_line(out, format::json, level_, component, event, text, fields, at_);
  return {out.data(), out.size() - 1};
}

}  // namespace cpns::log
