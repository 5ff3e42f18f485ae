#pragma once
// The requests of one connection, before its session.
//
// A session works on its messages in order, and so does the scheduler of the actors. A request that is refused, or that
// waits, must therefore not become a message: thousands of them would stand before the work that was begun. So the front
// desk lets KeyAssignmentRequests in (admission), keeps those that wait as they came, and refuses on the thread that
// received them. All other frames go to the session, which counts them (work_ledger).

#include <unordered_map>

#include "server/answer_port.hpp"

namespace cpns::server {

/// [thread-safe]
class front_desk final : public link_session, public std::enable_shared_from_this<front_desk> {
 public:
  static std::shared_ptr<front_desk> open(std::shared_ptr<role_context> role, peer_info peer,
                                          std::shared_ptr<link_port> port, session_actor to);

  void frames(std::vector<bytes> batch) override;
  void closed() override;

 private:
  using requests = std::vector<admitted_request>;
  front_desk(std::shared_ptr<role_context> role, std::shared_ptr<const peer_info> peer,
             std::shared_ptr<link_port> port, session_actor to)
      : role_(std::move(role)), peer_(peer), session_(std::move(to)),
        answers_(role_, std::move(peer), std::move(port)) {}

  /// Adds the request to `in` if it is let in now.
  void knock(const request_id& id, bytes frame, steady::time_point now, requests& in);
  void let_in(requests in, steady::time_point now);
  /// A request that waited has its turn. Without a place: it has waited for too long.
  void turn(std::uint64_t number, work_place place);
  void turn_away(const request_id& id, protocol::refused no);

  const std::shared_ptr<role_context> role_;
  const std::shared_ptr<const peer_info> peer_;
  const session_actor session_;
  admission::turn_taker turns_;
  std::mutex guard_;
  answer_port answers_;
  std::unordered_map<std::uint64_t, admitted_request> waiting_;
};

}  // namespace cpns::server
