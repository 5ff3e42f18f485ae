#pragma once
// A JSON object with secrets, in memory that is wiped.

#include <string_view>

#include "base/secret.hpp"

namespace cpns::cli {

/// Boost.JSON would copy a password into memory that nobody wipes. Texts and booleans only.
class secret_json {
 public:
  secret_json() = default;
  ~secret_json() { wipe(text_); }
  secret_json(const secret_json&) = delete;
  secret_json& operator=(const secret_json&) = delete;

  secret_json& add(std::string_view name, std::string_view text);
  secret_json& add(std::string_view name, const secret_bytes& text) {
    return add(name, as_text(text.expose()));
  }
  secret_json& add_flag(std::string_view name, bool value);
  /// The object; this one is empty then.
  secret_bytes take();

 private:
  void begin(std::string_view name);
  void quote(std::string_view text);
  void append(std::string_view text);
  bytes text_;
};

}  // namespace cpns::cli
