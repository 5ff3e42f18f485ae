#include "cli/demo/application_report.hpp"

#include <cstdint>
#include <cstdio>

#include "cli/terminal.hpp"

namespace cpns::cli {
namespace {

/// A count that should be 0.
std::string judged(std::uint64_t n) { return paint(n == 0 ? colour::green : colour::red, std::to_string(n)); }

/// "2.1 s".
std::string age(std::chrono::milliseconds of) {
  const auto tenths = (of.count() + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

std::string application_heads() {
  return "\n     time   keys replaced   epoch of the first   handshakes   refused       sent   received";
}

std::string application_row(std::chrono::seconds since, std::size_t renewed, const std::string& epoch,
                            const application_figures& f) {
  char text[160];
  std::snprintf(text, sizeof text, "  %5lld s   %13zu   %18s   %10llu   %7llu   %8llu   %8llu",
                static_cast<long long>(since.count()), renewed, epoch.c_str(),
                static_cast<unsigned long long>(f.handshakes), static_cast<unsigned long long>(f.refused),
                static_cast<unsigned long long>(f.sent), static_cast<unsigned long long>(f.received));
  return text;
}

std::string application_line(const application_figures& f) {
  const auto others = f.others == 0 ? std::string{}
                                    : "\n  others   " + std::to_string(f.others) +
                                          " connections that failed for another reason; their messages were "
                                          "sent again";
  return others + "\n  mqtt     handshakes " + std::to_string(f.handshakes) + ", refused " +
         judged(f.refused) + "; messages: sent " + std::to_string(f.sent) + ", received " +
         std::to_string(f.received) + ", lost " + judged(f.lost) + "; oldest key in use: " +
         (f.handshakes == 0 ? "none" : "epoch " + f.oldest_epoch + ", " + age(f.oldest_key));
}

boost::json::object application_json(std::chrono::seconds since, std::size_t renewed,
                                     const application_figures& f) {
  return {{"name", "mqtt"},
          {"seconds", since.count()},
          {"keys_replaced", renewed},
          {"handshakes", f.handshakes},
          {"refused", f.refused},
          {"others", f.others},
          {"sent", f.sent},
          {"received", f.received},
          {"lost", f.lost},
          {"oldest_key_ms", f.oldest_key.count()},
          {"oldest_key_epoch", f.oldest_epoch}};
}

std::string application_failure(std::size_t renewed, const application_figures& f) {
  if (f.refused != 0) return std::to_string(f.refused) + " handshakes were refused";
  if (f.lost != 0) return std::to_string(f.lost) + " messages were lost";
  if (f.handshakes == 0) return "no client came to the broker";
  if (renewed == 0) return "no key was replaced while the clients ran";
  return {};
}

}  // namespace cpns::cli
