#pragma once
// Templates of `cpns keys render` and `exec`: a text with a block that is repeated for each key.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "cli/keys/key_table.hpp"

namespace cpns::cli::keys {

/// The text is copied, with `{{` for `{` and `}}` for `}`. `{each}` to `{end}` is repeated for each key, sorted by device and
/// then as the role lists them; `{each use}` takes those alone with which this side begins. In a block: {entity} {identity}
/// {key} {key_base64} {epoch} {state} {use}; everywhere: {purpose}. A `{each}` or `{end}` alone in its line takes the line
/// with it.
class key_template {
 public:
  /// config_syntax: the detail begins with NAME:LINE:COLUMN.
  static result<key_template> parse(std::string_view text, const std::string& name);
  /// Of a file of at most 1 MiB. config_file if it cannot be read; errors of parse.
  static result<key_template> read(const std::string& file);

  [[nodiscard]] secret_bytes fill(const key_table::devices& all, const std::string& purpose) const;
  /// For one device.
  [[nodiscard]] secret_bytes fill(const std::string& entity, const std::vector<listed_key>& keys,
                                  const std::string& purpose) const;

 private:
  enum class kind : std::uint8_t {
    text,
    each,
    each_use,
    end,
    purpose,
    entity,
    identity,
    key,
    key_base64,
    epoch,
    state,
    use
  };
  struct part {
    kind what;
    std::string text{};  ///< of kind::text
  };
  friend class template_reader;
  std::vector<part> parts_;
};

}  // namespace cpns::cli::keys
