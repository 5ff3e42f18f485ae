#include "server/server_drain.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/text.hpp"

namespace cpns::server {
namespace {

constexpr milliseconds each_connection{20};
constexpr milliseconds shortest{1000};

milliseconds until_then(std::chrono::steady_clock::time_point at) {
  return std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(at - std::chrono::steady_clock::now()));
}

}  // namespace

milliseconds time_to_leave(std::size_t connections, milliseconds limit) {
  const auto wanted = std::max(shortest, each_connection * static_cast<std::int64_t>(connections));
  return std::min(wanted, limit * 3 / 4);
}

void server_drain::begin(milliseconds limit) {
  std::chrono::steady_clock::time_point until;
  {
    const std::lock_guard lock{guard_};
    if (times_) return;
    const auto within = time_to_leave(sockets_.connections(), limit);
    until = std::chrono::steady_clock::now() + within;
    times_ = times{now_wall(), until, within};
    log::info("server", "server-draining", "no new connections; the gateways are asked to leave",
              {{"connections", std::to_string(sockets_.connections())},
               {"within_ms", std::to_string(within.count())}});
  }
  sockets_.leave();
  notices_.set_drain(until);
}

void server_drain::finish(milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  begin(limit);
  std::chrono::steady_clock::time_point until;
  {
    const std::lock_guard lock{guard_};
    until = std::min(times_->until, end);
  }
  sockets_.wait_empty(until_then(until));
  sockets_.drain(until_then(end));
}

void server_drain::look() {
  {
    const std::lock_guard lock{guard_};
    if (!times_ || std::chrono::steady_clock::now() < times_->until) return;
  }
  sockets_.end_all();
}

bool server_drain::begun() const {
  const std::lock_guard lock{guard_};
  return times_.has_value();
}

std::optional<boost::json::object> server_drain::view() const {
  const std::lock_guard lock{guard_};
  if (!times_) return std::nullopt;
  const auto counts = notices_.of_drain();
  return boost::json::object{{"since", rfc3339_text(times_->since)},
                             {"until", rfc3339_text(times_->since + times_->within)},
                             {"connections", sockets_.connections()},
                             {"acknowledged", counts.acknowledged}};
}

}  // namespace cpns::server
