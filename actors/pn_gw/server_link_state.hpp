#pragma once
// The state of the server link's actor: its connection, credentials, pending requests and reports.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/enrolment.hpp"
#include "actors/pn_gw/report_queue.hpp"
#include "actors/pn_gw/send_window.hpp"
#include "actors/pn_gw/server_block.hpp"
#include "actors/pn_gw/server_link.hpp"
#include "base/seldom.hpp"

namespace cpns::actors {

inline constexpr milliseconds link_period{1000};
inline constexpr milliseconds report_delay{50};         // reports within this time share a message
inline constexpr seconds enrolment_pause{30};           // between attempts to enrol
inline constexpr seconds refused_enrolment_pause{300};  // after a wrong password, if its file does not change
inline constexpr seconds refusal_pause{60};  // between log lines about the same refusal of the user
inline constexpr int sends_max = 2;          // per request and connection
// A device that gets no answer within this time makes a new request.
inline constexpr seconds request_age_max{30};
// A request that no server knows waits for so long while the servers have too many; then its device backs off.
inline constexpr seconds unsent_age_max{5};
// If no timer ran for this long, the machine was suspended and the connection may be dead.
inline constexpr seconds asleep_after{10};

/// By Entity ID, not by actor: a device has a new actor after each rest, and those that ended would fill the list.
using waiting_devices = std::map<entity_id, device_actor>;
/// Devices that are notified when the server can serve them again; the others retry after their own back-off.
inline constexpr std::size_t waiting_max = 16'384;
inline void add_waiting(waiting_devices& list, const entity_id& entity, const device_actor& d) {
  if (list.size() < waiting_max || list.contains(entity)) list.insert_or_assign(entity, d);
}

struct server_link_state {
  struct pending {
    device_actor device;
    std::shared_ptr<const protocol::key_assignment_request> body;
    time_point asked;                   ///< by the device
    time_point sent = time_zero;        ///< time_zero: not sent on this connection, or to be sent again
    int sends = 0;                      ///< on this connection
    std::uint64_t key = 0;              ///< `key_number` of its proof
    time_point not_before = time_zero;  ///< the server was overloaded
    bool known = false;                 ///< to a server: it was sent on some connection
  };

  /// The last failure of the link or of the user, for people.
  struct failure {
    time_point at;  ///< by the wall clock
    std::string text;
  };

  /// What belonged to the connection is to be sent again.
  void forget_connection(time_point now);
  /// Requests that fail, with what their devices are told; they try again, each at a moment of its own.
  std::vector<std::pair<device_actor, gw_refusal>> give_up(time_point now);
  /// Requests without an answer after all repetitions. The others are to be repeated with the same id: the server returns
  /// the same answer, and no index is spent.
  std::vector<request_id> overdue(time_point now);
  [[nodiscard]] std::vector<request_id> old_requests(time_point now) const;
  /// Requests that were never sent, and for which the server will have no time soon.
  [[nodiscard]] std::vector<request_id> hopeless(time_point now) const;
  /// True: the server refused the proof of former credentials, and the request is to be sent again with the present ones.
  bool signed_again(const request_id& id, const protocol::refusal& body);
  /// True: the server was overloaded, and the request is to be sent again with the same id when the server has said, so that
  /// no index is spent if the first one was stored nevertheless. False: its device would have given up by then.
  bool asked_again(const request_id& id, const protocol::refusal& body, time_point now);
  /// Takes a request out; nullopt: there is none with this id.
  std::optional<pending> finish(const request_id& id);
  [[nodiscard]] time_point wall() const { return parts.wall ? parts.wall() : parts.clock(); }
  void note_failure(std::string text) { last_failure = failure{wall(), std::move(text)}; }

  server_link_parts parts;
  std::string server;  ///< of the last connection
  crypto::peer_certificate certificate{};
  time_point state_since = time_zero;  ///< by the wall clock: since then it is connected, or not
  std::optional<failure> last_failure;
  connection_number connection = 0;
  std::shared_ptr<const secret32> exporter;  ///< of the connection; null without one
  time_point last_frame = time_zero;
  time_point unanswered_since = time_never;  ///< since then a request is open and no frame has arrived
  time_point last_look = time_never;
  std::optional<user_credentials> credentials;
  std::uint64_t key_number = 0;  ///< grows with each change of the credentials
  bool saving = false;
  bool unsaved = false;  ///< the write of the credentials failed
  std::map<request_id, pending> requests;
  std::map<entity_id, request_id> by_entity;  ///< one request per device; a new one replaces it
  std::deque<request_id> order;               ///< oldest first
  std::size_t in_flight = 0;
  send_window<time_point> window{128};  ///< requests_max, unless the server has too many
  seconds last_retry_after{1};          ///< of the last "overloaded"
  std::vector<link_want_nonce> wants_nonce;
  std::optional<request_id> nonce_request, challenge_request;
  time_point nonce_asked{}, challenge_asked{}, enrol_not_before{}, save_not_before{};
  std::int64_t password_tried = 0;  ///< password_time() at the last attempt to enrol
  bool user_refused = false;        ///< since the last enrolment
  time_point refusal_logged_at = time_zero;
  server_block block;
  /// Devices whose request failed; notified when a retry may succeed.
  waiting_devices wait_for_server, wait_for_user;
  bool answers = false;  ///< a frame was received on this connection
  report_queue reports;
  std::map<entity_id, device_actor> reporters;
  std::optional<request_id> report_request;
  time_point report_sent{};
  bool flush_armed = false;
  seldom overloads;
};

}  // namespace cpns::actors
