#pragma once
// The implementation of pn_gw_machine: links.cpp (its links), discovery.cpp (steps 1 to 3), claims.cpp (unverified
// answers), assignment.cpp (steps 4 and 8), delivery.cpp (steps 9 and 10), pn_gw_machine.cpp (state, timers,
// writes). Private to protocol/pn_gw/.

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <variant>
#include <vector>

#include "protocol/codec.hpp"
#include "protocol/constants.hpp"
#include "protocol/pn_gw/classify.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"
#include "protocol/pn_gw/same_id.hpp"

namespace cpns::protocol {

enum class gw_timer : std::uint8_t {
  answer,  ///< evaluate the answers, wait no longer for programs, or repeat DREQ or KDEL
  server,  ///< stop waiting for a nonce or an answer of the server
  retry,   ///< end of a back-off, or ask again for the holder of the entity
  update,  ///< the next key is due while the machine is idle
  refill,  ///< ask again for more keys
  report,  ///< repeat the report of the own epoch
  claim,   ///< unverified claims may begin an exchange
  ask,     ///< the server may be asked about the next claim
  count_
};

/// The machine's deadlines, one per timer; time_never: stopped.
class gw_timers {
 public:
  gw_timers() { at_.fill(time_never); }

  void set(gw_timer t, time_point when) { at_[index(t)] = when; }
  void stop(gw_timer t) { at_[index(t)] = time_never; }
  [[nodiscard]] time_point at(gw_timer t) const { return at_[index(t)]; }
  [[nodiscard]] time_point next() const { return *std::min_element(at_.begin(), at_.end()); }
  /// Whether no timer but `t` runs.
  [[nodiscard]] bool none_but(gw_timer t) const {
    for (std::size_t i = 0; i < at_.size(); ++i)
      if (i != index(t) && at_[i] != time_never) return false;
    return true;
  }
  /// Stops `t`; true if it had expired.
  bool take(gw_timer t, time_point now) {
    if (at(t) > now) return false;
    stop(t);
    return true;
  }

 private:
  static constexpr std::size_t index(gw_timer t) { return static_cast<std::size_t>(t); }
  std::array<time_point, static_cast<std::size_t>(gw_timer::count_)> at_;
};

/// A DREQ as sent; its answers refer to it.
struct gw_dreq {
  bytes message;
  discovery_request request;
  std::optional<epoch> own;  ///< the own epoch when it was first sent
  time_point begun;

  /// The PNE may have dropped its context before a KDEL arrives, so a new DREQ is cheaper.
  [[nodiscard]] bool is_old(time_point now) const { return now - begun >= context_lifetime - seconds{5}; }
};

/// A classified DRSP.
struct gw_answer {
  gw_link link;
  std::shared_ptr<const gw_dreq> dreq;
  bytes drsp;  ///< as received
  discovery_response response;
  classification classified;
};

/// The open DREQ with the answers to it and to the DREQs of detectors.
struct gw_exchange {
  std::shared_ptr<const gw_dreq> dreq;  ///< none: no answer is expected
  int sends_left = 0;
  std::vector<gw_answer> answers;  ///< at most claims_max; of links that are up
};

// The activity of the machine, one at a time. Leaving it wipes its data.
struct gw_idle {};
struct gw_awaiting_nonce {
  bool may_heal = false;  ///< if the server is unreachable, heal a random answer
};
struct gw_discovering {};  ///< waits for answers
struct gw_collecting {};   ///< waits until the server may be asked about an answer; accepts further answers
struct gw_asking {
  request_id id;
  gw_answer answer;
  std::string claimant;
};
struct gw_delivering {
  gw_link link;
  epoch which;
  crypto::digest th1{}, th2{};
  std::uint64_t resets = 0;
  bytes kdel;  ///< built once, repeated byte for byte
  int sends_left = 0;
  time_point expires;
  bool healing = false;    ///< to an unverified peer
  bool published = false;  ///< programs are waited for, or were
};
using gw_activity =
    std::variant<gw_idle, gw_awaiting_nonce, gw_discovering, gw_collecting, gw_asking, gw_delivering>;

struct pn_gw_machine::impl {
  impl(pn_gw_settings settings_in, device_record record_in, const crypto::suite& s_in, entropy& random_in,
       time_point now, const gw_dates& dates, claimant_book* book_in);
  /// For the other constructor, and for a machine that goes on after it rested: without side effects.
  impl(pn_gw_settings settings_in, device_record record_in, const crypto::suite& s_in, entropy& random_in,
       claimant_book* book_in);
  void resume(const gw_resting& rested, gw_place place);
  [[nodiscard]] std::optional<gw_resting> rest(time_point now) const;

