#include "transports/tcp/peripheral.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace cpns::tcp {
namespace {

constexpr std::size_t gateways_max = 8;
constexpr unsigned doublings_max = 6;
constexpr std::chrono::seconds silence{2};  // a gateway that was not heard for so long was gone, and is back
constexpr std::chrono::seconds settled{5};  // a link that lived so long was no failure

}  // namespace

peripheral::peripheral(sdk::host out, settings s, bool probe) : hub(out, std::move(s)) {
  for (const auto& at : settings_.connect) gateways_.push_back({at, {}});
  if (settings_.discover != 0 && !probe)
    beacons_ = std::make_unique<beacon_listener>(io_, settings_, [this](const host_port& g) { heard(g); });
  if (beacons_) beacons_->start();
}

bool peripheral::add(std::uint64_t endpoint) {
  {
    std::lock_guard lock{names_guard_};
    if (!names_.insert(endpoint).second) return false;
  }
  asio::post(io_, [this, endpoint] {
    if (stopping_) return;
    presences_[endpoint].pause = std::make_unique<asio::steady_timer>(io_);
    dial(endpoint);
  });
  return true;
}

void peripheral::remove(std::uint64_t endpoint) {
  {
    std::lock_guard lock{names_guard_};
    names_.erase(endpoint);
  }
  asio::post(io_, [this, endpoint] {
    const auto it = presences_.find(endpoint);
    if (it == presences_.end()) return;
    auto last = std::move(it->second);
    presences_.erase(it);
    boost::system::error_code ignored;
    last.pause->cancel();
    if (last.dialling) last.dialling->close(ignored);
    if (last.link) last.link->close(CPNS_DOWN_CLOSED, "the PNE left");
  });
}

void peripheral::heard(const host_port& from) {
  const auto now = clock::now();
  auto known = std::find_if(gateways_.begin(), gateways_.end(), [&](const auto& g) { return g.at == from; });
  if (known != gateways_.end()) {
    if (now - std::exchange(known->heard, now) < silence) return;
  } else {
    if (gateways_.size() >= gateways_max)
      gateways_.erase(gateways_.begin() +
                      static_cast<std::ptrdiff_t>(std::min(settings_.connect.size(), gateways_max - 1)));
    known = gateways_.insert(gateways_.end(), {from, now});
  }
  const auto index = static_cast<std::size_t>(known - gateways_.begin());
  for (auto& [endpoint, p] : presences_) {
    if (p.link || p.dialling) continue;
    p.failures = 0;
    p.next_gateway = index;
    dial(endpoint);
  }
}

void peripheral::dial(std::uint64_t endpoint) {
  const auto it = presences_.find(endpoint);
  if (stopping_ || it == presences_.end() || gateways_.empty()) return;
  auto& p = it->second;
  if (p.link || p.dialling) return;
  if (!has_room()) return again(endpoint);
  p.pause->cancel();
  const auto& [host, port] = gateways_[p.next_gateway++ % gateways_.size()].at;
  const auto address = asio::ip::make_address(host);
  p.dialling = std::make_shared<asio::ip::tcp::socket>(io_);
  ++dialling_;
  p.dialling->async_connect({address, port},
                            [this, endpoint, socket = p.dialling, name = host + ":" + std::to_string(port)](
                                const boost::system::error_code& failed) {
                              --dialling_;
                              const auto found = presences_.find(endpoint);
                              if (stopping_ || found == presences_.end() || found->second.dialling != socket)
                                return;
                              if (failed) {
                                found->second.dialling.reset();
                                return again(endpoint);
                              }
                              connected(endpoint, name);
                            });
}

void peripheral::connected(std::uint64_t endpoint, const std::string& gateway) {
  auto& p = presences_[endpoint];
  const auto c = std::make_shared<connection>(std::move(*p.dialling), settings_);
  p.dialling.reset();
  p.link = c;
  p.up_since = clock::now();
  const auto hello = magic + settings_.network;
  c->send({reinterpret_cast<const std::uint8_t*>(hello.data()), hello.size()});
  adopt(c, endpoint, "tcp:" + gateway, [this, endpoint, c] {
    const auto it = presences_.find(endpoint);
    if (it == presences_.end() || it->second.link != c) return;
    it->second.link.reset();
    if (clock::now() - it->second.up_since >= settled) it->second.failures = 0;
    again(endpoint);
  });
}

bool peripheral::has_room() {
  if (link_count() + dialling_ < links_max_) return true;
  if (!std::exchange(told_of_files_, true))
    out_.log(CPNS_LOG_WARN,
             "more than " + std::to_string(links_max_) +
                 " connections are not opened (max_links, and the files that this process may open: ulimit "
                 "-n, LimitNOFILE); the other PNEs wait until one ends");
  return false;
}

/// Exponential back-off with jitter, so that a thousand PNEs do not come back in one moment.
void peripheral::again(std::uint64_t endpoint) {
  const auto it = presences_.find(endpoint);
  if (stopping_ || it == presences_.end()) return;
  auto& p = it->second;
  const auto longest = settings_.retry_ms << std::min(p.failures++, doublings_max);
  p.pause->expires_after(std::chrono::milliseconds(longest / 2 + dice_() % (longest / 2 + 1)));
  p.pause->async_wait([this, endpoint](const boost::system::error_code& cancelled) {
    if (!cancelled) dial(endpoint);
  });
}

void peripheral::shut() {
  if (beacons_) beacons_->stop();
  boost::system::error_code ignored;
  for (auto& [endpoint, p] : presences_) {
    p.pause->cancel();
    if (p.dialling) p.dialling->close(ignored);
  }
}

}  // namespace cpns::tcp
