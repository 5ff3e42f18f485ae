#include "plugins/conformance/report.hpp"

#include <algorithm>
#include <cstdio>

#include "base/bytes.hpp"

namespace cpns::conformance {
namespace {

std::size_t count(const std::vector<outcome>& all, verdict v) {
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [v](const outcome& o) { return o.is == v; }));
}

std::int64_t total_ms(const std::vector<outcome>& all) {
  std::int64_t ms = 0;
  for (const auto& o : all) ms += o.ms;
  return ms;
}

/// Reasons may contain a plugin's text: replaces bytes that are not UTF-8 by '?', and control characters by
/// spaces.
template <class Escape>
std::string cleaned(std::string_view text, Escape escape) {
  std::string out;
  while (!text.empty()) {
    const auto n = utf8_length({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    const auto c = static_cast<unsigned char>(text.front());
    if (n <= 1 && (n == 0 || c < 0x20))
      out += c < 0x20 && n == 1 ? ' ' : '?';
    else if (n == 1)
      escape(out, text.front());
    else
      out += text.substr(0, n);
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return out;
}

std::string json(std::string_view text) {
  return "\"" +
         cleaned(text,
                 [](std::string& out, char c) {
                   if (c == '"' || c == '\\') out += '\\';
                   out += c;
                 }) +
         "\"";
}

std::string xml(std::string_view text) {
  return cleaned(text, [](std::string& out, char c) {
    switch (c) {
    case '<': out += "&lt;"; break;
    case '>': out += "&gt;"; break;
    case '&': out += "&amp;"; break;
    case '"': out += "&quot;"; break;
    default: out += c;
    }
  });
}

std::string plain(std::string_view text) {
  return cleaned(text, [](std::string& out, char c) { out += c; });
}

bool shows_log(const outcome& o) {
  return !o.log.empty() && (o.is == verdict::failed || o.is == verdict::crashed);
}

std::string json_log(const outcome& o) {
  if (!shows_log(o)) return {};
  std::string out;
  for (const auto& line : o.log) out += (out.empty() ? ",\"log\":[" : ",") + json(line);
  return out + "]";
}

std::string xml_log(const outcome& o) {
  if (!shows_log(o)) return {};
  std::string out = "<system-out>";
  for (const auto& line : o.log) out += xml(line) + "\n";
  return out + "</system-out>";
}

std::string seconds_of(std::int64_t ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(ms / 1000),
                static_cast<long long>(ms % 1000));
  return text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::size_t widest(const std::vector<outcome>& all) {
  std::size_t w = 0;
  for (const auto& o : all) w = std::max(w, o.test.size());
  return w;
}

constexpr verdict verdicts[] = {verdict::passed, verdict::failed, verdict::crashed, verdict::warning,
                                verdict::skipped};

}  // namespace

std::string as_text(const heading& h, const std::vector<outcome>& all,
                    std::string (*paint)(verdict, const std::string& word)) {
  std::string out;
  const auto width = widest(all);
  for (const auto& o : all) {
    char ms[32];
    std::snprintf(ms, sizeof ms, "%7lld ms  ", static_cast<long long>(o.ms));
    const auto word = padded(std::string{word_of(o.is)}, 9);
    out += ms + (paint != nullptr ? paint(o.is, word) : word) +
           (o.reason.empty() ? o.test : padded(o.test, width)) +
           (o.reason.empty() ? "" : "  " + plain(o.reason)) + "\n";
    if (shows_log(o))
      for (const auto& line : o.log) out += std::string(22, ' ') + plain(line) + "\n";
  }
  out += "\n" + h.plugin + ":";
  for (const auto v : verdicts)
    if (const auto n = count(all, v); n != 0 || v == verdict::passed || v == verdict::failed)
      out += (out.back() == ':' ? " " : ", ") + std::to_string(n) + " " + std::string{word_of(v)};
  return out + "; " + seconds_of(total_ms(all)) + " s, seed " + std::to_string(h.seed) + "\n";
}

std::string as_json(const heading& h, const std::vector<outcome>& all) {
  std::string out = "{\"plugin\":" + json(h.plugin) + ",\"seed\":" + std::to_string(h.seed) +
                    ",\"well\":" + (all_well(all) ? "true" : "false");
  for (const auto v : verdicts)
    out += ",\"" + std::string{word_of(v)} + "\":" + std::to_string(count(all, v));
  out += ",\"tests\":[";
  for (std::size_t i = 0; i < all.size(); ++i)
    out += std::string{i == 0 ? "" : ","} + "\n  {\"name\":" + json(all[i].test) + ",\"result\":\"" +
           std::string{word_of(all[i].is)} + "\",\"ms\":" + std::to_string(all[i].ms) +
           (all[i].reason.empty() ? "" : ",\"reason\":" + json(all[i].reason)) + json_log(all[i]) + "}";
  return out + "\n]}\n";
}

std::string as_junit(const heading& h, const std::vector<outcome>& all) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"cpns transport check " +
                    xml(h.plugin) + "\" tests=\"" + std::to_string(all.size()) + "\" failures=\"" +
                    std::to_string(count(all, verdict::failed)) + "\" errors=\"" +
                    std::to_string(count(all, verdict::crashed)) + "\" skipped=\"" +
                    std::to_string(count(all, verdict::skipped)) + "\" time=\"" + seconds_of(total_ms(all)) +
                    "\">\n  <properties><property name=\"seed\" value=\"" + std::to_string(h.seed) +
                    "\"/></properties>\n";
  for (const auto& o : all) {
    out += "  <testcase classname=\"" + xml(h.plugin) + "\" name=\"" + xml(o.test) + "\" time=\"" +
           seconds_of(o.ms) + "\"";
    const auto message = " message=\"" + xml(o.reason) + "\"/>";
    switch (o.is) {
    case verdict::passed: out += "/>\n"; break;
    case verdict::failed: out += "><failure" + message + xml_log(o) + "</testcase>\n"; break;
    case verdict::crashed: out += "><error" + message + xml_log(o) + "</testcase>\n"; break;
    case verdict::skipped: out += "><skipped" + message + "</testcase>\n"; break;
    case verdict::warning:
      out += "><system-out>warning: " + xml(o.reason) + "</system-out></testcase>\n";
      break;
    }
  }
  return out + "</testsuite>\n";
}

std::string list_as_text(const std::vector<test>& tests) {
  std::size_t width = 0;
  for (const auto& t : tests) width = std::max(width, t.name.size());
  std::string out;
  for (const auto& t : tests)
    out += padded(std::string{t.name}, width) + "  " + std::string{t.sentence} + "\n";
  return out;
}

std::string list_as_json(const std::vector<test>& tests) {
  std::string out = "[";
  for (std::size_t i = 0; i < tests.size(); ++i)
    out += std::string{i == 0 ? "" : ","} + "\n  {\"name\":" + json(tests[i].name) +
           ",\"sentence\":" + json(tests[i].sentence) + ",\"needs\":" + json(tests[i].needs) +
           ",\"limit_s\":" + std::to_string(tests[i].limit.count()) + "}";
  return out + "\n]\n";
}

}  // namespace cpns::conformance
