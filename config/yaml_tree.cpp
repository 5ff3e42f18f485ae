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

/// Ends the reading of a file whose rest cannot be judged.
struct refused {
  mark at;
  std::string why;
};

class builder : public YAML::EventHandler {
 public:
  builder(yaml_node& root, problems& found) : root_(root), found_(found) {}

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

  yaml_node& root_;
  problems& found_;
  std::vector<level> open_;
  std::size_t nodes_ = 0;
};

/// yaml-cpp takes byte 4 for the end of the input, and would not show what follows it.
bool has_control_character(const std::string& text, problems& found) {
  mark at{1, 1};
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && c != '\n' && c != '\r' && c != '\t') || u == 0x7f) {
      found.add(at, errc::config_syntax, "a control character is not allowed; is this a text file?");
      return true;
    }
    if (c == '\n')
      at = {at.line + 1, 1};
    else
      ++at.column;
  }
  return false;
}

}  // namespace

yaml_node parse_yaml(const std::string& text, problems& found) {
  yaml_node root;
  root.at = {1, 1};
  if (has_control_character(text, found)) return root;
  if (text.starts_with("\xfe\xff") || text.starts_with("\xff\xfe")) {
    found.add({1, 1}, errc::config_syntax, "the file is UTF-16; save it as UTF-8");
    return root;
  }
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    builder first(root, found);
    if (!parser.HandleNextDocument(first)) return root;
    yaml_node other;
    problems unused;
    builder second(other, unused);
    if (parser.HandleNextDocument(second))
      found.add(other.at.line > 0 ? other.at : mark{1, 1}, errc::config_syntax,
                "a second document begins here; a file holds one configuration");
  } catch (const refused& r) {
    found.add(r.at, errc::config_syntax, r.why);
  } catch (const YAML::ParserException& e) {
    found.add(mark_of(e.mark), errc::config_syntax, "this is no YAML: " + e.msg);
  } catch (const std::exception& e) {
    found.add({1, 1}, errc::config_syntax, std::string{"this is no YAML: "} + e.what());
  }
  return root;
}

std::string read_yaml_file(const std::filesystem::path& file, problems& found) {
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
  // One byte more than allowed tells a file that is too large, also when it is a pipe without a size.
  std::string text(yaml_size_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) found.add({}, errc::config_file, "the file cannot be read");
  if (text.size() > yaml_size_max) found.add({}, errc::config_range, "the file is larger than 1 MiB");
  return text;
}

}  // namespace cpns::config
