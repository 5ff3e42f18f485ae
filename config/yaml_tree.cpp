#include "config/yaml_tree.hpp"

#include <fstream>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "config/values.hpp"

namespace cpns::config {
namespace {

constexpr std::size_t depth_max = 12;
constexpr std::size_t nodes_max = 200'000;

mark mark_of(const YAML::Mark& m) {
  if (m.is_null()) return {1, 1};
  return {static_cast<std::size_t>(m.line) + 1, static_cast<std::size_t>(m.column) + 1};
}

/// Thrown when the rest of the file cannot be checked.
struct refused {
  mark at;
  std::string why;
};

class builder : public YAML::EventHandler {
 public:
  builder(std::string_view text, yaml_node& root, diagnostics& found)
      : text_(text), root_(root), found_(found) {
    lines_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') lines_.push_back(i + 1);
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& m, const std::string& name) override {
    throw refused{mark_of(m), "an anchor (&" + name.substr(0, 40) + ") is not allowed; write the value out"};
  }
  void OnAlias(const YAML::Mark& m, YAML::anchor_t) override {
    throw refused{mark_of(m), "an alias (*) is not allowed; write the value out, or put it in quotes"};
  }
  void OnNull(const YAML::Mark& m, YAML::anchor_t) override { place({yaml_node::kind::none, mark_of(m)}); }
  void OnScalar(const YAML::Mark& m, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(m, tag);
    yaml_node n{yaml_node::kind::scalar, mark_of(m)};
    n.quoted = tag == "!";
    if (n.quoted) check_closed(n.at);
    n.text = value;
    place(std::move(n));
  }
  void OnSequenceStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(m, tag, yaml_node::kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(m, tag, yaml_node::kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct level {
    yaml_node node;
    bool key_next;
  };

  static void check_tag(const YAML::Mark& m, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") throw refused{mark_of(m), "a tag (!) is not allowed"};
  }
  void open(const YAML::Mark& m, const std::string& tag, yaml_node::kind kind) {
    check_tag(m, tag);
    if (!open_.empty() && open_.back().node.is == yaml_node::kind::map && open_.back().key_next)
      throw refused{mark_of(m), "a key must be a single word"};
    if (open_.size() == depth_max) throw refused{mark_of(m), "this is nested too deeply"};
    open_.push_back({yaml_node{kind, mark_of(m)}, true});
  }
  void close() {
    yaml_node done = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(done));
  }
  void place(yaml_node n) {
    if (++nodes_ > nodes_max) throw refused{n.at, "the file has more than 200000 values"};
    if (open_.empty()) {
      root_ = std::move(n);
      return;
    }
    auto& top = open_.back();
    if (top.node.is == yaml_node::kind::list) {
      top.node.items.push_back(std::move(n));
      return;
    }
    if (!top.key_next) {
      top.node.items.push_back(std::move(n));
      top.key_next = true;
      return;
    }
    if (n.is != yaml_node::kind::scalar) throw refused{n.at, "a key must be a single word"};
    for (const auto& k : top.node.keys)
      if (k.key == n.text) {
        found_.add(n.at, errc::config_syntax,
                   shown(n.text) + " is given twice, first in line " + std::to_string(k.at.line) +
                       "; remove one");
        break;
      }
    if (top.node.keys.size() == 1000) throw refused{n.at, "a map has more than 1000 keys"};
    top.node.keys.push_back({n.text, n.at});
    top.key_next = false;
  }

  /// yaml-cpp accepts a quote that only the end of the file closes.
  void check_closed(mark at) const {
    if (at.line > lines_.size()) return;
    auto i = lines_[at.line - 1] + at.column - 1;
    if (i >= text_.size() || (text_[i] != '"' && text_[i] != '\'')) return;
    const char quote = text_[i];
    for (++i; i < text_.size(); ++i) {
      if (quote == '"' && text_[i] == '\\')
        ++i;
      else if (text_[i] == quote && quote == '\'' && i + 1 < text_.size() && text_[i + 1] == quote)
        ++i;
      else if (text_[i] == quote)
        return;
    }
    throw refused{at, "this is not YAML: the quote that begins here is never closed"};
  }

  std::string_view text_;
  std::vector<std::size_t> lines_;  ///< offset of each line
  yaml_node& root_;
  diagnostics& found_;
  std::vector<level> open_;
  std::size_t nodes_ = 0;
};

/// The length of the UTF-8 sequence at the beginning of `text`; 0 if it is invalid (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = at(0);
  const std::size_t size = lead < 0x80                   ? 1
                           : lead >= 0xc2 && lead < 0xe0 ? 2
                           : lead >= 0xe0 && lead < 0xf0 ? 3
                           : lead >= 0xf0 && lead < 0xf5 ? 4
                                                         : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (lead == 0xe0 && at(1) < 0xa0) || (lead == 0xf0 && at(1) < 0x90);
  const bool surrogate = lead == 0xed && at(1) >= 0xa0;
  const bool beyond = lead == 0xf4 && at(1) >= 0x90;
  return overlong || surrogate || beyond ? 0 : size;
}

/// yaml-cpp treats byte 4 as the end of the input and silently drops the rest, and it replaces invalid UTF-8.
bool has_wrong_character(std::string_view text, diagnostics& found) {
  mark at{1, 1};
  for (std::size_t i = 0; i < text.size();) {
    const auto u = static_cast<unsigned char>(text[i]);
    const auto size = utf8_length(text.substr(i));
    if (size == 0) {
      found.add(at, errc::config_syntax, "this is not UTF-8; save the file as UTF-8");
      return true;
    }
    if ((u < 0x20 && u != '\n' && u != '\r' && u != '\t') || u == 0x7f) {
      found.add(at, errc::config_syntax, "a control character is not allowed; is this a text file?");
      return true;
    }
    at = u == '\n' ? mark{at.line + 1, 1} : mark{at.line, at.column + size};
    i += size;
  }
  return false;
}

}  // namespace

yaml_node parse_yaml(std::string_view text, diagnostics& found) {
  yaml_node root;
  root.at = {1, 1};
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.starts_with("\xfe\xff") || text.starts_with("\xff\xfe")) {
    found.add({1, 1}, errc::config_syntax, "the file is UTF-16; save it as UTF-8");
    return root;
  }
  if (has_wrong_character(text, found)) return root;
  try {
    std::istringstream in{std::string{text}};
    YAML::Parser parser(in);
    builder first(text, root, found);
    if (!parser.HandleNextDocument(first)) return root;
    yaml_node other;
    diagnostics unused;
    builder second(text, other, unused);
    if (parser.HandleNextDocument(second))
      found.add(other.at.line > 0 ? other.at : mark{1, 1}, errc::config_syntax,
                "a second document begins here; a file holds one configuration");
  } catch (const refused& r) {
    found.add(r.at, errc::config_syntax, r.why);
  } catch (const YAML::ParserException& e) {
    found.add(mark_of(e.mark), errc::config_syntax, "this is not YAML: " + e.msg);
  } catch (const std::exception& e) {
    found.add({1, 1}, errc::config_syntax, std::string{"this is not YAML: "} + e.what());
  }
  return root;
}

std::string read_yaml_file(const std::filesystem::path& file, diagnostics& found) {
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec)) {
    found.add({}, errc::config_file, "this is a folder, not a file");
    return {};
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    found.add({}, errc::config_file,
              "the file cannot be opened; is the path right, and may this user read it?");
    return {};
  }
  // Reads one byte over the limit to detect a file that is too large; a pipe has no size to ask for.
  std::string text(yaml_size_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) found.add({}, errc::config_file, "the file cannot be read");
  if (text.size() > yaml_size_max) found.add({}, errc::config_range, "the file is larger than 1 MiB");
  return text;
}

}  // namespace cpns::config