  // The arguments of a trigger's action.
  struct subject {
    std::shared_ptr<const gw_dreq> dreq;  ///< discover, renew: a DREQ that is open already
    std::optional<gw_answer> answer;
    std::optional<epoch> confirmed;  ///< confirmed: the key
    crypto::digest th1{};            ///< confirmed, settled: of the exchange that KRET belongs to
    std::uint64_t resets = 0;        ///< confirmed: of the verified DRSP
    gw_event::kind_t kind = gw_event::kind_t::dropped;  ///< the event to emit
    std::string why;
    seconds retry_after{0};
    bool healing = false;   ///< deliver: to an unverified answer
    bool may_heal = false;  ///< ask_first, ask_again: if the server is unreachable, heal a random answer
    bool anybody = false;   ///< failed: strangers can cause it, so that the wait does not grow
    std::string amnesia;    ///< deliver: text of the amnesia event, emitted when the delivery is confirmed
    bool stored = false;    ///< deliver: the set came with this answer of the server
    bool remember = true;   ///< refused_here: by a person, not by a setting
  };

  void fire(pn_gw_trigger t, time_point now) { fire(t, now, subject{}); }
  void fire(pn_gw_trigger t, time_point now, subject what);
  void note_dates(time_point now, const gw_dates& dates);
  void handle_settings(time_point now, pn_gw_settings fresh);
  void handle_timeout(time_point now);
  void handle_persist_failed(time_point now);
  std::optional<gw_output> poll_output();
  [[nodiscard]] time_point next_deadline();

  // Steps 1 to 3.
  void handle_detected(time_point now, gw_link link, byte_view dreq, byte_view drsp, gw_place place);
  void handle_frame(time_point now, gw_link link, byte_view message);
  void handle_link_down(time_point now, gw_link link);
  void handle_approval(time_point now, bool approved);
  void handle_update_request(time_point now);
  // Steps 4 and 8.
  void handle_issuer_nonce(time_point now, const std::optional<nonce16>& nonce);
  void handle_response(time_point now, const request_id& id, const assigned_keys& answer,
                       std::uint64_t incarnation);
  void handle_refusal(time_point now, const request_id& id, const refusal& answer);
  void handle_report_outcome(time_point now, epoch reported, report_outcome outcome);
  void handle_server_ready(time_point now);
  // Step 9.
  void handle_published(time_point now, epoch published);
  void handle_consumers_ready(time_point now, epoch published);

  pn_gw_settings settings;
  device_record record;
  const crypto::suite& s;
  entropy& random;
  pn_gw_state state;
  gw_activity activity;
  gw_timers timers;
  std::unique_ptr<claimants> own_book;  ///< none: `book` is the gateway's
  claimant_book& book;
  std::vector<gw_link> links;  ///< the newest or last verified one first
  std::map<gw_link, gw_place> places;
  std::optional<gw_link> proven;  ///< the good link: that of the last verified tag
  gw_exchange open;
  std::deque<gw_output> outputs;
  std::optional<device_record> saved;  ///< the durable record during a write; none: equal to `record`
  std::shared_ptr<const device_record> in_flight;  ///< the write that the driver polled last
  std::uint64_t dropped = 0;
  bool place_changed = false;  ///< the stored record may name an earlier place
  bool write_failed = false;   ///< during handle_persist_failed()

  bool let_in = false;          ///< without an approval; only while the settings let it in
  bool woke = false;            ///< a wake-up or a person requested the next key
  bool server_wanted = false;   ///< the next exchange goes to the server, unless it verifies
  bool recover_wanted = false;  ///< the next exchange goes to the server, even if it verifies
  int attempts = 0;             ///< failures in a row
  int bad_possessions = 0;      ///< DREQs in a row answered by bad possession alone
  bool claimed = false;         ///< an unverified peer claims to be the device; no DREQ since then
  time_point claims_not_before = time_zero;  ///< when such claims may begin an exchange
  bool waits_for_server = false;             ///< the last exchange began, but its DREQ was not sent
  std::optional<std::pair<epoch, std::string>>
      amnesia;                 ///< emitted when the delivery of this key is confirmed
  milliseconds wall_ahead{0};  ///< wall clock minus `now`
  time_point newest_date = time_zero;
  time_point updated_at = time_zero;  ///< the last confirmation, in the clock of `now`
  time_point update_due = time_never;
  time_point server_not_before = time_zero;  ///< end of a wait that the server or a failure demanded
  time_point notice_not_before = time_zero;  ///< one NOTE is accepted per notice_interval
  same_id_watch same_id;
  std::optional<request_id> refill;
  struct put_aside {
    request_id id;
    std::uint64_t resets = 0;  ///< of the DRSP that the server was asked about
  };
  std::optional<put_aside> aside;  ///< sent before the device proved itself elsewhere

 private:
  void perform(pn_gw_action a, time_point now, subject& what);

  // links.cpp
  void add_link(gw_link link, gw_place place);
  void seen_at(const gw_place& place);
  void forget_link(gw_link link);
  void prefer(gw_link link);
  void prove(time_point now, gw_link link);
  void make_good(time_point now, gw_link link);
  void drop_link(gw_link link, std::string why);
  [[nodiscard]] bool has_link(gw_link link) const;
  [[nodiscard]] bool is_needed(gw_link link) const;
  [[nodiscard]] std::string claimant(gw_link link) const;

