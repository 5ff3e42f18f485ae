#include "cli/secret_json.hpp"

#include <cstdio>
#include <utility>

namespace cpns::cli {

void secret_json::append(std::string_view text) {
  // A vector that grows by itself frees its old memory unwiped.
  if (text_.size() + text.size() > text_.capacity()) {
    bytes larger;
    larger.reserve(2 * (text_.size() + text.size()) + 256);
    larger.insert(larger.end(), text_.begin(), text_.end());
    wipe(text_);
    text_ = std::move(larger);
  }
  const auto raw = as_bytes(text);
  text_.insert(text_.end(), raw.begin(), raw.end());
}

void secret_json::quote(std::string_view text) {
  append("\"");
  for (const char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      append(hex);
      continue;
    }
    if (c == '"' || c == '\\') append("\\");
    append({&c, 1});
  }
  append("\"");
}

void secret_json::begin(std::string_view name) {
  append(text_.empty() ? "{" : ",");
  quote(name);
  append(":");
}

secret_json& secret_json::add(std::string_view name, std::string_view text) {
  begin(name);
  quote(text);
  return *this;
}

secret_json& secret_json::add_flag(std::string_view name, bool value) {
  begin(name);
  append(value ? "true" : "false");
  return *this;
}

secret_bytes secret_json::take() {
  append(text_.empty() ? "{}" : "}");
  return secret_bytes(std::exchange(text_, {}));
}

}  // namespace cpns::cli
