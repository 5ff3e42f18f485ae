#include "base/log_text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "base/bytes.hpp"

namespace cpns::log::detail {
namespace {

void put(line_buffer& out, std::string_view text) { out.append(text.data(), text.data() + text.size()); }

bool stands_for_itself(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void put_escaped(line_buffer& out, std::string_view text) {
  for (;;) {
    const auto special = std::find_if_not(text.begin(), text.end(), stands_for_itself);
    const auto plain = static_cast<std::size_t>(special - text.begin());
    put(out, text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return;
    const auto c = static_cast<unsigned char>(text[0]);
    const auto length = std::max<std::size_t>(utf8_length(as_bytes(text)), 1);
    const bool c1 = length == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(text[0]);
    } else if (c1) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", static_cast<unsigned char>(text[1]));
    } else if (length == 1) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", c);
    } else {
      put(out, text.substr(0, length));
    }
    text.remove_prefix(length);
  }
}

bool needs_no_quotes(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
    return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
  });
}

/// The text of a time down to its second, which many lines share.
struct shared_second {
  std::time_t second = -1;
  std::size_t size = 0;
  std::array<char, 40> text{};
};

void put_time(line_buffer& out, line_time at) {
  using namespace std::chrono;
  thread_local shared_second last;
  const auto whole = floor<seconds>(at);
  if (const auto second = system_clock::to_time_t(whole); second != last.second || last.size == 0) {
    std::tm utc{};
    gmtime_r(&second, &utc);
    const auto end = fmt::format_to_n(last.text.data(), last.text.size(),
                                      "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.", utc.tm_year + 1900,
                                      utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    last.size = std::min(end.size, last.text.size());
    last.second = second;
  }
  put(out, {last.text.data(), last.size});
  const auto ms = static_cast<unsigned>(duration_cast<milliseconds>(at - whole).count());
  for (const auto digit : {ms / 100, ms / 10 % 10, ms % 10}) out.push_back(static_cast<char>('0' + digit));
  out.push_back('Z');
}

void put_json(line_buffer& out, level l, std::string_view component, std::string_view event,
              std::string_view text, std::span<const field> fields, line_time at) {
  put(out, R"({"time":")");
  put_time(out, at);
  put(out, R"(","level":")");
  put(out, name_of(l));
  put(out, R"(","component":")");
  put(out, component);
  put(out, R"(","event":")");
  put(out, event);
  put(out, R"(","text":")");
  put_escaped(out, text);
  for (const auto& f : fields) {
    put(out, R"(",")");
    put(out, f.key);
    put(out, R"(":")");
    put_escaped(out, f.value);
  }
  put(out, "\"}");
}

void put_text(line_buffer& out, level l, std::string_view component, std::string_view event,
              std::string_view text, std::span<const field> fields, line_time at) {
  constexpr std::string_view widest = "     ";
  const auto name = name_of(l);
  put_time(out, at);
  out.push_back(' ');
  put(out, name);
  put(out, widest.substr(std::min(widest.size(), name.size())));
  out.push_back(' ');
  put(out, component);
  out.push_back(' ');
  put(out, event);
  put(out, ": ");
  put_escaped(out, text);
  append_fields(out, fields);
}

}  // namespace

std::string_view priority_of(level l) {
  switch (l) {
  case level::debug: return "<7>";
  case level::info: return "<6>";
  case level::warn: return "<4>";
  case level::error: return "<3>";
  case level::off: break;
  }
  return {};
}

void append_line(line_buffer& out, format form, level l, std::string_view component, std::string_view event,
                 std::string_view text, std::span<const field> fields, line_time at) {
  if (form == format::json)
    put_json(out, l, component, event, text, fields, at);
  else
    put_text(out, l, component, event, text, fields, at);
  out.push_back('\n');
}

void append_fields(line_buffer& out, std::span<const field> fields) {
  for (const auto& f : fields) {
    out.push_back(' ');
    put(out, f.key);
    out.push_back('=');
    const bool quoted = !needs_no_quotes(f.value);
    if (quoted) out.push_back('"');
    put_escaped(out, f.value);
    if (quoted) out.push_back('"');
  }
}

}  // namespace cpns::log::detail
