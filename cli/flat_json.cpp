#include "cli/flat_json.hpp"

#include <string>

#include "base/secret.hpp"

namespace cpns::cli {
namespace {

class scanner {
 public:
  explicit scanner(std::string_view text) : text_(text) {}

  void blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
      ++at_;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] tl::unexpected<error> wrong(std::string_view what) const {
    return fail(errc::config_syntax, "this is no JSON object of texts: " + std::string{what} + " at column " +
                                         std::to_string(at_ + 1));
  }

  status string(std::string& out) {
    wipe(out);
    out.reserve(text_.size());  // no growth, so that no copy is left behind
    if (!take("\"")) return wrong("a text in quotes is missing");
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return {};
      }
      if (static_cast<unsigned char>(c) < 0x20) return wrong("a control character");
      ++at_;
      if (c != '\\')
        out += c;
      else
        CPNS_CHECK(escape(out));
    }
    return wrong("the end of a text is missing");
  }

 private:
  status escape(std::string& out) {
    if (at_end()) return wrong("an escape is cut off");
    const char c = text_[at_++];
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (const auto i = names.find(c); i != std::string_view::npos) {
      out += meanings[i];
      return {};
    }
    if (c != 'u') return wrong("an unknown escape");
    CPNS_TRY(auto point, four_digits());
    if (point >= 0xdc00 && point < 0xe000) return wrong("half of a surrogate pair");
    if (point >= 0xd800 && point < 0xdc00) {
      if (!take("\\u")) return wrong("half of a surrogate pair");
      CPNS_TRY(const auto low, four_digits());
      if (low < 0xdc00 || low >= 0xe000) return wrong("half of a surrogate pair");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    utf8(point, out);
    return {};
  }
  result<std::uint32_t> four_digits() {
    std::uint32_t v = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_end()) return wrong("an escape is cut off");
      const char c = text_[at_];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return wrong("an escape has a character that is no hexadecimal digit");
      v = v << 4 | static_cast<std::uint32_t>(digit);
    }
    return v;
  }
  static void utf8(std::uint32_t p, std::string& out) {
    const auto put = [&](std::uint32_t b) { out += static_cast<char>(b); };
    if (p < 0x80) return put(p);
    if (p < 0x800) {
      put(0xc0 | p >> 6);
    } else {
      if (p < 0x10000) {
        put(0xe0 | p >> 12);
      } else {
        put(0xf0 | p >> 18);
        put(0x80 | (p >> 12 & 0x3f));
      }
      put(0x80 | (p >> 6 & 0x3f));
    }
    put(0x80 | (p & 0x3f));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct wiped_text {
  std::string text;
  wiped_text() = default;
  wiped_text(const wiped_text&) = delete;
  wiped_text& operator=(const wiped_text&) = delete;
  ~wiped_text() { wipe(text); }
};

}  // namespace

status read_flat_json(std::string_view text, const json_pair_fn& pair) {
  scanner in(text);
  wiped_text key, value;
  in.blanks();
  if (!in.take("{")) return in.wrong("'{' is missing");
  in.blanks();
  bool more = !in.take("}");
  while (more) {
    in.blanks();
    CPNS_CHECK(in.string(key.text));
    in.blanks();
    if (!in.take(":")) return in.wrong("':' is missing");
    in.blanks();
    if (!in.take("null")) {
      CPNS_CHECK(in.string(value.text));
      if (!pair(key.text, value.text)) return {};
    }
    in.blanks();
    more = in.take(",");
    if (!more && !in.take("}")) return in.wrong("',' or '}' is missing");
  }
  in.blanks();
  if (!in.at_end()) return in.wrong("something follows the object");
  return {};
}

}  // namespace cpns::cli
