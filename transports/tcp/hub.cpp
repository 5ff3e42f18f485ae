#include "transports/tcp/hub.hpp"

#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

namespace cpns::tcp {
namespace {

constexpr std::size_t read_size = 16 * 1024;

}  // namespace

hub::hub(sdk::host out, settings s, bool probe)
    : out_(out),
      settings_(std::move(s)), base_{settings_, counters_, *this, std::vector<std::uint8_t>(read_size)},
      share_(settings_.max_links, probe) {}

void hub::run() {
  work_ = std::make_unique<asio::io_context::work>(io_);
  thread_ = std::thread{[this] {
    try {
      io_.run();
    } catch (const std::exception& e) {
      out_.failed(e.what());
    }
  }};
}

void hub::stop() {
  asio::post(io_, [this] {
    stopping_ = true;
    shut();
    std::vector<std::shared_ptr<connection>> all;
    {
      std::lock_guard lock{guard_};
      for (auto& [id, c] : links_) all.push_back(c);
    }
    for (auto& c : all) c->close(CPNS_DOWN_CLOSED, "this side is closing");
    work_.reset();
  });
  if (thread_.joinable()) thread_.join();
}

void hub::turned_away(counters::counter& which, const std::string& address, const std::string& why) {
  ++which;
  if (const auto others = turned_away_logged_.due())
    out_.log(CPNS_LOG_INFO, "closed the connection of " + address + ": " + why + " (" +
                                std::to_string(*others) + " others since the last such line)");
}

bool hub::fits_one_more(std::size_t others) {
  std::lock_guard lock{guard_};
  return links_.size() + others < share_.links() && share_.fits_one_more();
}

std::shared_ptr<connection> hub::find(std::uint64_t link) {
  std::lock_guard lock{guard_};
  const auto it = links_.find(link);
  return it == links_.end() ? nullptr : it->second;
}

void hub::adopt(const std::shared_ptr<connection>& c, std::uint64_t endpoint, const std::string& address) {
  std::uint64_t link = 0;
  {
    std::lock_guard lock{guard_};
    link = ++next_link_;
    links_.emplace(link, c);
  }
  out_.link_up(link, endpoint, address);
  c->start(link, endpoint);
}

void hub::frame_in(connection& c, std::span<const std::uint8_t> body) {
  ++counters_.frames_received;
  out_.frame(c.link(), body);
}

void hub::closed(connection& c, cpns_down_reason why, const std::string& detail) {
  if (c.link() == 0) return stranger_gone(c);
  {
    std::lock_guard lock{guard_};
    links_.erase(c.link());
  }
  out_.link_down(c.link(), why, detail);
  gone(c);
}

void hub::writable(connection& c) { out_.writable(c.link()); }

cpns_status hub::send(std::uint64_t link, std::span<const std::uint8_t> data) {
  if (data.empty() || data.size() > settings_.mtu) return CPNS_LIMIT;
  const auto c = find(link);
  if (!c) return CPNS_NO_LINK;
  const auto sent = c->send(data);
  if (sent == CPNS_OK) ++counters_.frames_sent;
  return sent;
}

void hub::disconnect(std::uint64_t link) {
  asio::post(io_, [this, link] {
    if (const auto c = find(link)) c->close(CPNS_DOWN_CLOSED, "this side closed it");
  });
}

}  // namespace cpns::tcp
