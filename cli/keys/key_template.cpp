#include "cli/keys/key_template.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <utility>

#include "base/bytes.hpp"
#include "base/descriptor.hpp"
#include "base/text.hpp"
#include "storage/file.hpp"

namespace cpns::cli::keys {
namespace {

constexpr std::size_t longest_template = std::size_t{1} << 20;

/// A buffer that grew by itself would leave its former memory as it was.
class secret_text {
 public:
  ~secret_text() { wipe(text_); }
  secret_text() = default;
  secret_text(const secret_text&) = delete;
  secret_text& operator=(const secret_text&) = delete;
  void add(std::string_view more) {
    const auto view = as_bytes(more);
    if (text_.capacity() - text_.size() < view.size()) {
      bytes larger;
      larger.reserve(2 * (text_.size() + view.size()) + 1024);
      larger.insert(larger.end(), text_.begin(), text_.end());
      std::swap(text_, larger);
      wipe(larger);
    }
    text_.insert(text_.end(), view.begin(), view.end());
  }
  void add_wiping(std::string more) {
    add(more);
    wipe(more);
  }
  secret_bytes take() { return secret_bytes{std::exchange(text_, {})}; }

 private:
  bytes text_;
};

}  // namespace

/// Takes a template apart.
class template_reader {
 public:
  template_reader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  result<key_template> read() {
    while (at_ < text_.size()) CPNS_CHECK(step());
    if (block_) return wrong(*block_, "this block has no {end}");
    flush();
    return std::move(out_);
  }

 private:
  using kind = key_template::kind;
  struct word {
    std::string_view name;
    kind what;
    bool in_block;
  };
  static constexpr std::array<word, 11> words{{{"each", kind::each, false},
                                               {"each use", kind::each_use, false},
                                               {"end", kind::end, true},
                                               {"purpose", kind::purpose, false},
                                               {"entity", kind::entity, true},
                                               {"identity", kind::identity, true},
                                               {"key", kind::key, true},
                                               {"key_base64", kind::key_base64, true},
                                               {"epoch", kind::epoch, true},
                                               {"state", kind::state, true},
                                               {"use", kind::use, true}}};

  status step() {
    const char c = text_[at_];
    const bool doubled = at_ + 1 < text_.size() && text_[at_ + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      literal_ += c;
      at_ += 2;
      return {};
    }
    if (c == '}') return wrong(at_, "this '}' ends nothing; write '}}' for the character itself");
    if (c == '{') return placeholder();
    literal_ += c;
    ++at_;
    return {};
  }

  status placeholder() {
    const auto end = text_.find_first_of("{}\n", at_ + 1);
    if (end == std::string_view::npos || text_[end] != '}')
      return wrong(at_, "this '{' has no '}' in its line; write '{{' for the character itself");
    const auto name = text_.substr(at_ + 1, end - at_ - 1);
    const auto found =
        std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.name == name; });
    if (found == words.end())
      return wrong(at_, "unknown placeholder {" + shown_name(name) + "}" + similar_to(name));
    const bool begins = found->what == kind::each || found->what == kind::each_use;
    if (begins && block_) return wrong(at_, "a block cannot be within another one");
    if (found->in_block && !block_)
      return wrong(at_, "{" + std::string{name} + "} is known between {each} and {end} alone");
    const auto begin = at_;
    at_ = end + 1;
    if (begins || found->what == kind::end) drop_line(begin);
    flush();
    out_.parts_.push_back({found->what});
    if (begins) block_ = begin;
    if (found->what == kind::end) block_.reset();
    return {};
  }

  /// Of a tag that is alone in its line, which began at `begin`.
  void drop_line(std::size_t begin) {
    const auto line = begin == 0 ? 0 : text_.rfind('\n', begin - 1) + 1;  // npos + 1 is 0
    const auto next = text_.find('\n', at_);
    const auto end = next == std::string_view::npos ? text_.size() : next;
    const auto is_blank = [](std::string_view t) {
      return t.find_first_not_of(" \t\r") == std::string_view::npos;
    };
    const auto before = text_.substr(line, begin - line);
    if (!is_blank(before) || !is_blank(text_.substr(at_, end - at_))) return;
    literal_.resize(literal_.size() - before.size());
    at_ = next == std::string_view::npos ? end : end + 1;
  }

  void flush() {
    if (!literal_.empty()) out_.parts_.push_back({kind::text, std::exchange(literal_, {})});
  }

  static std::string shown_name(std::string_view name) {
    const auto quoted = cpns::shown(name);
    return quoted.substr(1, quoted.size() - 2);
  }
  static std::string similar_to(std::string_view name) {
    std::vector<std::string_view> known;
    for (const auto& w : words) known.push_back(w.name);
    const auto near = nearest(name, known);
    return near ? "; did you mean {" + std::string{*near} + "}?" : "; write '{{' for a '{' of the text";
  }

  [[nodiscard]] tl::unexpected<error> wrong(std::size_t at, const std::string& why) const {
    const auto before = text_.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    return fail(errc::config_syntax,
                name_ + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + why);
  }

  const std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::string literal_;
  std::optional<std::size_t> block_;  ///< where the open one began
  key_template out_;
};

result<key_template> key_template::parse(std::string_view text, const std::string& name) {
  return template_reader{text, name}.read();
}

result<key_template> key_template::read(const std::string& file) {
  const descriptor open{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!open.valid())
    return fail(errc::config_file,
                storage::file_error(errno, errc::config_file, "cannot open the template", file).detail);
  CPNS_TRY(const auto text, storage::read_all(open.get(), longest_template, errc::config_range, file));
  return parse(as_text(text), file);
}

secret_bytes key_template::fill(const key_table::devices& all, const std::string& purpose) const {
  secret_text out;
  const auto one = [&](const part& p, const std::string& entity, const listed_key& k) {
    switch (p.what) {
    case kind::text: out.add(p.text); break;
    case kind::purpose: out.add(purpose); break;
    case kind::entity: out.add(entity); break;
    case kind::identity: out.add(k.identity); break;
    case kind::key: out.add_wiping(to_hex(k.key.expose())); break;
    case kind::key_base64: out.add_wiping(to_base64(k.key.expose())); break;
    case kind::epoch: out.add(k.which.text()); break;
    case kind::state: out.add(k.state); break;
    case kind::use: out.add(k.use ? "yes" : "no"); break;
    case kind::each:
    case kind::each_use:
    case kind::end: break;
    }
  };
  for (auto p = parts_.begin(); p != parts_.end(); ++p) {
    if (p->what != kind::each && p->what != kind::each_use) {
      one(*p, {}, {});
      continue;
    }
    const auto end = std::find_if(p, parts_.end(), [](const auto& q) { return q.what == kind::end; });
    for (const auto& [entity, keys] : all)
      for (const auto& k : keys)
        if (k.use || p->what == kind::each)
          for (auto inner = p + 1; inner != end; ++inner) one(*inner, entity, k);
    p = end;
  }
  return out.take();
}

secret_bytes key_template::fill(const std::string& entity, const std::vector<listed_key>& keys,
                                const std::string& purpose) const {
  return fill(key_table::devices{{entity, keys}}, purpose);
}

}  // namespace cpns::cli::keys
