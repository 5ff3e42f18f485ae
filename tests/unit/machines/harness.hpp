#pragma once
// One PNE machine, one PN GW machine and a server on virtual time: drivers like those of the roles, a radio that
// loses, repeats and reorders by a seed, failing disks, crashes at any output. Each output is checked when it is
// applied.

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "protocol/pn_gw/detector.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"
#include "protocol/pne/pne_machine.hpp"
#include "tests/unit/machines/honest_server.hpp"
#include "tests/unit/machines/real_server.hpp"

namespace cpns::test {

enum class side : std::uint8_t { pne, gw };

struct harness_options {
  std::uint64_t seed = 1;
  unsigned loss = 0, duplicate = 0, reorder = 0;  ///< percent of messages
  unsigned persist_failure = 0;                   ///< percent of writes, of either side
  unsigned nonce_failure = 0;                     ///< percent of nonce requests that fail
  std::uint8_t suite = protocol::suite_x25519;
  bool strict_chain = false;
  bool pne_forgets = false;  ///< its stored keys do not survive a crash
  bool real_server = false;  ///< the server's own machine instead of honest_server
  protocol::validation_policy policy = protocol::validation_policy::automatic;
  bool denied = false;  ///< by the gateway's deny list
  time_point permit_until = time_zero;
  gateway_id gw{{1, 2, 3}};
  milliseconds answer_timeout = protocol::answer_timeout_default;
  /// The programs on the gateway acknowledge its keys after up to this time, or not at all; 0: there are none.
  milliseconds consumer_wait{0};
  unsigned late_consumers = 0;  ///< percent of the keys that are not acknowledged
  bool gw_rests = false;  ///< the gateway's machine is put away between any two steps, whenever it can rest
};

class harness {
 public:
  explicit harness(harness_options o = {});
  harness(const harness&) = delete;
  harness& operator=(const harness&) = delete;

  // ---- actions
  void power_on(side s);  ///< from its disk
  void crash(side s);     ///< loses memory and link
  void factory_reset();
  /// The gateway restarts with a new record that has only entity and user.
  void lose_gateway_disk();
  /// The gateway's settings change to those of `o`, with a permit window that is open for `length`.
  void permit(milliseconds length);
  void connect();  ///< a new radio link; the detector begins
  void disconnect();
  /// The PNE leaves its link without notice: the gateway keeps sending on it.
  void leave_half_open();
  void run(milliseconds span);
  /// Runs until `done`, at most `span`; true if `done` became true.
  bool run_until(const std::function<bool()>& done, milliseconds span);
  /// Ends all faults of radio and disks; runs long enough for all retries.
  void settle();
  [[nodiscard]] bool keyed() const { return gw && gw->state() == protocol::pn_gw_state::keyed; }
  [[nodiscard]] int count(protocol::gw_event::kind_t kind) const;
  /// Empty if gateway, PNE and server have the same key; else the difference or a broken invariant.
  [[nodiscard]] std::string disagreement() const;

  /// Called for each message of the radio, which it may change; false: the message is lost.
  std::function<bool(side to, bytes& message)> tap;
  /// Called for messages of the gateway on other links than the PNE's; empty message: the link is closed.
  std::function<void(protocol::gw_link to, const bytes& message)> elsewhere;
  [[nodiscard]] protocol::nonce16 issuer_nonce() const;
  /// Sends a message on the air.
  void inject(side to, bytes message);
  /// Called with each output of the gateway before it is applied.
  std::function<void(const protocol::gw_output& out)> on_gw_output;
  /// Called before output number `n` of a side, counted from 0. True: the side crashes instead.
  std::function<bool(side s, int n)> before_output;

  harness_options o;
  entity_id entity;
  secret32 tk_prime;
  seeded_entropy random, gw_random, pne_random;
  honest_server server;
  std::optional<test::real_server> real;  ///< with `real_server`
  time_point now;
  protocol::pne_record pne_disk;
  protocol::device_record gw_disk;
  protocol::claimants book;  ///< of the gateway; does not survive its crash
  std::optional<protocol::pne_machine> pne;
  std::optional<protocol::pn_gw_machine> gw;
  std::optional<protocol::detector> detector;
  std::optional<protocol::gw_link> link;
  bool server_up = true;
  std::optional<int> full_from;  ///< all writes fail from this number on
  int writes = 0;
  bool nonces_hang = false;         ///< requests for a nonce get no answer
  std::vector<std::string> faults;  ///< broken invariants
  std::vector<protocol::gw_event> gw_events;
  std::vector<protocol::pne_event> pne_events;
  std::map<epoch, bytes> deliveries;             ///< all KDELs sent
  std::set<std::pair<set_id, epoch>> published;  ///< the keys that programs know
  int outputs[2] = {0, 0};
  int rests = 0;  ///< how often the gateway's machine was put away

 private:
  struct flight {
    time_point at;
    std::uint64_t order;
    std::function<void()> land;
  };
  void at(milliseconds delay, std::function<void()> what);
  void transmit(side to, bytes message);
  void arrive(side to, std::uint64_t link_number, const bytes& message);
  void drive();
  bool drive_pne();
  bool drive_gw();
  void rest_gw();
  bool apply(protocol::gw_output& out);
  bool write_fails();
  void ask(const request_id& id, const protocol::key_assignment_request& body);
  void report(epoch which);
  void check_kdel(const bytes& message);
  void publish(epoch which);
  void check_record(const protocol::device_record& r);
  [[nodiscard]] time_point next_event() const;
  protocol::pne_settings pne_settings() const;
  protocol::pn_gw_settings gw_settings() const;

  std::vector<flight> air_;
  std::uint64_t order_ = 0, link_number_ = 0;
  std::map<std::pair<set_id, epoch>, secret32> named_;
  std::map<std::pair<set_id, epoch>, bytes> delivered_;
  std::optional<request_id> asked_;    ///< the latest request of the gateway
  std::optional<epoch> acknowledged_;  ///< the highest epoch in a KCNF
};

}  // namespace cpns::test