  // discovery.cpp
  void start(time_point now);
  void begin(time_point now);
  void send_dreq(time_point now, std::shared_ptr<const gw_dreq> adopted, const std::optional<nonce16>& nonce);
  void on(time_point now, gw_link link, byte_view message, discovery_response m);
  void on(time_point now, gw_link link, const pne_notice& m);
  void act_on_verified(time_point now, gw_answer answer);
  void answer_timer_ended(time_point now);
  void nothing_usable(time_point now);
  bool send_again(time_point now, bool to_all);
  bool passes_validation(time_point now);
  [[nodiscard]] bool lets_in(time_point now) const;
  void approve_if_let_in(time_point now);
  bool permit_waiting(time_point now);
  void withdraw_permit(time_point now);
  [[nodiscard]] std::optional<gw_answer> detected_answer(time_point now, gw_link link, byte_view dreq,
                                                         byte_view drsp) const;

  // claims.cpp
  void claim(time_point now, gw_link link, std::optional<gw_answer> answer);
  void begin_for_claims(time_point now);
  void keep(gw_answer answer);
  void conclude(time_point now);
  void give_up_good_link();
  void heal_one(time_point now);
  void ask_next(time_point now, bool may_heal = false);
  void await_more(time_point now);
  void collect(time_point now, time_point next);
  void forget_old_answers(time_point now);
  void replace_old_answers(time_point now);
  [[nodiscard]] bool collects(time_point now) const;
  [[nodiscard]] std::vector<std::size_t> candidates() const;
  [[nodiscard]] bool has_answered(gw_link link) const;
  [[nodiscard]] bool wants_dreq(time_point now) const;
  [[nodiscard]] std::optional<std::size_t> draw_claim(time_point now, time_point& soonest);

  // assignment.cpp
  void ask_server(time_point now, subject& what);
  void ask_about(time_point now, gw_answer answer);
  void request_refill(time_point now);
  [[nodiscard]] status check(time_point now, const assigned_keys& a) const;
  [[nodiscard]] status merge(time_point now, const assigned_keys& a, std::uint64_t incarnation);
  void refill_answered(time_point now, const assigned_keys& a, std::uint64_t incarnation);
  void put_request_aside();
  void store_late_keys(time_point now, const assigned_keys& a, std::uint64_t incarnation);
  void refill_refused(time_point now, const refusal& answer);
  void refused(time_point now, const refusal& answer, const gw_asking& done);
  void presence_refused(time_point now, const std::string& why, const gw_asking& done);
  void stand_aside(time_point now, const refusal& answer);
  [[nodiscard]] seconds wait_of(const refusal& answer) const;
  void report(time_point now);

  // delivery.cpp
  void on(time_point now, gw_link link, const key_confirmation& m);
  void hand_out(time_point now, subject& what);
  void send_kdel(time_point now);
  void deliver_or_ask(time_point now, gw_answer answer, bool healing);
  [[nodiscard]] bool can_deliver(time_point now, const gw_answer& answer) const;
  void resend_kdel(time_point now);
  void consumers_are_late(time_point now);
  void make_own(time_point now, subject& what);
  void end_sessions_below(epoch which);
  void withdraw_own();
  void lapse_unproven();
  void send_kret(const crypto::digest& th1, gw_link to);
  [[nodiscard]] const held_key* next_key(const gw_answer& answer) const;
  [[nodiscard]] bool within_budget(time_point now) const;

  // pn_gw_machine.cpp
  void back_off(time_point now, subject& what);
  void leave(time_point now, subject& what);
  void stand(device_standing standing, subject& what);
  void fail_with(time_point now, std::string why, seconds retry_after = seconds{0}, bool anybody = false);
  [[nodiscard]] bool has_own() const { return record.own() != nullptr; }
  void schedule_update(time_point since);
  /// The date at `now`.
  [[nodiscard]] time_point date_of(time_point now) const { return now + wall_ahead; }
  /// The date at `now`, or the newest date in the store if that is later; for comparisons with `not_after`.
  [[nodiscard]] time_point latest_date(time_point now) const { return std::max(date_of(now), newest_date); }
  /// The last confirmation in the clock of `now`; at most `now`.
  [[nodiscard]] time_point confirmed_at(time_point now) const;
  /// Whether the keys of a set with this `not_after` may no longer be delivered.
  [[nodiscard]] bool is_expired(time_point now, std::int64_t not_after) const;
  void noise(time_point now, std::string why);
  [[nodiscard]] bool is_idle() const { return std::holds_alternative<gw_idle>(activity); }
  [[nodiscard]] bool update_is_due(time_point now) const {
    return woke || now >= update_due || record.own_is_withdrawn();
  }
  /// Call before the first change that the next persist_record() makes durable.
  void about_to_change();
  /// `retired`: of gw_persist.
  void persist_record(std::optional<held_key> retired = {});
  void emit(gw_event::kind_t kind, std::optional<epoch> which = {}, std::string why = {},
            bool proven_now = true);
};

}  // namespace cpns::protocol
