#include "transports/tcp/peripheral.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace cpns::tcp {
namespace {

constexpr std::size_t gateways_max = 8;
// Attempts at once. A gateway queues 4,096 connections that it has not accepted; the kernel drops further ones, and
// repeats each of them only seconds later.
constexpr std::size_t dials_max = 1024;
constexpr unsigned doublings_max = 6;
constexpr std::chrono::seconds silence{2};  // a beacon after a longer silence means that the gateway is back
// A link that lived this long resets the back-off, but not one on which the gateway said nothing: it had no turn for this
// PNE, and many others wait, too.
constexpr std::chrono::seconds settled{5};

}  // namespace

peripheral::peripheral(sdk::host out, settings s, bool probe)
    : hub(out, std::move(s), probe), names_(io_, [this] { dial_all(); }) {
  for (const auto& at : settings_.connect) gateways_.push_back({at, {}});
  if (settings_.discover != 0 && !probe)
    beacons_ = std::make_unique<beacon_listener>(io_, settings_, counters_,
                                                 [this](const asio::ip::tcp::endpoint& g) { heard(g); });
  if (beacons_) beacons_->start();
}

bool peripheral::add(std::uint64_t endpoint) {
  {
    std::lock_guard lock{endpoints_guard_};
    if (!endpoints_.insert(endpoint).second) return false;
  }
  asio::post(io_, [this, endpoint] {
    if (stopping_) return;
    presences_.try_emplace(endpoint);
    dial(endpoint);
  });
  return true;
}

void peripheral::remove(std::uint64_t endpoint) {
  {
    std::lock_guard lock{endpoints_guard_};
    endpoints_.erase(endpoint);
  }
  asio::post(io_, [this, endpoint] {
    const auto it = presences_.find(endpoint);
    if (it == presences_.end()) return;
    auto last = std::move(it->second);
    presences_.erase(it);
    boost::system::error_code ignored;
    last.pause.reset();
    if (last.dialling) last.dialling->socket.close(ignored);
    if (last.link) last.link->close(CPNS_DOWN_CLOSED, "the PNE was removed");
  });
}

void peripheral::heard(const asio::ip::tcp::endpoint& from) {
  probe_links_to(from);
  const auto now = clock::now();
  const host_port at{from.address().to_string(), from.port()};
  auto known = std::find_if(gateways_.begin(), gateways_.end(), [&](const auto& g) { return g.at == at; });
  if (known != gateways_.end()) {
    if (now - std::exchange(known->heard, now) < silence) return;
  } else {
    if (gateways_.size() >= gateways_max)
      gateways_.erase(gateways_.begin() +
                      static_cast<std::ptrdiff_t>(std::min(settings_.connect.size(), gateways_max - 1)));
    known = gateways_.insert(gateways_.end(), {at, now});
  }
  const auto index = static_cast<std::size_t>(known - gateways_.begin());
  for (auto& [endpoint, p] : presences_) {
    if (p.link || p.dialling) continue;
    p.failures = 0;
    p.next_gateway = index;
    dial(endpoint);
  }
}

void peripheral::dial_all() {
  for (const auto& [endpoint, p] : presences_)
    if (!p.link && !p.dialling) dial(endpoint);
}

/// A gateway that lost power sends beacons again while this side still has the old connections, which the
/// gateway's kernel no longer knows. Anybody can send a beacon, so it only triggers a probe.
void peripheral::probe_links_to(const asio::ip::tcp::endpoint& gateway) {
  for (const auto& [endpoint, p] : presences_)
    if (p.link && p.at == gateway) p.link->probe();
}

/// The next address to try: all gateways in turn, and for each name its addresses in turn. None while no name is
/// resolved yet.
std::optional<asio::ip::tcp::endpoint> peripheral::next_address(presence& p) {
  for (std::size_t tried = 0; tried < gateways_.size(); ++tried) {
    const auto turn = p.next_gateway++;
    const auto& at = gateways_[turn % gateways_.size()].at;
    const auto addresses = names_.of(at.host);
    if (addresses.empty()) continue;
    return asio::ip::tcp::endpoint{addresses[turn / gateways_.size() % addresses.size()], at.port};
  }
  return std::nullopt;
}

