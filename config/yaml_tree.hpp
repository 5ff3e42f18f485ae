#pragma once
// A YAML file as a tree with the position of every node. Accepts only the subset that a configuration needs:
// one document, no anchors, aliases or tags, no duplicate keys, bounded depth and size.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "config/diagnostics.hpp"

namespace cpns::config {

struct yaml_node {
  enum class kind : std::uint8_t { none, scalar, list, map };
  yaml_node() = default;
  yaml_node(kind k, mark m) : is(k), at(m) {}

  kind is = kind::none;
  mark at;
  bool quoted = false;
  std::string text;  ///< of a scalar, before expansion
  std::vector<yaml_node> items;
  struct entry {
    std::string key;
    mark at;
  };
  std::vector<entry> keys;  ///< of a map: keys[i] belongs to items[i]
};

inline constexpr std::size_t yaml_size_max = 1024 * 1024;

/// Parses `text` and adds syntax errors to `found`; the tree is valid only if none was added.
yaml_node parse_yaml(std::string_view text, diagnostics& found);

/// Reads a file of at most yaml_size_max bytes. Errors are diagnostics without a position.
std::string read_yaml_file(const std::filesystem::path& file, diagnostics& found);

}  // namespace cpns::config
