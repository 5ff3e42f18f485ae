#pragma once
// session/<gateway>: the requests of one connection of a gateway and their answers. Every frame is answered
// once.

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <variant>
#include <vector>

#include "server/answer_port.hpp"
#include "server/context.hpp"
#include "server/read_queue.hpp"
#include "server/slow_requests.hpp"

namespace cpns::server {

// What follows a read.
struct assignment_read {
  std::shared_ptr<job> what;
  user_directory::lookup known;
};
struct entry_read {
  std::shared_ptr<job> what;
};
struct challenge_read {
  request_id id;
  user_id user;
  user_directory::lookup known;
  work_permit counted;
};
using read_step = std::variant<assignment_read, entry_read, challenge_read>;

struct session_state {
  const char* name = "session";
  struct report {
    protocol::epoch_report asked;
    std::vector<std::optional<protocol::report_outcome>> outcomes;
    std::size_t begun = 0;  ///< entries before it are pending or answered
    std::size_t missing = 0;
    work_permit counted;  ///< for the entries not begun
  };
  std::shared_ptr<role_context> role;
  std::shared_ptr<const peer_info> peer;
  std::shared_ptr<const protocol::requester> sender;  ///< the same, for requests for keys
  std::shared_ptr<link_port> port;
  std::shared_ptr<session_mail> mail;
  std::unique_ptr<answer_port> answers;
  gateway_register::ticket place = 0;
  std::unordered_map<request_id, report> reports;
  std::deque<request_id> waiting;  ///< reports with entries not begun, the oldest first
  std::size_t entries_pending = 0;
  read_queue<read_step> reads;
  // Of the current message.
  std::vector<std::shared_ptr<const job>> to_route;
  steady::time_point now{};
  /// What follows the answer of a manufacturer's service, by its number.
  std::unordered_map<std::uint64_t, std::function<void(found_key)>> keys;
  slow_requests assignments;
  bool look_armed = false;  ///< a slow_look is on its way
};

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self,
                                     std::shared_ptr<role_context> role, peer_info peer,
                                     std::shared_ptr<link_port> port);

}  // namespace cpns::server
