#include "transports/tcp/descriptors.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

#include "plugins/sdk/parameters.hpp"

namespace cpns::tcp {
namespace {

constexpr std::uint64_t reserved_files = 128;  // for the rest of the process; at most half of the limit
constexpr std::uint64_t files_enough =
    2'000'000;  // a process without a limit declares no more links than this

std::atomic<std::uint64_t> connections{0};
std::atomic<std::uint64_t> unkept_connections{0};  ///< those of instances without a number of links
std::mutex kept_guard;
std::uint64_t kept_by_all = 0;  ///< by instances with a number of links that somebody set

std::uint64_t open_files_max() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return files_enough;
  return std::min<std::uint64_t>(files.rlim_cur, files_enough);
}

[[noreturn]] void refuse(std::uint64_t max_links, std::uint64_t left, std::uint64_t kept) {
  throw sdk::bad_parameter{
      "max_links", "it must be at most " + std::to_string(left) + ", not " + std::to_string(max_links) +
                       ": this process may open " + std::to_string(open_files_max()) + " files, of which " +
                       std::to_string(open_files_max() - connections_that_fit()) + " are for other things" +
                       (kept == 0 ? "" : " and " + std::to_string(kept) + " for its other tcp radios") +
                       "; lower it, raise the limit (ulimit -n, LimitNOFILE), or use several radios with "
                       "isolation: process, each of which has a limit of its own"};
}

/// With kept_guard held.
std::uint64_t left() {
  const auto fit = connections_that_fit();
  return fit - std::min(kept_by_all, fit);
}

/// What the numbers of links that somebody set leave to the instances without one.
std::uint64_t left_by_kept() {
  std::lock_guard lock{kept_guard};
  return left();
}

}  // namespace

std::uint64_t connections_that_fit() {
  const auto most = open_files_max();
  return most - std::min(reserved_files, most / 2);
}

counted_connection::counted_connection(bool kept) : kept_(kept) {
  ++connections;
  if (!kept_) ++unkept_connections;
}
counted_connection::~counted_connection() {
  if (!kept_) --unkept_connections;
  --connections;
}
bool counted_connection::fits() { return connections < connections_that_fit(); }

link_share::link_share(std::uint64_t max_links, bool probe) : set_(max_links != 0) {
  std::lock_guard lock{kept_guard};
  if (max_links > left() && !probe) refuse(max_links, left(), kept_by_all);
  declared_ = std::max<std::uint64_t>(set_ ? max_links : connections_that_fit(), 1);
  if (!probe) kept_by_all += kept_ = max_links;
}

link_share::~link_share() {
  std::lock_guard lock{kept_guard};
  kept_by_all -= kept_;
}

std::uint64_t link_share::links() const { return set_ ? declared_ : std::min(declared_, left_by_kept()); }

bool link_share::fits_one_more() const {
  return counted_connection::fits() && (set_ || unkept_connections < left_by_kept());
}

}  // namespace cpns::tcp
