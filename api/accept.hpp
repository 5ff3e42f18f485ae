#pragma once
// Accepting connections, the same for each listener. Private to api/.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "api/session.hpp"
#include "base/log.hpp"

namespace cpns::api::detail {

/// Pause after EMFILE and similar errors, until descriptors are free again.
inline constexpr milliseconds accept_pause{100};

/// Passes each connection to `accepted` until the acceptor is closed. On the io thread; all arguments outlive it.
template <class Acceptor, class Accepted>
void accept_all(boost::asio::io_context& io, shared_state& shared, Acceptor& from, Accepted accepted) {
  from.async_accept([&io, &shared, &from, accepted](const boost::system::error_code& ec, auto s) {
    if (ec == boost::asio::error::operation_aborted || !from.is_open()) return;
    if (!ec) {
      accepted(std::move(s));
      return accept_all(io, shared, from, accepted);
    }
    if (shared.full.due(now_anchored(), "accept"))
      log::warn(shared.parts.component, "api-accept-failed", ec.message() + "; retrying");
    auto timer = std::make_shared<boost::asio::steady_timer>(io, accept_pause);
    timer->async_wait([&io, &shared, &from, accepted, timer](const boost::system::error_code& stop) {
      if (!stop && from.is_open()) accept_all(io, shared, from, accepted);
    });
  });
}

}  // namespace cpns::api::detail