void peripheral::dial(std::uint64_t endpoint) {
  const auto it = presences_.find(endpoint);
  if (stopping_ || it == presences_.end() || gateways_.empty()) return;
  auto& p = it->second;
  if (p.link || p.dialling) return;
  if (!has_room()) return retry_later(endpoint);
  if (dialling_ >= dials_max) {
    if (!std::exchange(p.in_line, true)) line_.push_back(endpoint);
    return;
  }
  const auto to = next_address(p);
  if (!to) return retry_later(endpoint);
  p.at = *to;
  p.dialling = std::make_shared<attempt>(io_, settings_.max_links != 0);
  ++dialling_;
  // Without this, a gateway that does not answer would block the others for two minutes.
  pause_of(p, std::chrono::milliseconds(settings_.connect_ms))
      .async_wait([one = p.dialling](const boost::system::error_code& cancelled) {
        boost::system::error_code ignored;
        if (!cancelled) one->socket.close(ignored);
      });
  p.dialling->socket.async_connect(
      *to, [this, endpoint, one = p.dialling](const boost::system::error_code& failed) {
        --dialling_;
        const auto found = presences_.find(endpoint);
        if (!stopping_ && found != presences_.end() && found->second.dialling == one) {
          if (failed || !one->socket.is_open()) {
            ++counters_.connects_failed;
            found->second.dialling.reset();
            retry_later(endpoint);
          } else {
            connected(endpoint);
          }
        }
        dial_next();
      });
}

void peripheral::dial_next() {
  while (!stopping_ && !line_.empty() && dialling_ < dials_max) {
    const auto endpoint = line_.front();
    line_.pop_front();
    const auto it = presences_.find(endpoint);
    if (it == presences_.end() || !std::exchange(it->second.in_line, false)) continue;
    dial(endpoint);
  }
}

void peripheral::connected(std::uint64_t endpoint) {
  auto& p = presences_[endpoint];
  p.pause.reset();
  const auto c = std::make_shared<connection>(std::move(p.dialling->socket), base_);
  p.dialling.reset();
  p.link = c;
  p.up_since = clock::now();
  const auto hello = magic + settings_.network;
  c->send({reinterpret_cast<const std::uint8_t*>(hello.data()), hello.size()});
  adopt(c, endpoint, "tcp:" + text_of(p.at));
}

void peripheral::gone(const connection& c) {
  const auto it = presences_.find(c.endpoint());
  if (it == presences_.end() || it->second.link.get() != &c) return;
  auto& p = it->second;
  if (c.heard() && clock::now() - p.up_since >= settled) p.failures = 0;
  p.link.reset();
  retry_later(it->first);
}

bool peripheral::has_room() {
  if (fits_one_more(dialling_)) return true;
  if (!std::exchange(files_reported_, true))
    out_.log(CPNS_LOG_WARN,
             "the limit of " + std::to_string(std::min(links_max(), connections_that_fit())) +
                 " connections is reached (max_links, and the files that this process may open: ulimit -n, "
                 "LimitNOFILE); the other PNEs wait until one ends");
  return false;
}

timer& peripheral::pause_of(presence& p, std::chrono::milliseconds length) {
  if (!p.pause) p.pause = std::make_unique<timer>(io_);
  p.pause->expires_after(length);
  return *p.pause;
}

/// Exponential back-off with jitter, so that a thousand PNEs do not reconnect at the same moment.
void peripheral::retry_later(std::uint64_t endpoint) {
  const auto it = presences_.find(endpoint);
  if (stopping_ || it == presences_.end()) return;
  auto& p = it->second;
  const auto longest = settings_.retry_ms << std::min(p.failures++, doublings_max);
  pause_of(p, std::chrono::milliseconds(longest / 2 + dice_() % (longest / 2 + 1)))
      .async_wait([this, endpoint](const boost::system::error_code& cancelled) {
        if (!cancelled) dial(endpoint);
      });
}

void peripheral::shut() {
  names_.stop();
  if (beacons_) beacons_->stop();
  boost::system::error_code ignored;
  for (auto& [endpoint, p] : presences_) {
    p.pause.reset();
    if (p.dialling) p.dialling->socket.close(ignored);
  }
}

}  // namespace cpns::tcp
